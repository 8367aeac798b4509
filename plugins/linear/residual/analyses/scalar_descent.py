"""The gradient flow of products of numbers that differ."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

TARGET = 0.5
"""|r|."""
RANGE = (0.5, 1.5)
"""Where first weights lie."""
TOLERANCE = 1e-11
"""Of the flow."""


class ScalarDescent(Analysis):
    """L(w) = ½(w_1⋯w_K − r)², networks of width 1, from first weights that differ.

    With q = w_1⋯w_K the flow has dw_k²/dt = 2q(r − q) for every k, so that differences of squares
    are kept. From w > 0 all squares grow where q < r and fall where q > r: for r > 0 the flow ends
    at q = r. For r < 0 they fall until the least is 0. If it is the only one, that weight passes
    through 0, as its speed (r − q)∏_{j≠k} w_j does not vanish there, and q reaches r; if two are
    least, the flow ends at q = 0. So starts with equal weights are stuck, and others are not
    (exercise of Yarotsky's lecture). A network of the study with each depth; flows only up to
    the depth `deepest`, as products of many weights near 0 are slow.
    """

    models = ("residual_linear_network",)
    columns = {
        "square_slope_error": "largest |dw_k²/dt − 2q(r − q)| at random weights",
        "positive_gap": "largest |q − r| at the end from weights that differ, r > 0",
        "negative_gap": "the same for r < 0",
        "tied_product": "largest |q| at the end for r < 0, the two least first weights being equal",
    }

    draws: PositiveInt = 20
    """Random first weights."""
    deepest: PositiveInt = 4
    """Largest depth of flows."""
    time: PositiveFloat = 400.0
    """Their length."""

    def compute(self, results):
        seed, table = results.study.settings.seed, nnflow.Table(results, self.columns)
        deep = [one for one in results.configurations if one.settings.model.depth > 1]
        of_depth = {one.settings.model.depth: one.settings.model for one in deep}
        rows = {depth: self._row(model, seed) for depth, model in of_depth.items()}
        for configuration in deep:
            table.row(configuration, **rows[configuration.settings.model.depth])
        return table.dataset()

    def _row(self, model, seed: int) -> dict[str, float]:
        depth = model.depth
        streams = Streams(seed, f"K={depth}", np.arange(self.draws), "scalar_descent")
        starts = RANGE[0] + (RANGE[1] - RANGE[0]) * streams.uniform(depth)
        row = {"square_slope_error": slope_error(model, starts)}
        if depth > self.deepest:
            return row
        tied = np.sort(starts, axis=1)
        tied[:, 1] = tied[:, 0]
        ends = {
            name: np.array([self._end(first, target) for first in firsts])
            for name, firsts, target in (
                ("positive", starts, TARGET),
                ("negative", starts, -TARGET),
                ("tied", tied, -TARGET),
            )
        }
        return {
            **row,
            "positive_gap": np.abs(ends["positive"] - TARGET).max(),
            "negative_gap": np.abs(ends["negative"] + TARGET).max(),
            "tied_product": np.abs(ends["tied"]).max(),
        }

    def _end(self, first: np.ndarray, target: float) -> float:
        """q at the end of the flow from these weights."""
        from scipy.integrate import solve_ivp

        solved = solve_ivp(
            lambda _, w: (target - w.prod()) * others(w), (0, self.time), first,
            method="LSODA", rtol=TOLERANCE, atol=TOLERANCE,
        )  # fmt: skip
        return float(solved.y[:, -1].prod())


def others(w: np.ndarray) -> np.ndarray:
    """∏_{j≠k} w_j for each k."""
    numbers = w.tolist()  # NumPy takes ten times as long for so few
    return np.array([math.prod(numbers[:k] + numbers[k + 1 :]) for k in range(len(w))])


def slope_error(model, starts: np.ndarray) -> float:
    """Largest |dw_k²/dt − 2q(r − q)| of a network of width 1 of the model's kind, at weights
    (run, K), for r of both signs."""
    worst = 0.0
    for target in (TARGET, -TARGET):
        network = type(model)(depth=model.depth, values=(target,))
        shifted = torch.as_tensor(starts - 1)[:, :, None, None]
        with torch.no_grad():
            slope = -network.gradient({"v": shifted}, {})["v"][:, :, 0, 0].numpy()
        q = starts.prod(axis=1, keepdims=True)
        worst = max(worst, np.abs(2 * starts * slope - 2 * q * (target - q)).max())
    return worst


@nnflow.hookimpl
def nnflow_register(register):
    register("scalar_descent", ScalarDescent)
