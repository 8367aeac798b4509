"""The grid of L₁₂ and L₂₁ (Tian 2017, Conjecture 1), by tables on a lattice and by plain NumPy.

    python benchmarks/critical_geometry.py [--rows 10000] [--columns 10000] [--threads 2]

All peers go over the same rows of the grid in the same order, find the least value inside and the
largest outside of the cone, and count the wrong signs; NumPy's own threads are not used. `plain` is
Eq. 14 as it stands, with arccos for the angles, on chunks of ten rows; `determinant` is the closed
form for two neurons (plugins/analyses/_two_neurons.py) on the same chunks; `lattice` takes all
trigonometric functions from tables, in one thread and in several. Memory is the process's peak so
far, so that each row tells an upper end.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from rich.console import Console
from rich.table import Table

from nnflow.interfaces.registry import registry

registry()  # brings plugins/ into reach

from nnflow_plugins.analyses import _two_neurons as two  # noqa: E402

CHUNK = 10
"""Rows that the chunked peers take at once: 0.8 MB for each array of 10,000 columns."""
Found = tuple[float, float, int]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=10_000)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    grid = two.Grid(arguments.rows, arguments.columns)
    _ = grid.inside(0), grid.tolerance(0), grid.row(0, *_room(grid))  # the tables are made once
    peers = {
        "lattice": lambda: _lattice(grid, range(grid.rows)),
        f"lattice, {arguments.threads} threads": lambda: _threads(grid, arguments.threads),
        "determinant": lambda: _chunks(grid, _determinant),
        "plain": lambda: _chunks(grid, _plain),
    }
    points = grid.rows * grid.columns
    table = Table(title=f"L₁₂ and L₂₁ at {grid.rows} × {grid.columns} points (float64)")
    for heading in ("peer", "s", "ns/point", "ratio", "peak MB", "least inside", "wrong signs"):
        table.add_column(heading, justify="left" if heading == "peer" else "right")
    first = None
    for name, work in peers.items():
        start = time.perf_counter()
        least, _, wrong = work()
        taken = time.perf_counter() - start
        first = first or taken
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        table.add_row(
            name, f"{taken:.2f}", f"{1e9 * taken / points:.1f}", f"{taken / first:.1f}",
            f"{peak:.0f}", f"{least:.4e}", str(wrong),
        )  # fmt: skip
    Console().print(table)


def _room(grid) -> tuple[np.ndarray, np.ndarray]:
    return np.empty((2, grid.columns)), np.empty(grid.columns)


def _judge(grid, row: int, values: np.ndarray) -> Found:
    """Least inside, largest outside and wrong signs of one row (2, column)."""
    _, last = grid.inside(row)
    rest = last + (grid.edge(row) is not None)
    inside = values[:, :last].min(initial=np.inf)
    outside = values[:, rest:].max(initial=-np.inf)
    if inside > 0 > outside:
        return inside, outside, 0
    wrong = (values[:, :last] <= 0).sum() + (values[:, rest:] >= 0).sum()
    return inside, outside, int(wrong)


def _together(found: list[Found]) -> Found:
    inside, outside, wrong = zip(*found, strict=True)
    return min(inside), max(outside), sum(wrong)


def _lattice(grid, rows: range) -> Found:
    values, spare = _room(grid)
    return _together([_judge(grid, row, grid.row(row, values, spare)) for row in rows])


def _threads(grid, count: int) -> Found:
    parts = [range(first, grid.rows, count) for first in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return _together(list(pool.map(lambda rows: _lattice(grid, rows), parts)))


def _chunks(grid, function: Callable) -> Found:
    phi = grid.phi_units * grid.unit
    found = []
    for first in range(0, grid.rows, CHUNK):
        rows = range(first, min(first + CHUNK, grid.rows))
        theta = grid.theta[rows.start : rows.stop, None]
        values = np.stack([function(theta, phi), function(theta, theta - phi)], axis=1)
        found += [_judge(grid, row, one) for row, one in zip(rows, values, strict=True)]
    return _together(found)


def _determinant(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    return two.separation(theta, phi)


def _plain(theta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Eq. 14: m* − vᵀM_r⁻¹m for j = 1, j' = 2."""

    def h(angle):
        return (np.pi - angle) * np.cos(angle) + np.sin(angle)

    first, second = np.arccos(np.cos(phi)), np.arccos(np.cos(phi - theta))
    star = (np.pi - first) * np.cos(second) + np.sin(first) * np.cos(theta)
    m = np.pi * np.cos(theta), np.pi - theta + np.sin(theta) * np.cos(theta)
    own, bulk = h(theta), np.pi**2 - h(theta) ** 2
    solved = (np.pi * m[0] - own * m[1]) / bulk, (np.pi * m[1] - own * m[0]) / bulk
    return star - h(first) * solved[0] - h(second) * solved[1]


if __name__ == "__main__":
    main()
