"""Fixed points of the length map of wide networks, their correlations and depth scales."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Analysis

from .._network import Network
from .._signal import SEARCHED, FixedPoint, Propagation

BESIDE = 1e-4
"""Relative distance from a fixed point at which it is tried whether ν leads back."""
STEPS = 5
NUMBERS = ("q", "chi1", "a", "xi_q", "c", "b", "xi_c")
NAMES = {
    "q": "q*, mean square of a layer's sums",
    "chi1": "χ₁, slope of the correlation map at 1",
    "a": "slope of the length map",
    "xi_q": "depth scale of lengths",
    "c": "c*, stable correlation",
    "b": "slope of the correlation map at c*",
    "xi_c": "depth scale of correlations",
}


class SignalFixedPoints(Analysis):
    """All fixed points of ν of some networks in a range of q, each with the bounds of its errors.

    Over `fixed_point`: `network`, the numbers `q, chi1, a, xi_q, c, b, xi_c` and `NUMBER_error`,
    `stable` (1, 0, or −1 where |a| = 1), `residual`, and the basin `basin_low` … `basin_high`. ξ is
    NaN at unstable points, c, b and ξ_c at q* = 0. The range that was searched is an attribute.
    """

    columns = {
        "fixed_points": "fixed points of the length maps",
        "most_fixed_points": "fixed points of one network at most",
        "stability_exceptions": "fixed points that ν leads back to though |a| > 1, or away from"
        " though |a| < 1",
        "largest_error": "largest bound of an error of q*, χ₁, a, relative to the larger of it and"
        " 1, at stable points",
        "largest_residual": "largest |ν(q*) − q*|/q*",
        "gelu_a": "a of the unstable fixed point of GELU, NaN: not among the networks",
        "hard_tanh_a": "a of hard tanh, NaN: not among the networks",
        "alternating_a": "the least a",
    }

    networks: Annotated[list[Network], Field(min_length=1)]
    """Activation and variances of each."""
    searched: tuple[PositiveFloat, PositiveFloat] = SEARCHED
    """The range of q."""

    def compute(self, results):
        import xarray as xr

        rows, wrong = [], 0
        for done, network in enumerate(self.networks):
            results.progress(done, len(self.networks), "networks")
            maps = network.propagation()
            points = maps.fixed_points(self.searched)
            wrong += sum(not agrees(maps, point) for point in points)
            rows += [{"network": network.label, **described(maps, point)} for point in points]
        columns = {key: np.array([row[key] for row in rows]) for key in rows[0]}
        variables = {
            key: ("fixed_point", values, {"long_name": NAMES.get(key, key.replace("_", " "))})
            for key, values in columns.items()
        }
        dataset = xr.Dataset(variables, attrs={"searched": list(self.searched)})
        table = nnflow.Table(results, self.columns)
        table.everywhere(stability_exceptions=wrong, **_summary(columns))
        return table.dataset().merge(dataset).assign_attrs(dataset.attrs)


def described(maps: Propagation, point: FixedPoint) -> dict:
    """The numbers of a fixed point with their errors."""
    found = {"q": point.q, "chi1": point.chi1, "a": point.a, "xi_q": point.xi_q}
    if point.q.value > 0:
        correlation = maps.fixed_correlation(point)
        found |= {"c": correlation.c, "b": correlation.b, "xi_c": correlation.xi_c}
    numbers = {}
    for key in NUMBERS:
        numbers[key] = found[key].value if key in found else np.nan
        numbers[f"{key}_error"] = found[key].error if key in found else np.nan
    stable = -1 if point.stable is None else int(point.stable)
    low, high = point.basin
    return {**numbers, "stable": stable, "residual": point.residual,
            "basin_low": low, "basin_high": high}  # fmt: skip


def agrees(maps: Propagation, point: FixedPoint) -> bool:
    """Does ν lead back from both sides if |a| < 1, and away if |a| > 1? True where |a| = 1."""
    q = point.q.value
    starts = np.array([BESIDE]) * 1e-3 if q == 0 else q * np.array([1 - BESIDE, 1 + BESIDE])
    after = starts
    for _ in range(STEPS):
        after = maps.length(after)
    nearer = np.abs(after - q) < np.abs(starts - q)
    return point.stable is None or bool((nearer == point.stable).all())


def _summary(columns: dict[str, np.ndarray]) -> dict[str, float]:
    stable = columns["stable"] == 1
    sizes = [columns[f"{key}_error"] / np.maximum(np.abs(columns[key]), 1) for key in NUMBERS[:3]]
    gelu = np.char.startswith(columns["network"], "gelu") & (columns["stable"] == 0)
    hard = np.char.startswith(columns["network"], "hard_tanh") & (columns["q"] > 0)
    positive = columns["q"] > 0
    return {
        "fixed_points": len(stable),
        "most_fixed_points": np.unique(columns["network"], return_counts=True)[1].max(),
        "largest_error": max(float(size[stable].max()) for size in sizes),
        "largest_residual": float(
            np.abs(columns["residual"][positive] / columns["q"][positive]).max()
        ),
        "gelu_a": _first(columns["a"][gelu]),
        "hard_tanh_a": _first(columns["a"][hard]),
        "alternating_a": float(columns["a"].min()),
    }


def _first(values: np.ndarray) -> float:
    return float(values[0]) if len(values) else np.nan


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_fixed_points", SignalFixedPoints)
