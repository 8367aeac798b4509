"""How long a function takes here, which no two machines agree on."""

from __future__ import annotations

import os
import platform
import statistics
import timeit
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")
_LINUX = platform.system() == "Linux"
Row = dict[str, str | int | float]


def timed(
    function: Callable[[], T], repeats: int, timer: Callable[[], float] = perf_counter
) -> tuple[T, Row]:
    """What the function gives, and `median`, `low` and `high` of this many measurements, in seconds
    for one call, with the calls of each, `calls`.

    It is called once before. A measurement takes 0.2 s or more, so that short functions are called
    many times in each; low and high are the quartiles. Raises ValueError below three repeats.
    """
    if repeats < 3:
        raise ValueError(f"quartiles need three measurements or more (got repeats={repeats})")
    value = function()
    watch = timeit.Timer(function, timer=timer)
    calls, _ = watch.autorange()
    seconds = [total / calls for total in watch.repeat(repeats, calls)]
    low, median, high = statistics.quantiles(seconds, n=4, method="inclusive")
    return value, {
        "median": median, "low": low, "high": high, "repeats": repeats, "calls": calls,
    }  # fmt: skip


def machine() -> Row:
    """The processor, how many of its cores this process may use, its memory in GiB, and the
    versions of Python and of the system."""
    import psutil

    return {
        "processor": _processor(),
        "cores": len(psutil.Process().cpu_affinity()) if _LINUX else psutil.cpu_count() or 1,
        "threads": os.environ.get("OMP_NUM_THREADS", "all"),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor(info: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name; on Linux alone the system tells it in full."""
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, text = line.partition(":")
            if name.strip() == "model name":
                return text.strip()
    return platform.processor() or platform.machine()
