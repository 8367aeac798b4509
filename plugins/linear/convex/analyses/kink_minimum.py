"""Is a point with a kink a local minimum?"""

from __future__ import annotations

from typing import Annotated

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
    point is a minimum. At each of the study's points with the model laurent_von_brecht (NaN at
    others), perturbations uniform in cubes around the first run's end give `least_rise` and
    `median_rise` of the loss (point, radius), and `slice_rise` (point, slice_step) along the
    direction that falls most steeply, for the distance's square, at any of the points.

    Columns: `descents`, perturbations that lower the loss by more than rounding, of
    `perturbations`; `bound_violations`, those below the bound (absolute error only), and
    `identity_error`, the largest error of the formula for A_21; `curvature`, the lowest Hessian
    eigenvalue, within its residual (smooth losses only).
    """

    needs = ("critical_points", "spectra")

    radii: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (1e-3, 1e-2, 0.1, 0.3, 0.49)
    """Half the sides of the cubes."""
    samples: PositiveInt = 20_000
    """Perturbations for each radius."""

    def compute(self, results):
        import xarray as xr

        shifts = self._shifts(results.study.settings.seed)
        found = [
            self._around(results, configuration, shifts) for configuration in results.configurations
        ]
        steps = np.linspace(-0.5, 0.5, 201)
        way = _steepest(list(filter(None, found)), shifts)
        for one in filter(None, found):
            one["slice_rise"] = _rises(one, steps[:, None] * way)
        known = {name: [_column(one, name) for one in found] for name in COLUMNS}
        variables = {
            name: ("configuration", known[name], {"long_name": COLUMNS[name]}) for name in COLUMNS
        }
        for name, (size, axis, text) in {
            "least_rise": (len(self.radii), "radius", "lowest rise of the loss in the cube"),
            "median_rise": (len(self.radii), "radius", "median rise of the loss in the cube"),
            "slice_rise": (len(steps), "slice_step", "rise of the loss along the steepest way"),
        }.items():
            rows = [one[name] if one else np.full(size, np.nan) for one in found]
            variables[name] = (("configuration", axis), np.stack(rows), {"long_name": text})
        labels = [configuration.label for configuration in results.configurations]
        axes = {"configuration": labels, "radius": np.array(self.radii), "slice_step": steps}
        return xr.Dataset(variables, axes)

    def _shifts(self, seed: int) -> np.ndarray:
        """(radius, sample, weight), the same at each of the study's points."""
        streams = Streams(seed, "kink_minimum", np.arange(self.samples), "perturb")
        return np.stack(
            [radius * (2 * streams.uniform(8, draw) - 1) for draw, radius in enumerate(self.radii)]
        )

    def _around(self, results, configuration, shifts: np.ndarray) -> dict | None:
        model = configuration.settings.model
        if model.name != MODEL:
            return None
        ends = results.at("critical_points", configuration.label)
        center = np.concatenate([ends[name].values[0].ravel() for name in model.shapes()])
        one = {"model": model, "center": center}
        rise = np.stack([_rises(one, part) for part in shifts])
        one |= {
            "rise": rise,
            "least_rise": rise.min(axis=1),
            "median_rise": np.median(rise, axis=1),
            "perturbations": rise.size,
            "descents": int((rise < -1e-14).sum()),
        }
        if model.loss_function.name == "absolute":
            one |= _bound(center, shifts.reshape(-1, shifts.shape[-1]), rise.ravel())
        else:
            spectra = results.at("spectra", configuration.label)
            value, residual = (spectra[name].values[0, 0] for name in ("eigenvalue", "residual"))
            one |= {"curvature": value}
            one |= {"curvature_low": value - residual, "curvature_high": value + residual}
        return one


COLUMNS = {
    "perturbations": "perturbations of the point",
    "descents": "perturbations that lower the loss",
    "bound_violations": "perturbations below the proof's lower bound",
    "identity_error": "largest error of the proof's formula",
    "curvature": "lowest Hessian eigenvalue",
    "curvature_low": "lowest Hessian eigenvalue, less its residual",
    "curvature_high": "lowest Hessian eigenvalue, plus its residual",
}


def _steepest(found: list[dict], shifts: np.ndarray) -> np.ndarray:
    """The direction (weight,) in which a loss falls most for the distance's square."""
    flat = shifts.reshape(-1, shifts.shape[-1])
    square = (flat**2).sum(axis=1)
    falls = [(one["rise"].ravel() / square).min() for one in found]
    if not falls:
        return flat[0]
    rise = found[int(np.argmin(falls))]["rise"].ravel()
    way = flat[(rise / square).argmin()]
    return way / np.linalg.norm(way)


def _column(one: dict | None, name: str) -> float:
    return np.nan if one is None else float(one.get(name, np.nan))


def _rises(one: dict, shifts: np.ndarray) -> np.ndarray:
    """L(W + shift) − L(W) for shifts (sample, 8)."""
    flat = torch.as_tensor(np.concatenate([one["center"][None], one["center"] + shifts]))
    first, second = flat.unflatten(1, (2, 2, 2)).unbind(1)
    with torch.no_grad():
        loss = one["model"].loss({"w1": first, "w2": second}, {}).numpy()
    return loss[1:] - loss[0]


def _bound(center: np.ndarray, shifts: np.ndarray, rise: np.ndarray) -> dict[str, float]:
    """How the proof's identity and inequality fare at all perturbations."""
    first, second = np.moveaxis((center + shifts).reshape(-1, 2, 2, 2), 1, 0)
    whole = second @ first
    left, right = second[:, 1, 0] / second[:, 0, 0], first[:, 1, 0] / first[:, 1, 1]
    others = np.stack([whole[:, 0, 0], whole[:, 1, 1], whole[:, 0, 1]])
    coefficients = np.stack([left, right, -left * right])
    error = np.abs((coefficients * others).sum(axis=0) - whole[:, 1, 0])
    slack = 1 - np.abs(coefficients).max(axis=0)
    below = rise < slack * np.abs(others).sum(axis=0) - 1e-14
    return {"bound_violations": int(below.sum()), "identity_error": float(error.max())}


@nnflow.hookimpl
def nnflow_register(register):
    register("kink_minimum", KinkMinimum)
