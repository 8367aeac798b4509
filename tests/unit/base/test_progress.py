"""Progress: steady lines in the log, never too many."""

from __future__ import annotations

import pytest

from nnflow.base import progress
from nnflow.base.errors import UserError
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


def test_where_jobs_write_to_logs_alone_the_terminal_gets_nothing(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv(progress.ONLY_LOGS, "1")
    reporter = progress.Reporter("work", tmp_path / "log")
    with reporter.running():
        reporter.line("begun")
    progress.Reporter("aside", None).line("told")
    assert "begun" in (tmp_path / "log").read_text()
    err = capfd.readouterr().err
    assert "begun" not in err and "told" in err


@pytest.mark.parametrize(("error", "end"), [(UserError("no file"), 2), (ValueError("odd"), 1)])
def test_what_makes_a_job_fail_is_in_its_log(tmp_path, monkeypatch, error, end):
    log = tmp_path / "logs/log"
    monkeypatch.delenv(progress.ONLY_LOGS, raising=False)
    with pytest.raises(type(error)), progress.told_in(log):
        raise error
    assert str(error) in log.read_text() and ("Traceback" in log.read_text()) == (end == 1)
    monkeypatch.setenv(progress.ONLY_LOGS, "1")
    with pytest.raises(SystemExit) as stopped, progress.told_in(log):
        raise error
    assert stopped.value.code == end and log.read_text().count(str(error)) == 2
    with pytest.raises(type(error)), progress.told_in(None):
        raise error
