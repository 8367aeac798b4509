"""Containerfile and .dockerignore agree with each other and with the repository.

tests/workflow/test_installed.py installs nnflow from the files that Containerfile copies."""

import re
import tomllib
from pathlib import PurePosixPath

import pytest
from container import context, excluded, sources


def test_what_is_copied_exists_and_is_not_left_out(root):
    reached = context(root)
    named = sources((root / "Containerfile").read_text(encoding="utf-8"))
    assert len(named) > 5
    for name in named:
        assert any(path.is_relative_to(name) for path in reached), f"nothing of {name} is copied"
    kept = [path for path in root.glob("nnflow/**/*.*") if "__pycache__" not in path.parts]
    assert kept and {p.relative_to(root).as_posix() for p in kept if p.is_file()} <= {
        str(path) for path in reached
    }


def test_no_results_and_no_leftovers_reach_the_image(root):
    patterns = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()[1:]
    for path in ("results/quick/report.html", ".git/HEAD", ".venv/ready", "tests/conftest.py",
                 "nnflow/__pycache__/a.pyc", "plugins/relu/models/__pycache__/a.pyc"):  # fmt: skip
        assert excluded(PurePosixPath(path), patterns), path


@pytest.mark.parametrize(
    ("patterns", "out"),
    [([], False), (["*"], True), (["*", "!a"], False), (["*", "!b"], True), (["a"], True),
     (["b"], False), (["*", "!a", "**/b"], True), (["*", "!a", "**/c"], False),
     (["**/b", "!a"], False)],
)  # fmt: skip
def test_the_last_pattern_that_fits_decides(patterns, out):
    assert excluded(PurePosixPath("a/b/c.py"), patterns) is out


def test_the_image_has_a_python_that_nnflow_needs_and_the_arguments_of_its_page(root):
    recipe = (root / "Containerfile").read_text(encoding="utf-8")
    page = (root / "docs/container.md").read_text(encoding="utf-8")
    needed = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    version = re.search(r"^FROM python:(\d+\.\d+)-slim$", recipe, re.M)[1]
    assert f">={version}" == needed["project"]["requires-python"]
    assert set(re.findall(r"--build-arg (\w+)=", page)) == set(
        re.findall(r"^ARG (\w+)", recipe, re.M)
    )
    assert set(re.findall(r":(/project)\b", page)) == {
        re.findall(r"^WORKDIR (\S+)", recipe, re.M)[-1]
    }
