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
    negative: evaluated on grids of cell centres in θ₁₂ ∈ [0, π] and the angle φ ∈ [0, 2π] of e*.

    A value is *undecided* where |L| is below a tolerance that scales with the terms of L, a
    *counterexample* where L is beyond it with the wrong sign. Points with e* = e₂, where L = 0
    (Prop. 1), are known exactly, and left out of both.

    Arrays: `NAME_undecided_at` (factor,) of each grid NAME, the undecided for tolerances `factor`
    times as large; for the figure, `curve` (theta_shown, function, phi) of L₁₂ and L₂₁, and `map`
    (theta, phi) of L₁₂.
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

    @property
    def columns(self):
        """Those of each grid, which begin with its name."""
        return {
            f"{name}_{key}": f"{meaning}, {rows} × {columns} cells"
            for name, (rows, columns) in self.grids.items()
            for key, meaning in COUNTS.items()
        }

    def compute(self, results):
        table, undecided = nnflow.Table(results, self.columns), {}
        total, done = sum(rows for rows, _ in self.grids.values()), 0
        for name, (rows, columns) in self.grids.items():
            counts, at = scan(
                Grid(rows, columns),
                lambda row, done=done: results.progress(done + row, total, "rows"),
            )
            done += rows
            table.everywhere(**{f"{name}_{key}": value for key, value in counts.items()})
            text = "values below `factor` times the tolerance"
            undecided[f"{name}_undecided_at"] = ("factor", at, {"long_name": text})
        return (
            table.dataset()
            .assign(undecided)
            .assign_coords(factor=np.array(FACTORS))
            .assign_attrs(tolerance=ROUNDING)
            .merge(_curves(np.array(self.shown) * np.pi))
            .merge(_map(Grid(self.map_size, 2 * self.map_size)))
        )


COUNTS = {
    "points": "points whose signs were judged, or that have e* = e₂",
    "counterexamples": "values of L₁₂ or L₂₁ of the wrong sign",
    "undecided": "values of L₁₂ or L₂₁ that may be rounding",
    "margin": "smallest |L| over the tolerance",
    "edge": "largest |L| where e* = e₂ (NaN where no point lies there)",
}


def scan(grid: Grid, progress=lambda row: None) -> tuple[dict[str, float], np.ndarray]:
    """Counts over a grid, and the undecided values by `FACTORS`; row by row, in the memory of a
    few rows."""
    values, spare = np.empty((2, grid.columns)), np.empty(grid.columns)
    points, wrong, margin, edge = 0, 0, np.inf, np.nan
    undecided = np.zeros(len(FACTORS), dtype=int)
    for row in range(grid.rows):
        if row % 100 == 0:
            progress(row)
        grid.row(row, values, spare)
        tolerance = grid.tolerance(row)
        _, last = grid.inside(row)
        if (on := grid.edge(row)) is not None:
            edge = np.fmax(edge, np.abs(values[:, on]).max())
        inside, outside = values[:, :last], values[:, last + (on is not None) :]
        points += inside.shape[1] + outside.shape[1] + (on is not None)
        least = min(inside.min(initial=np.inf), -outside.max(initial=-np.inf))
        margin = min(margin, least / tolerance)
        if least < FACTORS[-1] * tolerance:
            signed = np.concatenate([inside.ravel(), -outside.ravel()]) / tolerance
            wrong += int((signed < -1).sum())
            undecided += [int((np.abs(signed) <= factor).sum()) for factor in FACTORS]
    progress(grid.rows)
    counts = {
        "points": points,
        "counterexamples": wrong,
        "undecided": int(undecided[0]),
        "margin": margin,
        "edge": edge,
    }
    return counts, undecided


def _curves(theta: np.ndarray):
    """L₁₂ and L₂₁ by φ at these angles θ₁₂."""
    import xarray as xr

    phi = np.linspace(0, 2 * np.pi, 721)
    at = theta[:, None]
    curve = np.stack([separation(at, phi), separation(at, at - phi)], axis=1)
    return xr.Dataset(
        {"curve": (("theta_shown", "function", "phi"), curve, {"long_name": "L"})},
        {"theta_shown": theta, "function": ["L12", "L21"], "phi": phi},
    )


def _map(cells: Grid):
    """L₁₂ at the centres of the cells."""
    import xarray as xr

    phi = cells.phi_units * cells.unit
    values = separation(cells.theta[:, None], phi)
    return xr.Dataset(
        {"map": (("theta", "map_phi"), values, {"long_name": "L₁₂"})},
        {"theta": cells.theta, "map_phi": phi},
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_grid", SeparationGrid)
