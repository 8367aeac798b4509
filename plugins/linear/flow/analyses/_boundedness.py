"""Constants of the inequality that keeps the gradient flow of a linear network bounded.

Chitour, Liao & Couillet (arXiv:1811.03568) state dg/dt ≤ −C₀g^K + C₁(1 + g^{K−1}) for
g = ‖W_K‖² and K matrices, with some C₀, C₁ > 0 for each trajectory. Here they are explicit.

With X = I, dg/dt = 2⟨Y, Π⟩ − 2‖Π‖², Π = W_K⋯W₁. Let C_j = W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, which the
flow conserves, γ = Σ_j max(0, λ_max(C_j)), and c the most by which any ‖W_j‖² exceeds g, which
is conserved too.

From below: let u be the top left singular vector of W_K, p_K = W_Kᵀu, p_j = W_jᵀp_{j+1}, and
a_j = ‖p_j‖². As W_jW_jᵀ = W_{j+1}ᵀW_{j+1} − C_j, and by Cauchy-Schwarz,
a_j ≥ a_{j+1}²/a_{j+2} − λ_max(C_j)a_{j+1}: each ratio a_j/a_{j+1} is at least ‖W_K‖₂² − γ, and
‖W_K‖₂² ≥ g/r with r = min(d_K, d_{K−1}). So ‖Π‖² ≥ a₁ ≥ (g/r − γ)₊^K ≥ (g/r)^K − Kγ(g/r)^{K−1}.

From above: ‖Π‖ ≤ ∏‖W_j‖ ≤ (g + c)^{K/2} ≤ max(1, 2^{K−2}(g^{K−1} + c^{K−1})) for K ≥ 2.
"""

from __future__ import annotations

import numpy as np


def imbalances(widths: list[int], entries: np.ndarray) -> list[np.ndarray]:
    """C_1, …, C_{K−1}, each (run, d_j, d_j), from the observable `imbalance`, (run, number)."""
    sizes = [width**2 for width in widths[1:-1]]
    parts = np.split(entries, np.cumsum(sizes)[:-1], axis=1)
    return [part.reshape(-1, d, d) for part, d in zip(parts, widths[1:-1], strict=True)]


def constants(
    widths: list[int], target_norm: float, imbalance: np.ndarray, squared_norms: np.ndarray
) -> tuple[float, np.ndarray]:
    """C₀ and C₁ (run,) for K ≥ 2 matrices.

    target_norm: ‖Y‖. imbalance (run, number) and squared_norms (run, layer): the observables at
    the start.
    """
    layers, least = len(widths) - 1, min(widths[-1], widths[-2])
    tops = [np.linalg.eigvalsh(c)[:, -1] for c in imbalances(widths, imbalance)]
    gamma = np.maximum(tops, 0).sum(axis=0)
    excess = np.maximum(squared_norms - squared_norms[:, -1:], 0).max(axis=1)
    power = 2.0 ** (layers - 2)
    product = np.maximum(1 + power * excess ** (layers - 1), power)
    first = 2 / least**layers
    return first, 2 * layers * gamma / least ** (layers - 1) + 2 * target_norm * product


def barrier(first: float, second: np.ndarray, layers: int) -> np.ndarray:
    """The g > 0 at which −C₀g^K + C₁(1 + g^{K−1}) = 0, (run,): a trajectory never rises above the
    larger of this and its start."""
    from scipy.optimize import newton

    ratio = second / first

    def excess(g):
        return g - ratio * (1 + g ** (1.0 - layers))

    def slope(g):
        return 1 + ratio * (layers - 1) * g ** (-float(layers))

    return newton(excess, ratio + 1, slope, rtol=1e-12)
