"""How many critical points of each kind an ensemble reached."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask

KINDS = {"minimum": "minima", "saddle": "saddles", "maximum": "maxima", "degenerate": "degenerate"}


class CriticalPointCounts(Analysis):
    """Distinct critical points by kind: families, of which a symmetry's images are one. Counts are
    of what was found: there may be more.
    """

    needs = ("critical_points",)
    columns = {
        "critical_points": "distinct critical points",
        **{plural: f"distinct critical points: {plural}" for plural in KINDS.values()},
        "lowest_loss": "lowest loss of a critical point",
        "highest_loss": "highest loss of a critical point",
        "runs": "runs",
        "runs_elsewhere": "runs that ended at no smooth critical point",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, **_counts(critical))
        return table.dataset()


def _counts(critical) -> dict[str, float]:
    """The columns of one configuration."""
    family, loss = critical["family"].values, critical["loss"].values
    masks = {plural: flag_mask(critical["kind"], kind) for kind, plural in KINDS.items()}
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
