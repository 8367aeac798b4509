"""The graph of minima and of the saddles between them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, flag_mask

from ...general._flat import flat_weights
from .._certified import certificates, certified, checked, role, stated
from .._graph import (
    descents,
    drains,
    graphml,
    invariants,
    merges,
    representatives,
    steepest,
)
from .._refined import followed, inertia
from .._ways import proved_ways

PARTS = ("minimum", "saddle")
"""Nodes and edges of the graph, and what each is to be proved."""
PLURAL = {"minimum": "minima", "saddle": "saddles"}

if TYPE_CHECKING:
    import xarray as xr


class LandscapeGraph(Analysis):
    """Minima that runs reached, saddles of index 1 found from them by eigenvector following, and
    which minima the two descents from each saddle reach; all modulo the model's symmetry, so that
    images under permuted neurons are one node.

    From every minimum `starts` points at the distance `distance`, in directions drawn among the
    `modes` lowest eigenvectors, follow the lowest mode uphill. Descents are gradient descent at the
    rate of the study's optimizer, or steepest descent in exact steps of quadratic models, which
    flat minima need; minima that only they reach become nodes too.

    An edge's height is the loss of a saddle that was found. It bounds the barrier between its
    minima from above, as a lower pass may have been missed: nothing here tells that all saddles
    were found. `minimum_loss` (configuration, minimum), `edge` (configuration, saddle, side) and
    `saddle_loss` (configuration, saddle) are the graph, with `minimum_weights` and
    `saddle_weights`; `graphml` (configuration, text) is it as a text. `pass_saddle` (configuration,
    minimum) is the saddle over which a family drains into the lowest one on its lowest way, which
    `drains_directly` tells to be one descent.

    Where the model gives an enclosure, minima and saddles are proved in ball arithmetic: each lies
    alone in a box, is a strict minimum or has index 1, and has a loss between `_loss_low` and
    `_loss_high`. `way_proved` (configuration, saddle, side) says of which edges the ways are
    proved, too: broken lines along the descents, from the saddle to an image of the minimum, on
    which the loss is never above the upper bound of the saddle's (nnflow/proofs/ways.py). With both
    ways the barrier between the two minima is proved to be no higher. That the end of a way is an
    image of the minimum rests on the canonical form that the model declares. `nnflow certificate
    check` proves all of them again.
    """

    needs = ("critical_points", "objective")
    columns = {
        "minima": "families of minima",
        "saddles": "families of saddles of index 1",
        "copies": "pairs of nodes that are equivalent under the symmetry",
        "joined": "families of minima that the edges join to the lowest one, itself included",
        "lowest_edge": "lowest saddle of an edge between two families",
        "highest_merge": "height at which the last family joins the lowest one, at most",
        "barrier": "least rise to a saddle out of a family that is not the lowest, with the ends"
        " of its proved interval, if any; then of edges that are proved",
        "gradient_norm": "largest gradient norm at a node or saddle",
        "proved_minima": "families of minima that are proved to be strict minima",
        "proved_saddles": "families of saddles that are proved to have index 1",
        "unproved": "families of either that are not proved; none where nothing can be proved",
        "proved_edges": "families of saddles that are proved to join the two minima of their edge",
        "unproved_edges": "families of saddles that are not; none where nothing can be proved",
        "left_out": "families of saddles of index 1 that are no edges, as one of their descents did"
        " not end at a strict minimum",
        "height_width": "widest proved interval of the loss of a node or saddle",
    }

    starts: PositiveInt = 24
    """Searches from each minimum."""
    modes: PositiveInt = 8
    """Lowest modes that directions are drawn among."""
    distance: PositiveFloat = 0.3
    """Distance from the minimum at which a search begins."""
    steps: PositiveInt = 200
    """Most steps of a search."""
    descents: Literal["gradient_descent", "quadratic_steps"] = "gradient_descent"
    """How minima are reached from a saddle."""
    descent_steps: PositiveInt = 20_000
    """Most steps of a descent."""
    within: PositiveFloat = 1e-6
    """Points whose losses and invariants differ by less are equivalent."""
    most: PositiveInt = 12
    """Maximum number of families of minima that are searched from, the lowest ones."""

    def compute(self, results):
        import xarray as xr

        table, parts, sealed = Table(results, self.columns), [], []
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            graph = self._graph(results, configuration, critical)
            proofs = {part: certificates(model, graph[f"{part}_weights"]) for part in PARTS}
            ways = proved_ways(model, graph, proofs, stated, role)
            joined = _joined(model, graph, ways)
            table.row(configuration, **(_row(graph) | _proved(graph, proofs, joined)))
            parts.append(_dataset(graph, proofs, joined))
            if model.enclosure() is not None:
                sealed.append(_certified(configuration, graph, proofs, ways))
        dataset = table.joined(parts)
        if not sealed:
            return dataset
        found = dataset.merge(xr.concat(sealed, "certificate", join="outer"))
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return nnflow.sealed(found.assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove every minimum, saddle and way of the file again."""
        return checked(dataset)

    def _graph(self, results, configuration, critical) -> dict[str, np.ndarray]:
        model, loss = configuration.settings.model, results.objective(configuration)
        minima = flat_weights(model, critical)[flag_mask(critical["kind"], "minimum")]
        minima = minima[representatives(model, loss, minima, self.within)]
        streams = Streams(
            results.study.settings.seed, configuration.label, np.arange(len(minima)), "saddles"
        )
        begun = self._begun(loss, minima[: self.most], streams)
        found = followed(loss, begun, self.steps)
        index, nullity = inertia(loss, found)
        saddles = found[(index == 1) & (nullity == 0)]
        saddles = saddles[representatives(model, loss, saddles, self.within)]
        lines = self._lines(loss, saddles, configuration)
        ends = np.array([[line[-1] for line in pair] for pair in lines])
        ends = ends.reshape(len(saddles), 2, minima.shape[1])
        reached = ends.reshape(-1, minima.shape[1])
        index, nullity = inertia(loss, reached)
        good = (index == 0) & (nullity == 0)
        both = good.reshape(-1, 2).all(axis=1)
        saddles, ends = saddles[both], ends[both]
        nodes = np.concatenate([minima, reached[good]])
        nodes = nodes[representatives(model, loss, nodes, self.within)]
        edge = np.array([[_nearest(model, loss, nodes, end) for end in pair] for pair in ends])
        return {
            "lines": [pair for pair, held in zip(lines, both, strict=True) if held],
            "left_out": int((~both).sum()),
            "minimum_weights": nodes,
            "saddle_weights": saddles,
            "minimum_loss": loss.loss(nodes),
            "saddle_loss": loss.loss(saddles) if len(saddles) else np.zeros(0),
            "edge": edge.reshape(-1, 2).astype(int),
            "copies": _copies(loss, nodes, self.within) + _copies(loss, saddles, self.within),
            "gradient_norm": np.linalg.norm(
                loss.gradient(np.concatenate([nodes, saddles])), axis=1
            ).max(),
        }

    def _lines(self, loss, saddles, configuration):
        if self.descents == "quadratic_steps":
            return steepest(loss, saddles, self.descent_steps)
        return descents(loss, saddles, configuration.settings.optimizer.rate, self.descent_steps)

    def _begun(self, loss, minima, streams) -> np.ndarray:
        _, vectors = np.linalg.eigh(loss.hessian(minima))
        modes = min(self.modes, minima.shape[1])
        drawn = streams.take(np.arange(len(minima))).normal(self.starts * modes)
        drawn = drawn.reshape(len(minima), self.starts, modes)
        drawn /= np.linalg.norm(drawn, axis=2, keepdims=True)
        moved = np.einsum("psm,pwm->psw", drawn, vectors[:, :, :modes])
        return (minima[:, None] + self.distance * moved).reshape(-1, minima.shape[1])


