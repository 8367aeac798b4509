"""A graph of minima and saddles beside the one that is known."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Analysis, Settings, Table


class KnownSaddle(Settings):
    """A saddle as it is printed."""

    at: list[float]
    """Its weights."""
    height: float
    """Its loss."""
    joins: list[int] = Field(min_length=2, max_length=2)
    """Which minima its two descents reach: their numbers in `minima`, from 0."""


class Known(Settings):
    """The graph of one model."""

    minima: list[list[float]]
    """Weights of the minima."""
    saddles: list[KnownSaddle]
    """The saddles."""


class KnownGraph(Analysis):
    """The graph that `landscape_graph` found, held against one that is known: each minimum and each
    saddle that is found belongs to the nearest known one, if no weight differs by more than
    `within`, and to none otherwise. A known edge is right where its saddle was found and joins the
    minima that belong to those that are known to be joined.

    Raises UserError for a model whose graph is not named, for a saddle that joins minima that are
    not listed, and for places with another number of weights than the model has.
    """

    needs = ("landscape_graph",)
    columns = {
        "known_minima": "minima that are known",
        "found_minima": "of them minima that were found",
        "new_minima": "minima that were found and are not known",
        "known_edges": "saddles that are known, with the two minima that they join",
        "right_edges": "of them saddles that were found and join these two",
        "wrong_edges": "saddles that were found and are not known, or join others",
        "height_error": "largest difference between a known height and that of the saddle found",
    }

    known: dict[str, Known]
    """The known graph of each model, by its name."""
    within: PositiveFloat = 1e-3
    """Largest difference of a weight: the rounding of the places as they are printed."""

    def compute(self, results):
        table, found = Table(results, self.columns), results["landscape_graph"]
        for configuration in results.configurations:
            known = self._known(results, configuration)
            part = found.sel(configuration=configuration.label)
            table.row(configuration, **self._row(known, part))
        return table.dataset()

    def _known(self, results, configuration) -> Known:
        model, where = configuration.settings.model, f"{results.study.file}: analyses.known_graph"
        size = sum(int(np.prod(shape)) for shape in model.shapes().values())
        if model.name not in self.known:
            raise nnflow.UserError(f"{where}.known: no graph of the model {model.name!r} is named")
        known = self.known[model.name]
        places = [*known.minima, *(saddle.at for saddle in known.saddles)]
        if any(len(place) != size for place in places):
            raise nnflow.UserError(f"{where}.known.{model.name}: places must have {size} weights")
        joined = [number for saddle in known.saddles for number in saddle.joins]
        if not all(0 <= number < len(known.minima) for number in joined):
            raise nnflow.UserError(f"{where}.known.{model.name}: joins: no such minimum")
        return known

    def _row(self, known: Known, part) -> dict:
        minima, saddles = (_points(part, name) for name in ("minimum", "saddle"))
        edges, levels = part["edge"].values, part["saddle_loss"].values
        of_minimum = self._belongs(minima, np.array(known.minima))
        of_saddle = self._belongs(saddles, np.array([saddle.at for saddle in known.saddles]))
        right, errors = set(), [0.0]
        for number, place in enumerate(of_saddle):
            if place < 0:
                continue
            ends = sorted(of_minimum[int(end)] for end in edges[number])
            errors.append(abs(levels[number] - known.saddles[place].height))
            if ends == sorted(known.saddles[place].joins):
                right.add(number)
        return {
            "known_minima": len(known.minima),
            "found_minima": len(set(of_minimum) - {-1}),
            "new_minima": of_minimum.count(-1),
            "known_edges": len(known.saddles),
            "right_edges": len({of_saddle[number] for number in right}),
            "wrong_edges": len(of_saddle) - len(right),
            "height_error": float(max(errors)),
        }

    def _belongs(self, found: np.ndarray, known: np.ndarray) -> list[int]:
        """For each point found the number of the known one, -1: none."""
        gaps = np.abs(found[:, None] - known).max(axis=2)
        return [int(row.argmin()) if row.min() <= self.within else -1 for row in gaps]


def _points(part, name: str) -> np.ndarray:
    """The minima or saddles of one configuration, (point, weight)."""
    points = part[f"{name}_weights"].values
    return points[np.isfinite(points).all(axis=1)]


@nnflow.hookimpl
def nnflow_register(register):
    register("known_graph", KnownGraph)
