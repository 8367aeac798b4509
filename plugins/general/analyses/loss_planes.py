"""The loss on planes through the ends of runs."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveFloat

import nnflow
from nnflow import Analysis, Streams, Table, UserError

from .._directions import eigenvectors, filter_normalized, orthonormal, principal
from .._flat import flat_weights, kept_weights
from .._merge_tree import merge_tree

Plane = Literal[
    "random", "filter_normalized", "top_eigenvectors", "bottom_eigenvectors", "runs", "trajectory"
]
STEP = 1e-4
"""Step of the finite differences, in units of the weights' norm."""
STENCIL = np.array([-1, 16, -30, 16, -1]) / 12
"""Second derivative from five values, with an error of the fourth power of the step."""
MARGIN = 0.3
"""Room around points that a plane goes through, as a part of their extent."""
GROUPS = 10
"""Groups of samples whose losses tell the sampling error of their mean."""
WEIGHTS, LOSS, CURVATURE = "weight", "loss", "loss per squared weight"
"""Units."""


BASINS = 8
"""Basins that are kept of each plane."""


class LossPlanes(Analysis):
    """L(W + x·u + y·v) on a grid, u and v of length 1 and orthogonal, so that x and y are distances
    in weights; `norm` ‖W‖ makes them comparable between networks.

    Planes: two drawn directions (`random`); the same scaled row by row to the network
    (`filter_normalized`, Li et al. 2018), then made orthogonal; two eigenvectors of the Hessian
    from either end of its spectrum; the plane through the ends of three `runs`; and that in which
    the kept weights (`trace: {weights: N}`) of the run spread most (`trajectory`). W is the run's
    end; on the plane of runs, the first of them.

    Each plane is checked: its curvature along x and y at W, by finite differences of step
    ‖W‖/10,000, is held against vᵀ∇²L v. Where activations have kinks the two differ, as the step
    meets kinks that the second derivative does not see: then the number is a report, not a check.
    The loss is the model's own (batch norm and dropout are in the mode in which it is trained). The
    sampling error is the standard error of the mean over ten groups of samples: at W, and along the
    two lines through W on which x or y alone moves (`line_loss`, `line_error`). Losses that are not
    finite stay so.

    Beside each plane stands its merge tree: `basin_place`, `basin_birth`, `basin_death` and
    `basin_parent` of the BASINS most persistent basins of its grid, the deepest first. A grid does
    not see basins narrower than its spacing, nor the exact height of a pass; a basin of a plane
    need hold no minimum of L, as directions off the plane may lead down, and one at the border may
    go on beyond it.
    """

    needs = ("training", "critical_points", "objective")
    columns = {
        "plane_curvature_error": "largest |measured curvature - vHv|, relative to the largest |vHv|"
        " of its plane",
        "plane_sampling_error": "standard error of the loss at the center, from groups of samples",
        "plane_residual": "largest norm of Hv - lambda v of a plane's eigenvectors",
        "plane_share": "share of the trajectory's squared distances from its end in its plane",
        "plane_basins": "most basins on a plane deeper than the sampling error of the loss",
        "plane_persistence": "rise out of the deepest basin of a plane that merges with another",
    }

    planes: Annotated[list[Plane], Field(min_length=1)]
    """Which planes."""
    run: NonNegativeInt = 0
    """The run whose end is W."""
    runs: tuple[NonNegativeInt, NonNegativeInt, NonNegativeInt] = (0, 1, 2)
    """The runs of the plane `runs`."""
    reach: PositiveFloat = 1.0
    """How far the plane goes from W in both directions, in units of ‖W‖, where no points decide."""
    size: Annotated[int, Field(ge=3)] = 25
    """Grid points along each side."""

    def compute(self, results):
        import xarray as xr

        table, parts = Table(results, self.columns), []
        for configuration, ends in results.each("critical_points"):
            planes = [self._plane(results, configuration, ends, name) for name in self.planes]
            joined = xr.concat(planes, "plane", join="outer").assign_coords(plane=self.planes)
            parts.append(joined)
            table.row(configuration, **_summary(joined))
        return table.joined(parts)

    def _plane(self, results, configuration, ends, name: str):
        """The plane of one name at one configuration, with the points that it goes through."""
        loss, model = results.objective(configuration), configuration.settings.model
        weights = flat_weights(model, ends)
        chosen = self.runs if name == "runs" else (self.run,)
        if max(chosen) >= len(weights):
            raise UserError(
                f"{results.study.file}: analyses.loss_planes: run {max(chosen)} is asked for, and"
                f" {configuration.label} has {len(weights)} runs"
            )
        points = weights[list(chosen)]
        if name == "trajectory":
            points = _way(results, configuration, self.run)
        try:
            stream = (results.study.settings.seed, configuration.label)
            return self.through(loss, model, name, points, stream)
        except UserError as error:
            raise UserError(f"{results.study.file}: analyses.loss_planes: {error}") from None

    def through(self, loss, model, name: str, points: np.ndarray, stream: tuple[int, str]):
        """One plane, a dataset over `x_place` and `y_place`.

        loss: as `results.objective` gives it. name: one of `planes`. points: (point, weight), W the
        first; for `runs` three, for `trajectory` the way, which ends at W. stream: seed and label
        of the directions that are drawn. Raises UserError where the directions are one.
        """
        import xarray as xr

        center = points[-1 if name == "trajectory" else 0]
        first, second, facts = _directions(loss, model, name, points, center, stream)
        first, second = orthonormal(first, second)
        if not np.isfinite(second).all():
            raise UserError(
                f"{name}: no plane at {stream[1]}, as its two directions are one (or none)"
            )
        norm = float(np.linalg.norm(center))
        marks = (points - center) @ np.stack([first, second], axis=1)
        sides = self._sides(marks, norm)
        measured, exact = _curvatures(loss, center, np.stack([first, second]), norm)
        own = {"runs": "mark", "trajectory": "kept"}.get(name)
        values = loss.plane(center, first, second, *sides)
        return xr.Dataset(
            {
                "x": ("x_place", sides[0], _said("distance along the first direction", WEIGHTS)),
                "y": ("y_place", sides[1], _said("distance along the second direction", WEIGHTS)),
                "loss": (("y_place", "x_place"), values, _said("loss", LOSS)),
                **_tree(values, sides),
                "norm": ((), norm, _said("norm of the weights at the center", WEIGHTS)),
                "measured_curvature": (
                    "direction",
                    measured,
                    _said("second derivative at the center, by finite differences", CURVATURE),
                ),
                "curvature": ("direction", exact, _said("vHv at the center", CURVATURE)),
                "eigenvalue": (
                    "direction",
                    facts.get("eigenvalue", np.full(2, np.nan)),
                    _said("eigenvalue of the Hessian, where the direction has one", CURVATURE),
                ),
                "residual": (
                    "direction",
                    facts.get("residual", np.full(2, np.nan)),
                    _said("norm of Hv - lambda v of these eigenvectors", CURVATURE),
                ),
                "share": (
                    (),
                    facts.get("share", np.nan),
                    _said("share of the trajectory's squared distances in the plane", "1"),
                ),
                **_lines(loss, center, (first, second), sides),
                "center_loss": ((), loss.loss(center)[0], _said("loss at the center", LOSS)),
                "sampling_error": (
                    (),
                    _sampling_error(loss, center),
                    _said("standard error of the loss at the center, from samples", LOSS),
                ),
                **(
                    {
                        f"{own}_place": (
                            (own, "axis"),
                            marks,
                            _said("where the point lies in the plane", WEIGHTS),
                        )
                    }
                    if own
                    else {}
                ),
            },
            {own: np.arange(len(marks))} if own else {},
        )

    def _sides(self, marks: np.ndarray, norm: float) -> list[np.ndarray]:
        if len(marks) == 1:
            return [np.linspace(-1, 1, self.size) * self.reach * norm] * 2
        low, high = marks.min(axis=0), marks.max(axis=0)
        room = MARGIN * (high - low)
        return [np.linspace(*ends, self.size) for ends in zip(low - room, high + room, strict=True)]


