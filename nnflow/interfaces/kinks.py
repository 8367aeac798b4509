"""The kinks of a loss beside a point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Kinks:
    """What a loss is near a point w, to first order: with its kinks on the surfaces sᵢ = 0,

        L ≈ smooth + Σᵢ ½ jumpᵢ|sᵢ|,

    so that in the cell with the signs σᵢ of the sᵢ its gradient is

        g(σ) = gradient + Σᵢ ½ jumpᵢ (σᵢ − signᵢ) ∇sᵢ.

    |s| has the jump 2 along its s, a neuron's max(s, 0) the jump 1.

    gradient: (weight,) what the loss's derivative is, or is taken to be, at w.
    normals: (kink, weight) ∇sᵢ at w.
    jumps: (kink,). signs: (kink,) what the gradient takes σᵢ to be: −1 or 1, or 0 between both.
    """

    gradient: np.ndarray
    normals: np.ndarray
    jumps: np.ndarray
    signs: np.ndarray

    def gradients(self, signs: np.ndarray) -> np.ndarray:
        """g(σ), (cell, weight), for signs (cell, kink) of −1 and 1."""
        return self.gradient + ((signs - self.signs) * self.jumps / 2) @ self.normals
