"""requirements.lock, environment.yml and pyproject.toml say the same."""

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import tomllib

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name as canonical
from packaging.version import Version

NAMED_OTHERWISE = {
    "yaml": "pyyaml",
    "sklearn": "scikit-learn",
    "flint": "python-flint",
    "PIL": "pillow",
    "pysat": "python-sat",
}
FILES = ("requirements.lock", "environment.yml", "pyproject.toml")


def pinned(lines):
    """{name: version} of lines `name==version`."""
    pins = {}
    for line in lines:
        name, equals, version = line.partition("==")
        assert equals, f"not pinned: {line}"
        assert canonical(name) not in pins, f"pinned twice: {name}"
        pins[canonical(name)] = Version(version)
    return pins


def lines_of(text):
    stripped = (line.split("#")[0].strip() for line in text.splitlines())
    return [line for line in stripped if line]


@pytest.fixture(scope="module")
def lock(root):
    return pinned(lines_of((root / "requirements.lock").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def named(root):
    """The pins of the lock's first section, what the project itself names."""
    text = (root / "requirements.lock").read_text(encoding="utf-8")
    return pinned(lines_of(text.split("# What these need")[0]))


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def requirements(project):
    """All requirements of pyproject.toml."""
    listed = list(project["project"]["dependencies"])
    for extra in project["project"]["optional-dependencies"].values():
        listed += extra
    listed += project["build-system"]["requires"]
    return [Requirement(text) for text in listed]


def test_the_lock_satisfies_the_project(lock, requirements):
    for requirement in requirements:
        assert lock[canonical(requirement.name)] in requirement.specifier, requirement


def test_lock_and_project_name_the_same_packages(named, requirements):
    assert set(named) == {canonical(requirement.name) for requirement in requirements}


def test_conda_users_get_the_versions_of_the_lock(root, named):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    *_, last = environment["dependencies"]
    assert pinned(last["pip"]) == named


def test_conda_and_project_want_the_same_python(root, project):
    environment = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    assert f"python{project['project']['requires-python']}" in environment["dependencies"]
    assert project["tool"]["ruff"]["target-version"] == "py311"
    assert sys.version_info >= (3, 11)


def test_the_lock_is_what_is_installed(lock):
    """A version that nobody ran is no pin."""
    for name, version in lock.items():
        assert Version(importlib.metadata.version(name).split("+")[0]) == version, name


def test_the_lock_is_complete(lock):
    for name in lock:
        for text in importlib.metadata.requires(name) or []:
            need = Requirement(text)
            if need.marker is None or need.marker.evaluate({"extra": ""}):
                assert canonical(need.name) in lock, f"{name} needs {need}"
                assert lock[canonical(need.name)] in need.specifier, f"{name} needs {need}"


@pytest.mark.parametrize("file", FILES)
def test_no_registry_and_no_gpu_package_is_named(root, file):
    content = "\n".join(lines_of((root / file).read_text(encoding="utf-8")))
    assert not re.search(r"https?://|nvidia|cuda|index-url|find-links|\+cpu", content)
    assert not re.search(r"\bpypi\b|pythonhosted|download\.pytorch", content)


def test_torch_is_the_version_that_results_were_made_with(lock):
    assert str(lock["torch"]) == "2.13.0"


def test_every_import_is_declared(root, requirements):
    """What nnflow, the plugins and the tests import is in pyproject.toml."""
    declared = {canonical(requirement.name) for requirement in requirements}
    files = [file for top in ("nnflow", "plugins", "tests") for file in root.glob(f"{top}/**/*.py")]
    assert len(files) > 20
    missing = {
        module: str(file.relative_to(root))
        for file in files
        for module in imported(ast.parse(file.read_bytes()))
        if module not in sys.stdlib_module_names
        and not any(
            (tests / f"{module}.py").exists() for tests in (root / "tests", *root.glob("tests/**/"))
        )
        and module not in ("nnflow", "nnflow_plugins", "snakemake_logger_plugin_nnflow")
        and canonical(NAMED_OTHERWISE.get(module, module)) not in declared
    }
    assert not missing


def imported(tree):
    """Top-level packages that are imported by absolute names."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_version_is_said_once(root, project):
    import nnflow

    version = project["project"]["version"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text(encoding="utf-8"))
    assert nnflow.__version__ == version == citation["version"]
    assert f"## [{version}]" in (root / "CHANGELOG.md").read_text(encoding="utf-8")
    archived = json.loads((root / ".zenodo.json").read_text(encoding="utf-8"))
    for key in ("title", "version", "license", "keywords"):
        assert archived[key] == citation[key]
    assert archived["creators"] == citation["authors"]


def make(root, *arguments):
    return subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=root, capture_output=True, text=True
    )


@pytest.fixture
def clone(root, tmp_path):
    """What `make` needs, without a .venv."""
    for file in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / file).write_bytes((root / file).read_bytes())
    return tmp_path


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("exit 1", "is older"),
        ('case "$2" in *ensurepip*) exit 1;; esac', "has no venv"),
    ],
)
def test_make_says_in_one_line_why_a_python_will_not_do(clone, body, reason):
    python = clone / "some-python"
    python.write_text(f"#!/bin/sh\n{body}\n")
    python.chmod(0o755)
    done = make(clone, "venv", f"PYTHON={python}")
    assert done.returncode
    (line,) = done.stdout.splitlines()
    assert reason in line
    assert not (clone / ".venv").exists()


def test_make_says_where_there_is_no_python(clone):
    done = make(clone, "venv", "PYTHON=no-such-python")
    assert done.returncode
    assert "no no-such-python here" in done.stdout


def test_make_sets_up_only_when_the_lock_or_the_project_changes(clone):
    ready = clone / ".venv" / "ready"
    ready.parent.mkdir()
    ready.touch()
    made = ready.stat().st_mtime
    for file in ("requirements.lock", "pyproject.toml"):
        os.utime(clone / file, (made - 10, made - 10))
    assert "pip install" not in make(clone, "--dry-run", "venv").stdout
    for file in ("requirements.lock", "pyproject.toml"):
        os.utime(clone / file, (made + 10, made + 10))
        assert "pip install" in make(clone, "--dry-run", "venv").stdout
        os.utime(clone / file, (made - 10, made - 10))
