"""The loss is convex in the law of the neurons, and not in the weights."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Activation, Analysis, Streams, share

from .._neurons import descend, mixed, outputs
from .._nonlinearity import nonlinearity

SHARES = np.linspace(0, 1, 21)
"""s of the mixtures that are tried."""
SLACK = 1e-12
"""A loss that exceeds the chord by less than this, relative to it, is rounding."""
LOSSES = {
    "squared": lambda f, y: ((f - y) ** 2).mean(axis=-1),
    "absolute": lambda f, y: np.abs(f - y).mean(axis=-1),
    "logistic": lambda f, y: np.logaddexp(0, -np.sign(y) * f).mean(axis=-1),
}
"""Convex losses of the outputs."""


class MeanFieldMixtures(Analysis):
    """L along (1 − s)p + sp' for `pairs` of random networks, and along the straight line between
    their weights, neuron by neuron, for three convex losses.

    `mixture` and `line` (pair, s) are the squared loss; `chord` is (1 − s)L(p) + sL(p').
    """

    columns = {
        "mixtures": "mixtures tried: pairs × s × losses",
        "convexity_exceptions": "mixtures whose loss exceeds the chord",
        "gap_error": "largest relative error of chord − L(mixture) = s(1 − s) mean |f − f'|²",
        "concatenation_error": "largest relative |f of N + N' equal neurons − mixture|",
        "nonconvex_lines": "share of pairs whose loss exceeds the chord on the line of weights",
        "permuted_lines": "share of networks whose loss rises on the line to a permuted copy",
        "equal_neurons": "loss where all neurons start equal over that of a random start, after"
        " training",
        "descent_exceptions": "mixtures with a better network that do not lower the loss of the"
        " stationary one at once",
    }

    activation: Activation
    """σ."""
    pairs: PositiveInt = 200
    """Pairs of networks."""
    neurons: tuple[PositiveInt, PositiveInt] = (20, 20)
    """N and N' of each pair; the lines of weights need N = N'."""
    inputs: PositiveInt = 3
    """Features."""
    samples: PositiveInt = 30
    """Samples of the losses."""
    steps: PositiveInt = 3000
    """Of gradient descent from equal neurons."""

    def compute(self, results):
        import xarray as xr

        sigma = nonlinearity(self.activation)
        streams = Streams(results.study.settings.seed, "mixtures", np.arange(self.pairs), "neurons")
        p, q, x, y = self._drawn(streams)
        f, g = outputs(sigma, p, x), outputs(sigma, q, x)
        curves, chords = {}, {}
        for name, loss in LOSSES.items():
            along = [loss(_mix(sigma, p, q, s, x), y) for s in SHARES]
            curves[name] = np.array(along).T
            chords[name] = np.outer(loss(f, y), 1 - SHARES) + np.outer(loss(g, y), SHARES)
        line = self._lines(sigma, p, q, x, y)
        table = nnflow.Table(results, self.columns)
        apart = ((f - g) ** 2).mean(axis=-1)[:, None] * SHARES * (1 - SHARES)
        gap = chords["squared"] - curves["squared"] - apart
        over = sum(int((curves[k] > chords[k] * (1 + SLACK)).sum()) for k in LOSSES)
        count = int((line > chords["squared"] * (1 + 1e-9)).any(axis=1).sum())
        table.everywhere(
            mixtures=len(LOSSES) * curves["squared"].size,
            convexity_exceptions=over,
            gap_error=float((np.abs(gap) / chords["squared"]).max()),
            concatenation_error=self._concatenated(sigma, p, q, x),
            nonconvex_lines=share(count, self.pairs),
            permuted_lines=self._permuted(sigma, p, x, y),
            **self._stationary(sigma, streams, x, y),
        )
        axes = ("pair", "s")
        return table.dataset().merge(xr.Dataset(
            {"mixture": (axes, curves["squared"]), "line": (axes, line),
             "chord": (axes, chords["squared"])}, {"s": SHARES},
        ))  # fmt: skip

    def _drawn(self, streams: Streams):
        """Neurons of both networks, (pair, neuron, D), inputs and targets."""
        n, m = self.neurons
        width = self.inputs + 2
        p = streams.normal(n * width, draw=0).reshape(self.pairs, n, width)
        q = streams.normal(m * width, draw=1).reshape(self.pairs, m, width)
        data = streams.take(np.arange(1)).normal(self.samples * (self.inputs + 1), draw=2)
        data = data.reshape(self.samples, -1)
        return p, q, data[:, 1:], data[:, 0]

    def _lines(self, sigma, p, q, x, y) -> np.ndarray:
        if p.shape != q.shape:
            return np.full((self.pairs, len(SHARES)), np.nan)
        losses = [LOSSES["squared"](outputs(sigma, (1 - s) * p + s * q, x), y) for s in SHARES]
        return np.array(losses).T

    def _permuted(self, sigma, p, x, y):
        """The copy has the same loss; half-way the neurons are averages of other ones."""
        ends = LOSSES["squared"](outputs(sigma, p, x), y)
        half = LOSSES["squared"](outputs(sigma, (p + p[:, ::-1]) / 2, x), y)
        return share(int((half > ends * (1 + 1e-9)).sum()), self.pairs)

    def _concatenated(self, sigma, p, q, x) -> float:
        n, m = p.shape[1], q.shape[1]
        both = outputs(sigma, np.concatenate([p, q], axis=1), x)
        mixture = _mix(sigma, p, q, m / (n + m), x)
        return float(np.abs(both - mixture).max() / np.abs(both).max())

    def _stationary(self, sigma, streams, x, y) -> dict:
        """Gradient descent from equal neurons keeps them equal and stops above what random ones
        reach; yet the mixture with those lowers the loss from the start."""
        start = streams.take(np.arange(1)).normal(200 * (self.inputs + 2), draw=3)
        start = start.reshape(1, 200, -1)
        ends = [descend(sigma, one, x, y, 0.05, self.steps)
                for one in (np.repeat(start[:, :1], 20, axis=1), start)]  # fmt: skip
        losses = [float(LOSSES["squared"](outputs(sigma, one, x), y)[0]) for one in ends]
        lower = [float(LOSSES["squared"](_mix(sigma, *ends, s, x), y)[0]) for s in SHARES[1:]]
        return {
            "equal_neurons": losses[0] / losses[1],
            "descent_exceptions": sum(one >= losses[0] for one in lower),
        }


def _mix(sigma, p, q, s: float, x: np.ndarray) -> np.ndarray:
    neurons, shares = mixed(p, q, s)
    return outputs(sigma, neurons, x, shares)


@nnflow.hookimpl
def nnflow_register(register):
    register("mean_field_mixtures", MeanFieldMixtures)
