"""Heads of the folders of studies."""

import pytest

from nnflow.base.errors import UserError
from nnflow.report.subjects import subject, subjects
from nnflow.study.loading import built_in_studies


def test_every_folder_of_studies_has_a_head_and_names_a_study_of_its_own(root):
    known = subjects()
    files = built_in_studies()
    assert {file.parent.name for file in files.values()} == set(known)
    for folder, one in known.items():
        assert not one.first or files[one.first].parent.name == folder


def test_a_project_may_name_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    file = tmp_path / "config/subjects.yaml"
    file.write_text("mine: {title: Of mine}\n")
    assert subject("mine", subjects()).title == "Of mine"
    assert subject("new_things", subjects()).title == "New things"
    assert subject("", subjects()).title == "Studies"


@pytest.mark.parametrize("text", ["mine: {titel: x}", "mine: x", "[a, b]"])
def test_a_mistake_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    (tmp_path / "config/subjects.yaml").write_text(text)
    with pytest.raises(UserError, match=r"subjects\.yaml: expected FOLDER") as caught:
        subjects()
    assert "\n" not in str(caught.value)
