"""Minima, the saddles between them, and the graph they make."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np

from nnflow import torch

from ..general._flat import named_weights
from ._refined import descent_lines, polished

PUSH = 1e-3
"""How far from a saddle descents begin, in weights."""
SPACING = 1e-2
"""Distance between the points of a descent that are kept, in weights."""
LEVEL = 1e-6
"""Gradient norm at which a descent is polished."""


def invariants(model, weights: np.ndarray) -> np.ndarray:
    """Numbers that tell points apart but for the model's symmetry, (point, number)."""
    named = {name: torch.as_tensor(part) for name, part in named_weights(model, weights).items()}
    found = model.invariants(named)
    return weights if found is None else found.numpy()


def representatives(model, loss, weights: np.ndarray, within: float) -> np.ndarray:
    """Numbers of the first of each class of points that are images under the symmetry, by rising
    loss: points whose losses and invariants agree `within`."""
    heights, numbers = loss.loss(weights), invariants(model, weights)
    kept: list[int] = []
    for row in np.argsort(heights, kind="stable"):
        if not any(
            abs(heights[row] - heights[old]) < within
            and np.abs(numbers[row] - numbers[old]).max() < within
            for old in kept
        ):
            kept.append(int(row))
    return np.array(kept, dtype=int)


def descents(loss, saddles: np.ndarray, rate: float, steps: int) -> list[list[np.ndarray]]:
    """Gradient descents from both sides of saddles: for each saddle two lines (point, weight), from
    the saddle itself over points at least SPACING apart to the end, which is polished."""
    weights = _pushed(loss, saddles)
    lines = [[saddles[row // 2], weights[row].copy()] for row in range(len(weights))]
    last, going = weights.copy(), np.arange(len(weights))
    for _ in range(steps):
        gradient = loss.gradient(weights[going])
        weights[going] -= rate * gradient
        moved = np.linalg.norm(weights[going] - last[going], axis=1) > SPACING
        for row in going[moved]:
            last[row] = weights[row]
            lines[row].append(weights[row].copy())
        going = going[np.linalg.norm(gradient, axis=1) > LEVEL]
        if not len(going):
            break
    ends = polished(loss, weights)
    return _pairs([np.array([*line, end]) for line, end in zip(lines, ends, strict=True)])


def steepest(loss, saddles: np.ndarray, steps: int) -> list[list[np.ndarray]]:
    """The same by `descent_lines`. A line that did not come to rest ends at the saddle."""
    found = descent_lines(loss, _pushed(loss, saddles), steps)
    lines = [np.vstack([saddles[row // 2], line]) for row, line in enumerate(found)]
    for line in lines:
        line[-1] = np.where(np.isnan(line[-1]), line[0], line[-1])
    return _pairs(lines)


def _pushed(loss, saddles: np.ndarray) -> np.ndarray:
    """Two points beside each saddle, along its lowest mode, one after the other."""
    _, vectors = np.linalg.eigh(loss.hessian(saddles))
    push = PUSH * vectors[:, :, 0]
    return np.stack([saddles + push, saddles - push], axis=1).reshape(-1, saddles.shape[1])


def _pairs(lines: list) -> list[list]:
    return [lines[row : row + 2] for row in range(0, len(lines), 2)]


def merges(heights: np.ndarray, edges: np.ndarray, levels: np.ndarray):
    """[(height, group, group)] by rising height: at which saddle two groups of minima become
    connected, each group a frozenset of minima. heights: of the minima; edges: (edge, 2) minima;
    levels: (edge,)."""
    groups = {place: frozenset([place]) for place in range(len(heights))}
    found = []
    for edge in np.argsort(levels, kind="stable"):
        a, b = (groups[place] for place in edges[edge])
        if a != b:
            found.append((float(levels[edge]), a, b))
            for place in a | b:
                groups[place] = a | b
    return found


def drains(heights: np.ndarray, edges: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """For each minimum the saddle at which it becomes connected to the lowest one, the highest on
    the lowest path there; -1 for that one itself, and where none was found."""
    chosen, lowest = np.full(len(heights), -1), int(np.argmin(heights))
    for level, a, b in merges(heights, edges, levels):
        if lowest in a | b:
            joining = b if lowest in a else a
            chosen[list(joining)] = int(np.flatnonzero(levels == level)[0])
    return chosen


def graphml(
    heights: np.ndarray,
    edges: np.ndarray,
    levels: np.ndarray,
    proofs: dict | None = None,
    joined: np.ndarray | None = None,
) -> str:
    """The graph as GraphML: a node for each minimum, an edge for each saddle, both with `loss` and,
    where it is proved, `loss_low` and `loss_high`. proofs: {minimum or saddle: {loss_low: …}}.
    joined: (edge,), is it proved that the saddle joins the two nodes? Written as `proved`."""
    proofs = proofs or {}
    root = ElementTree.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    for place in ("node", "edge"):
        for name in ("loss", "loss_low", "loss_high"):
            _key(root, place, name, "double")
    if joined is not None:
        _key(root, "edge", "proved", "boolean")
    graph = ElementTree.SubElement(root, "graph", edgedefault="undirected")
    for number, height in enumerate(heights):
        node = ElementTree.SubElement(graph, "node", id=f"m{number}")
        _numbers(node, "node", height, proofs.get("minimum"), number)
    for number, ((a, b), level) in enumerate(zip(edges, levels, strict=True)):
        ends = {"id": f"s{number}", "source": f"m{a}", "target": f"m{b}"}
        edge = ElementTree.SubElement(graph, "edge", ends)
        _numbers(edge, "edge", level, proofs.get("saddle"), number)
        if joined is not None:
            data = ElementTree.SubElement(edge, "data", key="edge_proved")
            data.text = "true" if joined[number] else "false"
    return ElementTree.tostring(root, encoding="unicode")


def _key(root, place: str, name: str, kind: str) -> None:
    key = {"id": f"{place}_{name}", "for": place, "attr.name": name, "attr.type": kind}
    ElementTree.SubElement(root, "key", key)


def _numbers(element, place: str, loss: float, proofs: dict | None, number: int) -> None:
    values = {"loss": loss}
    if proofs is not None:
        values |= {name: proofs[name][number] for name in ("loss_low", "loss_high")}
    for name, value in values.items():
        if np.isfinite(value):
            data = ElementTree.SubElement(element, "data", key=f"{place}_{name}")
            data.text = repr(float(value))
