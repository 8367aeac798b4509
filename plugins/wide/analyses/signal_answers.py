"""The lecture's explicit maps and depth scales, measured: networks beside formulas."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Activation, Analysis, Streams, mean

from .._finite_width import lengths, pairs
from .._moments import moments
from .._network import Network
from .._signal import Propagation

WEIGHT, BIAS = 1.5, 0.2
"""α_w² and α_h² of the ReLU networks: q* = .8."""
LENGTHS = np.array([0.0, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0])
CORRELATIONS = np.array([-0.95, -0.6, -0.3, 0.0, 0.3, 0.6, 0.8, 0.95])
ENDS = ("", "_low", "_high")
LATE, LAST = 1e-4, 1e-8
"""Slopes are those between distances of these parts of the first one: late enough for the linear
term, and long before rounding."""
START = 0.5
"""Of correlations; lengths start from twice q*."""


class SignalAnswers(Analysis):
    """Answers to the exercises that figures can show.

    One layer of `runs` random ReLU networks of width n at (3/2, 1/5): `relu_length` (q), the mean
    of α_w²|σ(z)|²/n + α_h² from length q, and `relu_correlation` (c), that of the correlation of
    two inputs of length q*, both with 99 % intervals (`_low`, `_high`; `relu_length_error` is a
    standard error), beside the explicit `relu_length_map` α_w² q/2 + α_h² and
    `relu_correlation_map` (α_w² q*(sin θ + (π − θ)cos θ)/2π + α_h²)/q*, cos θ = c.

    Signals of `networks` in infinite width, layer by layer: `length_gap` (network, layer), |q_k −
    q*|/|q_0 − q*| from q_0 = 2q*, and `correlation_gap`, |c_k − c*|/|c_0 − c*| from c_0 = ½ at q*,
    with `length_scale` ξ_q and `correlation_scale` ξ_c.
    """

    columns = {
        "relu_length_p": "one χ² test of ReLU's explicit length map at all q; p",
        "relu_correlation_measured": "largest |mean c − explicit map| of ReLU networks",
        "length_decay_error": "largest |ξ_q × slope of ln |q_k − q*| + 1|",
        "correlation_decay_error": "largest |ξ_c × slope of ln |c_k − c*| + 1|",
    }

    networks: Annotated[list[Network], Field(min_length=1)]
    """Activation and variances of each."""
    width: PositiveInt = 2000
    """n."""
    runs: Annotated[int, Field(ge=10)] = 50
    """ReLU networks for each q and each c."""
    layers: PositiveInt = 400
    """Layers over which signals are followed."""

    def compute(self, results):
        import xarray as xr

        table, relu = nnflow.Table(results, self.columns), self._relu(results.study.settings.seed)
        decays = [self._decay(network) for network in self.networks]
        parts = xr.concat(decays, "network").assign_coords(
            network=[network.label for network in self.networks], layer=np.arange(self.layers + 1)
        )
        table.everywhere(
            relu_length_p=_p(relu),
            relu_correlation_measured=float(
                np.abs(relu["relu_correlation"] - relu["relu_correlation_map"]).max()
            ),
            **{
                f"{kind}_decay_error": max(
                    abs(_slope(one[f"{kind}_gap"].values) * float(one[f"{kind}_scale"]) + 1)
                    for one in decays
                )
                for kind in ("length", "correlation")
            },
        )
        return table.dataset().merge(relu).merge(parts)

    def _relu(self, seed: int):
        import xarray as xr

        maps = Propagation(moments(Activation.model_validate("relu")), WEIGHT, BIAS)
        fixed = BIAS / (1 - WEIGHT / 2)
        after, errors = {"relu_length": [], "relu_correlation": []}, []
        for q in LENGTHS:
            drawn = lengths(maps, _generator(seed, f"{q}"), self.width, 1, self.runs, q)
            after["relu_length"].append(mean(drawn[:, 1]))
            errors.append(drawn[:, 1].std(ddof=1) / np.sqrt(self.runs))
        for c in CORRELATIONS:
            drawn = pairs(maps, _generator(seed, f"c {c}"), self.width, 1, self.runs, fixed, c)
            after["relu_correlation"].append(mean(drawn[:, 1]))
        theta = np.arccos(CORRELATIONS)
        overlap = (np.sin(theta) + (np.pi - theta) * CORRELATIONS) / (2 * np.pi)
        dims = {"relu_length": "start", "relu_correlation": "start_correlation"}
        return xr.Dataset(
            {
                **{
                    name + end: (dims[name], column)
                    for name, values in after.items()
                    for end, column in zip(ENDS, np.array(values).T, strict=True)
                },
                "relu_length_error": ("start", errors),
                "relu_length_map": ("start", WEIGHT * LENGTHS / 2 + BIAS),
                "relu_correlation_map": (
                    "start_correlation", (WEIGHT * fixed * overlap + BIAS) / fixed,
                ),
            },
            {"start": LENGTHS, "start_correlation": CORRELATIONS},
        )  # fmt: skip

    def _decay(self, network: Network):
        import xarray as xr

        maps, point = network.propagation(), network.fixed_point()
        limit, fixed = maps.fixed_correlation(point), point.q.value
        q, c = [2 * fixed], [START]
        for _ in range(self.layers):
            q.append(float(maps.length(q[-1])))
            c.append(float(np.clip(maps.correlation(c[-1], fixed), -1, 1)))
        gaps = [np.abs(np.array(x) - end) for x, end in ((q, fixed), (c, limit.c.value))]
        return xr.Dataset(
            {
                "length_gap": ("layer", gaps[0] / gaps[0][0]),
                "correlation_gap": ("layer", gaps[1] / gaps[1][0]),
                "length_scale": point.xi_q.value,
                "correlation_scale": limit.xi_c.value,
            }
        )


def _generator(seed: int, label: str) -> np.random.Generator:
    key = np.array(Streams(seed, label, np.arange(1), "answers").key, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _p(relu) -> float:
    """Of the χ² test of mean − map over all q; at q = 0 every network gives α_h²."""
    from scipy.special import gammaincc

    error = relu["relu_length_error"].values
    apart = (relu["relu_length"] - relu["relu_length_map"]).values
    random = error > 1e-15
    if np.abs(apart[~random]).max(initial=0.0) > 1e-12:
        return 0.0
    return float(gammaincc(random.sum() / 2, ((apart[random] / error[random]) ** 2).sum() / 2))


def _slope(gaps: np.ndarray) -> float:
    """Of ln gap a layer between LATE and LAST, or the last layer; NaN if it never gets to LATE."""
    first, last = (int(np.argmax(gaps < level)) or len(gaps) - 1 for level in (LATE, LAST))
    if first == last:
        return np.nan
    return float(np.log(gaps[last] / gaps[first]) / (last - first))


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_answers", SignalAnswers)
