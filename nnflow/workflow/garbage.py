"""What Python's collector of garbage has to look through while Snakemake plans.

Hardly anything that a plan is made of becomes garbage before the workflow ends, but after each 700
objects the collector looks through the young ones, and ever so often through all: a seventh of the
time in which 10,000 jobs are planned.
"""

from __future__ import annotations

import gc

OBJECTS = 100_000
"""New objects after which it looks again; some ten megabytes of them."""


def look_for_garbage_rarely() -> None:
    """Leave out what is there already, and look for more after many new objects."""
    gc.freeze()
    gc.set_threshold(OBJECTS)
