"""What the hypotheses of the theorems on wide layers are worth, on random networks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, share

from ..._gradient_bound import gradient_bound
from .._split_data import logistic

ZERO = 1e-10
"""A singular value below this part of the largest counts as zero. Those that are zero by symmetry
are near 1e-16."""
SCALES = (0.1, 1.0, 10.0, 100.0)
"""Standard deviations of the random weights of deep networks; the last saturates the neurons."""


class WideHypotheses(Analysis):
    """Random logistic networks without biases, against what the theorems assume and conclude.

    - The gradient's bound (`gradient_bound`) in networks 3-5-3-2 with m = 5 samples at layer
      k + 1 = 2, at each of SCALES, half of the networks with a singular W_3.
    - At points with L = 0 (the targets are the network's own outputs) the Hessian with respect to
      W_{k+1}, …, W_H is JᵀJ with the Jacobian J of the m d_H outputs; its rank is that of J.
      `full_rank`: points where it is non-degenerate, as Nguyen & Hein's theorem asks. In
      networks 3-5-2-2 the Hessian with respect to W_2 alone can be.
    - The rank of σ(W₁X), the largest that was met, for distinct columns in pairs ±x.
    - With σ(W₁X) invertible, L along the line from W₂ to Yσ(W₁X)⁻¹ is (1 − t)²L.
    """

    columns = {
        "deep_points": "random deep networks whose gradient has a bound above rounding",
        "deep_violations": "share of them at which the gradient is below its bound",
        "deep_closest": "lowest ratio of gradient and bound, where the bound is above 1e-12",
        "hessian_weights": "weights of W_2 and W_3 in 3-5-3-2",
        "hessian_rank": "largest rank of the Hessian in them where L = 0",
        "full_rank": "share of points with L = 0 where that Hessian is non-degenerate",
        "one_layer_full_rank": "share of them where that in W_2 alone is, in 3-5-2-2",
        "rank_of_3": "largest rank of σ(W₁X) for the columns x, 0, −x",
        "rank_of_4": "largest rank of σ(W₁X) for the columns x, −x, z, −z",
        "rank_of_6": "largest rank of σ(W₁X) for three pairs ±x",
        "rank_generic": "largest rank of σ(W₁X) for six columns without such pairs",
        "exit_error": "largest relative error of L = (1 − t)²L₀ along the line",
    }

    points: PositiveInt = 2000
    """Random networks of each sort."""

    def compute(self, results):
        streams = Streams(
            results.study.settings.seed, "wide_hypotheses", np.arange(self.points), "weights"
        )
        table = Table(results, self.columns)
        table.everywhere(**self._bounds(streams), **self._hessians(streams), **_ranks(streams))
        table.everywhere(exit_error=_exit(streams))
        return table.dataset()

    def _bounds(self, streams):
        found = []
        for draw, scale in enumerate(SCALES):
            weights = _network(streams, (3, 5, 3, 2), scale, 100 * draw)
            weights[2][::2, 1] = 2 * weights[2][::2, 0]
            targets = streams.normal(10, draw=100 * draw + 50).reshape(-1, 2, 5)
            found.append(gradient_bound(weights, _inputs(streams, 5), targets, _first, layer=2))
        violations = sum(one.violations for one in found)
        points = sum(one.informative for one in found)
        ratios = [one.norm[one.bound > 1e-12] / one.bound[one.bound > 1e-12] for one in found]
        return {
            "deep_points": points,
            "deep_violations": share(violations, points),
            "deep_closest": np.concatenate(ratios).min(),
        }

    def _hessians(self, streams):
        both = _jacobian(_network(streams, (3, 5, 3, 2), 1.0, 1000), _inputs(streams, 5), (2, 3))
        one = _jacobian(_network(streams, (3, 5, 2, 2), 1.0, 2000), _inputs(streams, 5), (2,))
        ranks, weights = rank(both), both.shape[-1]
        return {
            "hessian_weights": weights,
            "hessian_rank": ranks.max(),
            "full_rank": share(int((ranks == weights).sum()), self.points),
            "one_layer_full_rank": share(int((rank(one) == one.shape[-1]).sum()), self.points),
        }


def _first(values):
    return logistic(values)[:2]


def _network(streams, widths, scale, draw):
    """Independent normal weights W_l (point, d_l, d_{l−1})."""
    return [
        scale * streams.normal(rows * columns, draw=draw + layer).reshape(-1, rows, columns)
        for layer, (columns, rows) in enumerate(pairwise(widths))
    ]


def _inputs(streams, count):
    """(3, count), the same at all points."""
    return (
        Streams(streams.seed, "wide_hypotheses", np.arange(1), "inputs")
        .normal(3 * count)
        .reshape(3, count)
    )


def _jacobian(weights, inputs, layers):
    """Of the outputs (point, output · sample) in the weights of the given layers, side by side."""
    values, hidden, slopes = inputs[None], [], []
    for weight in weights[:-1]:
        hidden.append(values)
        values, slope = _first(weight @ values)
        slopes.append(slope)
    hidden.append(values)
    outputs, samples = weights[-1].shape[1], inputs.shape[1]
    points = len(weights[0])
    back = np.broadcast_to(np.eye(outputs)[None, :, :, None], (points, outputs, outputs, samples))
    parts = {}
    for layer in range(len(weights), 0, -1):
        part = np.einsum(
            "poin,pjn->ponij",
            back,
            np.broadcast_to(hidden[layer - 1], (points, *hidden[layer - 1].shape[1:])),
        )
        parts[layer] = part.reshape(points, outputs * samples, -1)
        if layer > 1:
            back = (
                np.einsum("pki,pokn->poin", weights[layer - 1], back) * slopes[layer - 2][:, None]
            )
    return np.concatenate([parts[layer] for layer in layers], axis=2)


def rank(matrices):
    """Of each matrix (…, row, column)."""
    values = np.linalg.svd(matrices, compute_uv=False)
    return (values > ZERO * values[..., :1]).sum(axis=-1)


def _ranks(streams):
    """Largest ranks of σ(W₁X) over random W₁."""
    columns = _inputs(streams, 6)
    x, z = columns[:, :1], columns[:, 1:2]
    three = columns[:, :3]
    cases = {
        "rank_of_3": np.hstack([x, 0 * x, -x]),
        "rank_of_4": np.hstack([x, -x, z, -z]),
        "rank_of_6": np.hstack([three, -three]),
        "rank_generic": columns,
    }
    return {
        name: rank(_first(_network(streams, (3, case.shape[1]), 3.0, 3000)[0] @ case)[0]).max()
        for name, case in cases.items()
    }


def _exit(streams):
    """Over the points whose σ(W₁X) has a condition number below 1e4, at nine t."""
    inputs = _inputs(streams, 5)
    hidden = _first(_network(streams, (3, 5), 3.0, 4000)[0] @ inputs)[0]
    hidden = hidden[np.linalg.cond(hidden) < 1e4]
    targets = streams.normal(5, draw=4100)[: len(hidden), None]
    start = streams.normal(5, draw=4200)[: len(hidden), None]
    end = np.linalg.solve(hidden.mT, targets.mT).mT
    steps = np.linspace(0, 0.9, 9)[:, None, None, None]
    losses = ((((1 - steps) * start + steps * end) @ hidden - targets) ** 2).sum(axis=(2, 3)) / 2
    expected = (1 - steps[..., 0, 0]) ** 2 * losses[0]
    return np.abs(losses / expected - 1).max()


@nnflow.hookimpl
def nnflow_register(register):
    register("wide_hypotheses", WideHypotheses)
