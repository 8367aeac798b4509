"""How many critical points of each kind an ensemble reached."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask

from .._table import by_point

KINDS = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima", "degenerate": "degenerate"}


class CriticalPointCounts(Analysis):
    """Distinct critical points by kind: families, of which a symmetry's images are one.

    Columns: `critical_points`, of which `minima`, `saddles`, `maxima` and `degenerate`;
    `lowest_loss` and `highest_loss` among them (NaN where there is none); `runs`, and the
    `runs_elsewhere` that ended at none. Counts are of what was found: there may be more.
    """

    needs = ("critical_points",)

    def compute(self, results):
        return by_point(results, _row, COLUMNS)


COLUMNS = {
    "critical_points": "distinct critical points",
    **{plural: f"distinct critical points: {plural}" for plural in KINDS.values()},
    "lowest_loss": "lowest loss of a critical point",
    "highest_loss": "highest loss of a critical point",
    "runs": "runs",
    "runs_elsewhere": "runs that ended at no smooth critical point",
}


def _row(_, ends) -> dict[str, float]:
    """The columns of one point."""
    family, loss = ends["family"].values, ends["loss"].values
    masks = {plural: flag_mask(ends["kind"], kind) for kind, plural in KINDS.items()}
    row = {plural: len(np.unique(family[mask])) for plural, mask in masks.items()}
    reached = np.any(list(masks.values()), axis=0)
    row["critical_points"] = sum(row.values())
    row["lowest_loss"] = loss[reached].min() if reached.any() else np.nan
    row["highest_loss"] = loss[reached].max() if reached.any() else np.nan
    row["runs"] = len(family)
    row["runs_elsewhere"] = int((~reached).sum())
    return row


@nnflow.hookimpl
def nnflow_register(register):
    register("critical_point_counts", CriticalPointCounts)
