"""The border between training and divergence in the plane of two learning rates."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, mean

HIDDEN, INPUTS, SAMPLES = 3, 2, 4
"""Size of the network."""
KINDS = ("network", "ripples", "control")
EXTENTS = {
    "network": ((0.0, 12.0), (0.0, 3.0)),
    "ripples": ((0.0, 3.0), (0.0, 6.0)),
    "control": ((0.0, 3.0), (0.0, 6.0)),
}
"""The first maps: rates of the hidden weights and of the output weights, or of the two weights."""
CURVATURES = (1.0, 0.4, 0.5)
"""The parabola's Hessian: two diagonal entries and the one beside them."""
HEIGHT, FREQUENCY = 0.3, 5.0
"""a and k of the ripples: their curvature ak² = 7.5 exceeds the parabola's, so that it has several
minima."""
FAR = 1e3
"""Weights beyond it have diverged: there the ripples' slope, ak at most, is nothing beside the
parabola's."""
SPLIT = 8
"""The next zoom is the one of SPLIT × SPLIT parts of a map that holds most of the border."""
LEAST = 2
"""The smallest boxes have sides of 2² settings: in smaller ones a slanted line, whose settings
touch at corners, has too few."""
CHUNK = 4096
"""Settings that are trained together, so that they stay in the cache."""


class TrainingBorder(Analysis):
    """Gradient descent on a tanh network a·tanh(Wx) with a rate η₀ for W and η₁ for a, from one
    start on one data set: does it train? After J. Sohl-Dickstein, The boundary of neural network
    trainability is fractal (arXiv:2402.06184).

    A setting trains where the mean loss of the last tenth of its steps is below the first loss.
    Each map is a zoom into the part of the map before that holds most of the border. The border is
    the settings with a neighbour of the other kind; its box-counting dimension is the mean slope,
    over octaves of the size, of log N against log(1/size), N the boxes that hold some of it; sizes
    from 4 settings to 1/8 of the map. Intervals are over zooms and octaves.
    The control is the same with a parabola of two weights, each with its own rate, whose
    border is a smooth curve. `ripples` is that parabola with a(cos kx + cos ky) added, and the
    settings that count are those whose weights stay bounded, as with Y. Liu, Complex fractal
    trainability boundary can arise from trivial non-convexity (arXiv:2406.13971), who finds
    fractals as soon as the ripples are rough enough. Borders depend on the number of steps, and
    where they are finer than rounding on float64: both are columns.

    `trains` (kind, zoom, second_rate, first_rate); `low`, `high` (kind, zoom, axis) the maps' ends.
    """

    columns = {
        "network_dimension": "box-counting dimension of the network's border, over all zooms",
        "ripples_dimension": "the same for the parabola with ripples",
        "control_dimension": "the same for the parabola",
        "least_dimension": "lowest dimension of the network's border in any zoom",
        "ripples_least": "the same for the parabola with ripples",
        "settings": "settings of the first map",
        "finest": "distance of two settings in the last map",
        "steps": "steps of each setting",
        "digits": "bits of the significand of the numbers",
    }

    size: Annotated[int, Field(ge=128)] = 256
    """Settings of the maps along each axis; a power of 2 fills all boxes."""
    zooms: Annotated[int, Field(ge=2)] = 3
    """Number of maps, with the first one."""
    steps: PositiveInt = 100
    """Steps of each setting."""

    def compute(self, results):
        ways = {
            "network": Network(results.study.settings.seed).trains,
            "ripples": ripples_stay,
            "control": parabola_trains,
        }
        found, ends, dimensions = [], [], []
        for place, (kind, train) in enumerate(ways.items()):
            extent, maps, extents = EXTENTS[kind], [], []
            for zoom in range(self.zooms):
                results.progress(place * self.zooms + zoom, len(ways) * self.zooms, "maps")
                maps.append(trained_map(train, extent, self.size, self.steps))
                extents.append(extent)
                extent = densest(border(maps[-1]), extent)
            found.append(maps)
            ends.append(extents)
            dimensions.append([dimension(border(each)) for each in maps])
        table = Table(results, self.columns)
        over_kinds = zip(KINDS, dimensions, strict=True)
        table.everywhere(
            **{f"{kind}_dimension": mean(np.array(each)) for kind, each in over_kinds},
            least_dimension=np.mean(dimensions[0], axis=1).min(),
            ripples_least=np.mean(dimensions[1], axis=1).min(),
            settings=self.size**2,
            finest=(ends[0][-1][0][1] - ends[0][-1][0][0]) / self.size,
            steps=self.steps,
            digits=np.finfo(float).nmant + 1,
        )
        ends = np.array(ends)
        return table.dataset().assign(
            trains=(
                ("kind", "zoom", "second_rate", "first_rate"), np.array(found),
                {"long_name": "does the setting train?"},
            ),
            low=(("kind", "zoom", "axis"), ends[..., 0], {"long_name": "lowest rate"}),
            high=(("kind", "zoom", "axis"), ends[..., 1], {"long_name": "highest rate"}),
            dimension=(("kind", "zoom", "octave"), np.array(dimensions),
                       {"long_name": "box-counting dimension"}),
            kind=("kind", list(KINDS)),
        )  # fmt: skip


