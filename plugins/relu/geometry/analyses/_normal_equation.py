"""Tian's normal equation and what follows from it, for any number K of neurons (Eqs. 9–14).

Arrays of neurons are (…, neuron, input). θ_jk is the angle between w_j and w_k, and θ*_kj that
between w*_k and w_j.
"""

from __future__ import annotations

import numpy as np

from ..._population import angles, kernel, units


def normal_equation(w: np.ndarray, teachers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Y (…, k, j) and B* (…, k, j) of E Y = W* B* (Eq. 9), columns of E and W* the neurons.

    Y_kj = (π − θ_kj)|w_k| + δ_kj Σ_l (sin θ_lj |w_l| − sin θ*_lj |w*_l|), B*_kj = π − θ*_kj. The
    difference of both sides is 2π E∇J of one sample.
    """
    among, across = angles(w, w), angles(teachers, w)
    size, size_of_teachers = (np.linalg.norm(x, axis=-1)[..., None] for x in (w, teachers))
    own = (np.sin(among) * size).sum(axis=-2) - (np.sin(across) * size_of_teachers).sum(axis=-2)
    y = (np.pi - among) * size + own[..., None, :] * np.eye(w.shape[-2])
    return y, np.pi - across


def projections(w: np.ndarray, teachers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M and M* (…, j, j', k) of M|w| = M*|w*|: 2π E∇_{w_j}J · e_j' (Eqs. 10–12)."""
    among, across = angles(w, w), angles(teachers, w)
    return _projected(among, among), _projected(among, across)


def _projected(among: np.ndarray, across: np.ndarray) -> np.ndarray:
    """(π − θ_kj) cos θ_kj' + sin θ_kj cos θ_jj' (…, j, j', k), θ_kj from `across` (…, k, j)."""
    rest = np.swapaxes(np.pi - across, -1, -2)[..., :, None, :]
    cosine = np.swapaxes(np.cos(across), -1, -2)[..., None, :, :]
    sine = np.swapaxes(np.sin(across), -1, -2)[..., :, None, :]
    return rest * cosine + sine * np.cos(among)[..., :, :, None]


def radial(w: np.ndarray, teachers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """M_r and M*_r (…, j, k) of M_r|w| = M*_r|w*|: 2π E∇_{w_j}J · e_j (Eq. 13)."""
    return kernel(angles(w, w)), kernel(angles(w, teachers))


def separation(w: np.ndarray, e: np.ndarray) -> np.ndarray:
    """L_jj' = m*_jj' − vᵀ M_r⁻¹ m_jj' (…, j, j') for directions e (…, input) (Eq. 14).

    Where |w| solves Eq. 13, 2π E∇_{w_j}J · e_j' = −Σ_k |w*_k| L_jj'(e*_k): the teachers
    separate. The norms of w do not count. Raises numpy.linalg.LinAlgError where M_r is singular.
    """
    count = w.shape[-2]
    among, across = angles(w, w), angles(e[..., None, :], w)
    m = _projected(among, among)
    size = kernel(among)
    m = m.reshape(*m.shape[:-3], count * count, count)
    solved = np.linalg.solve(size, np.swapaxes(m, -1, -2))
    v = kernel(across)
    taken = (v @ solved).reshape(*v.shape[:-2], count, count)
    return _projected(among, across)[..., 0] - taken


def best_norms(w: np.ndarray, teachers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Norms |w| ≥ 0 that make |E∇J| least at the directions of w (…, 2, input), and that least.

    E∇J is linear in the norms at given directions, so this is a convex problem of two unknowns:
    its solution is that of the normal equations where it is positive, else the better one of the
    two edges. A pair of directions belongs to a critical point if the least is zero.
    """
    e = units(w)
    among = angles(e, e)
    rest, sine = (np.pi - among)[..., None], np.sin(among)[..., None]
    # change (…, k, j, input) of E∇_{w_j}J with |w_k|
    change = (rest * e[..., :, None, :] + sine * e[..., None, :, :]) / (2 * np.pi)
    change = change.reshape(*change.shape[:-3], 2, -1)
    across = angles(e, teachers)
    along = (np.sin(across) * np.linalg.norm(teachers, axis=-1)).sum(axis=-1)[..., None]
    goal = ((np.pi - across) @ teachers + along * e) / (2 * np.pi)
    goal = goal.reshape(*goal.shape[:-2], -1)
    gram = change @ np.swapaxes(change, -1, -2)
    right = (change @ goal[..., None])[..., 0]
    own = np.diagonal(gram, axis1=-2, axis2=-1)
    edges = np.maximum(right, 0) / own
    # Cramer's rule; where the neurons are parallel the gram matrix is singular and an edge serves
    other = gram[..., 0, 1]
    bulk = own.prod(axis=-1) - other**2
    regular = bulk > 1e-12 * own.prod(axis=-1)
    both = own[..., ::-1] * right - other[..., None] * right[..., ::-1]
    both = np.where(regular[..., None], both / np.where(regular, bulk, 1)[..., None], 0)
    candidates = [np.maximum(both, 0), edges * [1, 0], edges * [0, 1]]
    left = [
        np.linalg.norm((n[..., None, :] @ change)[..., 0, :] - goal, axis=-1) for n in candidates
    ]
    choice = np.argmin(left, axis=0)[None]
    norms = np.take_along_axis(np.array(candidates), choice[..., None], axis=0)[0]
    return norms, np.take_along_axis(np.array(left), choice, axis=0)[0]
