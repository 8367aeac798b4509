"""A file of results belongs to the study as it is, or is refused with what has changed."""

import pytest

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.engine.samples import load_arrays
from nnflow.interfaces.registry import registry
from nnflow.stages.analyze import analyze
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.initialize import initialize
from nnflow.stages.opening import open_job, open_results
from nnflow.stages.spectrum import spectrum
from nnflow.stages.summarize import summarize
from nnflow.stages.train import train
from nnflow.workflow import fingerprint
from nnflow.workflow.freshness import (
    check_fresh,
    differences,
    discard_stale,
    files,
    upstream,
    why,
)
from nnflow.workflow.plan import Plan

STUDY = """
title: A valley
model: {name: toy_valley, epsilon: 0.1}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.02}
runs: 3
stop: {steps: 50}
classify: {zero_below: 1.0e-7}
analyses: [critical_point_counts]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)

    def write(old="", new=""):
        assert old in STUDY
        (tmp_path / "config/studies/valley.yaml").write_text(STUDY.replace(old, new))

    write()
    return write


def run(stage, *arguments):
    names = {initialize: "initialize", train: "train", classify: "classify", collect: "collect",
             spectrum: "spectrum", summarize: "summarize"}  # fmt: skip
    stage(open_job(names[stage], "valley"), *arguments)


def whole(*analyses):
    run(initialize)
    run(train, 0)
    run(classify, 0)
    for dataset in ("training", "critical_points"):
        run(collect, dataset)
    run(spectrum)
    analyze(open_job("analyze", "valley"), dict.fromkeys(analyses, ""))
    run(summarize)


def test_nothing_to_say_where_nothing_has_changed(project):
    whole("critical_point_counts")
    assert why(Plan(("valley",)), "valley") == []


def test_old_results_are_not_stamped_with_new_settings(project):
    """The gravest fault that users met: a stage that was run by hand, then another rate."""
    run(initialize)
    run(train, 0)
    run(classify, 0)
    project("rate: 0.02", "rate: 0.01")
    with pytest.raises(UserError) as caught:
        run(collect, "training")
    text = str(caught.value)
    assert "training-0.nc: made with other settings" in text
    assert "optimizer.rate 0.02 → 0.01" in text and "nnflow train valley" in text


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("rate: 0.02", "rate: 0.01", {"training-0", "critical_points-0", "training",
                                      "critical_points", "spectra", "critical_point_counts",
                                      "summary"}),
        ("zero_below: 1.0e-7", "zero_below: 1.0e-8",
         {"critical_points-0", "training", "critical_points", "spectra",
          "critical_point_counts", "summary"}),
        ("title: A valley", "title: Another", set()),
        # no analysis reads spectra
        ("runs: 3", "runs: 3\nspectrum: {most: 2}", {"spectra"}),
        ("initializer: {name: normal}", "initializer: {name: uniform_ball, radius: 1}",
         {"initialization", "training-0", "critical_points-0", "training", "critical_points",
          "spectra", "critical_point_counts", "summary"}),
    ],
)  # fmt: skip
def test_what_a_change_makes_stale(project, old, new, stale):
    whole("critical_point_counts")
    project(old, new)
    plan = Plan(("valley",))
    assert {f.stem for f in files(plan, "valley") if differences(plan, "valley", f)} == stale
    for file in files(plan, "valley"):
        if file.stem in stale:
            with pytest.raises(UserError, match="made with other settings or code"):
                check_fresh(plan, "valley", file)
        else:
            check_fresh(plan, "valley", file)


def test_a_new_run_makes_stale_files_again(project, capsys):
    whole("critical_point_counts")
    project("rate: 0.02", "rate: 0.01")
    discard_stale(Plan(("valley",)))
    assert [f.stem for f in files(Plan(("valley",)), "valley") if f.exists()] == ["initialization"]
    assert "optimizer.rate 0.02 → 0.01" in capsys.readouterr().err


def test_what_reads_nothing_of_a_stage_is_not_stale_with_it(project):
    """As for Snakemake: a summary of no analysis does not depend on the optimizer."""
    project("analyses: [critical_point_counts]", "")
    whole()
    study = STUDY.replace("analyses: [critical_point_counts]", "").replace("0.02", "0.01")
    project(STUDY, study)
    plan = Plan(("valley",))
    stale = {f.stem for f in files(plan, "valley") if differences(plan, "valley", f)}
    assert "training-0" in stale and not {"summary", "initialization"} & stale


def test_other_code_is_seen(project, monkeypatch):
    whole("critical_point_counts")
    content = fingerprint._content
    monkeypatch.setattr(
        fingerprint, "_content", lambda file: b"x" if file.name == "training.py" else content(file)
    )
    (line,) = why(Plan(("valley",)), "valley")
    assert line == "batches/training-0.nc and 6 more: the code of train"


def test_ends_that_are_not_judged_do_not_depend_on_how_ends_are_judged(project):
    assert "classify" in upstream(Plan(("valley",)), "collect", "valley")
    project("analyses: [critical_point_counts]", "judge: false")
    assert upstream(Plan(("valley",)), "collect", "valley") == ("initialize", "train")


def test_results_outside_of_a_job(project):
    whole("critical_point_counts")
    results = open_results("valley")
    frame = results.frame("critical_points")
    assert list(frame["run"]) == [0, 1, 2] and set(frame["kind"]) == {"minimum"}
    (configuration,) = results.configurations
    critical = results.at("critical_points", "all")
    loss = results.objective(configuration).loss({"w": critical["w"].values})
    assert loss.tolist() == critical["loss"].values.tolist()
    project("runs: 3", "runs: 4")
    with pytest.raises(UserError, match="runs 3 → 4"):
        open_results("valley").frame("critical_points")


def test_a_file_without_provenance_is_taken_as_it_is(project):
    whole("critical_point_counts")
    plan = Plan(("valley",))
    (first, *_) = files(plan, "valley")
    (dataset,) = store.read(first).values()
    store.write(first, {"": dataset.drop_attrs()}, {"title": "mine"})
    check_fresh(plan, "valley", first)


TABLE = '''
import numpy as np

import nnflow
from nnflow import Dataset


class Table(Dataset):
    """Rows of a file."""

    gives = ("inputs",)

    def files(self, folder):
        return (folder / "points.csv",)

    def load(self, folder):
        return {"inputs": np.loadtxt(folder / "points.csv")}


@nnflow.hookimpl
def nnflow_register(register):
    register("user_table", Table)
'''


@pytest.fixture
def table(project, tmp_path, monkeypatch):
    """The study with a dataset that names the file it reads."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/table.py").write_text(TABLE)
    monkeypatch.setenv("NNFLOW_DATA", str(tmp_path / "data"))
    (tmp_path / "data").mkdir()
    registry.cache_clear()
    project("runs: 3", "runs: 3\ndataset: user_table")
    points = tmp_path / "data/points.csv"
    points.write_text("1\n2\n")
    yield points
    registry.cache_clear()