def _joined(model, graph, ways) -> np.ndarray:
    """Which ways are proved, (saddle, side) of 0 and 1; NaN where nothing can be."""
    known = model.enclosure() is not None
    joined = np.full(graph["edge"].shape, 0.0 if known else np.nan)
    for way in ways:
        joined[way.saddle, way.side] = 1
    return joined


def _dataset(graph, proofs, joined):
    """The graph of one configuration."""
    import xarray as xr

    heights, levels, edges = (graph[name] for name in ("minimum_loss", "saddle_loss", "edge"))
    chosen = drains(heights, edges, levels)
    lowest = int(heights.argmin())
    direct = [
        saddle >= 0 and set(edges[saddle]) == {place, lowest} for place, saddle in enumerate(chosen)
    ]
    both = None if np.isnan(joined).any() else joined.all(axis=1)
    document = graphml(heights, edges, levels, proofs, both)
    text = "saddle of the lowest way to the lowest minimum; NaN: none found, or the lowest itself"
    variables = {
        "edge": (("saddle", "side"), edges.astype(float)),
        "pass_saddle": (
            "minimum", np.where(chosen < 0, np.nan, chosen), {"long_name": text}
        ),
        "drains_directly": (
            "minimum",
            np.where(chosen < 0, np.nan, direct),
            {"long_name": "1: the two sides of that saddle are this minimum and the lowest one"},
        ),
        "way_proved": (
            ("saddle", "side"),
            joined,
            {"long_name": "1: the way on this side is proved not to rise above the saddle; 0: it is"
             " computed only; NaN: nothing can be proved"},
        ),
        "graphml": ("text", [document], {"long_name": "GraphML"}),
    }  # fmt: skip
    for part in PARTS:
        text = f"weights of the {PLURAL[part]}, flat in the order of the model's"
        variables[f"{part}_weights"] = (
            (part, "weight"), graph[f"{part}_weights"], {"long_name": text}
        )  # fmt: skip
        variables[f"{part}_loss"] = (part, graph[f"{part}_loss"], {"long_name": "loss"})
        for end in ("low", "high"):
            variables[f"{part}_loss_{end}"] = (
                part,
                proofs[part][f"loss_{end}"],
                {"long_name": f"proved {'lower' if end == 'low' else 'upper'} bound of the loss"},
            )
    places = {part: np.arange(len(graph[f"{part}_loss"])) for part in PARTS}
    places["weight"] = np.arange(graph["minimum_weights"].shape[1])
    return xr.Dataset(variables, places)


