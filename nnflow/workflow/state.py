"""What there is of a study's results, and from when."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from nnflow.workflow.freshness import differences, files
from nnflow.workflow.plan import Plan


@dataclass(frozen=True)
class State:
    """word: `missing` (nothing was run), `unfinished` (some datasets are missing), `stale` (made
    with other settings or other code) or `done`. written: when the last dataset was; None where
    there is none. seconds: as `run_seconds` gives them."""

    word: str
    written: datetime | None = None
    seconds: float | None = None


def state(plan: Plan, study: str) -> State:
    """Of a study's results at the scale of the plan."""
    datasets = list(files(plan, study))
    there = [file for file in datasets if file.exists()]
    if not there:
        return State("missing")
    written = datetime.fromtimestamp(max(file.stat().st_mtime for file in there))
    stale = any(differences(plan, study, file) for file in there)
    word = "stale" if stale else "unfinished" if len(there) < len(datasets) else "done"
    return State(word, written, run_seconds(plan.results / plan.scale / study))


def run_seconds(folder: Path) -> float | None:
    """How long the jobs of a study's folder took, one after the other, by Snakemake's benchmarks;
    None where none was measured."""
    measured = [_benchmark(file) for file in sorted(folder.glob("benchmarks/**/*.tsv"))]
    known = [seconds for seconds in measured if seconds is not None]
    return sum(known) if known else None


def _benchmark(file: Path) -> float | None:
    """The seconds that Snakemake measured of a job; None where the file tells nothing."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            return float(next(csv.DictReader(lines, delimiter="\t"))["s"])
    except (OSError, StopIteration, KeyError, ValueError, TypeError):
        return None


def duration(seconds: float) -> str:
    """A time as it is said: 4.2 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
