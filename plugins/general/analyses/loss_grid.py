"""The loss over a window of a plane of weights."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import AfterValidator, Field

import nnflow
from nnflow import Analysis, UserError, torch

from .._flat import flat_weights


def _rising(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is not None and not window[0] < window[1]:
        raise ValueError("expected two rising numbers")
    return window


Window = Annotated[tuple[float, float] | None, AfterValidator(_rising)]
MARGIN = 0.25
"""Room around the first weights and the critical points, as a part of their extent."""


class LossGrid(Analysis):
    """The loss of a model with two weights on a grid.

    `loss` (point, second, first) at `first` (point, first_place) and `second` (point,
    second_place), the two weights in the order in which the model lists them.
    """

    needs = ("initialization", "critical_points")

    first: Window = None
    """Window of the first weight; null: around the first weights and the critical points."""
    second: Window = None
    """Window of the second weight; null as above."""
    size: Annotated[int, Field(ge=2)] = 201
    """Grid points along each side."""

    def compute(self, results):
        import xarray as xr

        rows = []
        for configuration, ends in results.each("critical_points"):
            model = _plane(results, configuration)
            begun = results.at("initialization", configuration.label)
            places = np.concatenate([flat_weights(model, part) for part in (begun, ends)])
            sides = [
                np.linspace(*(window or _around(places[:, axis])), self.size)
                for axis, window in enumerate((self.first, self.second))
            ]
            rows.append((*sides, _losses(model, *sides)))
        first, second, loss = (np.stack(part) for part in zip(*rows, strict=True))
        return xr.Dataset(
            {
                "first": (("configuration", "first_place"), first, {"long_name": "first weight"}),
                "second": (
                    ("configuration", "second_place"),
                    second,
                    {"long_name": "second weight"},
                ),
                "loss": (
                    ("configuration", "second_place", "first_place"),
                    loss,
                    {"long_name": "loss"},
                ),
            },
            {"configuration": [configuration.label for configuration in results.configurations]},
            {"interactive": "descent"},  # the report lets a reader click into it
        )


def _plane(results, configuration):
    """The point's model; UserError unless it is a loss of two weights and of no data."""
    model, file = configuration.settings.model, results.study.file
    weights = sum(math.prod(shape) for shape in model.shapes().values())
    if weights != 2:
        raise UserError(f"{file}: analyses.loss_grid: {model.name!r} has {weights} weights, not 2")
    if configuration.settings.dataset is not None:
        raise UserError(f"{file}: analyses.loss_grid: a loss with a dataset is not supported")
    return model


def _around(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (0.0, 0.0)
    room = MARGIN * (high - low) or 1.0
    return low - room, high + room


def _losses(model, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(second, first)."""
    weights = torch.as_tensor(np.stack(np.meshgrid(first, second), axis=-1).reshape(-1, 2))
    named, used = {}, 0
    for name, shape in model.shapes().items():
        count = math.prod(shape)
        named[name] = weights[:, used : used + count].reshape(-1, *shape)
        used += count
    with torch.no_grad():
        return model.loss(named, {}).numpy().reshape(len(second), len(first))


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_grid", LossGrid)
