"""ReLU networks under the hinge loss: multilinear in every cell, and where their minima lie."""

from __future__ import annotations

import math

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, flag_mask, share

ROUNDING = 2e-15
"""Losses around a flat end, means of a few numbers of size 1, differ by no more than this."""
NEAR = 10.0 ** -np.arange(3, 11)
"""Distances at one of which a flat end has to be flat: runs may enter a flat cell by little."""
FAR = (1e-2, 1e-3, 1e-4)
"""Distances at which kink minima are tried: the largest may lie beyond the next cell, all exceed
the last step of a run by far."""
ABOVE = 1e-3
"""A minimum is not global where its loss exceeds the lowest end's by more than this."""


class MultilinearEnds(Analysis):
    """Second derivatives at random weights, and what the ends of runs are.

    A loss of degree 1 in each weight has ∂²L/∂wᵢ² = 0, so that its Hessian has no trace and, where
    it is not 0, both signs. Ends are taken apart in this order, with the study's `critical_below`
    as ε: `flat`, differentiable with gradient and Hessian of rounding and the same loss around it,
    at a distance of 10⁻³ to 10⁻¹⁰; `strict`, other differentiable minima; `kink`, ends at kinks
    with a residual of Clarke's test of at most ε from which the loss falls in no direction, to
    first order, by more than ε; `clarke`, those of them from which it does; the rest is open,
    most of it runs that are not at rest. A kink minimum is tried at `directions` random points at
    the distances 10⁻², 10⁻³ and 10⁻⁴, at one of which no loss may be lower, but for ε times the
    distance. Shares have Clopper–Pearson
    intervals at 99 %.

    Also, around the sharpest kink minimum of the first configuration, from which the loss rises
    most in the direction of its least rise: `along` (direction, step), the loss along random
    lines, and `plane` (row, column) on a random plane; NaN where no run ends at a kink.
    """

    needs = ("critical_points", "objective")
    columns = {
        "diagonal_most": "largest |∂²L/∂wᵢ²| at random weights",
        "trace_most": "largest |tr ∇²L| there",
        "mixed_most": "largest |∂²L/∂wᵢ∂wⱼ| there",
        "runs": "runs",
        "flat_share": "share of runs that end where the loss is flat",
        "strict": "ends that are differentiable minima and not flat",
        "kink_share": "share of runs that end at minima at kinks",
        "clarke_share": "share of runs at Clarke-stationary points that are no minima",
        "open_share": "share of runs whose ends are none of these",
        "residual_most": "largest residual of Clarke's test at a kink minimum",
        "cells_most": "most smooth pieces that meet at a kink minimum",
        "kink_descents": "kink minima with a lower loss among random points nearby",
        "best_loss": "lowest loss of an end",
        "bad_share": "share of runs at minima above the lowest loss",
    }

    weights: PositiveInt = 100
    """Random weights, standard normal, at which the Hessian is formed."""
    directions: PositiveInt = 400
    """Random directions."""
    reach: PositiveFloat = 0.4
    """Half-width of the lines and of the plane that are drawn."""
    size: PositiveInt = 101
    """Points along a line, and along a side of the plane."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        seed = results.study.settings.seed
        picture = None
        for configuration, critical in results.each("critical_points"):
            loss = results.objective(configuration)
            ends = np.concatenate(
                [critical[n].values.reshape(critical.sizes["run"], -1) for n in
                 configuration.settings.model.shapes()], axis=1,
            )  # fmt: skip
            streams = Streams(seed, configuration.label, np.arange(self.directions), "around")
            ways = _unit(streams.normal(ends.shape[1]))
            kinds = self._kinds(configuration, critical, loss, ends, ways)
            table.row(
                configuration,
                **self._curvature(loss, ends.shape[1], seed),
                **_columns(critical, kinds),
                kink_descents=self._descents(configuration, loss, ends[kinds["kink"]], ways),
            )
            if picture is None:
                picture = self._picture(loss, ends, kinds["kink"], critical["loss"].values, ways)
        steps = np.linspace(-self.reach, self.reach, self.size)
        along, plane = picture
        return (
            table.dataset()
            .assign(
                along=(("direction", "step"), along, {"long_name": "loss along lines"}),
                plane=(("row", "column"), plane, {"long_name": "loss on a plane"}),
            )
            .assign_coords(step=steps, row=steps, column=steps)
        )

    def _curvature(self, loss, size: int, seed: int) -> dict[str, float]:
        drawn = Streams(seed, str(size), np.arange(self.weights), "hessians").normal(size)
        hessian = loss.hessian(drawn)
        diagonal = np.diagonal(hessian, axis1=1, axis2=2)
        mixed = hessian * (1 - np.eye(size))
        return {
            "diagonal_most": float(np.abs(diagonal).max()),
            "trace_most": float(np.abs(diagonal.sum(axis=1)).max()),
            "mixed_most": float(np.abs(mixed).max()),
        }

    def _kinds(self, configuration, critical, loss, ends, ways) -> dict[str, np.ndarray]:
        """Masks of the runs, in the stated order."""
        small = configuration.settings.classify.critical_below
        at_kink = flag_mask(critical["kind"], "nonsmooth")
        smooth = ~at_kink & ~flag_mask(critical["kind"], "not_critical")
        flat = smooth & (critical["gradient_norm"].values <= ROUNDING)
        for name in ("min_eigenvalue", "max_eigenvalue"):
            flat &= np.abs(critical[name].values) <= ROUNDING
        flat[flat] = [_flat_around(loss, end, ways) for end in ends[flat]]
        stationary = at_kink & (critical["clarke_residual"].values <= small)
        falls = critical["steepest_descent"].values > small
        return {
            "flat": flat,
            "strict": flag_mask(critical["kind"], "minimum") & ~flat,
            "kink": stationary & ~falls,
            "clarke": stationary & falls,
        }

    def _descents(self, configuration, loss, ends, ways) -> int:
        """Ends with lower losses at each of the distances. A loss that falls by at most ε for each
        unit of length falls by at most ε times the distance."""
        small = configuration.settings.classify.critical_below
        return sum(
            all(loss.loss(end + far * ways).min() < loss.loss(end)[0] - small * far for far in FAR)
            for end in ends
        )

    def _picture(self, loss, ends, kink, losses, ways):
        steps = np.linspace(-self.reach, self.reach, self.size)
        if not kink.any():
            return np.full((1, self.size), np.nan), np.full((self.size, self.size), np.nan)
        rises = [loss.loss(end + FAR[0] * ways).min() for end in ends[kink]] - losses[kink]
        center = ends[kink][rises.argmax()]
        along = np.stack([loss.loss(center + np.outer(steps, way)) for way in ways[:6]])
        first, second = np.linalg.qr(ways[:2].T)[0].T
        return along, loss.plane(center, first, second, steps, steps)


def _flat_around(loss, end: np.ndarray, ways: np.ndarray) -> bool:
    return any(np.ptp(loss.loss(end + near * ways)) <= ROUNDING for near in NEAR)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _columns(critical, kinds: dict[str, np.ndarray]) -> dict:
    count, kink = critical.sizes["run"], kinds["kink"]
    losses = critical["loss"].values
    known = kinds["flat"] | kinds["strict"] | kink | kinds["clarke"]
    minima = kinds["flat"] | kinds["strict"] | kink
    bad = minima & (losses > losses.min() + ABOVE)
    shares = {name: share(int(kinds[name].sum()), count) for name in ("flat", "kink", "clarke")}
    residuals, cells = critical["clarke_residual"].values, critical["cells"].values
    return {
        "runs": count,
        **{f"{name}_share": value for name, value in shares.items()},
        "strict": int(kinds["strict"].sum()),
        "open_share": share(int((~known).sum()), count),
        "residual_most": float(residuals[kink].max()) if kink.any() else math.nan,
        "cells_most": int(cells[kink].max()) if kink.any() else math.nan,
        "best_loss": float(losses.min()),
        "bad_share": share(int(bad.sum()), count),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("multilinear_ends", MultilinearEnds)
