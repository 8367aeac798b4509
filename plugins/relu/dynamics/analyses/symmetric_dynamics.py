"""Symmetric ReLU networks in two weights: field, saddle, invariant line, basins."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from ..._population import gradient

WIDTHS = range(2, 21)
"""K at which the field is compared with the whole network's gradient."""
CONVERGED = 1e-12
"""Error (x−1)² + (K−1)y² at which the first start counts as converged."""
TIME_LIMIT = 200.0
"""Time, steps times rate, after which it does not: five times what the slowest start of the
authors takes."""
FLOW_STEP, FLOW_STEPS, FLOW_CONVERGED = 0.1, 1000, 1e-6
"""Step and length of trajectories that stand for the gradient flow whatever the study's optimizer:
a time of 100, twice what the slowest start of Ω takes to reach an error of 1e-6."""
LINE = (1e-3, 0.1, 0.3, 0.5, 0.9, 1.0)
"""Starts x = y on the invariant line."""
NUDGE = 1e-10
"""An almost infinitesimal x − y."""


class SymmetricDynamics(Analysis):
    """Theorem 7 of Tian (arXiv:1703.00560) for the model symmetric_relu.

    The theorem's saddle lies at x = y = (√(K−1) − arccos(1/√K) + π)/(πK), and starts in
    Ω = {0 < x ≤ 1, 0 ≤ y ≤ 1, x > y} lead to the teacher (1, 0). The whole network is the one of
    K × K weights, of whose gradient the field of (x, y) must be a part. `steps` and `peak` are
    those of the study's gradient descent, at its rate, from its first start; NaN with another
    optimizer. All else is about the gradient flow.

    Arrays over `place_y`, `place_x`: `end_x`, `end_y`, where starts of the unit square end, and
    `velocity_x`, `velocity_y`.
    """

    needs = ("initialization",)
    models = ("symmetric_relu",)
    columns = {
        "field_error": "largest difference from the whole network's gradient, K = 2 to 20",
        "permuted_error": "distance from P₂w* of the whole network's end, from P₂(x₀, y₀, …, y₀)",
        "saddle": "root of the field on x = y",
        "saddle_error": "its distance from the theorem's saddle",
        "saddle_gradient": "gradient norm at the theorem's saddle",
        "saddle_loss": "loss of the whole network there",
        "along_eigenvalue": "eigenvalue of the flow along x = y",
        "across_eigenvalue": "eigenvalue of the flow across x = y",
        "eigenvalue_residual": "largest residual of the two eigenvectors",
        "line_drift": "largest |x − y| of starts with x = y",
        "line_error": "largest distance of their ends from the saddle",
        "steps": "steps of the study's first start to an error below 1e-12",
        "peak": "largest y on that trajectory",
        "region_starts": "starts in Ω, some of them with x − y = 1e-10",
        "outside_basin": "starts in Ω that do not reach (1, 0)",
    }

    size: PositiveInt = 40
    """Intervals along each side of the map."""
    draws: PositiveInt = 50
    """Random (x, y) at each K."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        any_width = results.configurations[0].settings.model
        table.everywhere(
            field_error=_field_error(any_width, results.study.settings.seed, self.draws),
            permuted_error=_permuted_error(),
        )
        maps = []
        for configuration, first in results.each("initialization"):
            model = configuration.settings.model
            maps.append(_map(model, self.size))
            table.row(
                configuration,
                **_saddle(model),
                **_line(model),
                **_descent(model, configuration.settings.optimizer, first["w"].values[:1]),
                **_region(model, maps[-1]),
            )
        axes = ("configuration", "place_y", "place_x")
        stacked = {name: (axes, np.stack([one[name] for one in maps])) for name in maps[0]}
        grid = np.linspace(0, 1, self.size + 1)
        return table.dataset().assign(stacked).assign_coords(place_x=grid, place_y=grid)


def saddle_formula(k: int) -> float:
    """x = y = (√(K−1) − arccos(1/√K) + π)/(πK) (Tian, Theorem 7)."""
    return (math.sqrt(k - 1) - math.acos(1 / math.sqrt(k)) + math.pi) / (math.pi * k)


def _matrices(x: np.ndarray, y: np.ndarray, k: int) -> np.ndarray:
    """xI + y(11ᵀ − I), (run, K, K)."""
    eye = np.eye(k)
    return x[:, None, None] * eye + y[:, None, None] * (1 - eye)


def _field_error(model, seed: int, draws: int) -> float:
    """Over random (x, y) in the unit square, K = 2 … 20."""
    worst = 0.0
    for k in WIDTHS:
        drawn = Streams(seed, f"k={k}", np.arange(draws), "symmetric_dynamics").uniform(2)
        along, around = model.model_copy(update={"k": k}).velocity(*torch.as_tensor(drawn).T)
        whole = gradient(_matrices(*drawn.T, k), np.eye(k))
        worst = max(worst, np.abs(whole + _matrices(along.numpy(), around.numpy(), k)).max())
    return worst


def _permuted_error() -> float:
    """For K = 5, with the teachers' order moved by one."""
    k, start = 5, np.array([0.1])
    w = np.roll(_matrices(start, 0.9 * start, k), 1, axis=2)
    for _ in range(FLOW_STEPS):
        w = w - FLOW_STEP * gradient(w, np.eye(k))
    return np.abs(w - np.roll(np.eye(k), 1, axis=1)).max()


