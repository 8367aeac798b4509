"""The command line, in this process: what is printed, and the status at the end."""

import shutil
from pathlib import Path

import pytest
import typer

from nnflow import cli
from nnflow.base.errors import UserError

PLUGINS = '''
import nnflow
from nnflow import Analysis, Initializer, Model, Optimizer


class Bowl(Model):
    """½‖w‖²."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (weights["w"] ** 2).sum(1) / 2


class Ones(Initializer):
    """All weights 1."""

    def draw(self, shapes, streams):
        ones = nnflow.torch.ones
        return {name: ones(len(streams.runs), *shape).double() for name, shape in shapes.items()}


class Slide(Optimizer):
    """W⁺ = W/2."""

    def start(self, weights, scale):
        return {}

    def step(self, objective, weights, state):
        return weights / 2, state


class Ends(Analysis):
    """Nothing."""

    def compute(self, results):
        import xarray as xr

        return xr.Dataset()


@nnflow.hookimpl
def nnflow_register(register):
    register("bowl", Bowl)
    register("ones", Ones)
    register("slide", Slide)
    register("ends", Ends)
'''
STUDY = """
title: A bowl
model: bowl
initializer: ones
optimizer: slide
runs: 3
batch: 2
analyses: [ends]
scales: {paper: {runs: 30}}
"""


@pytest.fixture
def project(plugins, tmp_path, monkeypatch):
    """A project with two studies, in the working folder; no study comes with nnflow."""
    from nnflow.study import loading

    plugins.write("all.py", PLUGINS)
    studies = tmp_path / "config" / "studies"
    studies.mkdir(parents=True)
    (studies / "bowl.yaml").write_text(STUDY, encoding="utf-8")
    (studies / "numbers.yaml").write_text("title: Only an analysis\nanalyses: [ends]\n")
    monkeypatch.setattr(loading, "built_in_studies", dict)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str) -> int:
    """The status of a command."""
    try:
        return cli.app(arguments, standalone_mode=False) or 0
    except typer.Exit as end:
        return end.exit_code


LISTED = """\
bowl                     A bowl
                         quick: 1 configuration, 3 runs, missing
                         paper: 1 configuration, 30 runs, missing
numbers                  Only an analysis
                         quick: 1 configuration, no training, missing
                         paper: 1 configuration, no training, missing
"""


def test_list(project, capsys):
    assert call("list") == 0
    assert capsys.readouterr().out == LISTED
    (project / "config/studies/broken.yaml").write_text("titel: x\n")
    assert call("list") == 2
    said = capsys.readouterr()
    assert said.out == LISTED
    assert said.err.startswith("nnflow: ") and "titel: unknown key" in said.err


def test_list_says_what_there_is_of_the_results(project, capsys):
    call("analyze", "numbers")
    call("list")
    assert "no training, unfinished 2" in capsys.readouterr().out
    call("summarize", "numbers")
    call("list")
    assert "no training, done 2" in capsys.readouterr().out


def test_open_names_the_report_and_shows_it(project, capsys, monkeypatch):
    import webbrowser

    shown = []
    monkeypatch.setattr(webbrowser, "open", shown.append)
    with pytest.raises(UserError, match=r"results/quick/report\.html: missing; run the workflow"):
        call("open")
    page = project / "results/quick/report.html"
    page.parent.mkdir(parents=True)
    page.write_text("<p>")
    assert call("open") == 0
    assert capsys.readouterr().out == "results/quick/report.html\n"
    assert shown == [page.as_uri()]


def test_diff(project, capsys):
    for stage in ("analyze", "summarize"):
        call(stage, "numbers")
    first, second = project / "results/quick", project / "copy/quick"
    shutil.copytree(first, second)
    capsys.readouterr()
    assert call("diff", str(first), str(second)) == 0
    same = "of 1 study the same: numbers in {0}; verdicts in 1; settings, versions and code in 1"
    told = f"{same} (numbers: to the last bit)\n"
    assert capsys.readouterr().out == told.format(1)
    (second / "numbers/summary.nc").unlink()
    assert call("diff", str(first), str(second)) == 1
    missing = f"numbers: summary.nc: missing in {second / 'numbers'}\n"
    assert capsys.readouterr().out == missing + told.format(0)


