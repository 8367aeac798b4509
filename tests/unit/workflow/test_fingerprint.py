"""Which code a stage depends on."""

import subprocess
import sys

import pytest

import nnflow
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.workflow import fingerprint
from nnflow.workflow.fingerprint import (
    code_files,
    code_hash,
    content_hash,
    git_commit,
    package_versions,
)

STAGES = (
    "initialize", "train", "collect", "classify", "certify", "spectrum", "analyze", "summarize",
    "draw", "report",
)  # fmt: skip

MODEL = """
import nnflow
from nnflow import Model
from ._shared import SLOPE

class Valley(Model):
    \"\"\"A valley.\"\"\"
    slope: int = SLOPE

@nnflow.hookimpl
def nnflow_register_models(register):
    register("{name}", Valley)
"""
FIGURE = """
import nnflow
from nnflow import Figure

class Picture(Figure):
    \"\"\"A picture.\"\"\"

@nnflow.hookimpl
def nnflow_register_figures(register):
    register("picture", Picture)
"""


@pytest.fixture(autouse=True)
def _forget():
    """Each test reads the files anew."""
    forget()
    yield
    forget()


def forget():
    registry.cache_clear()
    for cached in (
        fingerprint._content,
        fingerprint._file,
        fingerprint._imports,
        fingerprint._files_behind,
        fingerprint.is_own,
    ):
        cached.cache_clear()


@pytest.fixture
def folder(plugins):
    plugins.write("models/valley.py", MODEL.format(name="valley"))
    plugins.write("models/other.py", MODEL.format(name="other").replace("_shared", "_unshared"))
    plugins.write("models/_shared.py", "from ._deeper import SLOPE\n")
    plugins.write("models/_deeper.py", "SLOPE = 1\n")
    plugins.write("models/_unshared.py", "SLOPE = 3\n")
    plugins.write("figures/picture.py", FIGURE)
    return plugins


def of_valley(stage="train"):
    """The hash of a stage with the model `valley`, as a new process finds it."""
    forget()
    return code_hash(stage, [registry().get("models", "valley")()])


def touch(file):
    file.write_text(file.read_text() + "\nCHANGED = True\n")


@pytest.mark.parametrize("name", ["valley.py", "_shared.py", "_deeper.py"])
def test_a_plugin_and_its_neighbours_count(folder, name):
    before = of_valley()
    touch(folder.path / "models" / name)
    assert of_valley() != before


@pytest.mark.parametrize("name", ["models/other.py", "models/_unshared.py", "figures/picture.py"])
def test_other_plugins_and_figures_do_not(folder, name):
    before = of_valley()
    touch(folder.path / name)
    assert of_valley() == before


def test_a_figure_counts_where_it_is_drawn(folder):
    def of_picture():
        forget()
        return code_hash("draw", [registry().get("figures", "picture")()])

    before = of_picture()
    touch(folder.path / "figures" / "picture.py")
    assert of_picture() != before


def test_a_broken_neighbour_of_another_kind_does_not_matter(folder):
    before = of_valley()
    folder.write("figures/broken.py", "def (:\n")
    assert of_valley() == before


def test_the_hash_depends_on_nothing_else(folder):
    assert of_valley() == of_valley()
    valley = registry().get("models", "valley")()
    other = registry().get("models", "other")()
    assert code_hash("train", [valley, other]) == code_hash("train", [other, valley, valley])
    assert code_hash("train", [valley]) != code_hash("train", [other])


