"""Do two students ever end anywhere but at the two teachers?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask, share

from ....general._table import by_point

CONFIDENT = 0.99
"""Level of the one-sided bound on the share of spurious runs."""


class TwoReluMinimum(Analysis):
    """Where runs end whose students could become the teachers, in one order or another.

    Columns, over the runs of a point: `runs`; `minima`, ends that are minima, and
    `minimum_families`, how many different ones, images under the swap counted once;
    `global_share` of ends at the infimum and `spurious_share` of minima above it, with their
    Clopper–Pearson intervals at 99 %, and `spurious_bound` p with (1 − p)^runs = 1 %, what no
    spurious run in so many excludes at 99 %; `straight_share`, of the global ends, those whose
    first student is the first teacher rather than the second; `lowest_eigenvalue` and
    `highest_eigenvalue` at the global ends, and `eigenvalue_spread`, the range of the former
    over the runs; `distance`, the largest of a global end from the teachers.
    """

    needs = ("critical_points",)

    def compute(self, results):
        return by_point(results, _row, COLUMNS)


COLUMNS = {
    "runs": "runs",
    "minima": "runs at minima",
    "minimum_families": "different minima, up to swaps",
    "global_share": "share of runs at global minima",
    "global_share_low": "share of global runs: lower end of the 99 % interval",
    "global_share_high": "share of global runs: upper end of the 99 % interval",
    "spurious_share": "share of runs at spurious minima",
    "spurious_share_low": "share of spurious runs: lower end of the 99 % interval",
    "spurious_share_high": "share of spurious runs: upper end of the 99 % interval",
    "spurious_bound": "share of spurious runs that the runs exclude at 99 %",
    "straight_share": "share of global runs that are not swapped",
    "straight_share_low": "share not swapped: lower end of the 99 % interval",
    "straight_share_high": "share not swapped: upper end of the 99 % interval",
    "lowest_eigenvalue": "lowest Hessian eigenvalue at global minima",
    "highest_eigenvalue": "highest Hessian eigenvalue at global minima",
    "eigenvalue_spread": "range of the lowest eigenvalue over the runs",
    "distance": "largest distance of a global end from the teachers",
}


def _row(point, ends) -> dict[str, float]:
    """The columns of one point."""
    minimum, reached = flag_mask(ends["kind"], "minimum"), flag_mask(ends["is_global"], "yes")
    straight, distance = _places(ends["w"].values)
    runs, spurious = ends.sizes["run"], int((minimum & ~reached).sum())
    counts = {
        "global_share": (int(reached.sum()), runs),
        "spurious_share": (spurious, runs),
        "straight_share": (int((reached & straight).sum()), int(reached.sum())),
    }
    families = len(np.unique(ends["family"].values[minimum]))
    row = {"runs": runs, "minima": int(minimum.sum()), "minimum_families": families}
    for name, (count, trials) in counts.items():
        row |= dict(zip((name, f"{name}_low", f"{name}_high"), share(count, trials), strict=True))
    lowest, highest = (ends[f"{end}_eigenvalue"].values[reached] for end in ("min", "max"))
    return row | {
        "spurious_bound": 1 - (1 - CONFIDENT) ** (1 / runs) if spurious == 0 else np.nan,
        "lowest_eigenvalue": lowest.min(initial=np.inf),
        "highest_eigenvalue": highest.max(initial=-np.inf),
        "eigenvalue_spread": np.ptp(lowest) if lowest.size else np.nan,
        "distance": distance[reached].max(initial=0),
    }


def _places(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Is W nearer to V than to V with its rows swapped? And how near to the nearer; (run,)."""
    teachers = np.eye(*w.shape[1:])
    ways = [np.linalg.norm(w - rows, axis=(1, 2)) for rows in (teachers, teachers[::-1])]
    return ways[0] <= ways[1], np.minimum(*ways)


@nnflow.hookimpl
def nnflow_register(register):
    register("two_relu_minimum", TwoReluMinimum)