def test_validate(project, capsys):
    assert call("validate") == 0
    assert capsys.readouterr().out == (
        "config/studies/bowl.yaml: valid\nconfig/studies/numbers.yaml: valid\n"
    )
    assert call("validate", "bowl") == 0
    assert capsys.readouterr().out == "config/studies/bowl.yaml: valid\n"
    # at the other scale alone
    (project / "bad.yaml").write_text(STUDY.replace("runs: 30", "rums: 30"))
    assert call("validate", "bad.yaml", "numbers") == 2
    said = capsys.readouterr()
    assert "bad.yaml: rums: unknown key" in said.err
    assert said.out == "config/studies/numbers.yaml: valid\n"


@pytest.mark.parametrize("command", ["list", "validate", "plugins", "run"])
def test_outside_of_a_project(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no folder config/ here, so no project"):
        call(command)


def test_a_study_by_its_file_needs_no_project(project, monkeypatch, capsys):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert call("validate", "../config/studies/bowl.yaml") == 0


def test_stages_by_hand(project, capsys):
    """A batch alone is not collected; all of them are."""
    folder = project / "results/quick/bowl"
    for arguments in (["initialize"], ["train", "--batch", "1"]):
        assert call(arguments[0], "bowl", *arguments[1:]) == 0
    assert (folder / "batches/training-1.nc").exists()
    assert not (folder / "batches/training-0.nc").exists()
    assert not (folder / "training.nc").exists()
    assert call("train", "bowl") == 0
    assert (folder / "batches/training-0.nc").exists() and (folder / "training.nc").exists()
    assert call("classify", "bowl") == 0 and (folder / "critical_points.nc").exists()
    written = [folder / "training.nc", folder / "critical_points.nc"]
    for file in written:
        file.unlink()
    assert call("collect", "bowl") == 0 and all(file.exists() for file in written)
    assert call("analyze", "bowl", "ends") == 0 and (folder / "analyses/ends.nc").exists()
    assert call("summarize", "bowl") == 0 and (folder / "summary.nc").exists()
    assert call("why", "bowl") == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "bowl", "--batch", "2"], r"^bowl: there is no batch 2 \(there are 0 to 1\)$"),
        (["train", "bowl", "--batch", "-1"], r"^bowl: there is no batch -1 \(there are 0 to 1\)$"),
        (["certify", "bowl"], r"^bowl: this study asks for no certificates \(key certify\)$"),
        (["analyze", "bowl", "enbs"], r"^bowl: no analysis 'enbs' \(there are: ends\)$"),
        (["analyze", "bowll"], r"bowll\.yaml: no such study \(did you mean 'bowl'\?\)$"),
    ],
)
def test_what_there_is_not(project, arguments, message):
    with pytest.raises(UserError, match=message):
        call(*arguments)


def test_words_that_nnflow_does_not_know_are_an_error_of_status_2(project, capsys, monkeypatch):
    for words in (["list", "--bogus"], ["bogus"]):
        monkeypatch.setattr("sys.argv", ["nnflow", *words])
        with pytest.raises(SystemExit) as end:
            cli.main()
        assert end.value.code == 2
        assert "bogus" in capsys.readouterr().err


def test_an_export_says_where_it_went(project, capsys, monkeypatch):
    from nnflow.stages import export, opening

    asked = []
    monkeypatch.setattr(opening, "open_results", lambda *words: words[0])
    monkeypatch.setattr(export, "export", lambda *words: asked.append(words) or 3)
    assert call("export", "bowl", "--to", "away", "--at", "training", "--format", "npz") == 0
    assert asked == [("bowl", Path("away/bowl"), "training", "npz")]
    assert capsys.readouterr().out == "wrote 3 files to away/bowl\n"


def test_the_report_names_what_is_missing(project, capsys):
    for stage in ("analyze", "summarize"):
        assert call(stage, "numbers") == 0
    quick = project / "results/quick"
    assert call("report", "bowl", "numbers", "--unfinished") == 0
    page = (quick / "unfinished.html").read_text(encoding="utf-8")
    assert '<section id="numbers"' in page and '<section id="bowl"' not in page
    assert "<strong>Not finished.</strong>" in page and "<code>bowl</code>: " in page
    assert not (quick / "report.html").exists()
    with pytest.raises(UserError, match="bowl"):
        call("report", "bowl", "numbers")
    assert call("report", "numbers") == 0
    page = (quick / "report.html").read_text(encoding="utf-8")
    assert '<section id="numbers"' in page and "Not finished" not in page
    assert not (quick / "unfinished.html").exists()
    assert call("report", "numbers", "--unfinished") == 0
    assert not (quick / "unfinished.html").exists()


def test_mistakes_are_one_line_and_status_2(project, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["nnflow", "certify", "bowl"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert capsys.readouterr().err == (
        "nnflow: bowl: this study asks for no certificates (key certify)\n"
    )
