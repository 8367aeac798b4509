"""Progress of long jobs: a bar in a terminal, steady lines elsewhere and in the log."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from nnflow.base.errors import UserError

ONLY_LOGS = "NNFLOW_ONLY_LOGS"
"""Where this variable is set, jobs that have a log write to nothing else."""
INTERVAL = 5.0
"""Seconds between two lines."""
NOTE = "note: "
"""Begins a line that a user should see, whoever shows the job."""


class Reporter:
    """Says how far a job is, at most every few seconds.

    title: what is being done. log: a file that gets each line too; None: none.
    """

    def __init__(self, title: str, log: Path | None) -> None:
        self._title = title
        self._log = log
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._bar: Progress | None = None
        self._silent = log is not None and ONLY_LOGS in os.environ
        self._last = 0.0
        self._began = time.monotonic()
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            log.write_text("", encoding="utf-8")
            # until here the process has only started Python and imported what it needs
            self.line(f"start-up took {time.process_time():.2f} s", terminal=False)

    @property
    def due(self) -> bool:
        """Is it time for another line?"""
        return time.monotonic() - self._last >= (0.2 if self._bar else INTERVAL)

    def update(self, done: int, total: int, detail: str) -> None:
        """Show that `done` of `total` are finished; dropped when the last was just now."""
        if not self.due and done < total:
            return
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total, detail=detail)
        self._last = time.monotonic()
        self.line(f"{done}/{total} {detail}", terminal=self._bar is None)

    def line(self, text: str, terminal: bool = True) -> None:
        """Write one line to the log and, unless a bar shows it, to the terminal."""
        elapsed = time.monotonic() - self._began
        line = f"[{elapsed:6.1f} s] {self._title}: {text}"
        if terminal and not self._silent:
            self._console.print(line, markup=False)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def note(self, text: str) -> None:
        """Write a line that `nnflow run` shows, too."""
        self.line(f"{NOTE}{text}")

    @contextmanager
    def running(self) -> Iterator[Reporter]:
        """Show a bar while the block runs, if the terminal can."""
        if self._silent or not sys.stderr.isatty():
            yield self
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[detail]}"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            self._bar = bar
            self._task = bar.add_task(self._title, total=None, detail="")
            yield self
            self._bar = None


@contextmanager
def told_in(log: Path | None) -> Iterator[None]:
    """Write what makes the block fail to the log too; to it alone where ONLY_LOGS is set."""
    try:
        yield
    except Exception as error:
        if log is None:
            raise
        mistake = isinstance(error, UserError)
        text = f"nnflow: {error}\n" if mistake else traceback.format_exc()
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(text)
        if ONLY_LOGS not in os.environ:
            raise
        sys.exit(2 if mistake else 1)
