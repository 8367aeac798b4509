"""The sign of L₁₂ and L₂₁ on fine grids: the paper's test of its Conjecture 1."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveInt, field_validator

import nnflow
from nnflow import Analysis

from ._two_neurons import ROUNDING, Grid, separation

FACTORS = (1, 4, 16, 64, 256, 1024, 4096)
"""Tolerances that are tried, in units of the tolerance `_two_neurons.ROUNDING`."""


class SeparationGrid(Analysis):
    """Where e* lies inside the cone of e₁ and e₂ L₁₂ and L₂₁ should be positive, elsewhere
    negative: looked at on grids of cell centres in θ₁₂ ∈ [0, π] and the angle φ ∈ [0, 2π] of e*.

    A point is *undecided* where |L| is below a tolerance that scales with the terms of L, a
    *counterexample* where L is beyond it with the wrong sign. Points with e* = e₂, where L = 0
    (Prop. 1), are known exactly, and left out of both.

    Columns of each grid NAME: `NAME_points`, `NAME_counterexamples` and `NAME_undecided`, over
    L₁₂ and L₂₁, `NAME_margin`, the smallest |L| over the tolerance, and `NAME_edge`, the largest
    |L| where e* = e₂ (NaN where no point lies there). Besides `NAME_undecided_at` (factor,), the
    undecided for tolerances `factor` times as large. For pictures: `curve` (theta_shown, function,
    phi) of L₁₂ and L₂₁, and `map` (theta, phi) of L₁₂.
    """

    grids: dict[str, tuple[PositiveInt, PositiveInt]] = Field(
        default={"paper": (10_000, 10_000), "script": (10_000, 20_000)}, min_length=1
    )
    """By name: cells in θ₁₂ and in φ. Cells in φ must be as wide as one or more of those in θ."""
    shown: tuple[float, ...] = (3 / 8, 7 / 8)
    """Angles θ₁₂ over π whose curves are kept."""
    map_size: PositiveInt = 360
    """Cells of the map in θ₁₂; it has twice as many in φ."""

    @field_validator("grids")
    @classmethod
    def _on_one_lattice(cls, grids):
        for name, (rows, columns) in grids.items():
            if 2 * rows % columns:
                raise ValueError(
                    f"{name}: 2·{rows} cells in θ over {columns} in φ is no whole number"
                )
        return grids

    def compute(self, results):
        import xarray as xr

        variables = {}
        total = sum(rows for rows, _ in self.grids.values())
        done = 0
        for name, (rows, columns) in self.grids.items():
            found = scan(
                Grid(rows, columns),
                lambda row, done=done: results.progress(done + row, total, "rows"),
            )
            done += rows
            at = found.pop("undecided_at")
            text = "values below so many times the tolerance"
            variables[f"{name}_undecided_at"] = ("factor", at, {"long_name": text})
            for key, value in found.items():
                text = f"{COLUMNS[key]}, {rows} × {columns} cells"
                variables[f"{name}_{key}"] = (
                    "configuration",
                    np.full(len(results.configurations), value),
                    {"long_name": text},
                )
        phi = np.linspace(0, 2 * np.pi, 721)
        theta = np.array(self.shown)[:, None] * np.pi
        curves = np.stack([separation(theta, phi), separation(theta, theta - phi)], axis=1)
        cells = Grid(self.map_size, 2 * self.map_size)
        centres = cells.phi_units * cells.unit
        area = separation(cells.theta[:, None], centres)
        long_name = {"long_name": "L"}
        variables["curve"] = (("theta_shown", "function", "phi"), curves, long_name)
        variables["map"] = (("theta", "map_phi"), area, {"long_name": "L₁₂"})
        return xr.Dataset(
            variables,
            {
                "configuration": [configuration.label for configuration in results.configurations],
                "factor": np.array(FACTORS),
                "theta_shown": theta[:, 0],
                "function": ["L12", "L21"],
                "phi": phi,
                "theta": cells.theta,
                "map_phi": centres,
            },
            {"tolerance": ROUNDING},
        )


COLUMNS = {
    "points": "points",
    "counterexamples": "values of L₁₂ or L₂₁ of the wrong sign",
    "undecided": "values of L₁₂ or L₂₁ that may be rounding",
    "margin": "smallest |L| over the tolerance",
    "edge": "largest |L| where e* = e₂",
}


def scan(grid: Grid, progress=lambda row: None) -> dict:
    """Counts over a grid, row by row, in the memory of a few rows."""
    values, spare = np.empty((2, grid.columns)), np.empty(grid.columns)
    wrong, margin, edge = 0, np.inf, np.nan
    undecided = np.zeros(len(FACTORS), dtype=int)
    for row in range(grid.rows):
        if row % 100 == 0:
            progress(row)
        grid.row(row, values, spare)
        tolerance = grid.tolerance(row)
        _, last = grid.inside(row)
        if (on := grid.edge(row)) is not None:
            edge = np.fmax(edge, np.abs(values[:, on]).max())
            values[:, on] = np.inf
        inside, outside = values[:, :last], values[:, last + (on is not None) :]
        least = min(inside.min(initial=np.inf), -outside.max(initial=-np.inf))
        margin = min(margin, least / tolerance)
        if least < FACTORS[-1] * tolerance:
            signed = np.concatenate([inside.ravel(), -outside.ravel()]) / tolerance
            wrong += int((signed < -1).sum())
            undecided += [int((np.abs(signed) <= factor).sum()) for factor in FACTORS]
    progress(grid.rows)
    return {
        "points": grid.rows * grid.columns,
        "counterexamples": wrong,
        "undecided": int(undecided[0]),
        "margin": margin,
        "edge": edge,
        "undecided_at": undecided,
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_grid", SeparationGrid)
