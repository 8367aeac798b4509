"""What `nnflow run` shows: a line for each finished study with what its claims say, and one bar.

A log handler of Snakemake's (`snakemake --logger nnflow`). Jobs write to their logs alone then.
Where a job fails, its study, its stage, the end of its log and the command that repeats it are
shown. At the end: the verdicts by kind of claim, and where the report and the log are. Not in a
terminal, there is no bar. `nnflow run -v` shows Snakemake's own words instead.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from logging import WARNING, LogRecord
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from snakemake_interface_logger_plugins.base import LogHandlerBase
from snakemake_interface_logger_plugins.common import LogEvent

from nnflow.base.progress import NOTE, ONLY_LOGS

LAUNCHER = '"$NNFLOW_LAUNCHER"'
LAST_LINES = 6
"""Of a log, where a job failed."""
LOGS = "Complete log(s): "
NOTHING = "Nothing to be done"
OF_FAILED_JOBS = (
    "CalledProcessError",
    "Exiting because a job",
    "Shutting down",
    "At least one job",
)
"""Snakemake's words about a job that failed, which is told already."""


@dataclass(frozen=True)
class Task:
    """A job: its rule, its log and its shell command."""

    rule: str
    log: Path
    command: str

    @property
    def study(self) -> str:
        """ "" for the report, which is of all studies."""
        return "" if self.rule == "report" else self.log.parent.parent.name

    @property
    def stage(self) -> str:
        return self.rule.removesuffix(f"_{self.study}")

    @property
    def folder(self) -> Path:
        """The study's folder; that of all studies for the report."""
        return self.log.parent.parent

    @property
    def again(self) -> str:
        """The command that repeats the job by hand."""
        words = self.command.partition(LAUNCHER)[2].partition(" --log ")[0]
        return f"nnflow{words}"


class LogHandler(LogHandlerBase):
    """Snakemake's events, as a reader of the studies wants them told."""

    def __post_init__(self) -> None:
        super().__post_init__()
        os.environ[ONLY_LOGS] = "1"
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._tasks: dict[int, Task] = {}
        self._failed: list[Task] = []
        self._finished: list[Task] = []
        self._notes: dict[Path, list[str]] = {}
        self._log = ""
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("jobs, left"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._jobs = self._bar.add_task("", total=None)
        self._events = {
            LogEvent.JOB_INFO: self._begun,
            LogEvent.JOB_FINISHED: self._done,
            LogEvent.JOB_ERROR: self._broken,
            LogEvent.PROGRESS: self._progress,
            LogEvent.ERROR: self._error,
        }

    writes_to_stream = True
    writes_to_file = False
    has_filter = True
    has_formatter = True
    needs_rulegraph = False

    def emit(self, record: LogRecord) -> None:
        """Tell one event of the workflow."""
        event = getattr(record, "event", None)
        text = record.getMessage() if record.msg is not None else ""
        if event in self._events:
            self._events[event](record)
        elif event is None and text.startswith(LOGS):
            self._log = text.removeprefix(LOGS)
        elif event is None and text.startswith(NOTHING):
            self._console.print("everything is up to date")
        elif event is None and record.levelno >= WARNING:
            self._error(record)

    def close(self) -> None:
        """Tell how all ended."""
        self._bar.stop()
        if self._tasks:
            for folder in list(self._notes):
                self._tell_notes(folder)
            for line in [*self._failures(), *self._verdicts()]:
                self._console.print(escape(line))
            self._tasks.clear()
        super().close()

    def _begun(self, record: LogRecord) -> None:
        if record.log:
            task = Task(record.rule_name, Path(record.log[0]), record.shellcmd or "")
            self._tasks[record.jobid] = task
            self._bar.update(self._jobs, description=f"{task.stage} {task.study}".strip())
        if self._console.is_terminal:
            self._bar.start()

    def _done(self, record: LogRecord) -> None:
        if (task := self._tasks.get(record.job_id)) is None:
            return
        self._finished.append(task)
        self._notes.setdefault(task.folder, []).extend(notes(task.log))
        if task.stage == "summarize":
            self._console.print(f"{task.study:<24} {judged(task)}")
            self._tell_notes(task.folder)

    def _tell_notes(self, folder: Path) -> None:
        """What the jobs of a study noted since it was last told: the first thing, in one line."""
        found = list(dict.fromkeys(self._notes.pop(folder, [])))
        if found:
            more = f" (and {len(found) - 1} more: {folder / 'logs'})" if found[1:] else ""
            self._console.print(escape(f"    {folder.name}: {found[0]}{more}"), style="dim")

    def _broken(self, record: LogRecord) -> None:
        if (task := self._tasks.get(record.jobid)) is None or task in self._failed:
            return
        self._failed.append(task)
        self._console.print(f"[bold]{task.study or 'report'}: {task.stage} failed[/bold]")
        for line in last_lines(task.log):
            self._console.print(f"    {escape(line)}")
        self._console.print(escape(f"    its log: {task.log}"))
        self._console.print(escape(f"    again:   {task.again}"))

    def _progress(self, record: LogRecord) -> None:
        self._bar.update(self._jobs, completed=record.done, total=record.total)

    def _error(self, record: LogRecord) -> None:
        text = record.getMessage().strip()
        if text and not any(words in text for words in OF_FAILED_JOBS):
            self._console.print(escape(text))

    def _failures(self) -> list[str]:
        if not self._failed:
            return []
        names = sorted({task.study or "report" for task in self._failed})
        return [f"failed: {', '.join(names)}; what does not need them was done"]

    def _verdicts(self) -> list[str]:
        lines = []
        for task in self._finished:
            if task.stage == "report":
                said = last_lines(task.log)[-1].partition(" report: ")[2]
                claims, _, page = said.rpartition("; wrote ")
                lines += [*claims.split("; "), f"report: {page}"]
        return [*lines, *([f"log: {self._log}"] if self._log else [])]


def judged(task: Task) -> str:
    """What the stage summarize said last: "numbers: 3 reproduced, 1 corrected"."""
    return last_lines(task.log)[-1].partition(f" summarize {task.study}: ")[2] or "done"


def notes(file: Path) -> list[str]:
    """What the lines of a log say that a job wrote by `Reporter.note`."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    found = (line.partition(f": {NOTE}") for line in lines)
    return [note for _, mark, note in found if mark]


def last_lines(file: Path) -> list[str]:
    """The end of a log."""
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:] or [""]
    except OSError:
        return ["it left no log"]