class Network:
    """a·tanh(Wx) on random data: N(0, 1) inputs, targets and a, W ~ N(0, 1)."""

    def __init__(self, seed: int) -> None:
        draw = Streams(seed, "border", np.arange(1), "training_border").normal
        self.inputs = draw(INPUTS * SAMPLES, draw=0).reshape(1, INPUTS, SAMPLES, 1)
        self.targets = draw(SAMPLES, draw=1).reshape(SAMPLES, 1)
        self.first = draw(HIDDEN * INPUTS, draw=2).reshape(HIDDEN, INPUTS, 1)
        self.second = draw(HIDDEN, draw=3).reshape(HIDDEN, 1)

    def trains(self, first_rate: np.ndarray, second_rate: np.ndarray, steps: int) -> np.ndarray:
        """Which settings train, (setting,)."""
        count = len(first_rate)
        w = np.repeat(self.first, count, axis=2)
        a = np.repeat(self.second, count, axis=1)
        losses = Losses(steps)
        for _ in range(steps):
            hidden = np.tanh((w[:, :, None] * self.inputs).sum(axis=1))
            error = (a[:, None] * hidden).sum(axis=0) - self.targets
            losses.see((error**2).mean(axis=0) / 2)
            back = a[:, None] * error * (1 - hidden**2) / SAMPLES
            a = a - second_rate * (hidden * error).mean(axis=1)
            w = w - first_rate * (back[:, None] * self.inputs).sum(axis=2)
        return losses.fell()


def parabola_trains(first_rate: np.ndarray, second_rate: np.ndarray, steps: int) -> np.ndarray:
    """The same for ½wᵀHw with a rate for each weight, from (1, 1)."""
    first, second, beside = CURVATURES
    x, y = np.ones_like(first_rate), np.ones_like(first_rate)
    losses = Losses(steps)
    for _ in range(steps):
        losses.see((first * x**2 + second * y**2) / 2 + beside * x * y)
        x, y = (
            x - first_rate * (first * x + beside * y),
            y - second_rate * (second * y + beside * x),
        )
    return losses.fell()


def ripples_stay(
    first_rate: np.ndarray, second_rate: np.ndarray, steps: int, height: float = HEIGHT
) -> np.ndarray:
    """Which settings keep the weights bounded on ½wᵀHw + a(cos kx + cos ky) from (1, 1),
    (setting,); height: a."""
    first, second, beside = CURVATURES
    x, y, steep = np.ones_like(first_rate), np.ones_like(first_rate), height * FREQUENCY
    for _ in range(steps):
        x, y = (
            x - first_rate * (first * x + beside * y - steep * np.sin(FREQUENCY * x)),
            y - second_rate * (second * y + beside * x - steep * np.sin(FREQUENCY * y)),
        )
    return np.hypot(x, y) < FAR


class Losses:
    """The first loss of each setting, and the mean of its last tenth."""

    def __init__(self, steps: int) -> None:
        self.last, self.step, self.from_ = 0.0, 0, steps - max(1, steps // 10)
        self.first: np.ndarray | None = None

    def see(self, loss: np.ndarray) -> None:
        """The losses of the next step."""
        self.first = loss if self.first is None else self.first
        if self.step >= self.from_:
            self.last = self.last + loss
        self.step += 1

    def fell(self) -> np.ndarray:
        """Is the mean of the last tenth below the first? No, where it is no number."""
        return self.last / (self.step - self.from_) < self.first


def trained_map(train, extent, size: int, steps: int) -> np.ndarray:
    """Which settings of a map train, (second rate, first rate); the settings are cell centres."""
    axes = [low + (np.arange(size) + 0.5) * (high - low) / size for low, high in extent]
    first, second = (grid.ravel() for grid in np.meshgrid(*axes))
    with np.errstate(over="ignore", invalid="ignore"):
        parts = [
            train(first[at : at + CHUNK], second[at : at + CHUNK], steps)
            for at in range(0, len(first), CHUNK)
        ]
    return np.concatenate(parts).reshape(size, size)


def border(trains: np.ndarray) -> np.ndarray:
    """The settings whose right or upper neighbour is of the other kind."""
    edge = np.zeros_like(trains)
    edge[:, :-1] |= trains[:, :-1] != trains[:, 1:]
    edge[:-1] |= trains[:-1] != trains[1:]
    return edge


def _boxes(edge: np.ndarray, side: int) -> np.ndarray:
    """How much of the border each box of this side holds; what does not fill a box is left out."""
    kept = edge.shape[0] // side * side
    shape = (kept // side, side, kept // side, side)
    return edge[:kept, :kept].reshape(shape).sum(axis=(1, 3))


def dimension(edge: np.ndarray) -> np.ndarray:
    """The box-counting dimension of a set of cells in each octave of box sizes; NaN for no set."""
    sides = 2 ** np.arange(LEAST, int(np.log2(edge.shape[0] / SPLIT)) + 1)
    counts = np.array([(_boxes(edge, side) > 0).sum() for side in sides], dtype=float)
    counts[counts == 0] = np.nan
    return -np.diff(np.log2(counts))


def densest(edge: np.ndarray, extent):
    """The extent of the part of a map that holds most of the border."""
    side = edge.shape[0] // SPLIT
    row, column = np.unravel_index(np.argmax(_boxes(edge, side)[:SPLIT, :SPLIT]), (SPLIT, SPLIT))
    return tuple(
        (low + at * (high - low) / SPLIT, low + (at + 1) * (high - low) / SPLIT)
        for (low, high), at in zip(extent, (column, row), strict=True)
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("training_border", TrainingBorder)
