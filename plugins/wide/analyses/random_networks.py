"""Random networks of finite width against the limit, and how the deviations fall."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, mean

from .._finite_width import (
    Corrections,
    controlled_bias,
    corrections,
    lengths,
    lengths_of_matrices,
    lengths_with_uniform_biases,
    pairs,
)
from .._fully_connected import random_layers
from .._network import Network
from .._slopes import NORMAL, log_slope
from .._uniform_bias import fixed_length

LAWS = ("gaussian", "uniform", "orthogonal")
SHALLOW = 0.05
"""Depth/width up to which fluctuations of the critical ReLU are taken for small."""
LEVELS = (0.05, 0.5, 0.95)


class RandomNetworks(Analysis):
    """K = α_w²|σ(z)|²/n + α_h² after `depth` layers of random networks that start at the fixed
    length q*, by width n, for `networks`; and of the critical ReLU, α_w² = 2, α_h = 0, after
    `relu_depth` layers.

    Over (network, width): `variance`, the variance of K, `bias`, its mean less q*, by the control
    variate, each with `_low`, `_high` (99 %), and `plain_bias` with its standard error; the limits
    are `B` and `V` (network,) over n. Over (width, layer): `relu_quantile` (level) and `relu_mean`
    of K/K₀. Over layers: correlations c of two inputs, `correlation` (network, layer, level),
    and the limit's, `correlation_limit`. `matrix_mean` (law,) is the mean of K where weights have
    other laws, with `_low`, `_high`.
    """

    @property
    def columns(self):
        columns = {
            "joint_p": "p-value of one χ² test of mean K − q* − B/n at the largest width, over"
            " all networks",
            "joint_runs": "networks drawn for it",
            "relu_square_ratio": "E K²/(E K)² of the critical ReLU over (1 + 5/n)^L, shallowest",
            "relu_end_mean": "mean K/K₀ of the critical ReLU after all layers, largest width",
            "relu_spread_slope": "slope of ln standard deviation of ln K in ln n, shallow ReLU",
            "relu_median": "median K/K₀ of the critical ReLU after all layers, least width",
            "relu_log_ratio": "mean ln K/K₀ there, over −5L/(2n)",
            "uniform_bias_length": "mean |z|²/n of tanh at (1, 1/2) with uniform biases",
            "uniform_bias_limit": "its limit, by the map for uniform biases",
            "c_largest": "largest |mean c − limit| over networks and layers, in standard errors",
            "c_error": "largest |mean c − limit| over networks and layers, largest width",
            "sum_square": "mean z² of the last layer, matrices drawn, tanh at (6.25, .09)",
        }
        for place in range(len(self.networks)):
            columns |= {
                f"variance_slope_{place}": f"slope of ln deviation of K in ln n, network {place}",
                f"bias_slope_{place}": f"slope of ln |bias| in ln n, network {place}",
                f"variance_{place}": f"n Var K over V at the largest width, network {place}",
                f"bias_{place}": f"n(mean K − q*) over B at the largest width, network {place}",
            }
        for law in LAWS:
            columns[f"{law}_mean"] = f"mean K over q*, {law} weights, network 0"
        return columns

    networks: Annotated[list[Network], Field(min_length=1)]
    """Activation and variances of each."""
    widths: Annotated[list[PositiveInt], Field(min_length=2)]
    """n."""
    depth: PositiveInt = 20
    """Layers; many depth scales ξ_q."""
    runs: Annotated[int, Field(ge=10)] = 200
    """Networks of each width."""
    relu_widths: Annotated[list[PositiveInt], Field(min_length=2)] = [100, 200, 500, 1000, 4000]
    """Widths of the critical ReLU, rising."""
    relu_depth: PositiveInt = 50
    """Its layers."""
    matrix_width: PositiveInt = 100
    """n where weights have other laws."""
    matrix_runs: Annotated[int, Field(ge=10)] = 40
    """Networks of each law."""

    def compute(self, results):
        import xarray as xr

        seed = results.study.settings.seed
        parts = [
            self._network(seed, network, results, i) for i, network in enumerate(self.networks)
        ]
        dataset = xr.concat(parts, "network").assign_coords(
            network=[network.label for network in self.networks], width=self.widths
        )
        dataset = dataset.merge(self._relu(seed)).assign_coords(level=list(LEVELS))
        table = nnflow.Table(results, self.columns)
        for place in range(len(self.networks)):
            table.everywhere(**self._columns(place, dataset.isel(network=place)))
        table.everywhere(**self._joint(dataset), **self._relu_columns(dataset))
        table.everywhere(**self._matrices(seed), **self._uniform_biases(seed))
        table.everywhere(sum_square=self._sums(seed))
        return table.dataset().merge(dataset.drop_vars(HELPERS))

    def _network(self, seed: int, network: Network, results, place: int):
        import xarray as xr

        maps = network.propagation()
        q = network.fixed_point().q.value
        limit, rows = corrections(maps, q), []
        for number, width in enumerate(self.widths):
            done, every = place * len(self.widths) + number, len(self.networks) * len(self.widths)
            results.progress(done, every, "ensembles")
            generator = _generator(seed, f"{network.label} {width}", "lengths")
            found = lengths(maps, generator, width, self.depth, self.runs, q)
            rows.append(_measured(maps, limit, found))
        rows = np.array(rows).T
        generator = _generator(seed, network.label, "pairs")
        c = pairs(maps, generator, self.widths[-1], self.depth, self.runs // 2, q, 0.5)
        theory = [0.5]
        for _ in range(self.depth):
            theory.append(float(maps.correlation(theory[-1], q)))
        names = ("variance", "variance_low", "variance_high", "bias", "bias_low", "bias_high",
                 "plain_bias", "plain_error")  # fmt: skip
        return xr.Dataset(
            {
                **{name: ("width", row) for name, row in zip(names, rows, strict=True)},
                "q": limit.q, "B": limit.bias, "V": limit.variance,
                "correlation": (("layer", "level"), np.quantile(c, LEVELS, axis=0).T),
                "correlation_mean": ("layer", c.mean(axis=0)),
                "correlation_error": ("layer", c.std(axis=0, ddof=1) / np.sqrt(len(c))),
                "correlation_limit": ("layer", theory),
            }
        )  # fmt: skip

    def _columns(self, place: int, found) -> dict:
        n = np.array(self.widths)
        value, low, high = (found[f"variance{end}"].values for end in ENDS)
        spread = log_slope(n, value, (high - low) / (2 * value))
        bias, below, above = (found[f"bias{end}"].values for end in ENDS)
        return {
            f"variance_slope_{place}": tuple(x / 2 for x in spread),
            f"bias_slope_{place}": log_slope(n, np.abs(bias), (above - below) / (2 * np.abs(bias))),
            f"variance_{place}": tuple(
                float(n[-1] * x[-1] / found["V"]) for x in (value, low, high)
            ),
            f"bias_{place}": tuple(
                sorted(float(n[-1] * x[-1] / found["B"]) for x in (below, above, bias))[i]
                for i in (1, 0, 2)
            ),
        }

    def _joint(self, dataset) -> dict:
        """Independent ensembles: Σ of squared deviations in standard errors is χ²."""
        from scipy.special import gammaincc

        last = dataset.isel(width=-1)
        deviation = last["plain_bias"] - last["B"] / self.widths[-1]
        chi2 = float(((deviation / last["plain_error"]) ** 2).sum())
        many = last["correlation_error"].values > 1e-6
        apart = np.abs(last["correlation_mean"] - last["correlation_limit"]).values
        return {
            "joint_p": float(gammaincc(len(self.networks) / 2, chi2 / 2)),
            "joint_runs": len(self.networks) * self.runs,
            "c_largest": float((apart[many] / last["correlation_error"].values[many]).max()),
            "c_error": float(apart.max()),
        }

    def _relu(self, seed: int):
        import xarray as xr

        maps = Network(activation="relu", weight_variance=2, bias_variance=0).propagation()
        depth, runs = self.relu_depth, self.runs
        quantiles, means, squares, spreads, errors = [], [], [], [], []
        for width in self.relu_widths:
            found = lengths(
                maps, _generator(seed, f"relu {width}", "relu"), width, depth, runs, 1.0
            )
            quantiles.append(np.quantile(found, LEVELS, axis=0).T)
            means.append([mean(column) for column in found.T])
            at = self._shallow(width)
            squares.append(_square_ratio(found[:, at], width, at))
            logs = np.log(found[:, self._shallow(self.relu_widths[0])])
            spreads.append(logs.std(ddof=1))
            errors.append(1 / np.sqrt(2 * (runs - 1)))
            if width == self.relu_widths[0]:
                median = _median(found[:, -1])
        log_mean = np.array([_log_mean(seed, maps, self, self.relu_widths[0])])
        means = np.array(means)
        return xr.Dataset(
            {
                "relu_quantile": (("relu_width", "relu_layer", "level"), quantiles),
                **{f"relu_mean{end}": (("relu_width", "relu_layer"), means[..., i])
                   for i, end in enumerate(ENDS)},
                "relu_square": (("relu_width", "end"), squares),
                "relu_spread": ("relu_width", spreads),
                "relu_spread_error": ("relu_width", errors),
                "relu_log_mean": ("end", log_mean[0]),
                "relu_median_ends": ("end", median),
            },
            {"relu_width": self.relu_widths},
        )  # fmt: skip

    def _shallow(self, width: int) -> int:
        """Layers with depth/width ≤ SHALLOW, at least one."""
        return min(self.relu_depth, max(1, int(SHALLOW * width)))

    def _relu_columns(self, dataset) -> dict:
        n = np.array(self.relu_widths)
        spreads, errors = (dataset[f"relu_{x}"].values for x in ("spread", "spread_error"))
        last = [float(dataset[f"relu_mean{end}"].values[-1, -1]) for end in ENDS]
        return {
            "relu_square_ratio": tuple(dataset["relu_square"].values[-1]),
            "relu_end_mean": tuple(last),
            "relu_spread_slope": log_slope(n, spreads, NORMAL * errors),
            "relu_median": tuple(dataset["relu_median_ends"].values),
            "relu_log_ratio": tuple(dataset["relu_log_mean"].values),
        }

    def _matrices(self, seed: int) -> dict:
        network = self.networks[0]
        maps, q = network.propagation(), network.fixed_point().q.value
        found = {}
        for law in LAWS:
            generator = _generator(seed, law, "matrices")
            k = lengths_of_matrices(
                maps, generator, law, self.matrix_width, self.depth, self.matrix_runs, q
            )
            found[f"{law}_mean"] = mean(k[:, -1] / q)
        return found

    def _sums(self, seed: int) -> tuple[float, float, float]:
        """Of networks whose matrices are drawn; the sums of one network are one value."""
        network = Network(activation="tanh", weight_variance=6.25, bias_variance=0.09)
        maps, q = network.propagation(), network.fixed_point().q.value
        generator = _generator(seed, "tanh 6.25 0.09", "sums")
        n = self.matrix_width
        layers = random_layers(generator, maps.moments.sigma, [n] * 4, self.matrix_runs, 6.25, 0.09)
        start = np.sqrt(q) * generator.standard_normal((1, n))
        sums = layers.forward(maps.moments.sigma.value(start))[1][-1]
        return mean((sums[:, 0] ** 2).mean(axis=1))

    def _uniform_biases(self, seed: int) -> dict:
        maps = Network(activation="tanh", weight_variance=1, bias_variance=0.5).propagation()
        generator = _generator(seed, "tanh", "uniform biases")
        limit = fixed_length(maps.moments.sigma, 1.0, 0.5)
        found = lengths_with_uniform_biases(
            maps, generator, self.widths[-1], self.depth, self.runs, limit
        )
        return {"uniform_bias_length": mean(found), "uniform_bias_limit": limit}


HELPERS = ["relu_spread", "relu_spread_error", "relu_square", "relu_log_mean", "relu_median_ends"]
"""Of the columns alone."""
ENDS = ("", "_low", "_high")


def _generator(seed: int, label: str, purpose: str) -> np.random.Generator:
    """NumPy's generator on the streams' key: thirty times as fast for samples by the million, of
    which no run is ever left out."""
    key = np.array(Streams(seed, label, np.arange(1), purpose).key, dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key))


def _measured(maps, limit: Corrections, found: np.ndarray) -> list[float]:
    """Variance and bias of K after the last layer, with intervals."""
    k = found[:, -1]
    variance = k.var(ddof=1)
    fourth = ((k - k.mean()) ** 4).mean() / variance**2
    half = NORMAL * np.sqrt((fourth - 1) / len(k)) * variance
    bias = mean(controlled_bias(maps, limit, found)[:, -1])
    return [variance, max(variance - half, 1e-300), variance + half, *bias,
            k.mean() - limit.q, np.sqrt(variance / len(k))]  # fmt: skip


def _median(values: np.ndarray) -> np.ndarray:
    """The median, and the ends of its 99 % interval: of which rank they are is binomial."""
    half = NORMAL / (2 * np.sqrt(len(values)))
    return np.quantile(values, [0.5, max(0.5 - half, 0), min(0.5 + half, 1)])


def _square_ratio(k: np.ndarray, width: int, layers: int) -> tuple[float, float, float]:
    """E K² (with E K = 1) over (1 + 5/n)^L, with its interval."""
    return tuple(x / (1 + 5 / width) ** layers for x in mean(k**2))


def _log_mean(seed: int, maps, plugin: RandomNetworks, width: int):
    """Mean ln K over −5L/(2n): to the first order in 1/n, as ν''s of a logarithm."""
    generator = _generator(seed, f"relu {width}", "logs")
    found = lengths(maps, generator, width, plugin.relu_depth, plugin.runs, 1.0)
    low, centre, high = sorted(mean(np.log(found[:, -1])))
    scale = -5 * plugin.relu_depth / (2 * width)
    return centre / scale, high / scale, low / scale


@nnflow.hookimpl
def nnflow_register(register):
    register("random_networks", RandomNetworks)
