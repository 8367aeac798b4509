"""Trained networks with what their batch norms keep, and the losses on straight paths between them.

The state dicts of two networks are averaged with their running statistics; but the means and
variances of the neurons of an averaged network are not the averages: the variance collapses. REPAIR
(Jordan, Sedghi, Saukh, Entezari & Neyshabur, ICLR 2023, arXiv:2211.08403) gives the neurons on the
way the statistics that the data make of them; with batch norms that means to take them anew at each
point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..general._flat import flat_weights, named_weights
from ._matching import matching, permuted


@dataclass(frozen=True)
class Network:
    """weights: (weight,). buffers: what its loss reads beside them, each (*shape)."""

    weights: np.ndarray
    buffers: dict[str, np.ndarray]


def networks(loss, configuration, dataset) -> list[Network]:
    """The ends of all runs that have one. The buffers are the run's own, or, where training takes
    the statistics of the samples at hand, those that all samples make of its end."""
    model, found = configuration.settings.model, []
    flat = flat_weights(model, dataset).astype(np.float64)
    own = model.reading() is model
    for run in np.flatnonzero(np.isfinite(flat).all(axis=1)):
        buffers = {name: dataset[name].values[run] for name in model.buffers()}
        if not own:
            buffers = loss.keeping(buffers).statistics(flat[run]) or buffers
        found.append(Network(flat[run], buffers))
    return found


def image(model, one: Network, other: Network) -> tuple[Network, int]:
    """The other network with its neurons in the order nearest to the first, and the rounds that
    took. Its buffers move with them, and do not count in what is near."""
    parts = [
        {name: part[0] for name, part in named_weights(model, end.weights[None]).items()}
        for end in (one, other)
    ]
    orders, rounds = matching(model, *parts)
    moved = permuted(model, {**parts[1], **other.buffers}, orders)
    flat = np.concatenate([moved[name].ravel() for name in model.shapes()])
    return Network(flat, {name: moved[name] for name in other.buffers}), rounds


def straight(loss, one: Network, other: Network, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Losses and accuracies on held-out samples, (t,) each, on the straight path, running
    statistics on it as well; NaN for accuracies that the model does not observe."""
    way = np.outer(1 - t, one.weights) + np.outer(t, other.weights)
    if not one.buffers:
        return _seen(loss, way)
    return _joined(_averaged(loss, one, other, t), way)


def repaired(loss, one: Network, other: Network, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same with the statistics that all samples make at each point."""
    way = np.outer(1 - t, one.weights) + np.outer(t, other.weights)
    averaged = _averaged(loss, one, other, t)
    renewed = [own.keeping(own.statistics(point)) for own, point in zip(averaged, way, strict=True)]
    return _joined(renewed, way)


def _averaged(loss, one: Network, other: Network, t: np.ndarray) -> list:
    """The losses that read the averaged buffers, one for each point."""
    return [loss.keeping(_between(one.buffers, other.buffers, s)) for s in t]


def _joined(losses, way):
    parts = [_seen(loss, point[None]) for loss, point in zip(losses, way, strict=True)]
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _seen(loss, way: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    accuracies = loss.observables(way).get("test_accuracy", np.full(len(way), np.nan))
    return loss.loss(way), accuracies


def _between(one: dict, other: dict, t: float) -> dict[str, np.ndarray]:
    """Averaged buffers; whole numbers, such as counts of batches, are the first network's."""
    return {
        name: (1 - t) * values + t * other[name] if values.dtype.kind == "f" else values
        for name, values in one.items()
    }
