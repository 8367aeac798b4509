"""The graph of minima and of the saddles between them."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, flag_mask

from ...general._flat import flat_weights
from .._graph import descents, followed, graphml, inertia, invariants, merges, representatives


class LandscapeGraph(Analysis):
    """Minima that runs reached, saddles of index 1 found from them by eigenvector following, and
    which minima the two descents from each saddle reach; all modulo the model's symmetry, so that
    images under permuted neurons are one node.

    From every minimum `starts` points at the distance `distance`, in directions drawn among the
    `modes` lowest eigenvectors, follow the lowest mode uphill. Descents are gradient descent at the
    rate of the study's optimizer; minima that only they reach become nodes too.

    An edge's height is the loss of a saddle that was found. It bounds the barrier between its
    minima from above, as a lower pass may have been missed: nothing here tells that all saddles
    were found. `minimum_loss` (configuration, minimum), `edge` (configuration, saddle, side) and
    `saddle_loss` (configuration, saddle) are the graph; `graphml` (configuration, text) is it as a
    text.
    """

    needs = ("critical_points", "objective")
    columns = {
        "minima": "families of minima",
        "saddles": "families of saddles of index 1",
        "copies": "pairs of nodes that are equivalent under the symmetry",
        "joined": "families of minima that the edges join to the lowest one, itself included",
        "lowest_edge": "lowest saddle of an edge between two families",
        "highest_merge": "height at which the last family joins the lowest one, at most",
        "barrier": "least barrier out of a family that is not the lowest, at most",
        "gradient_norm": "largest gradient norm at a node or saddle",
    }

    starts: PositiveInt = 24
    """Searches from each minimum."""
    modes: PositiveInt = 8
    """Lowest modes that directions are drawn among."""
    distance: PositiveFloat = 0.3
    """Distance from the minimum at which a search begins."""
    steps: PositiveInt = 200
    """Most steps of a search."""
    descent_steps: PositiveInt = 20_000
    """Most steps of a descent."""
    within: PositiveFloat = 1e-6
    """Points whose losses and invariants differ by less are equivalent."""
    most: PositiveInt = 12
    """At most so many families of minima are searched from, the lowest ones."""

    def compute(self, results):
        import xarray as xr

        table, parts, texts = Table(results, self.columns), [], []
        for configuration, critical in results.each("critical_points"):
            graph = self._graph(results, configuration, critical)
            table.row(configuration, **_row(graph))
            texts.append(graphml(graph["minimum_loss"], graph["edge"], graph["saddle_loss"]))
            parts.append(
                xr.Dataset(
                    {
                        "minimum_loss": ("minimum", graph["minimum_loss"], {"long_name": "loss"}),
                        "edge": (("saddle", "side"), graph["edge"].astype(float)),
                        "saddle_loss": ("saddle", graph["saddle_loss"], {"long_name": "loss"}),
                    },
                    {
                        "minimum": np.arange(len(graph["minimum_loss"])),
                        "saddle": np.arange(len(graph["saddle_loss"])),
                    },
                )
            )
        labels = [configuration.label for configuration in results.configurations]
        joined = xr.concat(parts, "configuration", join="outer").assign_coords(configuration=labels)
        text = (("configuration", "text"), np.array(texts)[:, None], {"long_name": "GraphML"})
        return xr.merge([joined, table.dataset()]).assign(graphml=text)

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
        ends = descents(loss, saddles, configuration.settings.optimizer.rate, self.descent_steps)
        reached = ends.reshape(-1, minima.shape[1])
        index, nullity = inertia(loss, reached)
        good = (index == 0) & (nullity == 0)
        both = good.reshape(-1, 2).all(axis=1)
        saddles, ends = saddles[both], ends[both]
        nodes = np.concatenate([minima, reached[good]])
        nodes = nodes[representatives(model, loss, nodes, self.within)]
        edge = np.array([[_nearest(model, loss, nodes, end) for end in pair] for pair in ends])
        return {
            "minimum_loss": loss.loss(nodes),
            "saddle_loss": loss.loss(saddles) if len(saddles) else np.zeros(0),
            "edge": edge.reshape(-1, 2).astype(int),
            "copies": _copies(loss, nodes, self.within) + _copies(loss, saddles, self.within),
            "gradient_norm": np.linalg.norm(
                loss.gradient(np.concatenate([nodes, saddles])), axis=1
            ).max(),
        }

    def _begun(self, loss, minima, streams) -> np.ndarray:
        _, vectors = np.linalg.eigh(loss.hessian(minima))
        modes = min(self.modes, minima.shape[1])
        drawn = streams.take(np.arange(len(minima))).normal(self.starts * modes)
        drawn = drawn.reshape(len(minima), self.starts, modes)
        drawn /= np.linalg.norm(drawn, axis=2, keepdims=True)
        moved = np.einsum("psm,pwm->psw", drawn, vectors[:, :, :modes])
        return (minima[:, None] + self.distance * moved).reshape(-1, minima.shape[1])


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
    out = [
        levels[apart & (edges == place).any(axis=1)].min(initial=np.inf) - heights[place]
        for place in range(len(heights))
        if place != lowest
    ]
    finite = [barrier for barrier in out if np.isfinite(barrier)]
    return {
        "minima": len(heights),
        "saddles": len(levels),
        "copies": graph["copies"],
        "joined": len(group),
        "lowest_edge": float(levels[apart].min()) if apart.any() else np.nan,
        "highest_merge": with_lowest[-1][0] if with_lowest else np.nan,
        "barrier": float(min(finite)) if finite else np.nan,
        "gradient_norm": float(graph["gradient_norm"]),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("landscape_graph", LandscapeGraph)
