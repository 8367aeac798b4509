"""A bowl with ripples: one weight, several minima, one of them global."""

from __future__ import annotations

import numpy as np
from pydantic import FiniteFloat, PositiveFloat

import nnflow
from nnflow import Model, torch

PER_RIPPLE = 200
"""Grid points per ripple between which roots of the slope are looked for."""


class RippledBowl(Model):
    """L(w) = ½cw² + a cos(kw + φ).

    ∇L has the Lipschitz constant M = c + ak². Its stationary points lie in |w| ≤ ak/c.
    """

    bowl: PositiveFloat = 0.2
    """c, curvature of the bowl."""
    height: PositiveFloat = 1.0
    """a, height of the ripples."""
    frequency: PositiveFloat = 3.0
    """k, their frequency."""
    phase: FiniteFloat = 1.0
    """φ, their phase."""

    def shapes(self):
        return {"w": (1,)}

    def dimensions(self):
        return {"w": ("coordinate",)}

    def infimum(self):
        minima, _ = self.stationary()
        return float(self.value(minima).min())

    def smoothness(self, data) -> float:
        """M = c + ak²."""
        return self.bowl + self.height * self.frequency**2

    def value(self, w: np.ndarray) -> np.ndarray:
        """L of numbers w."""
        return self.bowl * w**2 / 2 + self.height * np.cos(self.frequency * w + self.phase)

    def slope(self, w: np.ndarray) -> np.ndarray:
        """L' of numbers w."""
        ripple = self.height * self.frequency * np.sin(self.frequency * w + self.phase)
        return self.bowl * w - ripple

    def stationary(self) -> tuple[np.ndarray, np.ndarray]:
        """All local minima and all local maxima, ascending, by bisection between grid points where
        L' changes its sign."""
        from scipy.optimize import brentq

        reach = self.height * self.frequency / self.bowl + 1e-9
        count = int(np.ceil(2 * reach * self.frequency / (2 * np.pi))) * PER_RIPPLE + 1
        grid = np.linspace(-reach, reach, count)
        signs = np.sign(self.slope(grid))
        found: dict[int, list[float]] = {-1: [], 1: []}
        for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
            root = brentq(lambda w: float(self.slope(w)), grid[i], grid[i + 1], xtol=1e-14)
            found[int(signs[i])].append(root)
        return np.array(found[-1]), np.array(found[1])

    def loss(self, weights, data):
        w = weights["w"][:, 0]
        return self.bowl * w**2 / 2 + self.height * torch.cos(self.frequency * w + self.phase)

    def gradient(self, weights, data):
        w = weights["w"]
        ripple = self.height * self.frequency * torch.sin(self.frequency * w + self.phase)
        return {"w": self.bowl * w - ripple}


@nnflow.hookimpl
def nnflow_register(register):
    register("rippled_bowl", RippledBowl)
