"""Ways down from saddles to minima, proved for the edges of a graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import nnflow
from nnflow import torch

from ..general._flat import named_weights


@dataclass(frozen=True)
class Joined:
    """A proved way: from which saddle, on which side, to which minimum, by numbers in the graph.
    corners: (corner, weight), the last one an image of the minimum. bounds: those of `_certified`
    for the last corner."""

    saddle: int
    side: int
    minimum: int
    corners: np.ndarray
    bounds: dict[str, float]


def proved_ways(model, graph: dict, proofs: dict, bounds_of, role) -> list[Joined]:
    """The ways that are proved, of two for each saddle. graph: `edge` (saddle, side), `lines`
    (saddle, side) trajectories, `minimum_weights`. proofs: {minimum or saddle: {bound: (point,)}}.
    bounds_of: point → its bounds; role: bounds → what they prove."""
    enclosure = model.enclosure()
    if enclosure is None:
        return []
    saddles, minima = (_rows(proofs[part]) for part in ("saddle", "minimum"))
    found = []
    for saddle, said in enumerate(saddles):
        for side, line in enumerate(graph["lines"][saddle]):
            minimum = int(graph["edge"][saddle, side])
            node, bounds = graph["minimum_weights"][minimum], bounds_of(enclosure, line[-1])
            if role(said) != "saddle" or role(minima[minimum]) != "minimum":
                continue
            if role(bounds) != "minimum":
                continue
            if not is_image(model, line[-1], bounds, node, minima[minimum]):
                continue
            way = nnflow.find_way(enclosure, line, proof_of(said), proof_of(bounds))
            if not way.obstacle:
                found.append(Joined(saddle, side, minimum, way.corners, bounds))
    return found


def is_image(model, end: np.ndarray, bounds: dict, node: np.ndarray, said: dict) -> bool:
    """Is the critical point beside `end` the image of that beside `node` under the symmetry that
    the model declares? It is where the image of one lies in the box of the other, in which there is
    one only. The canonical forms are images by exact moves of entries."""
    one, other = (_canonical(model, point) for point in (end, node))
    gap = float(np.abs(one - other).max())
    boxes = ((bounds, said), (said, bounds))
    return any(
        (gap + inside["distance"]) * (1 + EXACT) <= around["radius"] for inside, around in boxes
    )


EXACT = 2.0**-50
"""Rounding of a sum of three numbers, generously."""


def proof_of(said: dict):
    """The proof that a certificate states."""
    return nnflow.Proof(said["radius"], distance=said["distance"], loss_high=said["loss_high"])


def _rows(found: dict[str, np.ndarray]) -> list[dict[str, float]]:
    count = len(found["radius"])
    return [{name: float(values[i]) for name, values in found.items()} for i in range(count)]


def _canonical(model, point: np.ndarray) -> np.ndarray:
    named = named_weights(model, point[None])
    image = model.canonical({name: torch.as_tensor(part) for name, part in named.items()})
    return np.concatenate([image[name].numpy().ravel() for name in model.shapes()])
