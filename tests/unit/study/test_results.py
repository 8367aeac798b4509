"""What analyses and figures read."""

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
