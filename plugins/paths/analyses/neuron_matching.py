"""Barriers between networks before and after their neurons are matched."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Analysis, Table, UserError, mean, share

from .._matching import lengths
from .._normed import Network, image, networks, repaired, straight
from .._pairs import barrier, disjoint_pairs
from .._width_slope import width_slope

SINGLE = 50
"""Samples whose losses are held against each other, one by one, before and after permuting."""

WRONG = 1e-6
"""Change of a sample's loss by permuting that no rounding explains."""
PATHS = ("as_trained", "matched", "repaired")


class NeuronMatching(Analysis):
    """Linear paths between the ends of runs 0 and 1, 2 and 3, … (pairs share no run, as pairs that
    do are not independent), as trained and after the second network's neurons are put into the
    order that brings it nearest to the first: by assignment, layer after layer in turn where there
    are several (Ainsworth, Hayase & Srinivasa 2023). Which axes may be permuted is what the model
    declares `interchangeable`; signs of odd activations and the scales of ReLU neurons are left as
    training made them.

    Networks with batch norms: the straight path averages their running statistics as well (those
    of all samples, where training takes those of the samples at hand); `repaired` takes the
    statistics anew at each point of the path between matched networks (REPAIR: Jordan et al. 2023).
    The statistics are those of all samples that are trained on.

    `loss` and `accuracy` (configuration, path, pair, t). Means over pairs carry Student
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
        "barrier_repaired": "the same after matching, with the statistics of batch norms renewed",
        "repair_fall": "mean fall of the barrier by that, pair by pair",
        "drop_repaired": "mean drop of the accuracy on held-out samples on that path",
        "slope_before": "slope of log barrier on log width over networks of as many hidden layers",
        "slope_after": "the same after matching",
        "slope_repaired": "the same with the statistics of batch norms renewed",
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
            found = self._pairs(results, configuration, trained, t)
            table.row(configuration, **_row(configuration.settings.model, found, t))
            curves.append(found)
        for configuration, slopes in _slopes(results.configurations, curves, t):
            table.row(configuration, **slopes)
        paths = PATHS[: max(len(found["loss"]) for found in curves)]
        axes = ("configuration", "path", "pair", "t")
        return table.dataset().assign(
            {
                name: (axes, _stacked([found[name] for found in curves]), {"long_name": text})
                for name, text in (
                    ("loss", "loss on the way"),
                    ("accuracy", "accuracy on held-out samples on the way"),
                )
            }
        ).assign_coords(t=t, path=list(paths))  # fmt: skip

    def _pairs(self, results, configuration, trained, t) -> dict[str, np.ndarray]:
        model = configuration.settings.model
        loss = results.objective(configuration, **({"run": 0} if model.buffers() else {}))
        ends = networks(loss, configuration, trained)
        found = {"loss": [], "accuracy": [], "distance": [], "error": [], "rounds": []}
        for a, b in disjoint_pairs(len(ends)):
            one, other = ends[a], ends[b]
            moved, rounds = image(model, one, other)
            error = _error(loss, other, moved)
            if error > WRONG:
                raise UserError(
                    f"{results.study.file}: analyses.neuron_matching: model {model.name!r} declares"
                    f" {', '.join(model.interchangeable())} interchangeable, but another order"
                    f" changes the loss of a sample by {error:.2g}; does every weight and buffer"
                    " that has the axis stand in the declaration?"
                )
            ways = [straight(loss, one, end, t) for end in (other, moved)]
            if one.buffers and loss.statistics(one.weights) is not None:
                ways.append(repaired(loss, one, moved, t))
            for name, values in zip(("loss", "accuracy"), zip(*ways, strict=True), strict=True):
                found[name].append(values)
            norm = np.sqrt((one.weights**2).sum() + (other.weights**2).sum())
            apart = [np.linalg.norm(one.weights - end.weights) / norm for end in (other, moved)]
            found["distance"].append(apart)
            found["error"].append(error)
            found["rounds"].append(rounds)
        arrays = {name: np.array(values) for name, values in found.items()}
        # (pair, path, …) as (path, pair, …)
        return {
            name: np.swapaxes(values, 0, 1) if values.ndim > 1 else values
            for name, values in arrays.items()
        }


def _error(loss, one: Network, other: Network) -> float:
    """Largest difference of any single sample's loss between two networks."""
    singles = [None]
    if loss.samples is not None:
        singles = [np.array([sample]) for sample in range(min(SINGLE, loss.samples))]
    parts = [loss if single is None else loss.among(single) for single in singles]
    values = np.array(
        [
            [(part.keeping(end.buffers) if end.buffers else part).loss(end.weights)[0]
             for end in (one, other)]
            for part in parts
        ]
    )  # fmt: skip
    return float(np.abs(values[:, 0] - values[:, 1]).max())


def _row(model, found: dict[str, np.ndarray], t: np.ndarray) -> dict:
    pairs = len(found["error"])
    if not pairs:
        return {"pairs": 0}
    barriers, drops = barrier(found["loss"], t), barrier(-found["accuracy"], t)
    fall = barriers[0] - barriers[1]
    row = {
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
    if len(barriers) < len(PATHS):
        return row
    return {
        **row,
        "barrier_repaired": mean(barriers[2]),
        "repair_fall": mean(barriers[1] - barriers[2]),
        "drop_repaired": mean(drops[2]),
    }


def _slopes(configurations, curves: list[dict], t: np.ndarray):
    """Each configuration with the slopes over all that have as many hidden layers."""
    models = [configuration.settings.model for configuration in configurations]
    layers = np.array([len(model.interchangeable()) for model in models])
    widths = np.array([min(lengths(model).values()) for model in models])
    for number, configuration in enumerate(configurations):
        alike = np.flatnonzero(layers == layers[number])
        yield (
            configuration,
            {
                f"slope_{ending}": width_slope(
                    widths[alike], [barrier(curves[i]["loss"][path], t) for i in alike]
                )
                for path, ending in enumerate(("before", "after", "repaired"))
                if all(len(curves[i]["loss"]) > path for i in alike)
            },
        )


def _stacked(parts: list[np.ndarray]) -> np.ndarray:
    """(configuration, path, pair, t), NaN where a configuration has fewer pairs or paths."""
    paths, pairs = np.max([part.shape[:2] for part in parts], axis=0)
    filled = [
        np.pad(
            part,
            ((0, paths - len(part)), (0, pairs - part.shape[1]), (0, 0)),
            constant_values=np.nan,
        )
        for part in parts
    ]
    return np.stack(filled)


@nnflow.hookimpl
def nnflow_register(register):
    register("neuron_matching", NeuronMatching)
