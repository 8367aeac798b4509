"""Files that plugins read without saying so."""

from types import SimpleNamespace

import pytest

from nnflow.stages.reading import naming_files


@pytest.fixture
def job(tmp_path, monkeypatch):
    """A job in an empty project, with a data folder beside it and what it tells."""
    (tmp_path / "project").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    told = []
    reporter = SimpleNamespace(line=told.append, note=told.append)
    results = tmp_path / "project/results"
    return SimpleNamespace(data=tmp_path / "data", results=results, reporter=reporter, told=told)


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("project/numbers.txt", True),
        ("data/numbers.txt", True),
        ("project/results/numbers.txt", False),
        ("project/numbers.py", False),
        ("data/compiled/loops.py311.1.nbc", False),
        ("numbers.txt", False),
    ],
)
def test_files_of_the_project_and_of_the_data_folder_are_named(job, tmp_path, place, told):
    file = tmp_path / place
    file.parent.mkdir(exist_ok=True, parents=True)
    file.write_text("3")
    with naming_files(job, [None]):
        file.read_text()
    expected = "numbers.txt is read, and no plugin names it in its method `files`"
    assert [line.startswith(expected) for line in job.told] == [True] * told


def test_without_a_data_folder_the_project_alone_counts(job, tmp_path):
    job.data = None
    for place in ("project/numbers.txt", "data/numbers.txt"):
        (tmp_path / place).write_text("3")
    with naming_files(job, []):
        (tmp_path / "project/numbers.txt").read_text()
        (tmp_path / "data/numbers.txt").read_text()
    assert len(job.told) == 1
