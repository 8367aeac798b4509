"""Where the numbers of a study come from: files beside the page, run time, commit."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from nnflow.base import store
from nnflow.workflow.state import run_seconds

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
    files = {
        head: tuple((found.name, quote(f"{folder.name}/{found.relative_to(folder).as_posix()}"))
                    for pattern in patterns for found in sorted(folder.glob(pattern)))
        for head, patterns in FILES
    }  # fmt: skip
    return Provenance(
        str(told.get("commit", "")),
        run_seconds(folder),
        {head: found for head, found in files.items() if found},
    )
