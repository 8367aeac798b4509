"""How many minima has one sigmoid neuron?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Analysis, Table, flag_mask, share

from .._dips import dips, exact_from


class SigmoidMinima(Analysis):
    """All minima of `sigmoid_neuron`: proved in one dimension, in ball arithmetic on the whole
    line; in d dimensions as products, since L is a sum over the coordinates; and those that the
    runs ended at.

    `ends` (count, end): between which ratios the number of minima in one dimension becomes the
    number m of samples; at both ends the number is proved.
    """

    models = ("sigmoid_neuron",)
    needs = ("critical_points",)
    columns = {
        "proved_minima": "minima under the squared error that are proved, 0 where they are not",
        "proved_critical": "critical points of any kind that are proved",
        "found_minima": "different minima that runs ended at",
        "runs_at_minima": "runs that ended at a minimum",
        "outside": "share of runs at a minimum that are outside of the proved intervals",
        "runs": "runs",
        "threshold": "ratio from which on there are m minima in one dimension, largest over m",
        "exact_share": "share of pairs of m and ratio with m minima and m − 1 maxima, proved",
        "tried_ratios": "pairs that were tried",
    }

    ratios: Annotated[list[float], Field(min_length=1)] = [5.75, 6.0, 7.0, 10.0, 30.0, 100.0]
    """Ratios R at which the number of minima is proved to be m."""
    counts: Annotated[list[int], Field(min_length=1)] = [2, 3, 4, 5, 6]
    """Numbers m of samples in one dimension."""

    def compute(self, results):
        table = Table(results, self.columns)
        ends = np.array([exact_from(count) for count in self.counts])
        tried = [(ratio, count) for ratio in self.ratios for count in self.counts]
        exact = sum(
            found.proved and len(found.minima) == count and len(found.maxima) == count - 1
            for found, count in ((dips(*one), one[1]) for one in tried)
        )
        last = ends[ends[:, 1].argmax()]
        table.everywhere(
            threshold=(last.mean(), *last), exact_share=exact / len(tried), tried_ratios=len(tried)
        )
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, **_counts(configuration.settings.model, critical))
        text = {"long_name": "ratios between which the number of minima becomes m"}
        return (
            table.dataset()
            .assign(ends=(("count", "end"), ends, text))
            .assign_coords(count=self.counts)
        )


def _counts(model, critical) -> dict:
    at_minimum = flag_mask(critical["kind"], "minimum")
    places = critical["w"].values[at_minimum]
    found = {
        "runs": critical.sizes["run"],
        "runs_at_minima": int(at_minimum.sum()),
        "found_minima": len(np.unique(critical["family"].values[at_minimum])),
    }
    if model.loss_function == "squared":
        line = dips(model.ratio, model.scales)
        found |= {
            "proved_minima": len(line.minima) ** model.inputs * line.proved,
            "proved_critical": (len(line.minima) + len(line.maxima)) ** model.inputs * line.proved,
            "outside": share(int((~_inside(places, line.minima)).any(axis=1).sum()), len(places)),
        }
    return found


def _inside(places: np.ndarray, intervals) -> np.ndarray:
    """(point, d) bool: is the coordinate in one of the intervals?"""
    low, high = np.array(intervals).reshape(-1, 2).T
    return ((places[..., None] >= low) & (places[..., None] <= high)).any(axis=-1)


@nnflow.hookimpl
def nnflow_register(register):
    register("sigmoid_minima", SigmoidMinima)
