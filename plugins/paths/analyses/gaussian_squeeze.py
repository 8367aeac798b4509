"""Covariances of Gaussian neurons on straight paths and on arcs."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, mean

from .._neurons import arc, linear


class GaussianSqueeze(Analysis):
    """X, Y ∼ N(0, 1) of two weights each, independent: (1 − t)X + tY has covariance
    (t² + (1 − t)²)·1, and cos(πt/2)X + sin(πt/2)Y has 1. Y = X, the extreme of matching: the
    straight path stays where it is and the arc has covariance (1 + sin πt)·1.

    Variances at the middle are means of squares of independent numbers, with Student intervals at
    99 %. `sample` (shown, drawn, weight) holds some of the draws for pictures.
    """

    columns = {
        "linear_middle": "variance at the middle of the straight path, independent ends",
        "arc_middle": "variance at the middle of the arc, independent ends",
        "linear_same": "variance at the middle of the straight path from X to itself",
        "arc_same": "variance at the middle of the arc from X to itself",
        "curve_error": "largest difference from the formulas along both paths, in standard errors",
    }

    draws: PositiveInt = 20_000
    """Draws."""
    shown: PositiveInt = 300
    """Draws that are kept for pictures."""

    def compute(self, results):
        table = Table(results, self.columns)
        streams = Streams(results.study.settings.seed, "all", np.arange(self.draws), "squeeze")
        x, y = (streams.normal(2, draw=draw) for draw in (0, 1))
        half, t = np.array([0.5]), np.linspace(0, 1, 11)
        middle = {
            "linear_middle": linear(x, y, half),
            "arc_middle": arc(x, y, half, 0.0),
            "linear_same": linear(x, x, half),
            "arc_same": arc(x, x, half, 0.0),
        }
        errors = []
        for way, exact in ((linear, t**2 + (1 - t) ** 2), (_arc, np.ones_like(t))):
            found = np.mean(way(x, y, t) ** 2, axis=(1, 2))
            errors.append(np.abs(found - exact) / (exact / np.sqrt(self.draws)))
        table.everywhere(
            **{name: mean(points.ravel() ** 2) for name, points in middle.items()},
            curve_error=float(np.max(errors)),
        )
        samples = [x, y, middle["linear_middle"][0], middle["arc_middle"][0]]
        return table.dataset().assign(
            sample=(("shown", "drawn", "weight"), np.stack(samples)[:, : self.shown])
        ).assign_coords(shown=["x", "y", "linear", "arc"])  # fmt: skip


def _arc(x, y, t):
    return arc(x, y, t, 0.0)


@nnflow.hookimpl
def nnflow_register(register):
    register("gaussian_squeeze", GaussianSqueeze)
