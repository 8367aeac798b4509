"""The network of Zhang et al. that fits any n samples, and the least number of units."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

EPS = np.finfo(float).eps / 2


class Network(NamedTuple):
    """f(x) = Σ_j w_j max(a·x − b_j, 0): direction a (d,), knots b and weights w (h,)."""

    direction: np.ndarray
    knots: np.ndarray
    weights: np.ndarray

    @property
    def size(self) -> int:
        """Number of weights."""
        return self.direction.size + self.knots.size + self.weights.size

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """f at points (n, d)."""
        return features(points @ self.direction, self.knots) @ self.weights


class Fit(NamedTuple):
    """A network, its largest error, and whether that is within what rounding explains."""

    network: Network
    error: float
    explained: bool


def features(places: np.ndarray, knots: np.ndarray) -> np.ndarray:
    """max(z_i − b_j, 0), (n, h)."""
    return np.maximum(places[:, None] - knots, 0.0)


def fit(
    points: np.ndarray,
    targets: np.ndarray,
    direction: np.ndarray,
    knots: Literal["samples", "midpoints"] = "samples",
) -> Fit:
    """Zhang et al. 2017, Theorem 1: with z = a·x in ascending order and b_1 < z_1 < b_2 < z_2 < …
    the matrix A_ij = max(z_i − b_j, 0) is lower triangular with a positive diagonal, and Aw = y.

    The b_j may be z_{j−1} itself, or midpoints. A triangular solve obeys |y − Aw| ≤ γ_n |A||w|
    entry by entry, γ_n = nε/(1 − nε) (Higham 2002, Theorem 8.5); evaluating f again costs as much,
    so that errors up to 2γ_{n+1}|A||w| are explained by rounding. ValueError where two samples have
    the same z: another direction tells distinct points apart.
    """
    from scipy.linalg import solve_triangular

    places = points @ direction
    order = np.argsort(places, kind="stable")
    sorted_places = places[order]
    gaps = np.diff(sorted_places)
    if not (gaps > 0).all():
        raise ValueError("two samples have the same place along the direction")
    first = sorted_places[0] - gaps.mean() if gaps.size else sorted_places[0] - 1
    before = sorted_places[:-1] + (0.5 * gaps if knots == "midpoints" else 0)
    network_knots = np.concatenate([[first], before])
    matrix = features(sorted_places, network_knots)
    weights = solve_triangular(matrix, targets[order], lower=True)
    residual = np.abs(matrix @ weights - targets[order])
    count = len(targets) + 1
    allowed = 2 * count * EPS / (1 - count * EPS) * (np.abs(matrix) @ np.abs(weights))
    network = Network(direction, network_knots, weights)
    error = float(np.abs(network(points) - targets).max())
    return Fit(network, error, bool((residual <= allowed).all()))


def condition(points: np.ndarray, network: Network) -> float:
    """The condition number of the triangular matrix, in the 2-norm."""
    places = np.sort(points @ network.direction)
    return float(np.linalg.cond(features(places, network.knots)))


def best_error(places: np.ndarray, targets: np.ndarray, knots: np.ndarray) -> float:
    """min_w max_i |f(z_i) − y_i| with the given knots, by linear programming."""
    from scipy.optimize import linprog

    matrix = features(places, knots)
    ones = np.ones((len(places), 1))
    constraints = np.block([[matrix, -ones], [-matrix, -ones]])
    price = np.zeros(len(knots) + 1)
    price[-1] = 1
    found = linprog(price, constraints, np.concatenate([targets, -targets]), bounds=(None, None))
    return found.fun


def two_units(points: np.ndarray, targets: np.ndarray) -> Network:
    """Two units fit n linearly independent points: with a·x_i = y_i + c > 0 and knots 0, −1,
    (1 + c)(y_i + c) − c (y_i + c + 1) = y_i."""
    shift = 1 - targets.min()
    direction = np.linalg.lstsq(points, targets + shift, rcond=None)[0]
    return Network(direction, np.array([0.0, -1.0]), np.array([1 + shift, -shift]))
