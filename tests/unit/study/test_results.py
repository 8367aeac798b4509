"""What analyses and figures read."""

import pytest

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.study.loading import load_study, study_file
from nnflow.study.results import Results


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
