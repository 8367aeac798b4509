"""Regimes of the loss along training: where in logarithmic time it falls."""

from __future__ import annotations

import math

import numpy as np

import nnflow
from nnflow import Analysis, Table

from .._disorders import independent, ratio

PER_DECADE = 2
"""Windows of time in a decade."""


class LossRegimes(Analysis):
    """The fall of the loss in windows of half a decade of steps, from the first step to the last.

    Three regimes are a slow beginning, a fast fall and a slow end: the first and the last window
    have a small part of the fall that the fastest has (`beginning`, `end`), the largest one by the
    mean over runs. Between recorded steps the loss is interpolated in ln t. Ratios are of means
    over independent runs (of a glass: over disorders), with 99 % intervals. `fall` is over
    `window`, the middles of the windows in steps: the mean part of the whole fall of each.
    """

    needs = ("training",)
    columns = {
        "beginning": "fall of the loss in the first half decade of steps over that in the fastest",
        "end": "fall of the loss in the last half decade of steps over that in the fastest",
        "fastest": "middle of the half decade of steps with the largest fall",
    }

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            groups = independent(configuration, trained)
            middles, falls = _falls(trained)
            fastest = int(falls.mean(axis=0).argmax())
            table.row(
                configuration,
                beginning=ratio(falls[:, 0], falls[:, fastest], groups),
                end=ratio(falls[:, -1], falls[:, fastest], groups),
                fastest=float(middles[fastest]),
            )
            parts.append(_curve(middles, falls.mean(axis=0) / falls.sum(axis=1).mean()))
        return table.joined(parts)


def _falls(trained) -> tuple[np.ndarray, np.ndarray]:
    """Middles of the windows and the fall of each run in each, (run, window); a run that has
    converged keeps its last loss."""
    steps, losses = trained["trace_step"].values.astype(float), trained["trace_loss"].values.copy()
    ended = ~np.isfinite(losses)
    losses[ended] = np.broadcast_to(trained["loss"].values[:, None], losses.shape)[ended]
    seen = steps >= 1
    count = max(round(PER_DECADE * math.log10(steps[-1])), 3)
    edges = np.linspace(0, np.log(steps[-1]), count + 1)
    at = np.array([np.interp(edges, np.log(steps[seen]), row[seen]) for row in losses])
    return np.exp((edges[1:] + edges[:-1]) / 2), -np.diff(at, axis=1)


def _curve(middles: np.ndarray, parts: np.ndarray):
    import xarray as xr

    places = np.arange(len(middles))
    return xr.Dataset({"window": ("place", middles), "fall": ("place", parts)}, {"place": places})


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_regimes", LossRegimes)
