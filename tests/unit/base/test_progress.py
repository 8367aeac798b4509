"""Progress: steady lines in the log, never too many."""

from __future__ import annotations

from nnflow.base import progress
from nnflow.base.progress import Reporter


def test_the_log_holds_the_first_and_the_last_line(tmp_path, capsys):
    log = tmp_path / "logs" / "job.log"
    reporter = Reporter("train a_study", log)
    with reporter.running():
        for done in range(101):
            reporter.update(done, 100, f"runs finished · step {10 * done}")
    lines = log.read_text(encoding="utf-8").splitlines()
    assert "start-up took" in lines[0]
    assert "train a_study: 0/100 runs finished · step 0" in lines[1]
    assert "100/100 runs finished · step 1000" in lines[-1]
    assert len(lines) <= 4
    shown = capsys.readouterr().err.splitlines()
    assert shown == lines[1:]


def test_lines_come_steadily(tmp_path, monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: float(next(now)))
    log = tmp_path / "job.log"
    reporter = Reporter("train", log)
    for done in range(20):
        reporter.update(done, 100, "runs")
    lines = log.read_text(encoding="utf-8").splitlines()[1:]
    assert 2 <= len(lines) <= 5


def test_a_log_is_begun_anew(tmp_path):
    log = tmp_path / "job.log"
    Reporter("a", log).line("old")
    Reporter("b", log).line("new")
    assert "old" not in log.read_text(encoding="utf-8")
