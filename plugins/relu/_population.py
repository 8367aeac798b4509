"""The population loss of two-layer ReLU networks, its gradient and its Hessian, in closed form.

J = ½(Σ_j a_j σ(w_j·x) − Σ_k b_k σ(w*_k·x))² for one sample x ~ N(0, I), in expectation; N samples
multiply all by N. `loss`, `gradient` and `hessian` are those of any teachers. Gradient descent asks
for those of orthonormal teachers e_k a million times, which `orthonormal_loss` and `_lanes` know in
a fraction of the time. Top weights a and b are 1 unless they are given.
Arrays of neurons are (…, neuron, input); leading axes are batches. In balls: `_enclosure`.
"""

from __future__ import annotations

import math

import numpy as np

from nnflow import torch

from ._kernel import arc_cosine


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
    """h(θ) for θ in [0, π]; E σ(w·x)σ(v·x) = |w||v| h(θ)/2π."""
    return arc_cosine(angle, np.cos(angle), np.sin(angle))


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


def hessian(w, teachers, top=None, xp=np):
    """∇²E J, (run, neuron·input, neuron·input), in NumPy or torch (xp), with t̂_ij the unit tangent
    at w̄_i towards w_j and u over the other students (+) and the teachers (−):

    H_ij = a_i a_j [(π − θ_ij)I + sin θ_ij (t̂_ji t̂_ijᵀ + w̄_j w̄_iᵀ)]/2π,
    H_ii = ½a_i²I + a_i Σ_u ±a_u|u| sin θ_iu/(2π|w_i|) (I − w̄_i w̄_iᵀ + t̂_iu t̂_iuᵀ)

    (Safran & Shamir 2018, Section 4). Tangents of parallel neurons are noise, but then count for
    nothing, as sin θ = 0.

    w: (run, neuron, input). teachers: (teacher, input), or as many for each run. top: (neuron,),
    a = b.
    """
    n, d = w.shape[1:]
    norm, unit = _polar(xp, w)
    size, direction = _polar(xp, teachers)
    eye = xp.eye(d, dtype=w.dtype, device=w.device)
    others = xp.concat([unit, xp.broadcast_to(direction, (len(w), *direction.shape[-2:]))], axis=1)
    length = xp.concat([norm, xp.broadcast_to(-size, (len(w), *size.shape[-2:]))], axis=1)
    if top is not None:
        length = length * xp.concat([top, top])[:, None]
    cosine = unit @ others.mT
    tangent = others[:, None] - cosine[..., None] * unit[:, :, None]
    own = xp.arange(n, device=w.device)
    tangent[:, own, own] = 0
    sine = xp.linalg.vector_norm(tangent, axis=3)
    tangent = tangent / xp.where(sine > 0, sine, 1)[..., None]
    curvature = sine * length.mT / norm / (2 * math.pi)
    if top is not None:
        curvature = curvature / top[:, None]

    outward = (curvature[..., None] * tangent).mT @ tangent
    total = curvature.sum(2)[..., None, None]
    diagonal = eye / 2 + total * (eye - unit[..., None] * unit[..., None, :]) + outward
    rest = math.pi - xp.atan2(sine[..., :n], cosine[..., :n])
    toward, seen = sine[:, :, None, :n], tangent[:, :, :n]
    # [run, i, a, j] and [run, i, 1, j, b]: H_ij without its multiple of I
    blocks = xp.moveaxis(sine[..., :n, None] * seen, 1, 3)[..., None] * seen[:, :, None]
    blocks += (toward * unit.mT[:, None])[..., None] * unit[:, :, None, None]
    blocks += rest[:, :, None, :, None] * eye[:, None, :]
    blocks *= 1 / (2 * math.pi)
    blocks[:, own, :, own] = xp.swapaxes(diagonal, 0, 1)
    if top is not None:
        blocks *= top[:, None, None, None] * top[:, None]
    return blocks.reshape(len(w), n * d, n * d)