def test_a_file_that_a_dataset_reads_counts(table, tmp_path, monkeypatch):
    whole("critical_point_counts")
    plan = Plan(("valley",))
    assert why(plan, "valley") == []
    # neither time nor place of the file matters
    (tmp_path / "data").rename(tmp_path / "moved")
    monkeypatch.setenv("NNFLOW_DATA", str(tmp_path / "moved"))
    moved = tmp_path / "moved/points.csv"
    moved.touch()
    plan = Plan(("valley",))
    before = plan.depends("train", "valley")
    assert why(plan, "valley") == []
    moved.write_text("1\n3\n")
    plan = Plan(("valley",))
    assert plan.depends("train", "valley") != before
    (line,) = why(plan, "valley")
    assert line == f"batches/training-0.nc and 6 more: the content of {moved}"
    with pytest.raises(UserError, match=r"the content of .*points.csv"):
        check_fresh(plan, "valley", tmp_path / "results/quick/valley/training.nc")


def test_a_missing_file_is_told_before_any_job_and_makes_nothing_stale(table):
    whole("critical_point_counts")
    table.unlink()
    assert why(Plan(("valley",)), "valley") == []
    with pytest.raises(UserError, match=r"'user_table' reads .*points.csv, which is missing"):
        Plan.from_config({"studies": ["valley"]})


