"""What the ends of descent on a formula are."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask, share, torch

from .._formula import satisfied, simplified
from .._sat_search import SOLVED
from .._solver import satisfiable

DEPENDENT = 1e-9
"""Relative singular value below which normals of constraints count as dependent."""
KINDS = ("minimum", "degenerate", "saddle", "maximum", "not_critical")


class SatEnds(Analysis):
    """Ends of runs on the concave program of a formula, and a complete solver's answer.

    A vertex is a point whose active constraints have normals of full rank; a vertex with fractions
    is no assignment. Shares have Clopper–Pearson intervals at 99 %. `degenerate` is a critical
    point of which the second-order test could not say more.
    """

    needs = ("critical_points",)
    models = ("three_sat",)
    columns = {
        "clauses": "clauses",
        "satisfiable": "1 where a solver finds that the formula can be satisfied, else 0",
        "solved_share": "share of runs that end in a satisfying assignment",
        "best_loss": "lowest loss of an end",
        "kkt_most": "largest residual of the first-order conditions",
        **{f"{kind}_share": f"share of ends that are {kind}" for kind in KINDS},
        "off_vertex": "minima that are no vertex",
        "fractional": "minima at vertices with fractions",
        "contradictions": "runs at loss 0 although the solver finds no solution",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, **_row(configuration.settings.model, critical))
        return table.dataset()


def _row(model, critical) -> dict:
    points, count = critical["x"].values, critical.sizes["run"]
    clauses = simplified(model.formula)
    can = satisfiable(clauses)
    zero = (critical["loss"].values < SOLVED) & satisfied(points, clauses)
    minima = flag_mask(critical["kind"], "minimum")
    vertex = is_vertex(points, model.constraints())
    whole = (np.minimum(np.abs(points), np.abs(1 - points)) < SOLVED).all(axis=1)
    kinds = {kind: int(flag_mask(critical["kind"], kind).sum()) for kind in KINDS}
    return {
        "clauses": len(model.formula),
        "satisfiable": float(can),
        "solved_share": share(int(zero.sum()), count),
        "best_loss": float(critical["loss"].min()),
        "kkt_most": float(critical["kkt_residual"].max()),
        **{f"{kind}_share": share(number, count) for kind, number in kinds.items()},
        "off_vertex": int((minima & ~vertex).sum()),
        "fractional": int((minima & vertex & ~whole).sum()),
        "contradictions": 0 if can else int((critical["loss"].values < SOLVED).sum()),
    }


def is_vertex(points: np.ndarray, held_by) -> np.ndarray:
    """Do the active constraints fix the points (point, variable)? (point,) bool."""
    weights = torch.as_tensor(points)
    normals = held_by.normals(weights) * held_by.active(weights)[..., None]
    values = torch.linalg.svdvals(normals).numpy()
    return values[:, -1] > DEPENDENT * values[:, 0]


@nnflow.hookimpl
def nnflow_register(register):
    register("sat_ends", SatEnds)
