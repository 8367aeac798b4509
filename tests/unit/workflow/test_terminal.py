"""What `nnflow run` shows of a workflow's events."""

import io
import logging
import os
from types import SimpleNamespace

import pytest
from rich.console import Console
from snakemake_interface_logger_plugins.common import LogEvent

from nnflow.base.progress import ONLY_LOGS, Reporter
from nnflow.workflow import terminal
from snakemake_logger_plugin_nnflow import LogHandler


@pytest.fixture
def shown(monkeypatch):
    """(handler, what it has shown so far)."""
    monkeypatch.setenv(ONLY_LOGS, "")  # so that it is as before afterwards
    handler = LogHandler(SimpleNamespace(), None)
    out = io.StringIO()
    handler._console = Console(file=out, width=200, soft_wrap=True)
    return handler, out.getvalue


def tell(handler, event=None, text=None, level=logging.INFO, **fields):
    record = logging.makeLogRecord({"msg": text, "levelno": level, "event": event, **fields})
    handler.emit(record)


def begin(handler, folder, number, rule, log, study="bowl"):
    command = f'"$NNFLOW_PYTHON" -IS "$NNFLOW_LAUNCHER" {rule} {study} --scale quick --log {log}'
    tell(handler, LogEvent.JOB_INFO, jobid=number, rule_name=rule, log=[str(log)],
         shellcmd=command)  # fmt: skip


def test_a_study_is_one_line_once_it_is_judged(shown, tmp_path):
    handler, text = shown
    (tmp_path / "bowl/logs").mkdir(parents=True)
    (tmp_path / "bowl/logs/summarize.log").write_text(
        "[   0.1 s] summarize bowl: differs: loss\n"
        "[   0.2 s] summarize bowl: numbers: 2 reproduced; statements: 1 corrected\n"
    )
    for number, rule in enumerate(("initialize", "train", "summarize", "draw_bowl")):
        begin(handler, tmp_path, number, rule, tmp_path / f"bowl/logs/{rule}.log")
        tell(handler, LogEvent.JOB_FINISHED, job_id=number)
        tell(handler, LogEvent.PROGRESS, done=number + 1, total=4)
    (line,) = text().splitlines()
    assert line.split() == ["bowl", "numbers:", "2", "reproduced;", "statements:", "1", "corrected"]


@pytest.mark.parametrize("said", ["[   0.2 s] summarize bowl: no claims\n", None])
def test_a_study_without_claims_or_log_is_one_line_too(shown, tmp_path, said):
    handler, text = shown
    log = tmp_path / "bowl/logs/summarize.log"
    log.parent.mkdir(parents=True)
    if said:
        log.write_text(said)
    begin(handler, tmp_path, 1, "summarize", log)
    tell(handler, LogEvent.JOB_FINISHED, job_id=1)
    assert text().split() == ["bowl", *(["no", "claims"] if said else ["done"])]


def test_warnings_of_snakemake_are_shown_and_words_are_not(shown):
    handler, text = shown
    tell(handler, text="for your information")
    assert text() == ""
    tell(handler, text="the disk is nearly full", level=logging.WARNING)
    assert "the disk is nearly full" in text()


def test_what_jobs_noted_stands_below_the_study(shown, tmp_path):
    """The first thing, and how many others; also what is noted after the study was judged."""
    handler, text = shown
    (tmp_path / "bowl/logs").mkdir(parents=True)
    told = ["a: [5] of 5 runs diverged", "a: [5] of 5 runs diverged", "b", "c", "d", "e"]
    for number, rule in enumerate(("train", "summarize", "draw_bowl")):
        log = tmp_path / f"bowl/logs/{rule}.log"
        reporter = Reporter(f"{rule} bowl", log)
        reporter.line("nothing: to see", terminal=False)
        for note in told if rule == "train" else ["late"] if rule == "draw_bowl" else []:
            reporter.note(note)
        begin(handler, tmp_path, number, rule, log)
        tell(handler, LogEvent.JOB_FINISHED, job_id=number)
    handler.close()
    lines = [line.strip() for line in text().splitlines()]
    assert lines[0].startswith("bowl ")
    assert lines[1:] == [
        f"bowl: a: [5] of 5 runs diverged (and 4 more: {tmp_path / 'bowl/logs'})", "bowl: late",
    ]  # fmt: skip


def test_a_failure_names_study_stage_log_and_command(shown, tmp_path):
    handler, text = shown
    log = tmp_path / "bowl/logs/train-0.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {i}\n" for i in range(20)) + "nnflow: no [file]\n")
    begin(handler, tmp_path, 3, "train", log)
    for _ in range(2):  # Snakemake may tell it twice
        tell(handler, LogEvent.JOB_ERROR, jobid=3, rule_name="train", level=logging.ERROR)
    tell(handler, LogEvent.ERROR, "CalledProcessError in file train.smk", logging.ERROR)
    tell(handler, text="Exiting because a job execution failed.", level=logging.ERROR)
    handler.close()
    lines = text().splitlines()
    assert lines[0] == "bowl: train failed"
    assert lines[terminal.LAST_LINES].strip() == "nnflow: no [file]"
    assert "line 14" not in text() and "line 15" in text()
    assert lines[-3].split() == ["its", "log:", str(log)]
    assert lines[-2].split() == ["again:", "nnflow", "train", "bowl", "--scale", "quick"]
    assert lines[-1].startswith("failed: bowl")


def test_what_keeps_the_workflow_from_starting_is_told(shown):
    handler, text = shown
    tell(handler, LogEvent.ERROR, "WorkflowError: config.yaml: studies: [none]", logging.ERROR)
    tell(handler, text="Provided cores: 2")
    tell(handler, text="Nothing to be done (all requested files are present).")
    handler.close()
    assert text().splitlines() == [
        "WorkflowError: config.yaml: studies: [none]",
        "everything is up to date",
    ]


def test_the_end_has_the_verdicts_by_kind_the_report_and_the_log(shown, tmp_path):
    handler, text = shown
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs/report.log"
    log.write_text(
        "[   0.0 s] report: numbers: 2 reproduced; bounds: 1 proved; wrote r/report.html"
    )
    begin(handler, tmp_path, 9, "report", log)
    tell(handler, LogEvent.JOB_FINISHED, job_id=9)
    tell(handler, text="Complete log(s): here.log")
    handler.close()
    assert text().splitlines() == [
        "numbers: 2 reproduced", "bounds: 1 proved", "report: r/report.html", "log: here.log",
    ]  # fmt: skip


def test_a_bar_is_shown_while_jobs_run_in_a_terminal_alone(shown, tmp_path):
    handler, _ = shown
    begin(handler, tmp_path, 1, "train", tmp_path / "train.log")
    assert not handler._bar.live.is_started
    handler._console = Console(file=io.StringIO(), force_terminal=True)
    begin(handler, tmp_path, 2, "train", tmp_path / "train.log")
    assert handler._bar.live.is_started
    handler.close()
    assert not handler._bar.live.is_started


def test_jobs_are_told_to_write_to_their_logs_alone(shown):
    assert os.environ[ONLY_LOGS] == "1"
