"""What analyses and figures read."""

import pytest

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.study.loading import load_study, study_file
from nnflow.study.results import Results, _shown


def test_analyses_report_their_progress(root, tmp_path):
    study = load_study(study_file("himmelblau", root / "config/studies"))
    log = tmp_path / "log"
    reporter = Reporter("analyze", log)
    Results(study, tmp_path, reporter).progress(3, 3, "rows")
    assert "analyze: 3/3 rows" in log.read_text(encoding="utf-8")
    Results(study, tmp_path).progress(1, 3)  # outside of a job: nobody to tell


def test_a_configuration_is_found_by_its_label(root, tmp_path):
    study = load_study(study_file("noisy_initialization", root / "config/studies"))
    results = Results(study, tmp_path)
    last = study.configurations[-1]
    assert results.configuration(last.label) is last
    with pytest.raises(UserError, match=r"no configuration 'k=0' \(there are: .*, " + last.label):
        results.configuration("k=0")


def test_the_loss_of_a_configuration_is_found_by_its_label(root, tmp_path):
    study = load_study(study_file("himmelblau", root / "config/studies"))
    results = Results(study, tmp_path, None, lambda study, chosen, run, first: chosen)
    last = study.configurations[-1]
    assert results.objective(last.label) is last is results.objective(last)
    with pytest.raises(UserError, match="no configuration 'newton'"):
        results.objective("newton")


def test_a_swept_plugin_is_called_by_its_name_in_tables():
    assert _shown({"name": "heavy_ball", "rate": 0.1}) == "heavy_ball"
    assert _shown([1, 2]) == "[1, 2]" and _shown(0.1) == 0.1


def test_every_part_of_an_analysis_is_checked_before_it_is_read(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from nnflow.study import results

    plugin = SimpleNamespace(parts=lambda study: 2)
    analyses = {"other": object(), "mine": plugin}
    settings = SimpleNamespace(analyses=analyses, uses=[])
    study = SimpleNamespace(name="one", settings=settings, configurations=(), used=())
    checked = []
    monkeypatch.setattr(results.store, "read", lambda path: {"": path.name})
    found = Results(study, tmp_path, check=lambda *words: checked.append(words))
    names = [results.part_path(tmp_path, "mine", number) for number in range(2)]
    assert found.parts(plugin) == [path.name for path in names]
    assert checked == [("one", path) for path in names]
