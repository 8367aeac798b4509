"""Do two students ever end anywhere but at the two teachers?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask, share

CONFIDENT = 0.99
"""Level of the one-sided bound on the share of spurious runs."""


class TwoReluMinimum(Analysis):
    """Where runs end whose students could become the teachers, in one order or another.

    Shares have their Clopper–Pearson intervals at 99 %. `spurious_bound` is p with (1 − p)^runs =
    1 %; it is known where no run is spurious.
    """

    needs = ("critical_points",)
    models = ("relu_teacher_student",)
    columns = {
        "runs": "runs",
        "minima": "runs at minima",
        "minimum_families": "different minima, up to swaps of the students",
        "global_share": "share of runs at global minima",
        "spurious_share": "share of runs at spurious minima",
        "spurious_bound": "share of spurious runs that the runs exclude at 99 %",
        "straight_share": "share of global runs that are not swapped",
        "lowest_eigenvalue": "lowest Hessian eigenvalue at global minima",
        "highest_eigenvalue": "highest Hessian eigenvalue at global minima",
        "eigenvalue_spread": "range of the lowest eigenvalue over the runs",
        "distance": "largest distance of a global minimum from the teachers",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, **_counts(critical), **_global_minima(critical))
        return table.dataset()


def _counts(critical) -> dict:
    """How many runs end at minima, and at which."""
    minimum, reached = flag_mask(critical["kind"], "minimum"), _reached(critical)
    runs, spurious = critical.sizes["run"], int((minimum & ~reached).sum())
    return {
        "runs": runs,
        "minima": int(minimum.sum()),
        "minimum_families": len(np.unique(critical["family"].values[minimum])),
        "global_share": share(int(reached.sum()), runs),
        "spurious_share": share(spurious, runs),
        "spurious_bound": np.nan if spurious else 1 - (1 - CONFIDENT) ** (1 / runs),
    }


def _global_minima(critical) -> dict:
    """Order of the students, eigenvalues and distance at the global minima."""
    reached = _reached(critical)
    straight, distance = _distances(critical["w"].values[reached])
    lowest, highest = (critical[f"{end}_eigenvalue"].values[reached] for end in ("min", "max"))
    return {
        "straight_share": share(int(straight.sum()), int(reached.sum())),
        "lowest_eigenvalue": lowest.min(initial=np.inf),
        "highest_eigenvalue": highest.max(initial=-np.inf),
        "eigenvalue_spread": np.ptp(lowest) if lowest.size else np.nan,
        "distance": distance.max(initial=0),
    }


def _reached(critical) -> np.ndarray:
    """Which runs end at a global minimum."""
    return flag_mask(critical["is_global"], "yes")


def _distances(w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Is W nearer to V than to V with its rows swapped? And how near to the nearer; (run,)."""
    teachers = np.eye(*w.shape[1:])
    straight, swapped = (
        np.linalg.norm(w - rows, axis=(1, 2)) for rows in (teachers, teachers[::-1])
    )
    return straight <= swapped, np.minimum(straight, swapped)


@nnflow.hookimpl
def nnflow_register(register):
    register("two_relu_minimum", TwoReluMinimum)
