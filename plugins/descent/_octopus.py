"""A function on which gradient descent needs time exponential in the dimension to pass saddles.

S. Du, C. Jin, J. Lee, M. Jordan, B. Póczos & A. Singh, Gradient descent can take exponential time
to escape saddle points (arXiv:1705.10412). With |x_j| in place of x_j, i the first coordinate below
2τ, and ν = 4Lτ² − g₁(2τ):

    f = Σ_{j<i} L(x_j − 4τ)² − (i − 1)ν
        + { −γx_i² + Σ_{j>i} Lx_j²                          x_i ≤ τ
          { g₁(x_i) + g₂(x_i)x²_{i+1} + Σ_{j≥i+2} Lx_j²     τ < x_i < 2τ

and Σ L(x_j − 4τ)² − dν where there is no such i. It is twice continuously differentiable where all
coordinates after the i-th are at most τ, and jumps elsewhere; descent from [−1, 1]^d stays there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

TAU = math.e


@dataclass(frozen=True)
class Octopus:
    """The function with its constants L and γ, τ = e; step 1/(4L)."""

    steep: float
    """L, half the curvature across."""
    gamma: float = 1.0
    """γ, half the downward curvature at the saddles."""

    @property
    def rate(self) -> float:
        """The step 1/(4L), which halves all coordinates but the active one."""
        return 1 / (4 * self.steep)

    def bend(self, x):
        """g₁ and its derivative."""
        steep, gamma, up = self.steep, self.gamma, x - TAU
        cubic = (-14 * steep + 10 * gamma) / (3 * TAU)
        quartic = (5 * steep - 3 * gamma) / (2 * TAU**2)
        value = -gamma * x**2 + cubic * up**3 + quartic * up**4
        return value, -2 * gamma * x + 3 * cubic * up**2 + 4 * quartic * up**3

    def across(self, x):
        """g₂ and its derivative."""
        u, both = (x - 2 * TAU) / TAU, self.steep + self.gamma
        value = -self.gamma - both * (10 * u**3 + 15 * u**4 + 6 * u**5)
        return value, -both * (30 * u**2 + 60 * u**3 + 30 * u**4) / TAU

    def value(self, points: np.ndarray) -> np.ndarray:
        """f of points (run, coordinate)."""
        x, active, inside, bent = self._parts(points)
        nu = 4 * self.steep * TAU**2 - self.bend(2 * TAU)[0]
        place = np.arange(x.shape[1])
        before, after = place < active[:, None], place > active[:, None]
        at, beside = _pick(x, active), _pick(x, active + 1)
        total = (np.where(before, self.steep * (x - 4 * TAU) ** 2, 0)).sum(axis=1) - active * nu
        total += np.where(after, self.steep * x**2, 0).sum(axis=1)
        blend = self.bend(at)[0] + (self.across(at)[0] - self.steep) * beside**2
        return total + np.where(inside, np.where(bent, blend, -self.gamma * at**2), 0)

    def gradient(self, points: np.ndarray) -> np.ndarray:
        """∇f, (run, coordinate)."""
        x, active, inside, bent = self._parts(points)
        place = np.arange(x.shape[1])
        slope = np.where(place < active[:, None], x - 4 * TAU, x) * 2 * self.steep
        at, beside = _pick(x, active), _pick(x, active + 1)
        (_, bend), (across, change) = self.bend(at), self.across(at)
        of_active = np.where(bent, bend + change * beside**2, -2 * self.gamma * at)
        runs = np.arange(len(x))
        slope[runs[inside], active[inside]] = of_active[inside]
        next_in = bent & (active + 1 < x.shape[1])
        slope[runs[next_in], active[next_in] + 1] = (2 * across * beside)[next_in]
        return np.sign(points) * slope

    def _parts(self, points):
        """|x|, the active coordinate (their number where there is none), is there one, is it bent
        (above τ)?"""
        x = np.abs(points)
        below = x < 2 * TAU
        active = np.where(below.any(axis=1), below.argmax(axis=1), x.shape[1])
        inside = active < x.shape[1]
        return x, active, inside, inside & (_pick(x, active) > TAU)


def _pick(x: np.ndarray, place: np.ndarray) -> np.ndarray:
    """x at a place of each run; 0 past the last coordinate."""
    there = place < x.shape[1]
    return np.where(there, x[np.arange(len(x)), np.minimum(place, x.shape[1] - 1)], 0.0)


def exit_times(function: Octopus, start: np.ndarray) -> list[int]:
    """The step at which each coordinate passes 2τ under descent from `start` (coordinate,).

    Coordinates are kept as logarithms, so that those that are halved in every step do not
    underflow, and the steps up to τ are taken at once: x_k grows by 1 + γ/(2L) in each.
    """
    logs, time, times = np.log(np.abs(start)), 0, []
    growth = math.log1p(function.gamma / (2 * function.steep))
    for k in range(len(logs)):
        # the condition of a linear step is x ≤ τ, that is ln x ≤ 1
        count = max(0, math.floor((1 - logs[k]) / growth) + 1) if logs[k] <= 1 else 0
        time += count
        logs[k + 1 :] -= count * math.log(2)
        x = math.exp(logs[k] + count * growth)
        while x < 2 * TAU:
            across, change = function.across(x)
            beside = math.exp(2 * logs[k + 1]) if k + 1 < len(logs) else 0.0
            x -= function.rate * (function.bend(x)[1] + change * beside)
            logs[k + 2 :] -= math.log(2)
            if k + 1 < len(logs):
                logs[k + 1] += math.log(1 - 2 * function.rate * across)
            time += 1
        times.append(time)
    return times