@pytest.mark.parametrize(
    ("stage", "covered", "left_out"),
    [
        ("initialize", "base.streams base.store", "engine.training stages.train"),
        (
            "train",
            "engine.training engine.objective engine.basin base.store base.streams",
            "stages.draw stages.classify study.claims cli workflow.plan engine.eigenvalues",
        ),
        ("classify", "engine.polish engine.objective", "study.claims stages.draw"),
        ("certify", "proofs.proof proofs.certificates", "engine.objective engine.polish"),
        ("spectrum", "engine.eigenvalues", "engine.polish stages.classify"),
        (
            "summarize",
            "study.claims base.statistics base.store study.results",
            "engine.training engine.objective",
        ),
        (
            "draw",
            "base.store study.results",
            "engine.training engine.objective base.statistics",
        ),
    ],
)
def test_what_a_stage_covers(stage, covered, left_out):
    files = code_files(stage, [])
    modules = {name.removeprefix("nnflow.") for name in files}
    assert {*covered.split(), f"stages.{stage}"} <= modules
    assert not set(left_out.split()) & modules


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_covers_itself_and_never_what_only_reads_settings(stage):
    files = code_files(stage, [])
    assert files[f"nnflow.stages.{stage}"].name == f"{stage}.py"
    assert "nnflow.base.store" in files, "`from nnflow import store` counts too"
    assert not {"nnflow.study.types", "nnflow.study.sweep", "nnflow.interfaces.registry"} & set(
        files
    )


def test_further_modules_count_and_what_they_import():
    files = code_files("draw", [], ["nnflow.engine.basin"])
    assert {"nnflow.engine.basin", "nnflow.engine.kantorovich"} <= set(files)
    assert "nnflow.engine.basin" not in code_files("draw", [])


def test_what_is_given_is_the_askers_own():
    code_files("draw", []).clear()
    assert "nnflow.stages.draw" in code_files("draw", [])


def test_the_reports_template_counts():
    assert any(file.suffix == ".j2" for file in code_files("report", []).values())


def test_a_change_in_nnflow_counts_only_where_it_is_used(monkeypatch):
    before = {stage: code_hash(stage, []) for stage in STAGES}
    changed = code_files("train", [])["nnflow.engine.training"]
    content = fingerprint._content
    monkeypatch.setattr(
        fingerprint, "_content", lambda file: b"other" if file == changed else content(file)
    )
    after = {stage: code_hash(stage, []) for stage in STAGES}
    differ = {stage for stage in STAGES if after[stage] != before[stage]}
    assert "train" in differ
    assert not differ & {"initialize", "summarize", "draw", "report"}