def _directions(loss, model, name, points, center, stream):
    """Two directions, not yet orthonormal, and what is known of them."""
    if name == "runs":
        return points[1] - center, points[2] - center, {}
    if name == "trajectory":
        first, second, share = principal(points)
        return first, second, {"share": share}
    if name in ("random", "filter_normalized"):
        drawn = Streams(*stream, np.arange(2), name).normal(len(center))
        if name == "filter_normalized":
            drawn = filter_normalized(model, center, drawn)
        return *drawn, {}
    start = Streams(*stream, np.arange(1), name).normal(len(center))[0]
    end = name.removesuffix("_eigenvectors")
    values, vectors, residuals = eigenvectors(loss, center, end, start)
    return *vectors, {"eigenvalue": values, "residual": residuals}


def _said(text: str, units: str) -> dict[str, str]:
    # CF knows no unit of weights
    return {"long_name": text, "units": "1"} | ({} if units == "1" else {"comment": units})


def _way(results, configuration, run: int) -> np.ndarray:
    """The kept weights of a run, (step, weight)."""
    trained = results.at("training", configuration.label)
    asker = "loss_planes: the plane of a trajectory"
    way = kept_weights(results, configuration, trained, asker)[run]
    way = way[np.isfinite(way).all(axis=1)]
    if len(way) < 3:
        raise UserError(
            f"{results.study.file}: analyses.loss_planes: run {run} of {configuration.label} has"
            f" {len(way)} kept weights; a plane needs 3"
        )
    return way