def test_a_file_that_no_plugin_names_is_told(table, tmp_path, capsys):
    run(initialize)
    run(train, 0)
    assert "is read" not in capsys.readouterr().err
    plugin = tmp_path / "plugins/table.py"
    plugin.write_text(TABLE.replace('(folder / "points.csv",)', "()"))
    registry.cache_clear()
    load_arrays.cache_clear()
    run(initialize)
    run(train, 0)
    assert "points.csv is read, and no plugin names it" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ('import sqlite3\n        sqlite3.connect(folder / "points.csv")', "points.csv is read"),
        ("import netCDF4", "'user_table' uses netCDF4, which opens files unseen"),
        ("from xarray import open_dataset", "'user_table' uses xarray"),
    ],
)
def test_a_file_that_a_library_opens_is_told(table, tmp_path, capsys, code, told):
    plugin = tmp_path / "plugins/table.py"
    text = TABLE.replace('(folder / "points.csv",)', "()")
    given = 'return {"inputs": np.loadtxt(folder / "points.csv")}'
    assert given in text
    plugin.write_text(text.replace(given, f'{code}\n        return {{"inputs": np.ones(2)}}'))
    for cached in (registry, load_arrays, fingerprint._file, fingerprint._files_behind):
        cached.cache_clear()
    run(initialize)
    run(train, 0)
    assert told in capsys.readouterr().err


def test_a_file_that_is_read_as_the_plugin_is_imported_is_told(table, tmp_path, capsys):
    plugin = tmp_path / "plugins/table.py"
    text = TABLE.replace('(folder / "points.csv",)', "()")
    text = text.replace('np.loadtxt(folder / "points.csv")', "np.ones(2)")
    plugin.write_text(
        text.replace("import nnflow\n", f"import nnflow\n\nwith open({str(table)!r}):\n    pass\n")
    )
    registry.cache_clear()
    load_arrays.cache_clear()
    run(initialize)
    run(train, 0)
    assert "points.csv is read, and no plugin names it" in capsys.readouterr().err


def test_a_fixed_file_is_not_told_and_makes_nothing_stale(table, tmp_path, capsys):
    plugin = tmp_path / "plugins/table.py"
    plugin.write_text(TABLE.replace("def files", "def fixed_files"))
    registry.cache_clear()
    load_arrays.cache_clear()
    depends = Plan(("valley",)).depends("train", "valley")
    run(initialize)
    run(train, 0)
    assert "is read" not in capsys.readouterr().err
    table.unlink()
    assert Plan.from_config({"studies": ["valley"]}).depends("train", "valley") == depends


@pytest.mark.parametrize("place", ["data", "."])
def test_a_file_that_a_setting_names_counts_without_a_method_files(
    table, project, tmp_path, capsys, place
):
    """Also where a library opens it that nobody can look at (netCDF, HDF5)."""
    told = TABLE.replace('return (folder / "points.csv",)', "return ()")
    told = told.replace('gives = ("inputs",)', 'gives = ("inputs",)\n    file: str')
    told = told.replace('folder / "points.csv"', "folder.parent / self.at")
    told = told.replace("self.at", f'"{place}" / Path(self.file)')
    told = told.replace("import numpy as np", "from pathlib import Path\n\nimport numpy as np")
    (tmp_path / "plugins/table.py").write_text(told)
    registry.cache_clear()
    load_arrays.cache_clear()
    study = tmp_path / "config/studies/valley.yaml"
    study.write_text(
        study.read_text().replace("user_table", "{name: user_table, file: points.csv}")
    )
    points = table.rename(tmp_path / place / "points.csv")
    whole("critical_point_counts")
    assert "is read" not in capsys.readouterr().err
    assert why(Plan(("valley",)), "valley") == []
    points.write_text("1\n3\n")
    assert why(Plan(("valley",)), "valley")[0].endswith("points.csv")


def test_first_weights_that_see_the_data_depend_on_them(table, tmp_path):
    initializer = (
        "import nnflow\nfrom nnflow import Initializer\n\n\nclass Seeing(Initializer):\n"
        '    """Sees the data."""\n\n    def start(self, start):\n'
        '        return {"w": start.streams.normal(2, draw=0) + start.load()["inputs"].mean()}\n'
    )
    hook = '\n\n@nnflow.hookimpl\ndef nnflow_register(register):\n    register("seeing", Seeing)\n'
    (tmp_path / "plugins/seeing.py").write_text(initializer + hook)
    study = tmp_path / "config/studies/valley.yaml"
    before = Plan(("valley",))
    assert "user_table" not in before.settings("initialize", "valley")
    study.write_text(study.read_text().replace("name: normal", "name: seeing"))
    registry.cache_clear()
    plan = Plan(("valley",))
    assert "user_table" in plan.settings("initialize", "valley")
    assert list(plan.files("initialize", "valley")) == [str(table)]
