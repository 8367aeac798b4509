"""Symmetric ReLU networks in two weights: field, saddle, invariant line, basins."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Model, Streams, UserError, torch

from ....linear._matrices import table

WIDTHS = range(2, 21)
"""K at which the field is compared with the whole network's gradient."""
RATE = 0.01
"""The authors' step."""
CONVERGED = 1e-12
"""Error (x−1)² + (K−1)y² at which a start counts as converged."""
STEP_LIMIT = 20000
"""More than five times what the slowest start of the authors takes."""
MAP_RATE, MAP_STEPS, MAP_CONVERGED = 0.1, 1000, 1e-6
"""The map's step and the length of its ways: a time of 100, twice what the slowest start of Ω
takes to reach an error of 1e-6."""
LINE = (1e-3, 0.1, 0.3, 0.5, 0.9, 1.0)
"""Starts x = y on the invariant line."""
NUDGE = 1e-10
"""An almost infinitesimal x − y."""


class SymmetricDynamics(Analysis):
    """Theorem 7 of Tian (arXiv:1703.00560) for the model symmetric_relu.

    Columns of every point: `field_error`, the largest difference between the closed field and
    the gradient of the whole K × K network, over random (x, y) in the unit square and K = 2 … 20;
    `permuted_error`, how far from P₂w* the whole network ends that starts at P₂(x₀, y₀, …, y₀).
    Columns by K: `saddle`, the root of the field on x = y, and `saddle_error`, its distance from
    the theorem's (√(K−1) − arccos(1/√K) + π)/(πK); `saddle_gradient` there; `saddle_loss` of the
    whole network; `along_eigenvalue` and `across_eigenvalue` of the flow along and across x = y,
    with `eigenvalue_residual`; `line_drift`, the largest |x − y| of starts on the line, and
    `line_error`, how far from the saddle they end; `steps` from (10⁻³, 0) to an error below
    10⁻¹² at rate 0.01, and `peak`, the largest y on the way; `outside_basin`, the starts of a
    grid of Ω = {0 < x ≤ 1, 0 ≤ y ≤ 1, x > y} that do not reach (1, 0), of `region_starts`, some
    of them with x − y = 10⁻¹⁰.
    Arrays over `place_y`, `place_x`: `end_x`, `end_y`, where starts of the unit square end, and
    `velocity_x`, `velocity_y`.
    """

    network: Model = Field(examples=[{"name": "relu_top_weights", "top": [1]}])
    """The whole network; relu_top_weights, of which any number of top weights 1 are taken."""
    size: PositiveInt = 40
    """Intervals along each side of the map."""
    draws: PositiveInt = 50
    """Random (x, y) at each K."""

    def compute(self, results):
        models = [configuration.settings.model for configuration in results.configurations]
        for model in models:
            if model.name != "symmetric_relu":
                raise UserError(
                    f"{results.study.file}: analyses: symmetric_dynamics is about"
                    f" symmetric_relu, not {model.name!r}"
                )
        common = {
            "field_error": self._field_error(type(models[0]), results.study.settings.seed),
            "permuted_error": self._permuted_error(),
        }
        labels = [configuration.label for configuration in results.configurations]
        maps = [_map(model, self.size) for model in models]
        rows = [
            common | _saddle(model) | _line(model) | _authors_start(model) | _region(model, ends)
            for model, ends in zip(models, maps, strict=True)
        ]
        found = table(dict(zip(labels, rows, strict=True)), COLUMNS)
        places = np.linspace(0, 1, self.size + 1)
        axes = ("configuration", "place_y", "place_x")
        stacked = {name: (axes, np.stack([one[name] for one in maps])) for name in maps[0]}
        return found.assign(stacked).assign_coords(place_x=places, place_y=places)

    def _whole(self, k: int) -> Model:
        return self.network.model_copy(update={"top": [1.0] * k})

    def _field_error(self, symmetric: type[Model], seed: int) -> float:
        worst = 0.0
        for k in WIDTHS:
            streams = Streams(seed, f"k={k}", np.arange(self.draws), "symmetric_dynamics")
            x, y = torch.as_tensor(streams.uniform(2)).unbind(1)
            along, around = symmetric(k=k).velocity(x, y)
            gradient = self._whole(k).gradient({"w": _matrices(x, y, k)}, {})["w"]
            worst = max(worst, float((gradient + _matrices(along, around, k)).abs().max()))
        return worst

    def _permuted_error(self) -> float:
        k = 5
        place = torch.as_tensor([0.1], dtype=torch.float64)
        w = _matrices(place, 0.9 * place, k).roll(1, dims=2)
        wanted = torch.eye(k, dtype=torch.float64).roll(1, dims=1)
        for _ in range(MAP_STEPS):
            w = w - MAP_RATE * self._whole(k).gradient({"w": w}, {})["w"]
        return float((w - wanted).abs().max())