def test_planning_imports_no_torch():
    """It would cost two seconds each time Snakemake starts."""
    program = (
        "import sys; from nnflow.workflow.fingerprint import code_hash\n"
        f"for stage in {STAGES}: code_hash(stage, [])\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_imports_for_type_checking_only_do_not_count(folder):
    text = (folder.path / "models" / "other.py").read_text()
    guarded = (
        "from typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from ._shared import SLOPE as A\nelse:\n    A = 0\n"
    )
    (folder.path / "models" / "other.py").write_text(guarded + text)
    forget()
    files = code_files("train", [registry().get("models", "other")()])
    assert "nnflow_plugins.models._unshared" in files
    assert "nnflow_plugins.models._shared" not in files


def test_imports_inside_functions_count(folder):
    folder.write(
        "models/lazy.py",
        MODEL.format(name="lazy").replace("from ._shared import SLOPE", "SLOPE = 2")
        + "\ndef late():\n    from ._shared import SLOPE\n    return SLOPE\n",
    )
    forget()
    files = code_files("train", [registry().get("models", "lazy")()])
    assert "nnflow_plugins.models._deeper" in files


def test_versions_of_packages():
    versions = package_versions()
    assert versions["torch"].startswith("2.")
    assert set(versions) == set(fingerprint.PACKAGES)


def test_a_missing_package_has_no_version(monkeypatch):
    monkeypatch.setattr(fingerprint, "PACKAGES", ("numpy", "not-a-package-of-anyone"))
    package_versions.cache_clear()
    try:
        assert package_versions()["not-a-package-of-anyone"] == "not installed"
    finally:
        package_versions.cache_clear()


def test_what_kernels_are_compiled_with_counts():
    """A model whose gradient is compiled is made again when the compiled instructions change."""
    model = registry().get("models", "relu_teacher_student")(k=2, n=2)
    files = code_files("train", [model])
    assert {"nnflow.base.compiled", "nnflow.base.lanes"} <= set(files)
    assert "nnflow_plugins.relu._lanes" in files


def test_the_commit_of_no_repository_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    git_commit.cache_clear()
    assert git_commit() == ""
    git_commit.cache_clear()


def test_the_package_is_where_its_files_are_looked_for():
    assert fingerprint._file("nnflow").samefile(nnflow.__file__)
    assert fingerprint._file("nnflow.interfaces").name == "__init__.py"
    assert fingerprint._file("nnflow.nothing") is None


OWN = """
import nnflow
from nnflow import Model

class Own(Model):
    \"\"\"A model that calls the user's package.\"\"\"
    {modules}

    def loss(self, weights, data):
        {call}

@nnflow.hookimpl
def nnflow_register(register):
    register("own", Own)
"""


@pytest.fixture
def package(folder, tmp_path, monkeypatch):
    """A package of the user's in the working folder, and a plugin that calls it."""
    monkeypatch.chdir(tmp_path)
    inner = tmp_path / "my_package"
    inner.mkdir()
    (inner / "__init__.py").write_text("")
    (inner / "physics.py").write_text("from . import units\n")
    (inner / "units.py").write_text("UNIT = 1\n")
    (inner / "unused.py").write_text("")

    def write(call, modules=""):
        folder.write("models/own.py", OWN.format(call=call, modules=modules))
        forget()
        return [registry().get("models", "own")()]

    return inner, write


def test_the_users_own_package_counts(package):
    inner, write = package
    plugins = write("from my_package.physics import units")
    names = {name for name in code_files("train", plugins) if name.startswith("my_package")}
    assert names == {"my_package", "my_package.physics", "my_package.units"}
    before = code_hash("train", plugins)
    touch(inner / "unused.py")
    forget()
    assert code_hash("train", plugins) == before
    touch(inner / "units.py")
    forget()
    assert code_hash("train", plugins) != before


def test_installed_packages_and_the_library_do_not_count(package):
    _, write = package
    plugins = write("import numpy, json, torch")
    tops = {name.partition(".")[0] for name in code_files("train", plugins)}
    assert tops == {"nnflow", "nnflow_plugins"}


def test_a_named_module_counts_wherever_it_lies(package, tmp_path, monkeypatch):
    """One that no import names, in an installed package, with its neighbours."""
    inner, write = package
    installed = tmp_path / "site-packages"
    installed.mkdir()
    inner.rename(installed / "my_package")
    monkeypatch.syspath_prepend(installed)
    plugins = write("from my_package.physics import units")
    assert not any(name.startswith("my_package") for name in code_files("train", plugins))
    plugins = write("pass", 'modules = ("my_package.physics",)')
    files = code_files("train", plugins)
    assert {"my_package.physics", "my_package.units"} <= set(files)


def test_a_named_module_that_is_not_found(package):
    _, write = package
    plugins = write("pass", 'modules = ("my_pakcage",)')
    with pytest.raises(UserError, match="'own': modules: no module 'my_pakcage' is found"):
        code_hash("train", plugins)


def test_the_hash_of_a_file_and_of_a_folder(tmp_path):
    file = tmp_path / "data" / "points.csv"
    file.parent.mkdir()
    file.write_text("0,1\n")
    one, whole = content_hash(file), content_hash(file.parent)
    assert content_hash(tmp_path / "missing") == "" and "" not in (one, whole)
    moved = file.parent.rename(tmp_path / "elsewhere")
    assert (content_hash(moved / "points.csv"), content_hash(moved)) == (one, whole)
    (moved / "points.csv").write_text("0,2\n")
    assert content_hash(moved / "points.csv") != one and content_hash(moved) != whole
    changed = content_hash(moved)
    (moved / "points.csv").rename(moved / "other.csv")
    assert content_hash(moved) != changed
