"""Networks whose neurons are equivalent under a group: Tian's Eqs. 16 to 18."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams

from ..._population import angles, gradient, loss

ROUNDING = 1e-9
"""Matrices that differ by less are the same."""


class GroupSymmetry(Analysis):
    """w_j = P_j w and w*_j = P_j w* for a group of orthogonal matrices P_1 = I, …, P_K (Tian,
    arXiv:1703.00560, Section 6.2):

    the gradient has E ∇_{w_j} = P_j E ∇_{w_1} (Eq. 17), as for a group Σ_k F(P_j e, P_k w) =
    P_j Σ_k F(e, P_k w); so gradient descent keeps the symmetry, and one equation in w says all,

        E ∇_w = Σ_j [(π − θ_j)P_j w + ‖w‖ sin θ_j e]/2π − the same with w* (Eq. 18),

    θ_j the angle of w to P_j w, and of w to P_j w*. E J falls at the rate ‖E ∇‖² (Eq. 16). Random w
    and w*, whose entries all differ, for the groups `GROUPS` of 3 to 24 matrices; for as many
    random rotations, which are no group, Eq. 17 fails.
    """

    models = ("symmetric_relu",)
    columns = {
        "groups": "groups that are tried",
        "equivariance_error": "largest |E ∇_{w_j} − P_j E ∇_{w_1}|",
        "no_group_error": "least of the errors for random rotations in place of a group",
        "one_equation_error": "largest difference of Eq. 18 and the whole network's gradient",
        "symmetry_drift": "largest |w_j − P_j w_1| along gradient descent",
        "descent_error": "largest |dE J/dt + ‖E ∇‖²| over ‖E ∇‖² along the flow",
        "rises": "steps of gradient descent at which E J rises",
    }

    draws: PositiveInt = 10
    """Random w and w* for each group."""
    steps: PositiveInt = 200
    """Steps of gradient descent."""
    rate: PositiveFloat = 0.02
    """Its rate; curvatures are below half the number of neurons, 12."""

    def compute(self, results):
        seed, found = results.study.settings.seed, []
        for name, matrices in GROUPS.items():
            streams = Streams(seed, name, np.arange(self.draws), "group_symmetry")
            found.append(self._measured(matrices, streams))
        table = nnflow.Table(results, self.columns)
        worst = {name: max(one[name] for one in found) for name in found[0]}
        worst["no_group_error"] = min(one["no_group_error"] for one in found)
        table.everywhere(groups=len(GROUPS), **worst)
        return table.dataset()

    def _measured(self, matrices: np.ndarray, streams) -> dict[str, float]:
        """The columns for one group, K matrices (K, d, d)."""
        count, size = matrices.shape[:2]
        w, teacher = streams.normal(2 * size).reshape(-1, 2, size).swapaxes(0, 1)
        neurons, teachers = images(matrices, w), images(matrices, teacher)
        slope = gradient(neurons, teachers)
        others = np.concatenate([matrices[:1], _rotations(streams, count - 1, size)])
        apart = gradient(images(others, w), images(others, teacher))
        rate, drift, rises = self.rate, 0.0, 0
        path, value = neurons, loss(neurons, teachers)
        for _ in range(self.steps):
            path = path - rate * gradient(path, teachers)
            drift = max(drift, np.abs(path - images(matrices, path[:, 0])).max())
            before, value = value, loss(path, teachers)
            rises += int((value > before * (1 + 1e-12)).sum())
        return {
            "equivariance_error": np.abs(slope - images(matrices, slope[:, 0])).max(),
            "no_group_error": np.abs(apart - images(others, apart[:, 0])).max(),
            "one_equation_error": np.abs(slope[:, 0] - equation_18(matrices, w, teacher)).max(),
            "symmetry_drift": drift,
            "descent_error": _descent_error(neurons, teachers),
            "rises": rises,
        }


def images(matrices: np.ndarray, w: np.ndarray) -> np.ndarray:
    """P_j w, (run, K, d), of w (run, d)."""
    return np.einsum("jab,rb->rja", matrices, w)


def equation_18(matrices: np.ndarray, w: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """E ∇_w for N = 1, (run, d)."""
    unit = w / np.linalg.norm(w, axis=1, keepdims=True)
    total = np.zeros_like(w)
    for one, sign in ((w, 1), (teacher, -1)):
        turned, size = images(matrices, one), np.linalg.norm(one, axis=1)
        theta = angles(w[:, None], turned)[:, 0]
        along = size[:, None] * np.sin(theta).sum(axis=1, keepdims=True) * unit
        total += sign * (((np.pi - theta)[..., None] * turned).sum(axis=1) + along)
    return total / (2 * np.pi)


def _descent_error(neurons: np.ndarray, teachers: np.ndarray) -> float:
    """Of a central difference of E J along −E ∇, whose own error is of second order in 1e-5."""
    slope = gradient(neurons, teachers)
    square = (slope**2).sum(axis=(1, 2))
    step = 1e-5
    fall = loss(neurons - step * slope, teachers) - loss(neurons + step * slope, teachers)
    return np.abs(fall / (2 * step) / square + 1).max()


def _rotations(streams, count: int, size: int) -> np.ndarray:
    drawn = streams.take(np.arange(1)).normal(count * size**2, draw=1)
    return np.linalg.qr(drawn.reshape(count, size, size))[0]


def generated(*generators: np.ndarray) -> np.ndarray:
    """The group that orthogonal matrices generate, the identity first."""
    found = [np.eye(len(generators[0]))]
    for one in found:  # which grows on the way
        for generator in generators:
            new = generator @ one
            if all(np.abs(new - known).max() > ROUNDING for known in found):
                found.append(new)
    return np.array(found)


def _turn(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _shift(size: int) -> np.ndarray:
    return np.roll(np.eye(size), 1, axis=0)


GROUPS = {
    "cyclic shifts of 5 entries": generated(_shift(5)),
    "turns of the plane by a third": generated(_turn(2 * np.pi / 3)),
    "turns and reflections of the square": generated(_turn(np.pi / 2), np.diag([1.0, -1.0])),
    "permutations of 4 entries": np.array([np.eye(4)[list(p)] for p in permutations(range(4))]),
    "signs of 3 entries": np.array([np.diag(s) for s in product([1.0, -1.0], repeat=3)]),
    "quaternions": generated(
        np.kron(_turn(np.pi / 2), np.eye(2)),
        np.kron(np.diag([1.0, -1.0]), _turn(np.pi / 2)),
    ),
}
"""{name: matrices (K, d, d)}."""


@nnflow.hookimpl
def nnflow_register(register):
    register("group_symmetry", GroupSymmetry)
