"""Hardt & Ma's factorization of a matrix into factors near the identity."""

from __future__ import annotations

import numpy as np

from nnflow import UserError

HALF_TURN = 1e-8
"""Eigenvalues of an orthogonal matrix this near −1 are taken in pairs as turns by π."""


def identity_factors(matrix: np.ndarray, depth: int, owner: str) -> np.ndarray:
    """V with (I + V_K)⋯(I + V_1) = A, (K, d, d), and max‖V_k‖₂ = O(1/K).

    Polar decomposition A = BO; then ⌊K/2⌋ factors O^{1/m} are followed by as many B^{1/m},
    m = ⌊K/2⌋, and for odd K by one factor I; K = 1 leaves V = A − I. Hardt & Ma 2016
    (arXiv:1611.04231). The products I + V with small V are connected to I through invertible
    matrices, so their determinant is positive.

    Raises UserError, which names `owner`, unless A is square, finite and det A > 0.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not np.isfinite(matrix).all():
        raise UserError(f"{owner}: expected a square matrix of finite numbers")
    sign, _ = np.linalg.slogdet(matrix)
    if sign <= 0:
        raise UserError(
            f"{owner}: det A = {np.linalg.det(matrix):.3g}, but factors near the identity have"
            " products of positive determinant only"
        )
    identity = np.eye(len(matrix))
    if depth == 1:
        return (matrix - identity)[None]
    values, basis, turn = polar(matrix)
    half = depth // 2
    stretch = basis * values ** (1 / half) @ basis.T
    factors = [rotation_root(turn, half)] * half + [stretch] * half
    return np.stack(factors + [identity] * (depth - 2 * half)) - identity


def polar(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of B, and O, of the polar decomposition A = BO."""
    left, values, right = np.linalg.svd(matrix)
    return values, left, left @ right


def angles(turn: np.ndarray) -> np.ndarray:
    """|φ| ≤ π of the eigenvalues exp(iφ) of a rotation, (d,)."""
    return np.abs(np.angle(np.linalg.eigvals(turn)))


def rotation_root(turn: np.ndarray, root: int) -> np.ndarray:
    """The rotation by the angles φ/root in the planes of a rotation by φ, |φ| ≤ π."""
    from scipy.linalg import schur

    blocks, basis = schur(turn, output="real")
    small = np.eye(len(turn))
    place, turned_back = 0, []
    while place < len(turn):
        if place + 1 < len(turn) and abs(blocks[place + 1, place]) > HALF_TURN:
            pair = [place, place + 1]
            angle = np.arctan2(blocks[place + 1, place], blocks[place, place])
            small[np.ix_(pair, pair)] = _turn(angle / root)
            place += 2
            continue
        if blocks[place, place] < 0:
            turned_back.append(place)
        place += 1
    # det O > 0, so the eigenvalues −1 come in pairs, each a turn by π
    for pair in np.reshape(turned_back, (-1, 2)):
        small[np.ix_(pair, pair)] = _turn(np.pi / root)
    return basis @ small @ basis.T


def axis_and_angle(turn: np.ndarray) -> tuple[np.ndarray, float]:
    """The unit vector that a rotation of space keeps, and the angle of the turn about it."""
    axis = np.linalg.svd(turn - np.eye(3))[2][-1]
    across = [turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]
    return axis, float(np.arctan2(axis @ across / 2, (np.trace(turn) - 1) / 2))


def turned(axis: np.ndarray, angle: float) -> np.ndarray:
    """The rotation of space by an angle about an axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    cosine, sine = np.cos(angle), np.sin(angle)
    return cosine * np.eye(3) + sine * cross + (1 - cosine) * np.outer(axis, axis)


def _turn(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def norm_limit(matrix: np.ndarray) -> float:
    """lim K·max‖V_k‖ = 2 max(max φ, max|log λ(B)|) of `identity_factors` as K → ∞."""
    values, _, turn = polar(np.asarray(matrix, dtype=np.float64))
    return 2 * max(angles(turn).max(), np.abs(np.log(values)).max())
