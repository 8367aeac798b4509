"""Is a point with a kink a local minimum?"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

MODEL = "laurent_von_brecht"


class KinkMinimum(Analysis):
    """The loss around the spurious minimum of Laurent & von Brecht's Theorem 2.

    With A = W_2W_1, e = (W_2)_21, z = (W_1)_21 and u, v the entries that are 1 at
    W_2 = diag(1, 0), W_1 = diag(0, 1),

        A_21 = (e/u)A_11 + (z/v)A_22 − (ez/uv)A_12,

    so that ‖A − E_21‖₁ ≥ 1 + (1 − δ)(|A_11| + |A_12| + |A_22|) where all three coefficients are
    at most δ in magnitude: for a radius ρ below ½ in every entry, δ ≤ ρ/(1 − ρ) < 1, and the
    point is a minimum. Where the model is laurent_von_brecht (NaN elsewhere), perturbations
    uniform in cubes around the first run's end give `least_rise` and `median_rise` of the loss
    (configuration, radius), and `slice_rise` (configuration, slice_step) along the direction in
    which it falls most steeply, for the distance's square, in any configuration.
    """

    needs = ("critical_points", "spectra")
    columns = {
        "perturbations": "perturbations of the point",
        "descents": "perturbations that lower the loss by more than rounding",
        "bound_violations": "perturbations below the proof's lower bound (absolute error)",
        "identity_error": "largest error of the proof's formula for A_21 (absolute error)",
        "curvature": "lowest Hessian eigenvalue, within its residual (smooth losses)",
    }

    radii: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1e-3, 1e-2, 0.1, 0.3, 0.49)
    """Half the sides of the cubes."""
    samples: PositiveInt = 20_000
    """Perturbations for each radius."""

    def compute(self, results):
        shifts = self._shifts(results.study.settings.seed)
        around = {
            configuration.label: _around(results, configuration, shifts)
            for configuration in results.configurations
            if configuration.settings.model.name == MODEL
        }
        table = nnflow.Table(results, self.columns)
        for configuration in results.configurations:
            if configuration.label in around:
                one = around[configuration.label]
                table.row(configuration, **_counts(one), **_proof(one, shifts))
                table.row(configuration, **_curvature(results, configuration))
        steps = np.linspace(-0.5, 0.5, 201)
        along = steps[:, None] * _steepest([one.rise for one in around.values()], shifts)
        rows = {
            "least_rise": {label: one.rise.min(axis=1) for label, one in around.items()},
            "median_rise": {label: np.median(one.rise, axis=1) for label, one in around.items()},
            "slice_rise": {
                label: _rises(one.model, one.center, along) for label, one in around.items()
            },
        }
        axes = {"radius": np.array(self.radii), "slice_step": steps}
        return table.dataset().assign(_profiles(table.labels, rows, axes)).assign_coords(axes)

    def _shifts(self, seed: int) -> np.ndarray:
        """(radius, sample, weight), the same in each configuration."""
        streams = Streams(seed, "kink_minimum", np.arange(self.samples), "perturb")
        return np.stack(
            [radius * (2 * streams.uniform(8, draw) - 1) for draw, radius in enumerate(self.radii)]
        )


PROFILES = {
    "least_rise": ("radius", "lowest rise of the loss in the cube"),
    "median_rise": ("radius", "median rise of the loss in the cube"),
    "slice_rise": ("slice_step", "rise of the loss along the steepest direction"),
}


class Around(NamedTuple):
    """The first run's end (weight,), and the rise of the loss at all shifts (radius, sample)."""

    model: Any
    center: np.ndarray
    rise: np.ndarray


def _around(results, configuration, shifts: np.ndarray) -> Around:
    model = configuration.settings.model
    critical = results.at("critical_points", configuration.label)
    center = np.concatenate([critical[name].values[0].ravel() for name in model.shapes()])
    return Around(model, center, np.stack([_rises(model, center, part) for part in shifts]))


def _profiles(labels: list[str], rows, axes) -> dict[str, tuple]:
    """The variables of PROFILES; NaN for labels without."""
    variables = {}
    for name, (axis, text) in PROFILES.items():
        missing = np.full(len(axes[axis]), np.nan)
        values = np.stack([rows[name].get(label, missing) for label in labels])
        variables[name] = (("configuration", axis), values, {"long_name": text})
    return variables


def _counts(one: Around) -> dict[str, int]:
    return {"perturbations": one.rise.size, "descents": int((one.rise < -1e-14).sum())}


def _curvature(results, configuration) -> dict:
    """Of a smooth loss."""
    if configuration.settings.model.loss_function.name == "absolute":
        return {}
    spectra = results.at("spectra", configuration.label)
    value, residual = (spectra[name].values[0, 0] for name in ("eigenvalue", "residual"))
    return {"curvature": (value, value - residual, value + residual)}


def _steepest(rises: list[np.ndarray], shifts: np.ndarray) -> np.ndarray:
    """The direction (weight,) in which a loss falls most for the distance's square."""
    flat = shifts.reshape(-1, shifts.shape[-1])
    if not rises:
        return flat[0]
    slopes = np.stack([rise.ravel() for rise in rises]) / (flat**2).sum(axis=1)
    direction = flat[slopes.min(axis=0).argmin()]
    return direction / np.linalg.norm(direction)


def _rises(model, center: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """L(W + shift) − L(W) for shifts (sample, 8)."""
    flat = torch.as_tensor(np.concatenate([center[None], center + shifts]))
    first, second = flat.unflatten(1, (2, 2, 2)).unbind(1)
    with torch.no_grad():
        loss = model.loss({"w1": first, "w2": second}, {}).numpy()
    return loss[1:] - loss[0]


def _proof(one: Around, shifts: np.ndarray) -> dict[str, float]:
    """The proof's formula and inequality at all perturbations, under the absolute error."""
    if one.model.loss_function.name != "absolute":
        return {}
    moved = one.center + shifts.reshape(-1, shifts.shape[-1])
    first, second = np.moveaxis(moved.reshape(-1, 2, 2, 2), 1, 0)
    whole = second @ first
    left, right = second[:, 1, 0] / second[:, 0, 0], first[:, 1, 0] / first[:, 1, 1]
    others = np.stack([whole[:, 0, 0], whole[:, 1, 1], whole[:, 0, 1]])
    coefficients = np.stack([left, right, -left * right])
    error = np.abs((coefficients * others).sum(axis=0) - whole[:, 1, 0])
    slack = 1 - np.abs(coefficients).max(axis=0)
    below = one.rise.ravel() < slack * np.abs(others).sum(axis=0) - 1e-14
    return {"bound_violations": int(below.sum()), "identity_error": float(error.max())}


@nnflow.hookimpl
def nnflow_register(register):
    register("kink_minimum", KinkMinimum)
