"""The loss of two unit vectors in the plane, over their two angles."""

from __future__ import annotations

import math

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Spheres, UserError, torch

CIRCLES = Spheres(2, 2)
NEWTON_STEPS = 40
LONGEST = 0.3
"""Longest Newton step, in radians: beyond it the quadratic model is no approximation."""
CRITICAL = 1e-12
"""Gradient norm below which Newton's method has converged; rounding is near 1e-16."""
APART = 1e-6
"""Two critical points that are closer than this, in radians, are one."""
ZERO = 1e-7
"""An eigenvalue below this is zero: the smallest of two students and teachers is 0.3."""
KINDS = ("minimum", "saddle", "maximum", "degenerate")
MEANINGS = {"flag_values": np.arange(4, dtype=np.int8), "flag_meanings": " ".join(KINDS)}
RADIANS = {"units": "rad"}


class CircleLandscape(Analysis):
    """L(w₁, w₂) with wᵢ = (cos φᵢ, sin φᵢ) on a grid of angles, and all its critical points.

    `loss` is over (first, second), the angles of the grid. The critical points, over `critical`,
    are the limits of Newton's method from a grid of starts: `place` their angles, `value` the loss,
    `residual` the gradient norm, `eigenvalue` the two of the Hessian in (φ₁, φ₂), which is the
    Riemannian one as the circles are flat. On a torus a loss without degenerate points has as many
    minima and maxima as saddles (Morse): `euler`, minima − saddles + maxima, is 0 where none was
    missed, and rarely else. Raises UserError where no configuration has two unit vectors in ℝ².
    """

    size: PositiveInt = 181
    """Grid points along each angle."""
    starts: PositiveInt = Field(20, ge=8)
    """Starts of Newton's method along each angle."""

    def compute(self, results):
        import xarray as xr

        loss = _Circles(_model(results))
        return xr.Dataset({**_grid(loss, self.size), **_critical(loss, self.starts)})


def _model(results):
    """The model of the first configuration with two unit vectors in the plane."""
    for configuration in results.configurations:
        if configuration.settings.model.manifold() == CIRCLES:
            return configuration.settings.model
    raise UserError(f"{results.study.file}: analyses: no configuration with two unit vectors in ℝ²")


def _grid(loss: _Circles, size: int) -> dict:
    """The loss on a grid of angles."""
    angles = np.linspace(-math.pi, math.pi, size)
    first, second = np.meshgrid(angles, angles, indexing="ij")
    values = loss.value(np.stack([first, second], axis=-1).reshape(-1, 2))
    return {
        "loss": (("first", "second"), values.reshape(size, size)),
        **{name: (name, angles, RADIANS) for name in ("first", "second")},
    }


def _critical(loss: _Circles, starts: int) -> dict:
    """The critical points, what each is, and their Morse count."""
    angles = _critical_points(loss, starts)
    gradient, hessian = loss.derivatives(angles)
    eigenvalues = np.linalg.eigvalsh(hessian)
    kinds = _kinds(eigenvalues)
    minima, saddles, maxima, _ = np.bincount(kinds, minlength=len(KINDS))
    return {
        "place": (("critical", "student"), angles, {"long_name": "angles", **RADIANS}),
        "value": ("critical", loss.value(angles), {"long_name": "loss"}),
        "residual": ("critical", np.linalg.norm(gradient, axis=1)),
        "eigenvalue": (("critical", "mode"), eigenvalues),
        "kind": ("critical", kinds.astype(np.int8), MEANINGS),
        "euler": ((), minima - saddles + maxima, {"long_name": "Morse count"}),
    }


class _Circles:
    """The model's loss over angles (point, 2), with derivatives in them."""

    def __init__(self, model):
        self.model = model
        (self.weight,) = model.shapes()

    def value(self, angles):
        with torch.no_grad():
            return self.model.loss(self._weights(angles), {}).numpy()

    def derivatives(self, angles):
        """Gradient (point, 2) and Hessian (point, 2, 2)."""
        weights = self._weights(angles)
        with torch.no_grad():
            gradient = self.model.gradient(weights, {})[self.weight].numpy()
            hessian = self.model.hessian(weights, {}).numpy()
        outward = weights[self.weight].numpy()
        along = np.stack([-outward[..., 1], outward[..., 0]], axis=-1)
        blocks = hessian.reshape(-1, 2, 2, 2, 2)
        curved = np.einsum("pia,piajb,pjb->pij", along, blocks, along)
        curved[:, [0, 1], [0, 1]] -= (outward * gradient).sum(2)
        return (along * gradient).sum(2), curved

    def _weights(self, angles):
        return {self.weight: torch.from_numpy(np.stack([np.cos(angles), np.sin(angles)], axis=-1))}


def _critical_points(loss: _Circles, starts: int) -> np.ndarray:
    """Different critical points (point, 2), by their angles in (−π, π]."""
    # off the symmetry lines of the loss, on which Newton's method may stay
    line = np.linspace(-math.pi, math.pi, starts, endpoint=False) + 0.0137
    at = np.stack(np.meshgrid(line, line + 0.0071, indexing="ij"), axis=-1).reshape(-1, 2)
    for _ in range(NEWTON_STEPS):
        gradient, hessian = loss.derivatives(at)
        step = (np.linalg.pinv(hessian) @ gradient[..., None])[..., 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        at = at - step * np.minimum(1, LONGEST / np.maximum(length, LONGEST))
    at = at[np.linalg.norm(loss.derivatives(at)[0], axis=1) < CRITICAL]
    at = math.pi - (math.pi - at) % (2 * math.pi)
    at[np.abs(at + math.pi) < APART] = math.pi
    order = np.lexsort(np.round(at / APART).T)
    distinct = []
    for angles in at[order]:
        if all(_apart(angles, other) for other in distinct):
            distinct.append(angles)
    return np.array(distinct).reshape(-1, 2)


def _apart(angles: np.ndarray, other: np.ndarray) -> bool:
    """Are two points more than `APART` apart, on circles?"""
    return bool(np.abs((angles - other + math.pi) % (2 * math.pi) - math.pi).max() > APART)


def _kinds(eigenvalues: np.ndarray) -> np.ndarray:
    """Indices into KINDS from two eigenvalues each, in ascending order."""
    low, high = eigenvalues.T
    cases = {
        "minimum": low > ZERO,
        "saddle": (low < -ZERO) & (high > ZERO),
        "maximum": high < -ZERO,
    }
    numbers = [KINDS.index(kind) for kind in cases]
    return np.select(list(cases.values()), numbers, KINDS.index("degenerate"))


@nnflow.hookimpl
def nnflow_register(register):
    register("circle_landscape", CircleLandscape)
