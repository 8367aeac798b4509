"""Gradient descent that orthogonal bases decouple into modes."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams

from ....general._orthogonal import rotation
from ....general._padding import padded

SPREAD = (0.6, 1.4)
"""Range of the target's and of the inputs' modes; the layers' first strengths are K-th roots of
such numbers."""


class CommutingDescent(Analysis):
    """Where orthogonal O_k make all O_kW_kO_{k−1}ᵀ, O_KRO_0ᵀ and O_0ΣO_0ᵀ diagonal at first, so
    they stay, and gradient descent on ½ tr(ΔΣΔᵀ), Δ = W_K⋯W_1 − R, is one descent per mode:

        w_k ← w_k − α σ (w_K⋯w_1 − r) ∏_{j≠k} w_j,

    with layers that differ, and so may their widths (an exercise of Yarotsky's lecture).
    One random case for each depth of the study's networks, with widths that take turns:
    `mode_strength` (configuration, mode, descent_step) is w_K⋯w_1 of the scalar descents.
    """

    models = ("residual_linear_network",)
    columns = {
        "decoupling_error": "largest distance of the products of matrix and scalar descents",
        "offdiagonal": "largest entry of any O_kW_kO_{k−1}ᵀ off the diagonal at the end",
    }

    widths: tuple[PositiveInt, ...] = (4, 5, 4, 6)
    """Widths d_0, d_1, …, which repeat where a network is deeper."""
    rate: PositiveFloat = Field(examples=[0.1])
    """Step α times the depth: the study's own rate is that of networks without such bases."""
    steps: PositiveInt = Field(examples=[300])
    """Steps."""

    def compute(self, results):
        depths = [one.settings.model.depth for one in results.configurations]
        seed = results.study.settings.seed
        found = {depth: self._descend(depth, seed) for depth in dict.fromkeys(depths)}
        table = nnflow.Table(results, self.columns)
        for configuration, depth in zip(results.configurations, depths, strict=True):
            _, error, offdiagonal = found[depth]
            table.row(configuration, decoupling_error=error, offdiagonal=offdiagonal)
        strengths = padded([found[depth][0] for depth in depths])
        axes, text = ("configuration", "mode", "descent_step"), {"long_name": "strength of a mode"}
        return table.dataset().assign(mode_strength=(axes, strengths, text))

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
        bases = [
            rotation(streams.normal(width**2, draw)[0].reshape(width, width))
            for draw, width in enumerate(widths, 1)
        ]

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


@nnflow.hookimpl
def nnflow_register(register):
    register("commuting_descent", CommutingDescent)
