"""Worst accuracies and losses on paths between networks of one hidden layer."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Table, UserError, mean, torch

from .._along import Way, measured
from .._neurons import arc, balanced, flat_network, linear, neurons, spread
from .._pairs import disjoint_pairs, ends, matched
from .._width_slope import width_slope

WAYS = {
    "linear": "straight",
    "arc_zero": "arc about 0",
    "arc": "arc about the mean",
    "linear_matched": "straight after matching",
    "arc_matched": "arc about the mean after matching",
    "adjusted": "straight, output weights adjusted",
    "bezier": "trained Bézier curve",
    "chain": "trained chain of two segments",
}
MEASURES = {
    "loss": "highest loss",
    "train": "lowest accuracy on training samples",
    "test": "lowest accuracy on held-out samples",
}
RIDGE = 1e-6
"""Ridge of the least squares that adjust output weights, relative to the mean square feature."""


WayName = Literal[
    "linear", "arc_zero", "arc", "linear_matched", "arc_matched", "adjusted", "bezier", "chain"
]


class LowLossPaths(Analysis):
    """Ways between the ends of runs 0 and 1, 2 and 3, … of networks of one hidden layer, after
    Anokhin & Yarotsky 2020. A neuron is the vector (l, b, c) of its input weights, bias and output
    weights, all of which move with the same t; output biases go straight.

    Arcs are about 0 or about the mean of all neurons of the pair. Matching puts the second
    network's neurons into the order nearest to the first. `adjusted` goes straight and at every t
    solves for the output weights whose outputs are nearest to (1 − t)o_A + t·o_B on the training
    samples (our reading of "weight adjustment"). The Bézier curve and the chain have one free
    network each, trained on the mean loss along the path at the rate of the study's optimizer
    (Garipov et al. 2018).

    Linear and arc depend on how neurons are scaled, which ReLU leaves free: `gauge` says whether
    they stay as trained or are `balanced`, ‖(l, b)‖ = ‖c‖. Where A and B are independent, `linear`
    halves the covariance of neurons at the middle and `arc` keeps it; after matching they are not
    independent. `spread_…` is the trace of the covariance at the middle over its mean at the ends.
    Columns WAY_loss, WAY_train, WAY_test are means over pairs, which share no run, of the worst
    value on the way, with Student intervals at 99 %.
    """

    needs = ("training", "objective")
    models = ("mlp",)

    ways: Annotated[list[WayName], Field(min_length=1)] = list(WAYS)
    """Which ways; the last three cost many passes through the samples."""
    points: Annotated[int, Field(ge=3)] = 21
    """Points on each path, ends included."""
    gauge: Literal["trained", "balanced"] = "trained"
    """How neurons are scaled before they are joined."""
    steps: PositiveInt = 60
    """Steps in which the curve and the chain are trained."""
    nodes: PositiveInt = 5
    """Places on the way whose losses are averaged in that."""
    rate: PositiveFloat = 1.0
    """Rate of those steps, with momentum 0.8."""

    @property
    def columns(self):
        worst = {
            f"{way}_{measure}": f"{text}, {WAYS[way]} path"
            for way in self.ways
            for measure, text in MEASURES.items()
        }
        slopes = {
            f"{way}_slope": f"slope of log highest loss on log width, {WAYS[way]} path"
            for way in self.ways
        }
        return {
            "pairs": "pairs of runs, none in two of them",
            "width": "hidden neurons",
            "ends_train": "mean accuracy of the ends on training samples",
            "ends_test": "mean accuracy of the ends on held-out samples",
            **worst,
            **slopes,
            "arc_gain": "lowest training accuracy, arc less straight, pair by pair",
            "matched_gain": "the same after matching, straight less arc",
            "spread_linear": "covariance of neurons at the middle over that at the ends, straight",
            "spread_arc": "the same, arc about the mean",
            "spread_linear_matched": "the same, straight after matching",
            "spread_arc_matched": "the same, arc about the mean after matching",
        }

    def compute(self, results):
        table, t, spreads = Table(results, self.columns), np.linspace(0, 1, self.points), []
        widths, highest = [], []
        for configuration, trained in results.each("training"):
            model = configuration.settings.model
            if len(model.widths) != 3:
                raise UserError(
                    f"{results.study.file}: analyses.low_loss_paths: networks of one hidden layer"
                    f" are needed; {configuration.label} has {len(model.widths) - 2}"
                )
            found = self._pairs(
                results.objective(configuration), model, ends(configuration, trained), t
            )
            table.row(configuration, width=model.widths[1], **_row(found, self.ways))
            spreads.append(np.mean(found["spread"], axis=0))
            widths.append(model.widths[1])
            highest.append(np.array(found["worst"])[:, :, 0])
        for place, way in enumerate(self.ways):
            slope = width_slope(widths, [values[:, place] for values in highest])
            table.everywhere(**{f"{way}_slope": slope})
        return table.dataset().assign(
            spread=(
                ("configuration", "joined", "t"),
                np.array(spreads),
                {"long_name": "trace of the covariance of neurons over its mean at the ends"},
            )
        ).assign_coords(t=t, joined=list(SPREADS))  # fmt: skip

    def _pairs(self, loss, model, weights, t) -> dict[str, list]:
        found = {"worst": [], "ends": [], "spread": []}
        for a, b in disjoint_pairs(len(weights)):
            pair = weights[[a, b]]
            if self.gauge == "balanced":
                ensembles, biases = neurons(model, pair)
                pair = flat_network(balanced(ensembles, model.widths[0]), biases, model.widths[0])
            networks, ways = self._ways(loss, model, *pair, t)
            seen = measured(model, loss.data, networks, {name: ways[name] for name in self.ways})
            found["worst"].append([_worst(seen[name]) for name in self.ways])
            found["ends"].append(seen[self.ways[0]][1:, [0, -1]].mean(axis=1))
            spreads = np.array([spread(neurons(model, ways[name].flat)[0]) for name in SPREADS])
            found["spread"].append(spreads / spreads[:, [0, -1]].mean(axis=1, keepdims=True))
        return found

    def _ways(self, loss, model, one, other, t) -> tuple[np.ndarray, dict[str, Way]]:
        """Known networks (network, weight), and the ways that are asked for or followed by name."""
        inputs = model.widths[0]
        image, _ = matched(model, one, other)
        (a, b), biases = neurons(model, np.stack([one, other]))
        center = np.concatenate([a, b]).mean(axis=0)
        middle = flat_network(np.broadcast_to(center, (1, *a.shape)), biases[:1], inputs)[0]
        known, straight, bent = [one, other, image, middle], [1 - t, t], _bent(t)
        ways = {
            "linear": Way(_parts(t, {0: straight[0], 1: straight[1]}), linear(one, other, t)),
            "linear_matched": Way(
                _parts(t, {0: straight[0], 2: straight[1]}), linear(one, image, t)
            ),
        }
        for name, end, about_mean in (("arc_zero", 1, 0), ("arc", 1, 1), ("arc_matched", 2, 1)):
            (a, b), biases = neurons(model, np.stack([one, known[end]]))
            moved = arc(a, b, t, about_mean * center)
            parts = {0: bent[0], end: bent[1], 3: about_mean * (1 - bent[0] - bent[1])}
            ways[name] = Way(_parts(t, parts), flat_network(moved, linear(*biases, t), inputs))
        if "adjusted" in self.ways:
            flat = _adjusted(loss, model, ways["linear"].flat, t)
            ways["adjusted"] = Way(ways["linear"].parts, flat)
        for name, shape in (("bezier", _bezier), ("chain", _chain)):
            if name in self.ways:
                free = self._trained(loss, one, other, shape)
                first, between, last = shape(t)
                flat = np.stack([first, between, last], axis=1) @ np.stack([one, free, other])
                ways[name] = Way(_parts(t, {0: first, len(known): between, 1: last}), flat)
                known.append(free)
        networks = np.stack(known)
        return networks, {name: _padded(way, len(networks)) for name, way in ways.items()}

    def _trained(self, loss, one, other, shape) -> np.ndarray:
        """The free network of a path, trained at places away from the ends."""
        free, velocity = (one + other) / 2, 0.0
        places = (np.arange(self.nodes) + 0.5) / self.nodes
        parts = shape(places)
        for _ in range(self.steps):
            way = np.stack(parts, axis=1) @ np.stack([one, free, other])
            gradient = (parts[1][:, None] * loss.gradient(way)).mean(axis=0)
            velocity = 0.8 * velocity + gradient
            free = free - self.rate * velocity
        return free


def _bent(t):
    return np.cos(np.pi / 2 * t), np.sin(np.pi / 2 * t)


def _parts(t: np.ndarray, of_network: dict[int, np.ndarray]) -> np.ndarray:
    """(t, network) from the parts of some networks."""
    parts = np.zeros((len(t), 1 + max(of_network)))
    for number, part in of_network.items():
        parts[:, number] = part
    return parts


def _padded(way: Way, networks: int) -> Way:
    return Way(np.pad(way.parts, ((0, 0), (0, networks - way.parts.shape[1]))), way.flat)


def _bezier(t):
    """Parts of the first end, the free network and the last end."""
    return (1 - t) ** 2, 2 * t * (1 - t), t**2


def _chain(t):
    return np.maximum(1 - 2 * t, 0), 1 - np.abs(1 - 2 * t), np.maximum(2 * t - 1, 0)


SPREADS = ("linear", "arc", "linear_matched", "arc_matched")
"""Ways whose covariances are followed."""
GAINS = (("arc_gain", "arc", "linear"), ("matched_gain", "linear_matched", "arc_matched"))
"""Columns that hold a way's lowest training accuracy against another's."""


def _adjusted(loss, model, way, t) -> np.ndarray:
    """The same hidden neurons with the output weights and biases that come nearest to the
    interpolated outputs of the ends; the ends stay."""
    inputs, biases = model.widths[0], []
    ensembles, output_biases = neurons(model, way)
    first, last = (
        _features(model, loss.data["inputs"], ensembles[place, :, : inputs + 1])
        @ np.vstack([ensembles[place, :, inputs + 1 :], output_biases[place]])
        for place in (0, -1)
    )
    moved = ensembles.copy()
    for place, part in enumerate(t):
        x = _features(model, loss.data["inputs"], ensembles[place, :, : inputs + 1])
        wanted = (1 - part) * first + part * last
        gram = x.T @ x
        gram += RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram))
        solved = np.linalg.solve(gram, x.T @ wanted)
        moved[place, :, inputs + 1 :] = solved[:-1]
        biases.append(solved[-1])
    adjusted = flat_network(moved, np.array(biases), inputs)
    adjusted[[0, -1]] = way[[0, -1]]
    return adjusted


def _features(model, inputs: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Outputs of the hidden neurons of one network and a 1, (sample, neuron + 1)."""
    sums = inputs @ first[:, :-1].T + first[:, -1]
    values = model.activation(torch.as_tensor(sums)).numpy()
    return np.column_stack([values, np.ones(len(values))])


def _worst(seen: np.ndarray) -> list[float]:
    """Highest loss and lowest accuracies of a way, in the order of MEASURES."""
    losses, train, test = seen
    return [losses.max(), train.min(), test.min()]


def _row(found: dict[str, list], names: list[str]) -> dict:
    worst, joined = np.array(found["worst"]), np.array(found["ends"])
    train = list(MEASURES).index("train")
    row = {
        f"{way}_{measure}": mean(worst[:, i, j])
        for i, way in enumerate(names)
        for j, measure in enumerate(MEASURES)
    }
    column = {name: worst[:, place, train] for place, name in enumerate(names)}
    middle = np.array(found["spread"])[:, :, np.shape(found["spread"])[2] // 2]
    for gain, more, less in GAINS:
        if {more, less} <= set(names):
            row[gain] = mean(column[more] - column[less])
    return {
        "pairs": len(worst),
        "ends_train": mean(joined[:, 0]),
        "ends_test": mean(joined[:, 1]),
        **row,
        **{f"spread_{name}": mean(middle[:, place]) for place, name in enumerate(SPREADS)},
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("low_loss_paths", LowLossPaths)
