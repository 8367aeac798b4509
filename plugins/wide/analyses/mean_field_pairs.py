"""Two trained wide networks: how near their functions are, and their neurons after matching."""

from __future__ import annotations

import itertools
from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

import nnflow
from nnflow import Activation, Analysis, Streams

from .._neurons import balanced, descend, is_homogeneous, is_odd, matched_distance, outputs
from .._nonlinearity import nonlinearity
from .._slopes import NORMAL, log_slope

PROBES = 200
"""Inputs at which functions are compared."""
KINDS = ("drawn", "trained")


class MeanFieldPairs(Analysis):
    """`pairs` of networks of each width N, whose neurons start from one normal law and are trained
    on the same samples with the mean-field rate, in `inputs` dimensions, D = inputs + 2.

    `neuron_distance` (activation, dimension, kind, width, pair) after the best matching, before
    (`drawn`) and after training, and `function_distance` (activation, dimension, width, pair), the
    root mean square of f − f' after it. Neurons that σ can't tell apart are one: where σ is odd
    those of both signs, where it is homogeneous those of every scale, so that of their D
    coordinates D − 1 are left.
    """

    @property
    def columns(self):
        columns = {}
        for name, inputs in itertools.product((one.name for one in self.activations), self.inputs):
            size = inputs + 2
            which = f"{name}, D = {size}"
            columns |= {
                f"{name}_function_slope_{size}": f"slope of ln distance of functions, {which}",
                f"{name}_loss_ratio_{size}": f"loss after training over before, largest N, {which}",
                **{
                    f"{name}_{kind}_slope_{size}": f"slope of ln matched distance, {kind}, {which}"
                    for kind in KINDS
                },
            }
        return columns

    activations: Annotated[list[Activation], Field(min_length=1)]
    """σ."""
    widths: Annotated[list[PositiveInt], Field(min_length=2)] = [100, 200, 400, 800]
    """N."""
    inputs: list[PositiveInt] = [1, 4]
    """Features."""
    pairs: Annotated[int, Field(ge=2)] = 6
    """Pairs of each width."""
    samples: PositiveInt = 20
    """Samples."""
    rate: PositiveFloat = 0.2
    """Of the neurons: N times that of the weights."""
    decay: NonNegativeFloat = 0.0
    """Weight decay."""
    steps: PositiveInt = 300
    """Of gradient descent."""

    def compute(self, results):
        import xarray as xr

        table, found = nnflow.Table(results, self.columns), []
        for activation in self.activations:
            sigma, parts = nonlinearity(activation), []
            for inputs in self.inputs:
                part = self._of(results, activation.name, sigma, inputs)
                table.everywhere(**self._columns(activation.name, inputs + 2, part))
                parts.append(part.drop_vars("loss_ratio"))
            found.append(xr.concat(parts, "dimension"))
        dataset = xr.concat(found, "activation").assign_coords(
            activation=[one.name for one in self.activations], kind=list(KINDS),
            dimension=[inputs + 2 for inputs in self.inputs], width=self.widths,
        )  # fmt: skip
        return table.dataset().merge(dataset)

    def _of(self, results, name: str, sigma, inputs: int):
        import xarray as xr

        seed = results.study.settings.seed
        x, y, probes = self._task(seed, inputs)
        neurons = np.empty((len(KINDS), len(self.widths), self.pairs))
        functions = np.empty((len(self.widths), self.pairs))
        for place, width in enumerate(self.widths):
            results.progress(place, len(self.widths), f"{name}, {inputs} inputs")
            streams = Streams(seed, f"{inputs} {width}", np.arange(2 * self.pairs), "neurons")
            drawn = streams.normal(width * (inputs + 2)).reshape(2 * self.pairs, width, -1)
            ends = descend(sigma, drawn, x, y, self.rate, self.steps, self.decay)
            for kind, networks in enumerate((drawn, ends)):
                if is_homogeneous(sigma):
                    networks = balanced(networks)
                neurons[kind, place] = [
                    matched_distance(networks[i], networks[i + self.pairs], is_odd(sigma))
                    for i in range(self.pairs)
                ]
            f = outputs(sigma, ends, probes)
            apart = f[: self.pairs] - f[self.pairs :]
            functions[place] = np.sqrt((apart**2).mean(axis=1))
        losses = [((outputs(sigma, one, x) - y) ** 2).mean() for one in (ends, drawn)]
        return xr.Dataset({
            "neuron_distance": (("kind", "width", "pair"), neurons),
            "function_distance": (("width", "pair"), functions),
            "loss_ratio": losses[0] / losses[1],
        })  # fmt: skip

    def _task(self, seed: int, inputs: int):
        """Samples of y = sin 2x₁ + ½ Σ xᵢ, normal inputs, and probes of the same law."""
        streams = Streams(seed, f"{inputs}", np.arange(1), "task")
        drawn = streams.normal((self.samples + PROBES) * inputs)
        x = drawn.reshape(-1, inputs)
        y = np.sin(2 * x[:, 0]) + x.sum(axis=1) / 2
        return x[: self.samples], y[: self.samples], x[self.samples :]

    def _columns(self, name: str, size: int, part) -> dict:
        n = np.array(self.widths)

        def slope(values):
            logs = np.log(values)
            half = NORMAL * logs.std(axis=1, ddof=1) / np.sqrt(self.pairs)
            return log_slope(n, np.exp(logs.mean(axis=1)), half)

        return {
            f"{name}_function_slope_{size}": slope(part["function_distance"].values),
            f"{name}_loss_ratio_{size}": float(part["loss_ratio"]),
            **{
                f"{name}_{kind}_slope_{size}": slope(part["neuron_distance"].values[place])
                for place, kind in enumerate(KINDS)
            },
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("mean_field_pairs", MeanFieldPairs)
