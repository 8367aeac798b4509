"""The loss along straight paths and along elastic bands between minima."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Table, UserError, mean, share

from ...general._flat import named_weights
from .._bands import inserted, relaxed, sampled, spanning_tree, spread, straight
from .._matching import permuted
from .._pairs import barrier, disjoint_pairs, ends
from .._refined import critical_beside, descended, saddle_beside

SAME = 1e-3
"""Ends closer than this are one minimum."""
PUSH = 1e-3
"""How far from a saddle descents begin, in weights."""


class Bands(Analysis):
    """Nudged elastic bands with insertion of pivots (AutoNEB, Draxler et al. 2018) between ends of
    runs: all pairs of different ends, pairs that share no run (`disjoint`, which are independent),
    or each network and itself with its first two hidden neurons swapped (`swapped`; only networks
    that classify all samples rightly).

    Bands start straight. Each of `cycles` cycles moves the inner pivots `steps` times at `rate`,
    then inserts pivots where the loss between two of them rises most.
    `way_loss` (configuration, band, way, place): along the straight path and along the band, at
    equal distances. A barrier is the largest rise above the straight line between the ends' values;
    a band's is an upper bound of the lowest possible one. Its highest point is refined to a
    critical point where the network has at most `refine_up_to` weights, and counted by index; a
    band's highest point need not be near one. A saddle of index 1 joins the ends of its band where
    steepest descent from its two sides reaches one end each; a way along a band is then as low as
    the saddle. Bands that share ends (`all`) are not independent, and have no intervals. Their
    ends are refined to strict minima, and the spanning tree of lowest passes is over all of them:
    its passes are the losses of saddles that join, refined by Newton steps or not, of other
    critical points by Newton steps, else the highest points of bands.
    """

    needs = ("training", "objective")
    columns = {
        "bands": "bands",
        "minima": "different ends of runs",
        "barrier_straight": "mean barrier of the straight path",
        "barrier_band": "mean barrier of the band",
        "barrier_fall": "mean fall of the barrier from the straight path to the band",
        "lowest_pass": "height of the lowest pass of the spanning tree",
        "highest_pass": "height of the highest pass of the spanning tree",
        "refined": "bands whose highest point was refined to a critical point",
        "not_refined": "bands whose highest point was tried and led to none",
        "share_index_one": "share of these that have index 1 and nullity 0",
        "highest_index": "highest index among them",
        "joining": "of the saddles of index 1 those whose descents end at both ends of the band",
        "refined_gradient": "largest gradient norm at the critical points found",
        "degenerate": "of these, points whose Hessian has zero eigenvalues",
        "right_bands": "bands on which every sample is classified rightly throughout",
    }

    pairs: Literal["all", "disjoint", "swapped"] = "disjoint"
    """Which ends are joined."""
    most: PositiveInt = 12
    """Maximum number of ends, or swapped networks."""
    pivots: Annotated[int, Field(ge=3)] = 5
    """Pivots of a band at first, its ends included."""
    cycles: PositiveInt = 3
    """Cycles of relaxation."""
    steps: PositiveInt = 50
    """Steps of a cycle."""
    insert: NonNegativeInt = 2
    """Pivots inserted after each cycle but the last."""
    rate: PositiveFloat | None = None
    """Rate of the pivots; null: that of the study's optimizer."""
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Momentum of the pivots."""
    fine: PositiveInt = 5
    """Points on each segment where the loss is evaluated."""
    refine_up_to: NonNegativeInt = 50
    """Most weights with which highest points are refined."""
    refine_by: Literal["newton", "following"] = "newton"
    """Newton steps lead to a critical point close by, of any index; `following` climbs along the
    lowest mode of the Hessian and descends along all others, towards a saddle of index 1."""
    refine_steps: PositiveInt = 200
    """Most steps of that."""
    descent_steps: NonNegativeInt = 300
    """Most steps of the descents from a saddle; 0: what it joins is not asked."""

    def compute(self, results):

        table, parts = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            loss = results.objective(configuration)
            joined, minima = self._joined(results, configuration, loss, trained)
            rate = self.rate or configuration.settings.optimizer.rate
            found = self._bands(loss, rate, joined)
            table.row(configuration, minima=minima, **self._row(loss, joined, found))
            parts.append(_curves(loss, found["band"], joined[0]))
        return table.joined(parts)

    def _joined(self, results, configuration, loss, trained):
        """(ends (band, 2, weight), pairs of numbers), and how many minima there are."""
        weights, model = ends(configuration, trained), configuration.settings.model
        if self.pairs == "disjoint":
            chosen = disjoint_pairs(min(self.most, len(weights)))
            minima = 2 * len(chosen)
        elif self.pairs == "all":
            weights = self._minima(loss, weights)[: self.most]
            chosen, minima = list(itertools.combinations(range(len(weights)), 2)), len(weights)
        else:
            right = loss.observables(weights)["accuracy"] == 1
            weights = weights[right][: self.most]
            weights = np.concatenate([weights, _swapped(model, weights)])
            minima = len(weights) // 2
            chosen = [(run, minima + run) for run in range(minima)]
        if not chosen:
            raise UserError(
                f"{results.study.file}: analyses.bands: there is no pair of ends to join at"
                f" {configuration.label}"
            )
        return (np.stack([weights[list(pair)] for pair in chosen]), chosen), minima

    def _minima(self, loss, weights) -> np.ndarray:
        """The different ends; where networks are small enough, the strict minima beside them."""
        weights = _different(weights)
        if weights.shape[1] > self.refine_up_to:
            return weights
        found = critical_beside(loss, weights, self.refine_steps)
        strict = (found["index"] == 0) & (found["nullity"] == 0)
        return _different(found["weights"][strict].reshape(-1, weights.shape[1]))

    def _bands(self, loss, rate: float, joined) -> dict[str, np.ndarray]:
        bands = straight(joined[0], self.pivots)
        for cycle in range(self.cycles):
            bands = relaxed(loss, bands, self.steps, rate, self.momentum)
            if cycle + 1 < self.cycles:
                bands = inserted(loss, bands, self.insert, self.fine)
        way, values = sampled(loss, bands, self.fine)
        top = way[np.arange(len(way)), values.argmax(axis=1)]
        refined = None
        if top.shape[1] <= self.refine_up_to:
            beside = {"newton": critical_beside, "following": saddle_beside}[self.refine_by]
            refined = beside(loss, top, self.refine_steps)
            refined["joins"] = self._joins(loss, refined, joined[0])
        return {"band": bands, "way": way, "values": values, "refined": refined}

    def _joins(self, loss, refined, joined: np.ndarray) -> np.ndarray:
        """Which saddles of index 1 have descents to both ends of their band, (band,)."""
        saddles = np.flatnonzero((refined["index"] == 1) & (refined["nullity"] == 0))
        found = np.zeros(len(joined), dtype=bool)
        if len(saddles) and self.descent_steps:
            points = refined["weights"][saddles]
            push = PUSH * np.linalg.eigh(loss.hessian(points))[1][:, :, 0]
            sides = np.stack([points + push, points - push], axis=1)
            reached = descended(loss, sides.reshape(-1, points.shape[1]), self.descent_steps)
            reached = reached.reshape(sides.shape)
            found[saddles] = [_same(*pair) for pair in zip(reached, joined[saddles], strict=True)]
        return found

    def _mean(self, values: np.ndarray):
        """With its interval, which bands that share ends have not."""
        return mean(values) if self.pairs != "all" else (float(values.mean()), np.nan, np.nan)

    def _share(self, part: int, whole: int):
        found = share(part, whole)
        return found if self.pairs != "all" else (found[0], np.nan, np.nan)

    def _row(self, loss, joined, found) -> dict:
        lines = sampled(loss, straight(joined[0], 2), found["values"].shape[1] - 1)[1]
        barriers = [_barriers(values) for values in (lines, found["values"])]
        row = {
            "bands": len(lines),
            "barrier_straight": self._mean(barriers[0]),
            "barrier_band": self._mean(barriers[1]),
            "barrier_fall": self._mean(barriers[0] - barriers[1]),
            "right_bands": _right(loss, found["way"]),
        }
        heights = found["values"].max(axis=1)
        refined = found["refined"]
        if refined is not None:
            critical = refined["index"] >= 0
            saddles = critical & (refined["index"] == 1) & (refined["nullity"] == 0)
            row |= {
                "refined": int(critical.sum()),
                "not_refined": int((~critical).sum()),
                "share_index_one": self._share(int(saddles.sum()), int(critical.sum())),
                "joining": int(refined["joins"].sum()) if self.descent_steps else np.nan,
                "refined_gradient": refined["gradient_norm"][critical].max(initial=0.0),
                "highest_index": int(refined["index"].max()),
                "degenerate": int((refined["nullity"] > 0).sum()),
            }
            # a point reached by following may lie below both ends, and join others
            known = critical if self.refine_by == "newton" else refined["joins"]
            heights = np.where(known, refined["loss"], heights)
        if self.pairs == "all":
            passes = heights[spanning_tree(joined[1], heights)]
            row |= {"lowest_pass": float(passes.min()), "highest_pass": float(passes.max())}
        return row


def _barriers(values: np.ndarray) -> np.ndarray:
    return barrier(values, np.linspace(0, 1, values.shape[1]))


def _right(loss, way: np.ndarray) -> float:
    """Bands without an error at any of their points; NaN where nothing is classified."""
    seen = loss.observables(way.reshape(-1, way.shape[2])).get("accuracy")
    return np.nan if seen is None else int((seen.reshape(way.shape[:2]) == 1).all(axis=1).sum())


def _different(weights: np.ndarray) -> np.ndarray:
    """The ends that differ, in the order in which they come first."""
    kept: list[np.ndarray] = []
    for end in weights:
        if all(np.linalg.norm(end - other) > SAME for other in kept):
            kept.append(end)
    return np.array(kept)


def _same(reached: np.ndarray, ends: np.ndarray) -> bool:
    """Are two points (2, weight) the two ends, in either order?"""
    apart = ~(np.linalg.norm(reached[:, None] - ends, axis=2) <= SAME)
    return not (apart.diagonal().any() and apart[:, ::-1].diagonal().any())


def _swapped(model, weights: np.ndarray) -> np.ndarray:
    """The networks with the first two entries of their first interchangeable axis swapped."""
    axis = model.interchangeable()[0]
    images = []
    for flat in weights:
        named = {name: part[0] for name, part in named_weights(model, flat[None]).items()}
        moved = permuted(model, named, {axis: _swap(model, axis)})
        images.append(np.concatenate([moved[name].ravel() for name in model.shapes()]))
    return np.array(images).reshape(weights.shape)


def _swap(model, axis: str) -> np.ndarray:
    from .._matching import lengths

    order = np.arange(lengths(model)[axis])
    order[[0, 1]] = 1, 0
    return order


PLACES = 41
"""Places at which both ways are kept for figures."""


def _curves(loss, bands: np.ndarray, joined: np.ndarray):
    """Losses along both paths at equal distances."""
    import xarray as xr

    ways = [straight(joined, PLACES), spread(bands, PLACES)]
    values = [loss.loss(way.reshape(-1, way.shape[2])).reshape(way.shape[:2]) for way in ways]
    variables = {
        "way_loss": (("band", "way", "place"), np.stack(values, axis=1), {"long_name": "loss"})
    }
    if bands.shape[2] == 2:
        variables["way_weights"] = (("band", "place", "weight"), ways[1])
    coords = {
        "place": np.linspace(0, 1, PLACES),
        "way": ["straight", "band"],
        "band": np.arange(len(bands)),
    }
    return xr.Dataset(variables, coords)


@nnflow.hookimpl
def nnflow_register(register):
    register("bands", Bands)
