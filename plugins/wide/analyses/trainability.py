"""To which depth networks train, around the edge of chaos."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

import nnflow
from nnflow import Activation, Analysis, Dataset, Streams, UserError

from .._moments import moments
from .._signal import Propagation, attracting, critical_weight_variance
from .._trainability import (
    CLASSES,
    accuracies,
    fitted_line,
    trainable_depths,
)

LEVEL = (1 + 1 / CLASSES) / 2
"""A network is called trained above this accuracy, half-way between guessing and all right."""
CURVE = 45
"""Points of the curve ξ_c that is drawn."""
Rising = Annotated[list[PositiveInt], Field(min_length=2)]


class Trainability(Analysis):
    """Accuracy of deep networks over (α_w², depth) after some steps of training, all runs of one
    depth in one batch, beside the depth scale ξ_c of correlations.

    `accuracy` (depth, weight_variance, mark) is the mean over `starts`; `trainable_depth`
    (weight_variance, mark) where it falls through half-way between guessing and all right, NaN
    where it does not within the depths tried; `xi_c` (weight_variance,). `factor` and `deepest`
    (mark,) are m and L₀ of 1/depth = 1/(mξ_c) + 1/L₀, with `_low` and `_high` (99 %, from the
    scatter over weight variances). `curve_xi_c` (node,) is ξ_c over `curve_weight_variance`.
    """

    columns = {
        "depth_factor": "m of 1/depth = 1/(mξ_c) + 1/L₀, trainable depths at the end of training",
        "depth_limit": "L₀ of it: the trainable depth where ξ_c is infinite",
        "depth_factor_early": "m at the first mark",
        "factor_growth": "m at the end over m at the first mark",
        "depths_found": "weight variances whose trainable depth lies within the depths tried, end",
        "critical_weight_variance": "α_w² of the line χ₁ = 1",
        "deepest_weight_variance": "α_w² whose accuracy, averaged over depths, is the highest",
        "first_accuracy": "accuracy of the shallowest networks at the end, mean over α_w²",
    }

    activation: Activation
    """σ of the hidden neurons."""
    dataset: Dataset
    """Inputs and classes."""
    bias_variance: PositiveFloat = 0.05
    """α_h²."""
    weight_variances: Annotated[list[PositiveFloat], Field(min_length=3)]
    """α_w² of the networks' first weights, rising."""
    depths: Rising
    """Numbers of hidden layers, rising."""
    width: PositiveInt = 32
    """Neurons of each."""
    starts: PositiveInt = 1
    """Networks for each pair."""
    rate: PositiveFloat = 0.05
    """Of gradient descent."""
    minibatch: PositiveInt = 32
    """Samples a step."""
    marks: Rising
    """Steps after which accuracies are measured, rising."""

    @field_validator("weight_variances", "depths", "marks")
    @classmethod
    def _rise(cls, values):
        if any(b <= a for a, b in itertools.pairwise(values)):
            raise ValueError("must rise")
        return values

    def compute(self, results):
        import xarray as xr

        variances = np.array(self.weight_variances)
        accuracy = np.array([
            self._at(results, place, depth) for place, depth in enumerate(self.depths)
        ])  # fmt: skip
        scales, curve = self._scales(variances), np.linspace(variances[0], variances[-1], CURVE)
        depths = np.array(self.depths, dtype=float)
        reached = np.array([
            trainable_depths(depths, accuracy[..., mark], LEVEL) for mark in range(len(self.marks))
        ]).T  # fmt: skip
        fits = np.array([fitted_line(column, scales) for column in reached.T])
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            depth_factor=tuple(fits[-1, 0]), depth_limit=tuple(fits[-1, 1]),
            depth_factor_early=tuple(fits[0, 0]), factor_growth=_ratio(fits[-1, 0], fits[0, 0]),
            depths_found=int(np.isfinite(reached[:, -1]).sum()),
            critical_weight_variance=critical_weight_variance(
                moments(self.activation), self.bias_variance),
            deepest_weight_variance=float(variances[accuracy[..., -1].mean(axis=0).argmax()]),
            first_accuracy=float(accuracy[0, :, -1].mean()),
        )  # fmt: skip
        return table.dataset().merge(xr.Dataset(
            {
                "accuracy": (("depth", "weight_variance", "mark"), accuracy),
                "trainable_depth": (("weight_variance", "mark"), reached),
                "xi_c": ("weight_variance", scales),
                "curve_weight_variance": ("node", curve),
                "curve_xi_c": ("node", self._scales(curve)),
                **{f"{name}{end}": ("mark", fits[:, place, i])
                   for place, name in enumerate(("factor", "deepest"))
                   for i, end in enumerate(("", "_low", "_high"))},
            },
            {"depth": self.depths, "weight_variance": variances, "mark": self.marks},
        ))  # fmt: skip

    def _at(self, results, place: int, depth: int) -> np.ndarray:
        """Mean accuracy over starts, (weight variance, mark)."""
        results.progress(place, len(self.depths), "depths")
        arrays = self.dataset.load(Path("data"))
        data = arrays["inputs"].reshape(len(arrays["inputs"]), -1), arrays["targets"]
        label = np.arange(1)
        key = Streams(results.study.settings.seed, f"depth {depth}", label, "trainability").key
        generator = np.random.Generator(np.random.Philox(key=np.array(key, dtype=np.uint64)))
        widths = [data[0].shape[1], *[self.width] * depth, CLASSES]
        found = accuracies(
            moments(self.activation).sigma, generator, data, widths,
            np.repeat(self.weight_variances, self.starts), self.bias_variance, self.rate,
            self.minibatch, self.marks,
        )  # fmt: skip
        return found.reshape(len(self.marks), -1, self.starts).mean(axis=2).T

    def _scales(self, variances: np.ndarray) -> np.ndarray:
        """ξ_c of each, where networks begin."""
        one, found = moments(self.activation), []
        for variance in variances:
            maps = Propagation(one, float(variance), self.bias_variance)
            point = attracting(maps.fixed_points((1e-3, 1e3)))
            if point is None:
                raise UserError(
                    f"trainability: at the weight variance {variance:g} lengths have no stable"
                    " fixed point, and so no ξ_c"
                )
            found.append(maps.fixed_correlation(point).xi_c.value)
        return np.array(found)


def _ratio(late: np.ndarray, early: np.ndarray) -> tuple[float, float, float]:
    """Of two numbers with intervals, which need not be independent: of their far ends."""
    value, low, high = early
    return float(late[0] / value), float(late[1] / high), float(late[2] / low)


@nnflow.hookimpl
def nnflow_register(register):
    register("trainability", Trainability)
