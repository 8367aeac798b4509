"""Gradient descent that orthogonal bases decouple into modes."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams

SPREAD = (0.6, 1.4)
"""Range of the target's and of the inputs' modes; the layers' first strengths are K-th roots of
such numbers."""


class CommutingDescent(Analysis):
    """Where orthogonal O_k make all O_kW_kO_{k−1}ᵀ, O_KRO_0ᵀ and O_0ΣO_0ᵀ diagonal at first, so
    they stay, and gradient descent on ½ tr(ΔΣΔᵀ), Δ = W_K⋯W_1 − R, is one descent per mode:

        w_k ← w_k − α σ (w_K⋯w_1 − r) ∏_{j≠k} w_j,

    with no two layers alike, and widths that may differ (an exercise of Yarotsky's lecture).
    One random case per point, with as many layers as the point's model and widths that take
    turns: `mode_strength` (point, mode, descent_step) is w_K⋯w_1 of the scalar descents, and the
    column `decoupling_error` its largest distance from the descent on the matrices themselves;
    `offdiagonal`, the largest entry of any O_kW_kO_{k−1}ᵀ off the diagonal at the end.
    """

    widths: tuple[PositiveInt, ...] = (4, 5, 4, 6)
    """Widths d_0, d_1, …, which repeat where a network is deeper."""
    rate: PositiveFloat = 0.1
    """Step α times the depth."""
    steps: PositiveInt = 300
    """Steps."""

    def compute(self, results):
        import xarray as xr

        seed = results.study.settings.seed
        found = {}
        for depth in dict.fromkeys(
            configuration.settings.model.depth for configuration in results.configurations
        ):
            found[depth] = self._descend(depth, seed)
        rows = [
            found[configuration.settings.model.depth] for configuration in results.configurations
        ]
        most = max(len(row[0]) for row in rows)
        strengths = np.full((len(rows), most, self.steps + 1), np.nan)
        for place, (strength, _, _) in enumerate(rows):
            strengths[place, : len(strength)] = strength
        text = {"long_name": "strength of a mode"}
        return xr.Dataset(
            {
                "mode_strength": (("configuration", "mode", "descent_step"), strengths, text),
                "decoupling_error": (
                    "configuration",
                    [row[1] for row in rows],
                    {"long_name": "largest distance of matrix and scalar descents"},
                ),
                "offdiagonal": (
                    "configuration",
                    [row[2] for row in rows],
                    {"long_name": "largest entry off the diagonal at the end"},
                ),
            },
            {"configuration": [configuration.label for configuration in results.configurations]},
        )

    def _descend(self, depth: int, seed: int) -> tuple[np.ndarray, float, float]:
        widths = [self.widths[k % len(self.widths)] for k in range(depth + 1)]
        # a mode needs a place in every layer; the others stay zero where a layer is thinner
        modes = min(widths)
        streams = Streams(seed, "commuting_descent", np.arange(1), f"K={depth}")
        drawn = streams.uniform((depth + 2) * modes)[0].reshape(depth + 2, modes)
        scalars = SPREAD[0] + (SPREAD[1] - SPREAD[0]) * drawn
        # deep products would overflow, and curvatures grow with the depth
        layers, (target, spectrum) = scalars[:depth] ** (1 / depth), scalars[depth:]
        rate = self.rate / depth
        bases = [_orthogonal(streams, width, draw) for draw, width in enumerate(widths, 1)]

        def matrix(strengths, out, into):
            middle = np.zeros((widths[out], widths[into]))
            np.fill_diagonal(middle[:modes, :modes], strengths)
            return bases[out].T @ middle @ bases[into]

        weights = [matrix(layers[k], k + 1, k) for k in range(depth)]
        goal = matrix(target, depth, 0)
        covariance = matrix(spectrum - 1, 0, 0) + np.eye(widths[0])
        path, error = [layers.prod(axis=0)], 0.0
        for _ in range(self.steps):
            weights = _matrix_step(weights, goal, covariance, rate)
            others = np.stack([np.delete(layers, k, axis=0).prod(axis=0) for k in range(depth)])
            slope = spectrum * (layers.prod(axis=0) - target)
            layers = layers - rate * slope * others
            path.append(layers.prod(axis=0))
            whole = bases[depth] @ _product(weights, widths[0]) @ bases[0].T
            error = max(error, np.abs(np.diagonal(whole)[:modes] - path[-1]).max())
        off = 0.0
        for k, weight in enumerate(weights):
            turned = bases[k + 1] @ weight @ bases[k].T
            np.fill_diagonal(turned, 0)
            off = max(off, np.abs(turned).max())
        return np.stack(path, axis=1), error, off


def _matrix_step(weights, goal, covariance, rate: float) -> list[np.ndarray]:
    """The matrices after one step of gradient descent."""
    slope = (_product(weights, len(covariance)) - goal) @ covariance
    moved = []
    for k, weight in enumerate(weights):
        below = _product(weights[:k], len(covariance))
        above = _product(weights[k + 1 :], len(weight))
        moved.append(weight - rate * above.T @ slope @ below.T)
    return moved


def _product(weights, size: int) -> np.ndarray:
    """W_K⋯W_1; the identity of the given size for no matrices."""
    whole = np.eye(size)
    for weight in weights:
        whole = weight @ whole
    return whole


def _orthogonal(streams: Streams, size: int, draw: int) -> np.ndarray:
    drawn = streams.normal(size**2, draw)[0].reshape(size, size)
    basis = np.linalg.qr(drawn)[0]
    basis[:, 0] *= np.linalg.det(basis)  # in SO(d), as the exercise has it
    return basis


@nnflow.hookimpl
def nnflow_register(register):
    register("commuting_descent", CommutingDescent)
