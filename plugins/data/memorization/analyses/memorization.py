"""Learning samples by heart: by construction, with fewer units, and by descent."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, mean, share, share_of

from .._construction import best_error, condition, fit, two_units
from .._fewer_units import search
from .._sample import SORTS, sample

COUNTS = (4, 5, 6, 7)
"""Samples whose targets alternate."""
BELOW = 1 - 1e-9
"""An error of n − 1 units below this is an exception: they leave at least 1, up to rounding, which
is near 1e-15 here and 1e-10 in linear programming."""
EXACT = 1e-9
"""n units fit where the largest error is below this. Fits are below 1e-12, other ends near 1."""
FITTED = 0.05
"""A descent has learnt the samples by heart where no error exceeds this; targets are of size 1."""


class Memorization(Analysis):
    """The network f(x) = Σ_j w_j max(a·x − b_j, 0) of Zhang et al. with n units.

    - The construction (`_construction.fit`) on all SORTS of points, several times for each n:
      `error` and `condition` (knots, size, trial), for normal points, with knots at the samples
      and half-way. A fit fails if an error exceeds what rounding explains.
    - Points on a line with the targets ±1 in turn: with n − 1 units the largest error is at least
      1, whatever the knots. f has n − 1 pieces beside the one where it is 0, and would need one to
      reach the first target and one for each change. It is tried on random knots, with the best
      weights, and by searches in the knots (`_fewer_units`), which do find the fits of n units.
    - Linearly independent points: two units are enough.
    - The ends of the study's runs, gradient descent in all 2n + d weights.
    """

    models = ("shared_direction",)
    needs = ("training",)
    columns = {
        "fits": "constructed networks",
        "fit_failures": "share of them with an error that rounding doesn't explain",
        "weights_over_2n_d": "largest number of weights beyond 2n + d",
        "largest_n": "largest number of samples",
        "largest_error": "largest error of a fit there, knots at the samples",
        "midpoint_error": "the same, knots half-way between the samples",
        "midpoint_digits": "mean over fits of log10 of the ratio of the second to the first, any n",
        "largest_condition": "largest condition number there, knots at the samples",
        "one_unit_less": "least largest error of n − 1 units on alternating targets",
        "less_exceptions": "share of random sets of n − 1 knots that leave less than 1",
        "searches": "searches for better sets of n − 1 knots",
        "search_exceptions": "share of them that leave less than 1",
        "search_error": "least largest error that a search leaves",
        "search_fits": "share of the same searches with n units that end at an exact fit",
        "enough_units": "largest error of n units on alternating targets",
        "two_unit_weights": "weights of two units that fit 20 points in 25 dimensions",
        "two_unit_error": "their largest error",
        "runs": "runs",
        "descent_share": "share of runs of gradient descent that learn all samples by heart",
        "descent_error": "mean of their largest error",
    }

    sizes: Annotated[list[PositiveInt], Field(min_length=2)] = [20, 50, 100, 200]
    """Numbers n of samples."""
    inputs: PositiveInt = 10
    """Dimension d."""
    trials: Annotated[int, Field(ge=2)] = 5
    """Samples for each n."""
    knot_sets: PositiveInt = 30
    """Random sets of knots for each n = 4, 5, 6, 7."""
    searches: PositiveInt = 30
    """Searches in the knots for each of these n."""
    search_steps: PositiveInt = 30
    """Moves of a knot in each."""

    def compute(self, results):
        import xarray as xr

        seed = results.study.settings.seed
        table = Table(results, self.columns)
        error, conditions, columns = self._fits(seed)
        table.everywhere(**columns, **self._alternating(seed), **self._searched(seed), **_few(seed))
        for configuration, trained in results.each("training"):
            worst = results.last("worst_error", configuration.label)
            fitted = int((worst < FITTED).sum())
            table.row(
                configuration,
                runs=trained.sizes["run"],
                descent_share=share(fitted, trained.sizes["run"]),
                descent_error=mean(worst[np.isfinite(worst)]),
            )
        axes = ("knots", "size", "trial")
        more = {
            "error": (axes, error, {"long_name": "largest error of a fit, normal points"}),
            "condition": (axes, conditions, {"long_name": "condition number of its matrix"}),
        }
        coordinates = {"knots": ["samples", "midpoints"], "size": self.sizes}
        return xr.merge([table.dataset(), xr.Dataset(more, coordinates)])

    def _fits(self, seed):
        error = np.empty((2, len(self.sizes), self.trials))
        conditions, failures, excess, fits = np.empty_like(error), 0, [], 0
        for place, count in enumerate(self.sizes):
            for sort in SORTS:
                streams = Streams(seed, f"{sort}-{count}", np.arange(self.trials), "memorize")
                points, targets = sample(sort, count, self.inputs, streams)
                directions = streams.normal(self.inputs, draw=2)
                for trial in range(self.trials):
                    for way, knots in enumerate(("samples", "midpoints")):
                        found = fit(points[trial], targets[trial], directions[trial], knots)
                        fits += 1
                        failures += not found.explained
                        excess.append(found.network.size - 2 * count - self.inputs)
                        if sort == "gaussian":
                            error[way, place, trial] = found.error
                            conditions[way, place, trial] = condition(points[trial], found.network)
        digits = np.log10(error[1] / error[0]).ravel()
        return (
            error,
            conditions,
            {
                "fits": fits,
                "fit_failures": share(failures, fits),
                "weights_over_2n_d": max(excess),
                "largest_n": self.sizes[-1],
                "largest_error": error[0, -1].max(),
                "midpoint_error": error[1, -1].max(),
                "midpoint_digits": mean(digits),
                "largest_condition": conditions[0, -1].max(),
            },
        )

    def _alternating(self, seed):
        least, enough = [], []
        for count in COUNTS:
            streams = Streams(seed, f"knots-{count}", np.arange(self.knot_sets), "memorize")
            places = np.arange(1.0, count + 1)
            targets = _in_turn(count)
            knots = -1 + (count + 1) * streams.uniform(count - 1)
            least += [best_error(places, targets, one) for one in knots]
            enough.append(fit(places[:, None], targets, np.ones(1)).error)
        return {
            "one_unit_less": min(least),
            "less_exceptions": share_of(np.array(least) < BELOW),
            "enough_units": max(enough),
        }

    def _searched(self, seed):
        ends = []
        for missing in (1, 0):
            found = []
            for count in COUNTS:
                name = f"search-{count}-{missing}"
                streams = Streams(seed, name, np.arange(self.searches), "memorize")
                found += list(search(count - missing, _in_turn(count), streams, self.search_steps))
            ends.append(np.array(found))
        less, enough = ends
        return {
            "searches": len(less),
            "search_exceptions": share_of(less < BELOW),
            "search_error": less.min(),
            "search_fits": share_of(enough < EXACT),
        }


def _in_turn(count: int) -> np.ndarray:
    return (-1.0) ** np.arange(count)


def _few(seed):
    streams = Streams(seed, "two", np.arange(20), "memorize")
    points, targets = streams.normal(25, draw=0), streams.normal(1, draw=1)[:, 0]
    network = two_units(points, targets)
    error = np.abs(network(points) - targets).max()
    return {"two_unit_weights": network.size, "two_unit_error": error}


@nnflow.hookimpl
def nnflow_register(register):
    register("memorization", Memorization)
