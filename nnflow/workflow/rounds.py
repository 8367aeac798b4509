"""Rounds of Snakemake's scheduler: none that has no reason, and no question asked in each of them.

While the jobs of a time span are limited (by default to 100 a second), Snakemake 9 plans another
round after each one, for when the span is over, even where one is planned already. So each job that
ends begins a chain of its own, a round every span: after 300 jobs the process that only waits for
jobs takes a third of a core (compare snakemake/snakemake#3744). In each round it asks the file
system for the sizes of all inputs of all jobs that are ready, which do not change while they are.
"""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterable
from typing import Any


def plan_rounds_once() -> None:
    """Let Snakemake's scheduler plan no round for a time at which one is planned."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    if hasattr(JobScheduler, "_schedule_reevalutation"):  # a later version may do without
        JobScheduler._schedule_reevalutation = _planned


def _planned(scheduler: Any, delay: float) -> None:
    """Begin a round in `delay` seconds, unless one that was told to wait as long is waited for."""
    waiting = scheduler.__dict__.setdefault("waiting", set())
    if delay in waiting:
        return

    def begin() -> None:
        waiting.discard(delay)  # first, as the round plans the next one
        scheduler._open_jobs.release()

    waiting.add(delay)
    timer = threading.Timer(delay, begin)
    timer.daemon = True  # nothing waits for it once all jobs have ended
    timer.start()


def ask_sizes_once() -> None:
    """Let Snakemake's scheduler ask for the sizes of a job's inputs once, when the job is ready."""
    from snakemake.scheduling.job_scheduler import JobScheduler

    if inspect.iscoroutinefunction(getattr(JobScheduler, "update_input_sizes", None)):
        JobScheduler.update_input_sizes = _asked


async def _asked(scheduler: Any, jobs: Iterable[Any]) -> None:
    """Add the sizes of inputs that are not known yet, None where there is no file."""
    known = scheduler.__dict__.setdefault("sized", set())
    new = [job for job in jobs if job not in known]
    known.update(new)
    for path in {path for job in new for path in job.input} - scheduler._input_sizes.keys():
        scheduler._input_sizes[path] = await path.size() if await path.exists() else None