def orthonormal_loss(w, k, students, teachers):
    """E J for the teachers e_1 … e_k, (run,).

    w: a tensor (run, neuron, input). students: top weights a, (neuron,). teachers: b, (k,).
    """
    norm, unit = _polar(torch, w)
    length = norm * students[:, None]
    among = _kernel_of(_cosines(unit)) * length * length.mT
    across = _kernel_of(unit[..., :k]) * length * teachers
    total, squares = float(teachers.sum()), float(teachers.square().sum())
    constant = squares * (math.pi + total * total / squares - 1) / (4 * math.pi)
    return among.sum((1, 2)) / (4 * math.pi) - across.sum((1, 2)) / (2 * math.pi) + constant


def orthonormal_gradient(w, k, top=None):
    """∇E J for the teachers e_1 … e_k, in the shape of w:

    ∇_{w_i} = a_i [½a_i w_i + Σ_{j≠i} a_j g(w_i, w_j) − Σ_j b_j g(w_i, e_j)] with
    g(w, v) = (|v| sin θ w̄ + (π−θ)v)/2π (Safran & Shamir 2018, Section 4).

    w: a tensor (run, neuron, input). top: (neuron,), a = b.

    For accelerators and single precision; a processor's is in `_lanes`. In place, with Σⱼ(π−θ)wⱼ
    split into πΣwⱼ − Σθwⱼ, and sums over short rows as products.
    """
    norm = torch.sqrt(torch.linalg.vecdot(w, w))[..., None]
    unit = w / norm
    among = unit @ unit.mT
    torch.clip(among, -1, 1, out=among)
    n = w.shape[1]
    among.reshape(len(w), n * n)[:, :: n + 1] = 1
    across = torch.clip(unit[..., :k], -1, 1)
    angle, angle_to_teacher = torch.arccos(among), torch.arccos(across)
    scaled, length, teachers, factor = w, norm, torch.ones_like(across[:1, :1]), 1 / (2 * math.pi)
    if top is not None:
        scaled, length, teachers = top[:, None] * w, top[:, None] * norm, top[None, None]
        angle_to_teacher = angle_to_teacher * top
        factor = top[:, None] / (2 * math.pi)
    radial = _sines_of(among) @ length
    radial -= torch.linalg.vecdot(_sines_of(across), teachers)[..., None]
    gradient = radial * unit
    gradient -= angle @ scaled
    gradient[..., :k] += angle_to_teacher
    total = scaled.sum(1)[:, None]
    total[..., :k] -= teachers
    total *= math.pi
    gradient += total
    gradient *= factor
    return gradient


def _sines_of(cosine):
    """√(1 − cos²), in the memory of the cosines."""
    cosine *= cosine
    torch.sub(1, cosine, out=cosine)
    return torch.sqrt(cosine, out=cosine)


def _polar(xp, w):
    """Norms (…, neuron, 1) and directions (…, neuron, input)."""
    norm = xp.linalg.vector_norm(w, axis=-1, keepdims=True)
    return norm, w / norm


def _cosines(unit):
    """Cosines among students, (run, n, n), with exact ones on the diagonal."""
    cosine = unit @ unit.mT
    if cosine.requires_grad:
        cosine = cosine.clamp(-1, 1)
        eye = torch.eye(unit.shape[1], dtype=torch.bool, device=unit.device)
        return torch.where(eye, 1.0, cosine)
    cosine.clamp_(-1, 1).diagonal(dim1=1, dim2=2).fill_(1)
    return cosine


def _kernel_of(cosine):
    """h(θ) from cos θ, a tensor."""
    inside = cosine.clamp(-1, 1)
    if not inside.requires_grad:
        if inside.device.type != "cpu":
            return arc_cosine(torch.arccos(inside), inside, torch.sqrt(1 - inside * inside))
        # a call of NumPy's costs a third of torch's
        values = inside.numpy()
        return torch.from_numpy(arc_cosine(np.arccos(values), values, np.sqrt(1 - values * values)))
    # the slope of h is π−θ, which automatic differentiation misses at cos θ = ±1
    flat = inside.abs() == 1
    safe = torch.where(flat, 0.0, inside)
    curved = arc_cosine(torch.arccos(safe), safe, torch.sqrt(1 - safe * safe))
    return torch.where(flat, math.pi / 2 * (inside + inside.abs()), curved)
