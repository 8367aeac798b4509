"""Which starts reach the global minimum of a function of one weight?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, UserError, share

NEAR = 1e-3
"""A run ends at a minimum where it is nearer to it than this; minima are 1.4 apart or more."""


class Basins(Analysis):
    """For a rate below 1/M gradient descent on a function of one weight keeps the order of points,
    so that a start ends at the minimum between the same two maxima. The share of starts, uniform
    on [−R, R] (`uniform_ball`), that reach the global minimum is then the length of its basin
    over 2R. Runs are held against it, one by one; with a larger rate they may leave their basin.
    """

    needs = ("initialization", "training")
    models = ("rippled_bowl",)
    columns = {
        "relative_rate": "αM",
        "minima": "local minima in all",
        "runs": "runs",
        "exact_share": "length of the basin of the global minimum over that of all starts",
        "global_share": "share of runs that reach the global minimum",
        "elsewhere": "share of runs that end at no minimum of their own basin",
        "worst_end": "highest loss of an end above the infimum",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, trained in results.each("training"):
            settings = configuration.settings
            if settings.initializer.name != "uniform_ball":
                raise UserError(
                    f"{results.study.file}: analyses: basins is about starts of uniform_ball, not"
                    f" {settings.initializer.name!r}"
                )
            model, radius = settings.model, settings.initializer.radius
            minima, maxima = model.stationary()
            start = results.at("initialization", configuration.label)["w"].values[:, 0]
            end = trained["w"].values[:, 0]
            own = minima[np.searchsorted(maxima, start)]
            best = minima[np.argmin(model.value(minima))]
            away, reached = ~(np.abs(end - own) < NEAR), np.abs(end - best) < NEAR
            table.row(
                configuration,
                relative_rate=settings.optimizer.rate * model.smoothness({}),
                minima=len(minima),
                runs=len(end),
                exact_share=exact_share(model, radius),
                global_share=share(int(reached.sum()), len(end)),
                elsewhere=share(int(away.sum()), len(end)),
                worst_end=float(np.nanmax(trained["loss"].values) - model.infimum()),
            )
        return table.dataset()


def exact_share(model, radius: float) -> float:
    """The share of [−radius, radius] in the basin of the global minimum."""
    minima, maxima = model.stationary()
    edges = np.concatenate([[-np.inf], maxima, [np.inf]])
    best = int(np.argmin(model.value(minima)))
    low, high = np.clip(edges[best : best + 2], -radius, radius)
    return float((high - low) / (2 * radius))


@nnflow.hookimpl
def nnflow_register(register):
    register("basins", Basins)
