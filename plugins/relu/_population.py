"""The population gradient of two-layer ReLU networks for any teacher, in closed form.

J = ½(Σ_j σ(w_j·x) − Σ_k σ(w*_k·x))² for one sample x ~ N(0, I); N samples multiply all by N. Arrays
of neurons are (…, neuron, input); leading axes are batches.
"""

from __future__ import annotations

import numpy as np


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in [0, π] between the rows of a (…, i, input) and b (…, j, input): (…, i, j).

    2 atan2(|û − v̂|, |û + v̂|) (Kahan), exact near 0 and π, where arccos loses half the digits.
    """
    one, other = units(a)[..., :, None, :], units(b)[..., None, :, :]
    apart, together = (np.linalg.norm(x, axis=-1) for x in (one - other, one + other))
    return 2 * np.arctan2(apart, together)


def units(w: np.ndarray) -> np.ndarray:
    """Rows divided by their norms."""
    return w / np.linalg.norm(w, axis=-1, keepdims=True)


def kernel(angle: np.ndarray) -> np.ndarray:
    """h(θ) = (π − θ) cos θ + sin θ for θ in [0, π]; E σ(w·x)σ(v·x) = |w||v| h(θ)/2π."""
    return (np.pi - angle) * np.cos(angle) + np.sin(angle)


def mass(angle: np.ndarray) -> np.ndarray:
    """A(θ) = (π − θ)/2π of Eq. 7, for Gaussian inputs."""
    return (np.pi - angle) / (2 * np.pi)


def asymmetry(angle: np.ndarray) -> np.ndarray:
    """B(θ) = sin θ/2π of Eq. 7, for Gaussian inputs."""
    return np.sin(angle) / (2 * np.pi)


def gating(e: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E F(e, w) = [(π − θ)w + |w| sin θ e]/2π, θ the angle between e and w (Theorem 1, Eq. 5).

    e: (…, input) unit vectors. w: (…, input).
    """
    angle = angles(e[..., None, :], w[..., None, :])[..., 0]
    size = np.linalg.norm(w, axis=-1, keepdims=True)
    return mass(angle) * w + asymmetry(angle) * size * e


def loss(w: np.ndarray, teachers: np.ndarray) -> np.ndarray:
    """E J = ½ Σ ±|u||v| h(θ_uv)/2π over all pairs of neurons, students (+) and teachers (−)."""
    teachers = np.broadcast_to(teachers, (*w.shape[:-2], *teachers.shape[-2:]))
    everyone = np.concatenate([w, teachers], axis=-2)
    size = np.linalg.norm(everyone, axis=-1)
    size[..., w.shape[-2] :] *= -1
    pairs = size[..., :, None] * size[..., None, :] * kernel(angles(everyone, everyone))
    return pairs.sum(axis=(-1, -2)) / (4 * np.pi)


def gradient(w: np.ndarray, teachers: np.ndarray) -> np.ndarray:
    """E ∇J = Σ_k E F(e_j, w_k) − Σ_k E F(e_j, w*_k), in the shape of w (Eq. 8)."""
    e = units(w)
    total = np.zeros_like(w)
    for others, sign in ((w, 1), (teachers, -1)):
        angle = angles(w, others)
        size = np.linalg.norm(others, axis=-1)
        along = (asymmetry(angle) * size[..., None, :]).sum(axis=-1)
        total += sign * (mass(angle) @ others + along[..., None] * e)
    return total


def hessian(w: np.ndarray, teachers: np.ndarray) -> np.ndarray:
    """∇²E J, (…, neuron·input, neuron·input), with t_ij the unit tangent at e_i towards e_j:

    H_ij = [(π − θ_ij)I + sin θ_ij (e_i e_jᵀ + t_ij t_jiᵀ)]/2π,
    H_ii = ½I + Σ_u ±|u| sin θ/(2π|w_i|) (I − e_i e_iᵀ + t_iu t_iuᵀ), u over the other neurons (+)
    and the teachers (−). Parallel neurons count for nothing in the sums (sin θ = 0).
    """
    count, inputs = w.shape[-2:]
    e, size = units(w), np.linalg.norm(w, axis=-1)
    eye = np.eye(inputs)
    outer = e[..., :, :, None] * e[..., :, None, :]
    diagonal = np.broadcast_to(eye / 2, outer.shape).copy()
    for others, sign in ((w, 1), (teachers, -1)):
        sine, tangent = _tangents(w, others)
        weight = sign * sine / (2 * np.pi) * np.linalg.norm(others, axis=-1)[..., None, :]
        weight = weight / size[..., None]
        diagonal += weight.sum(axis=-1)[..., None, None] * (eye - outer)
        diagonal += np.einsum("...iu,...iua,...iub->...iab", weight, tangent, tangent)
    angle = angles(w, w)
    sine, tangent = _tangents(w, w)
    turned = np.einsum("...ia,...jb->...ijab", e, e)
    turned += np.einsum("...ija,...jib->...ijab", tangent, tangent)
    blocks = mass(angle)[..., None, None] * eye + sine[..., None, None] / (2 * np.pi) * turned
    own = np.arange(count)
    blocks[..., own, own, :, :] = diagonal
    whole = np.swapaxes(blocks, -3, -2)
    return whole.reshape(*w.shape[:-2], count * inputs, count * inputs)


def _tangents(w: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """sin θ (…, i, u), and the unit tangents at e_i towards u (…, i, u, input)."""
    one, other = units(w)[..., :, None, :], units(others)[..., None, :, :]
    cosine = (one * other).sum(axis=-1, keepdims=True)
    toward = other - cosine * one
    sine = np.linalg.norm(toward, axis=-1)
    safe = np.where(sine > PARALLEL, sine, 1)
    sine = np.where(sine > PARALLEL, sine, 0)
    return np.minimum(sine, 1), np.where(sine > 0, 1, 0)[..., None] * toward / safe[..., None]


PARALLEL = 1e-14
"""Below this sine two neurons are parallel, and the direction of their tangent is rounding."""