def _curvatures(loss, center, directions, norm) -> tuple[np.ndarray, np.ndarray]:
    """vᵀ∇²L v by finite differences and by the Hessian, for each direction v."""
    step = STEP * (norm or 1.0)
    offsets = step * np.arange(-2, 3)
    points = center + offsets[:, None] * directions[:, None]
    values = loss.loss(points.reshape(-1, len(center))).reshape(len(directions), -1)
    products = loss.hessian_vector(center, directions)
    return values @ STENCIL / step**2, (products * directions).sum(axis=1)


def _sampling_error(loss, center) -> float:
    """Standard error of the loss at the center; NaN where there are too few samples or none."""
    return float(_sampling_errors(loss, center[None])[0])


def _sampling_errors(loss, points: np.ndarray) -> np.ndarray:
    """Standard errors of the losses at points (point, weight); NaN as above."""
    if (loss.samples or 0) < 2 * GROUPS:
        return np.full(len(points), np.nan)
    groups = np.array_split(np.arange(loss.samples), GROUPS)
    means = np.stack([loss.among(group).loss(points) for group in groups])
    with np.errstate(invalid="ignore"):  # losses that are not finite have no error
        return means.std(axis=0, ddof=1) / np.sqrt(GROUPS)


def _lines(loss, center, directions, sides) -> dict:
    """Losses and their standard errors along both directions, (direction, line_place)."""
    points = np.concatenate(
        [center + np.outer(side, v) for side, v in zip(sides, directions, strict=True)]
    )
    axes = ("direction", "line_place")
    return {
        "line_loss": (
            axes,
            loss.loss(points).reshape(2, -1),
            _said("loss on the lines through the center along x and y", LOSS),
        ),
        "line_error": (
            axes,
            _sampling_errors(loss, points).reshape(2, -1),
            _said("standard error of the loss there, from samples", LOSS),
        ),
    }


def _tree(values: np.ndarray, sides) -> dict:
    """The merge tree of a plane, padded with NaN."""
    found = merge_tree(values)
    count = min(BASINS, len(found["birth"]))
    rows, columns = found["place"][:count].T
    parts = {
        "place": np.stack([sides[0][columns], sides[1][rows]], axis=1),
        "birth": found["birth"][:count],
        "death": found["death"][:count],
        "parent": found["parent"][:count].astype(float),
    }
    texts = {
        "place": ("where the basin's lowest grid point lies", WEIGHTS),
        "birth": ("lowest loss of the basin", LOSS),
        "death": ("loss at which it merges with a deeper one, infinite: with none", LOSS),
        "parent": ("number of that one; -1: none", "1"),
    }
    whole = {}
    for name, part in parts.items():
        padded = np.full((BASINS, *part.shape[1:]), np.nan)
        padded[:count] = part
        axes = ("basin", "axis")[: padded.ndim]
        whole[f"basin_{name}"] = (axes, padded, _said(*texts[name]))
    return whole


def _depths(planes) -> tuple[int, float]:
    """(most basins deeper than the sampling error on a plane, the deepest that merges)."""
    depth = (planes["basin_death"] - planes["basin_birth"]).values
    floor = np.nan_to_num(planes["sampling_error"].values)[:, None]
    merging = depth[np.isfinite(depth)]
    return int((depth > floor).sum(axis=1).max()), float(merging.max(initial=0.0))


def _summary(planes) -> dict[str, float]:
    exact = planes["curvature"].values
    error = np.abs(planes["measured_curvature"].values - exact)
    residuals = planes["residual"].values
    basins, persistence = _depths(planes)
    return {
        "plane_basins": basins,
        "plane_persistence": persistence,
        "plane_curvature_error": float((error / np.abs(exact).max(axis=1, keepdims=True)).max()),
        "plane_sampling_error": float(planes["sampling_error"].values[0]),
        "plane_residual": _largest(residuals),
        "plane_share": _largest(planes["share"].values),
    }


def _largest(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.max()) if finite.size else np.nan


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_planes", LossPlanes)
