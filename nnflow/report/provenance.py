"""Where the numbers of a study come from: files beside the page, run time, commit."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nnflow.base import store

FILES = (
    ("datasets", ("*.nc", "analyses/*.nc")),
    ("claims", ("claims.csv",)),
    ("times", ("timings.json",)),
    ("logs", ("logs/*.log",)),
)
"""What is linked, by the head under which it stands."""


@dataclass(frozen=True)
class Provenance:
    """commit: of the code that made the summary, "" where it is not told. seconds: all jobs of the
    study together, one after the other; None where none was measured. files:
    {head: ((name, address beside the page), …)}."""

    commit: str
    seconds: float | None
    files: dict[str, tuple[tuple[str, str], ...]]


def provenance(folder: Path) -> Provenance:
    """Of a study's folder."""
    told = json.loads(store.attributes(folder / "summary.nc").get("provenance", "{}"))
    measured = [_benchmark(file) for file in sorted(folder.glob("benchmarks/**/*.tsv"))]
    known = [seconds for seconds in measured if seconds is not None]
    files = {
        head: tuple((found.name, quote(f"{folder.name}/{found.relative_to(folder).as_posix()}"))
                    for pattern in patterns for found in sorted(folder.glob(pattern)))
        for head, patterns in FILES
    }  # fmt: skip
    return Provenance(
        str(told.get("commit", "")),
        sum(known) if known else None,
        {head: found for head, found in files.items() if found},
    )


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