def _roles(proofs, part: str) -> np.ndarray:
    """Which points of a part are proved to be what they stand for."""
    count = len(proofs[part]["radius"])
    rows = [{name: values[i] for name, values in proofs[part].items()} for i in range(count)]
    return np.array([role(row) == part for row in rows], dtype=bool)


def _proved(graph, proofs, joined) -> dict:
    """The columns of proofs; none where the model gives no enclosure."""
    if not np.isfinite(proofs["minimum"]["radius"]).any():
        return {}
    held = [_roles(proofs, part) for part in PARTS]
    widths = [found["loss_high"] - found["loss_low"] for found in proofs.values()]
    minima, saddles, both = proofs["minimum"], proofs["saddle"], joined.all(axis=1)
    edges, levels = graph["edge"][both], graph["saddle_loss"][both]
    low = _barrier(minima["loss_high"], edges, saddles["loss_low"][both])
    high = _barrier(minima["loss_low"], edges, saddles["loss_high"][both])
    return {
        "proved_minima": int(held[0].sum()),
        "proved_saddles": int(held[1].sum()),
        "proved_edges": int(both.sum()),
        "unproved_edges": int((~both).sum()),
        "unproved": int((~np.concatenate(held)).sum()),
        "height_width": float(np.concatenate(widths).max()),
        "barrier": (_barrier(graph["minimum_loss"], edges, levels), low, high),
    }


def _certified(configuration, graph, proofs, ways):
    """The certificates of what is proved."""
    held = {part: np.flatnonzero(_roles(proofs, part)) for part in PARTS}
    points = {part: graph[f"{part}_weights"][rows] for part, rows in held.items()}
    found = {
        part: {name: values[rows] for name, values in proofs[part].items()}
        for part, rows in held.items()
    }
    return certified(configuration, points, held, found, ways)


def _nearest(model, loss, nodes, end) -> int:
    """The node that the point is an image of."""
    numbers = invariants(model, np.concatenate([nodes, end[None]]))
    heights = loss.loss(nodes) - loss.loss(end[None])
    distance = np.abs(numbers[:-1] - numbers[-1]).max(axis=1) + np.abs(heights)
    return int(distance.argmin())


def _copies(loss, points, within: float) -> int:
    """Points with the loss and the Hessian's spectrum of an earlier one: images have both, and the
    model's invariants, by which points were merged, do not enter."""
    if not len(points):
        return 0
    numbers = np.column_stack([loss.loss(points), np.linalg.eigvalsh(loss.hessian(points))])
    return sum(
        bool((np.abs(numbers[:place] - row).max(axis=1) < within).any())
        for place, row in enumerate(numbers)
        if place
    )


def _row(graph) -> dict:
    heights, edges, levels = (graph[name] for name in ("minimum_loss", "edge", "saddle_loss"))
    apart = edges[:, 0] != edges[:, 1]
    found = merges(heights, edges, levels)
    lowest = int(heights.argmin())
    with_lowest = [merge for merge in found if lowest in merge[1] | merge[2]]
    group = with_lowest[-1][1] | with_lowest[-1][2] if with_lowest else {lowest}
    return {
        "minima": len(heights),
        "saddles": len(levels),
        "copies": graph["copies"],
        "left_out": graph["left_out"],
        "joined": len(group),
        "lowest_edge": float(levels[apart].min()) if apart.any() else np.nan,
        "highest_merge": with_lowest[-1][0] if with_lowest else np.nan,
        "barrier": _barrier(heights, edges, levels),
        "gradient_norm": float(graph["gradient_norm"]),
    }


def _barrier(heights, edges, levels) -> float:
    """The least rise from a minimum that is not the lowest to a saddle that leads out of it."""
    apart = edges[:, 0] != edges[:, 1]
    rises = [
        levels[apart & (edges == place).any(axis=1)].min(initial=np.inf) - height
        for place, height in enumerate(heights)
        if place != heights.argmin()
    ]
    finite = [rise for rise in rises if np.isfinite(rise)]
    return float(min(finite)) if finite else np.nan


@nnflow.hookimpl
def nnflow_register(register):
    register("landscape_graph", LandscapeGraph)
