"""Barriers between networks before and after their neurons are matched."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Analysis, Table, mean, share

from .._matching import lengths
from .._pairs import barrier, disjoint_pairs, ends, matched

SINGLE = 50
"""Samples whose losses are held against each other, one by one, before and after permuting."""


class NeuronMatching(Analysis):
    """Linear paths between the ends of runs 0 and 1, 2 and 3, … (pairs share no run, as pairs that
    do are not independent), as trained and after the second network's neurons are put into the
    order that brings it nearest to the first: by assignment, layer after layer in turn where there
    are several (Ainsworth, Hayase & Srinivasa 2023). Which axes may be permuted is what the model
    declares `interchangeable`; signs of odd activations and the scales of ReLU neurons are left as
    training made them.

    `loss` and `accuracy` (configuration, matched, pair, t). Means over pairs carry Student
    intervals at 99 %. A barrier is the largest rise above the straight line between the ends'
    values, and for accuracies the largest drop below it.
    """

    needs = ("training", "objective")
    columns = {
        "pairs": "pairs of runs, none in two of them",
        "width": "neurons of the narrowest hidden layer",
        "barrier_before": "mean barrier of the loss on the straight path",
        "barrier_after": "the same after matching",
        "barrier_fall": "mean fall of the barrier by matching, pair by pair",
        "share_lowered": "share of pairs whose barrier is lower after matching",
        "drop_before": "mean drop of the accuracy on held-out samples on the straight path",
        "drop_after": "the same after matching",
        "distance_before": "mean distance of the pair, relative to the root of ‖A‖² + ‖B‖²",
        "distance_after": "the same after matching",
        "permutation_error": "largest change of any sample's loss by permuting neurons",
        "rounds": "most rounds over the layers",
    }

    points: Annotated[int, Field(ge=3)] = 25
    """Points on each path, ends included."""

    def compute(self, results):

        table, t, curves = Table(results, self.columns), np.linspace(0, 1, self.points), []
        for configuration, trained in results.each("training"):
            found = self._pairs(results.objective(configuration), configuration, trained, t)
            table.row(configuration, **_row(configuration.settings.model, found, t))
            curves.append(found)
        axes = ("configuration", "matched", "pair", "t")
        return table.dataset().assign(
            {
                name: (axes, _stacked([found[name] for found in curves]), {"long_name": text})
                for name, text in (
                    ("loss", "loss on the way"),
                    ("accuracy", "accuracy on held-out samples on the way"),
                )
            }
        ).assign_coords(t=t, matched=["no", "yes"])  # fmt: skip

    def _pairs(self, loss, configuration, trained, t) -> dict[str, np.ndarray]:
        weights, model = ends(configuration, trained), configuration.settings.model
        found = {"loss": [], "accuracy": [], "distance": [], "error": [], "rounds": []}
        for a, b in disjoint_pairs(len(weights)):
            other, rounds = matched(model, weights[a], weights[b])
            ways = [np.outer(1 - t, weights[a]) + np.outer(t, end) for end in (weights[b], other)]
            found["loss"].append([loss.loss(way) for way in ways])
            seen = [loss.observables(way).get("test_accuracy", np.full(len(t), np.nan))
                    for way in ways]  # fmt: skip
            found["accuracy"].append(seen)
            norm = np.sqrt((weights[a] ** 2).sum() + (weights[b] ** 2).sum())
            found["distance"].append(
                [np.linalg.norm(weights[a] - end) / norm for end in (weights[b], other)]
            )
            found["error"].append(_error(loss, weights[b], other))
            found["rounds"].append(rounds)
        arrays = {name: np.array(values) for name, values in found.items()}
        # (pair, matched, …) as (matched, pair, …)
        return {
            name: np.swapaxes(values, 0, 1) if values.ndim > 1 else values
            for name, values in arrays.items()
        }


def _error(loss, one: np.ndarray, other: np.ndarray) -> float:
    """Largest difference of any single sample's loss between two networks."""
    if loss.samples is None:
        values = loss.loss(np.stack([one, other]))[None]
    else:
        singles = range(min(SINGLE, loss.samples))
        values = np.stack([loss.among(np.array([s])).loss(np.stack([one, other])) for s in singles])
    return float(np.abs(values[:, 0] - values[:, 1]).max())


def _row(model, found: dict[str, np.ndarray], t: np.ndarray) -> dict:
    pairs = len(found["error"])
    if not pairs:
        return {"pairs": 0}
    barriers, drops = barrier(found["loss"], t), barrier(-found["accuracy"], t)
    fall = barriers[0] - barriers[1]
    return {
        "pairs": pairs,
        "width": min(lengths(model).values()),
        "barrier_before": mean(barriers[0]),
        "barrier_after": mean(barriers[1]),
        "barrier_fall": mean(fall),
        "share_lowered": share(int((fall > 0).sum()), pairs),
        "drop_before": mean(drops[0]),
        "drop_after": mean(drops[1]),
        "distance_before": mean(found["distance"][0]),
        "distance_after": mean(found["distance"][1]),
        "permutation_error": float(found["error"].max()),
        "rounds": int(found["rounds"].max()),
    }


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    """(configuration, matched, pair, t), NaN where a configuration has fewer pairs."""
    most = max(part.shape[1] for part in parts)
    filled = [
        np.pad(part, ((0, 0), (0, most - part.shape[1]), (0, 0)), constant_values=np.nan)
        for part in parts
    ]
    return np.stack(filled)


@nnflow.hookimpl
def nnflow_register(register):
    register("neuron_matching", NeuronMatching)