COLUMNS = {
    "field_error": "largest difference from the whole network's gradient, K = 2 to 20",
    "permuted_error": "distance of the end from P₂w*, from a start permuted alike",
    "saddle": "root of the field on x = y",
    "saddle_error": "its distance from the theorem's saddle",
    "saddle_gradient": "gradient norm at the theorem's saddle",
    "saddle_loss": "loss of the whole network there",
    "along_eigenvalue": "eigenvalue of the flow along x = y",
    "across_eigenvalue": "eigenvalue of the flow across x = y",
    "eigenvalue_residual": "largest residual of the two eigenvectors",
    "line_drift": "largest |x − y| of starts with x = y",
    "line_error": "largest distance of their ends from the saddle",
    "steps": "steps from (0.001, 0) to an error below 1e-12",
    "peak": "largest y on that way",
    "region_starts": "starts in Ω",
    "outside_basin": "starts in Ω that do not reach (1, 0)",
}


def saddle_place(k: int) -> float:
    """x = y = (√(K−1) − arccos(1/√K) + π)/(πK) (Tian, Theorem 7)."""
    return (math.sqrt(k - 1) - math.acos(1 / math.sqrt(k)) + math.pi) / (math.pi * k)


def _matrices(x, y, k: int):
    """xI + y(11ᵀ − I), (run, K, K)."""
    eye = torch.eye(k, dtype=x.dtype)
    return x[:, None, None] * eye + y[:, None, None] * (1 - eye)


def _one(value: float):
    return torch.tensor([value], dtype=torch.float64)


def _saddle(model) -> dict[str, float]:
    from scipy.optimize import brentq

    k, place = model.k, saddle_place(model.k)
    root = brentq(lambda x: float(model.velocity(_one(x), _one(x))[0]), 1e-3, 1, xtol=1e-16)
    w = torch.tensor([[place, math.sqrt(k - 1) * place]], dtype=torch.float64)
    hessian = torch.func.jacrev(torch.func.grad(lambda v: model.loss({"w": v[None]}, {})[0]))(w[0])
    along = w[0] / w[0].norm()
    across = torch.stack([-along[1], along[0]])
    values = [float(v @ hessian @ v) for v in (along, across)]
    residuals = [
        float((hessian @ v - s * v).norm()) for v, s in zip((along, across), values, strict=True)
    ]
    return {
        "saddle": root,
        "saddle_error": abs(root - place),
        "saddle_gradient": float(model.gradient({"w": w}, {})["w"].norm()),
        "saddle_loss": k * float(model.loss({"w": w}, {})[0]),
        "along_eigenvalue": -values[0],
        "across_eigenvalue": -values[1],
        "eigenvalue_residual": max(residuals),
    }


def _line(model) -> dict[str, float]:
    x = torch.tensor(LINE, dtype=torch.float64)
    y, drift = x.clone(), 0.0
    for _ in range(MAP_STEPS):
        along, around = model.velocity(x, y)
        x, y = x + MAP_RATE * along, y + MAP_RATE * around
        drift = max(drift, float((x - y).abs().max()))
    return {"line_drift": drift, "line_error": float((x - saddle_place(model.k)).abs().max())}


def _error(model, x, y):
    return (x - 1) ** 2 + (model.k - 1) * y**2


def _authors_start(model) -> dict[str, float]:
    x, y, peak = _one(1e-3), _one(0), 0.0
    for step in range(1, STEP_LIMIT + 1):
        along, around = model.velocity(x, y)
        x, y = x + RATE * along, y + RATE * around
        peak = max(peak, float(y))
        if float(_error(model, x, y)) < CONVERGED:
            return {"steps": step, "peak": peak}
    return {"steps": math.nan, "peak": peak}


def _ends(model, x, y):
    for _ in range(MAP_STEPS):
        along, around = model.velocity(x, y)
        x, y = x + MAP_RATE * along, y + MAP_RATE * around
    return x, y


def _map(model, size: int) -> dict[str, np.ndarray]:
    """Velocities and ends of a grid over the unit square; NaN at the origin."""
    places = torch.linspace(0, 1, size + 1, dtype=torch.float64)
    y, x = (part.flatten() for part in torch.meshgrid(places, places, indexing="ij"))
    there = (x > 0) | (y > 0)
    found = {}
    parts = (*model.velocity(x[there], y[there]), *_ends(model, x[there], y[there]))
    for name, part in zip(("velocity_x", "velocity_y", "end_x", "end_y"), parts, strict=True):
        whole = torch.full_like(x, math.nan)
        whole[there] = part
        found[name] = whole.reshape(size + 1, size + 1).numpy()
    return found


def _region(model, ends) -> dict[str, float]:
    """Starts of Ω that do not reach (1, 0): those of the map, and some beside the line."""
    size = len(ends["end_x"])
    row, column = np.indices((size, size))
    inside = column > row
    mapped = _error(model, ends["end_x"], ends["end_y"])[inside]
    x = torch.tensor(LINE, dtype=torch.float64)
    nudged = _error(model, *_ends(model, x, x - NUDGE)).numpy()
    errors = np.concatenate([mapped, nudged])
    return {"region_starts": len(errors), "outside_basin": int((~(errors < MAP_CONVERGED)).sum())}


@nnflow.hookimpl
def nnflow_register(register):
    register("symmetric_dynamics", SymmetricDynamics)
