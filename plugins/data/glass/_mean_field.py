"""The dynamics of the spherical p-spin glass for infinitely many spins, from a random start.

Cugliandolo & Kurchan, Phys. Rev. Lett. 71, 1993, in physicists' units (couplings of variance
p!/(2N^(p−1)), unit friction). At temperature T the correlation C(t, t′) and the response
R(t, t′), t > t′, obey

    ∂C/∂t = −μC + p(p−1)/2 ∫₀ᵗ R(t,s) C(t,s)^(p−2) C(s,t′) ds + p/2 ∫₀^t′ C(t,s)^(p−1) R(t′,s) ds
    ∂R/∂t = −μR + p(p−1)/2 ∫_t′^t R(t,s) C(t,s)^(p−2) R(s,t′) ds
    μ(t)  = T + p²/2 ∫₀ᵗ C(t,s)^(p−1) R(t,s) ds,    energy per spin e(t) = (T − μ(t))/p,

with C(t, t) = R(t, t⁻) = 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

THRESHOLD = -2 / np.sqrt(3)
"""e_th = −√(2(p − 1)/p), p = 3: −E_∞/√2, to which the energy falls at T = 0."""
DYNAMICAL = np.sqrt(3 / 8)
"""T_d, p = 3: above it the glass comes to equilibrium, with the energy −1/(2T)."""


class Dynamics(NamedTuple):
    """time (t,), energy per spin (t,) and correlation (t, t′)."""

    time: np.ndarray
    energy: np.ndarray
    correlation: np.ndarray


def late_energy(temperature: float) -> float:
    """To which the energy falls, p = 3: −1/(2T) at T_d and above. Below it the threshold
    −(1 − q³ + xq³)/(2T), where q, the larger root of 3q(1 − q)² = T², makes the states marginal,
    and T/x is the effective temperature of aging, x = (1 − q)/q."""
    if temperature == 0:
        return float(THRESHOLD)
    if temperature >= DYNAMICAL:
        return -1 / (2 * temperature)
    from scipy.optimize import brentq

    q = brentq(lambda q: 3 * q * (1 - q) ** 2 - temperature**2, 0.5, 1.0, xtol=1e-14)
    return float(-(1 - q**3 + (1 - q) * q**2) / (2 * temperature))


def integrate(step: float, count: int, p: int = 3, temperature: float = 0.0) -> Dynamics:
    """Heun's method with `count` steps, and the trapezoidal rule: errors fall as step²."""
    size = count + 1
    c, r = np.zeros((size, size)), np.zeros((size, size))
    c[0, 0] = r[0, 0] = 1.0
    multiplier = np.zeros(size)
    for n in range(count):
        row = slice(0, n + 1)
        multiplier[n], c_slope, r_slope = _slopes(c, r, n, step, p, row, temperature)
        c[n + 1, row] = c[n, row] + step * c_slope
        r[n + 1, row] = r[n, row] + step * r_slope
        _close(c, r, n + 1)
        _, c_then, r_then = _slopes(c, r, n + 1, step, p, row, temperature)
        c[n + 1, row] = c[n, row] + step / 2 * (c_slope + c_then)
        r[n + 1, row] = r[n, row] + step / 2 * (r_slope + r_then)
        _close(c, r, n + 1)
    multiplier[count], _, _ = _slopes(c, r, count, step, p, slice(0, size), temperature)
    return Dynamics(step * np.arange(size), (temperature - multiplier) / p, c)


def _close(c: np.ndarray, r: np.ndarray, n: int) -> None:
    """The diagonal, and C(t′, t) = C(t, t′)."""
    c[n, n] = r[n, n] = 1.0
    c[:n, n] = c[n, :n]


def _slopes(c, r, n: int, step: float, p: int, row: slice, temperature: float):
    """μ and the slopes of C(t, ·) and R(t, ·) on the times of `row`, at time number n."""
    now = slice(0, n + 1)
    weights = np.full(n + 1, step)
    weights[0] = weights[-1] = step / 2 if n else 0.0
    memory = r[n, now] * c[n, now] ** (p - 2)
    force = c[n, now] ** (p - 1)
    multiplier = temperature + p**2 / 2 * float(weights @ (force * r[n, now]))
    kernel = p * (p - 1) / 2
    c_slope = -multiplier * c[n, row] + kernel * (c[row, now] @ (weights * memory))
    # ∫₀^t′ and ∫_t′^t: sums over all times, as R(s, t′) = 0 for s < t′, less half of the ends
    pulled = step * (r[row, now] @ force - (force[0] * r[row, 0] + force[row]) / 2)
    kept = step * (memory @ r[now, row] - (memory[row] + memory[n] * r[n, row]) / 2)
    c_slope += p / 2 * np.where(np.arange(len(pulled)) > 0, pulled, 0.0)
    return multiplier, c_slope, -multiplier * r[n, row] + kernel * kept


def extrapolated(
    step: float, duration: float, p: int = 3, temperature: float = 0.0
) -> tuple[Dynamics, Dynamics]:
    """Richardson's extrapolations of the steps h and 2h, and of 2h and 4h, at multiples of 4h."""
    count = round(duration / (4 * step))
    solved = [integrate(step * m, count * 4 // m, p, temperature) for m in (1, 2, 4)]
    thinned = [_every(each, 4 // m) for m, each in zip((1, 2, 4), solved, strict=True)]
    fine, coarse = (
        Dynamics(
            better.time, *((4 * b - w) / 3 for b, w in zip(better[1:], worse[1:], strict=True))
        )
        for better, worse in (thinned[:2], thinned[1:])
    )
    return fine, coarse


def _every(dynamics: Dynamics, stride: int) -> Dynamics:
    time, energy, correlation = dynamics
    return Dynamics(time[::stride], energy[::stride], correlation[::stride, ::stride])