def _one(value: float):
    return torch.tensor([value], dtype=torch.float64)


def _saddle(model) -> dict[str, float]:
    """The saddle, and the flow's eigenvalues there."""
    from scipy.optimize import brentq

    k, formula = model.k, saddle_formula(model.k)
    root = brentq(lambda x: float(model.velocity(_one(x), _one(x))[0]), 1e-3, 1, xtol=1e-16)
    w = torch.tensor([[formula, math.sqrt(k - 1) * formula]], dtype=torch.float64)
    return {
        "saddle": root,
        "saddle_error": abs(root - formula),
        "saddle_gradient": float(model.gradient({"w": w}, {})["w"].norm()),
        "saddle_loss": k * float(model.loss({"w": w}, {})[0]),
        **_eigenvalues(model, w[0]),
    }


def _eigenvalues(model, w) -> dict[str, float]:
    """Of −∇²L along w, which points along x = y, and across it."""
    # torch.func would import the compiler, which takes a second
    hessian = torch.autograd.functional.hessian(lambda v: model.loss({"w": v[None]}, {})[0], w)
    along = w / w.norm()
    across = torch.stack([-along[1], along[0]])
    values = [float(v @ hessian @ v) for v in (along, across)]
    residuals = [
        float((hessian @ v - s * v).norm()) for v, s in zip((along, across), values, strict=True)
    ]
    return {
        "along_eigenvalue": -values[0],
        "across_eigenvalue": -values[1],
        "eigenvalue_residual": max(residuals),
    }


def _flow_step(model, x, y):
    along, around = model.velocity(x, y)
    return x + FLOW_STEP * along, y + FLOW_STEP * around


def _line(model) -> dict[str, float]:
    """Do starts on the line x = y stay there, and end in the saddle?"""
    x = torch.tensor(LINE, dtype=torch.float64)
    y, drift = x.clone(), 0.0
    for _ in range(FLOW_STEPS):
        x, y = _flow_step(model, x, y)
        drift = max(drift, float((x - y).abs().max()))
    return {"line_drift": drift, "line_error": float((x - saddle_formula(model.k)).abs().max())}


def _error(model, x, y):
    return (x - 1) ** 2 + (model.k - 1) * y**2


def _descent(model, optimizer, first: np.ndarray) -> dict[str, float]:
    """The study's gradient descent from weights (1, 2), step by step."""
    if optimizer.name != "gradient_descent":
        return {}
    x, y = _one(first[0, 0]), _one(first[0, 1] / math.sqrt(model.k - 1))
    peak = float(y)
    for step in range(1, math.ceil(TIME_LIMIT / optimizer.rate) + 1):
        along, around = model.velocity(x, y)
        x, y = x + optimizer.rate * along, y + optimizer.rate * around
        peak = max(peak, float(y))
        if float(_error(model, x, y)) < CONVERGED:
            return {"steps": step, "peak": peak}
    return {"steps": math.nan, "peak": peak}


def _ends(model, x, y):
    """Where the flow is after its whole time."""
    for _ in range(FLOW_STEPS):
        x, y = _flow_step(model, x, y)
    return x, y


def _map(model, size: int) -> dict[str, np.ndarray]:
    """Velocities and ends of a grid over the unit square; NaN at the origin."""
    side = torch.linspace(0, 1, size + 1, dtype=torch.float64)
    y, x = (part.flatten() for part in torch.meshgrid(side, side, indexing="ij"))
    there = (x > 0) | (y > 0)
    parts = (*model.velocity(x[there], y[there]), *_ends(model, x[there], y[there]))
    arrays = {}
    for name, part in zip(("velocity_x", "velocity_y", "end_x", "end_y"), parts, strict=True):
        grid = torch.full_like(x, math.nan)
        grid[there] = part
        arrays[name] = grid.reshape(size + 1, size + 1).numpy()
    return arrays


def _region(model, arrays: dict[str, np.ndarray]) -> dict[str, float]:
    """Starts of Ω that do not reach (1, 0): those of the map, and some next to the line."""
    size = len(arrays["end_x"])
    row, column = np.indices((size, size))
    inside = column > row
    mapped = _error(model, arrays["end_x"], arrays["end_y"])[inside]
    x = torch.tensor(LINE, dtype=torch.float64)
    nudged = _error(model, *_ends(model, x, x - NUDGE)).numpy()
    errors = np.concatenate([mapped, nudged])
    outside = int((~(errors < FLOW_CONVERGED)).sum())
    return {"region_starts": len(errors), "outside_basin": outside}


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_dynamics", SymmetricDynamics)
