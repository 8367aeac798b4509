"""What is proved of the minima, saddles and ways of a graph, as data that is checked again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from pydantic import TypeAdapter

import nnflow
from nnflow import Model

from ._ways import Joined, is_image, proof_of

BOUNDS = {
    "radius": "half-width of the box, in which there is exactly one critical point",
    "distance": "proved: no entry of the critical point differs more from the center's",
    "lowest_low": "proved: the lowest Hessian eigenvalue in the box is at least this",
    "lowest_high": "proved: the lowest Hessian eigenvalue in the box is at most this",
    "second_low": "proved: the second lowest Hessian eigenvalue in the box is at least this",
    "loss_low": "proved: the loss in the box is at least this",
    "loss_high": "proved: the loss in the box is at most this",
}
SLACK = 2.0**-30
"""Eigenvalues are stated weaker than found by this part of the largest, so that the guesses of
another machine prove them too."""


def certificates(model, points: np.ndarray) -> dict[str, np.ndarray]:
    """{bound: (point,)} of points (point, weight), infinite where nothing is proved. NaN, all of
    them, for a model that gives no enclosure."""
    enclosure = model.enclosure()
    if enclosure is None:
        return {name: np.full(len(points), np.nan) for name in BOUNDS}
    rows = [stated(enclosure, point) for point in points]
    return {name: np.array([row[name] for row in rows], dtype=np.float64) for name in BOUNDS}


def role(row) -> str:
    """What the bounds prove: a strict `minimum`, a `saddle` of index 1 with an invertible Hessian,
    or nothing (`unproved`)."""
    if row["distance"] <= row["radius"]:
        if row["lowest_low"] > 0:
            return "minimum"
        if row["lowest_high"] < 0 < row["second_low"]:
            return "saddle"
    return "unproved"


def stated(enclosure, point: np.ndarray) -> dict[str, float]:
    """What a certificate of the critical point beside `point` states."""
    return _weaker(_bounds(enclosure, point))


def _bounds(enclosure, point: np.ndarray, radius: float | None = None) -> dict[str, float]:
    proof = nnflow.prove(enclosure, point, radius=radius)
    if proof.obstacle:
        return {name: -np.inf if name.endswith("_low") else np.inf for name in BOUNDS} | {
            "radius": proof.radius
        }
    first, second = nnflow.lowest_pair(enclosure, point, proof.radius)
    return {
        "radius": proof.radius,
        "distance": proof.distance,
        "lowest_low": proof.min_eigenvalue_low,
        "lowest_high": first,
        "second_low": second,
        "loss_low": proof.loss_low,
        "loss_high": proof.loss_high,
        "scale": max(abs(proof.min_eigenvalue_low), abs(proof.max_eigenvalue_low)),
    }


def _weaker(found: dict[str, float]) -> dict[str, float]:
    """The bounds a little weaker; the distance by a factor of two."""
    slack = SLACK * found.get("scale", 0.0)
    loss = SLACK * (1 + abs(found["loss_low"])) if np.isfinite(found["loss_low"]) else 0.0
    by = {"lowest_low": -slack, "lowest_high": slack, "second_low": -slack, "loss_low": -loss,
          "loss_high": loss, "distance": found["distance"], "radius": 0.0}  # fmt: skip
    return {name: found[name] + by[name] for name in BOUNDS}


def certified(configuration, points: dict, numbers: dict, found: dict, ways: list[Joined]):
    """A dataset over `certificate` of the points of one configuration, each {minimum or saddle:
    …}: their weights (point, weight), their numbers in the graph, their certificates; and of the
    ways from the saddles to the minima."""
    import xarray as xr

    axis, size = "certificate", configuration.settings.model
    size = sum(int(np.prod(shape)) for shape in size.shapes().values())
    ends = np.array([way.corners[-1] for way in ways]).reshape(len(ways), size)
    points, numbers = points | {"way": ends}, numbers | {"way": [way.saddle for way in ways]}
    found = found | {"way": {name: [way.bounds[name] for way in ways] for name in BOUNDS}}
    variables = {
        name: (axis, np.concatenate([found[part][name] for part in points]).astype(np.float64),
               {"long_name": text, "units": "1"})
        for name, text in BOUNDS.items()
    }  # fmt: skip
    parts = np.repeat(list(points), [len(part) for part in points.values()])
    described = json.dumps(configuration.settings.model.model_dump(mode="json"), sort_keys=True)
    texts = {
        "of_model": ([described] * len(parts), "the model that this is a critical point of"),
        "of_configuration": ([configuration.label] * len(parts), "configuration of the study"),
        "stands_for": (parts, "what it is proved to be, and its part in the graph"),
    }
    variables |= {
        name: (axis, np.array(values, dtype=str), {"long_name": text})
        for name, (values, text) in texts.items()
    }
    text = {"long_name": "its number among the minima or saddles of the configuration; of a way"
            " its saddle's"}  # fmt: skip
    variables["number"] = (axis, np.concatenate(list(numbers.values())).astype(int), text)
    text = {"long_name": "center of the box, of a way that of its end; float64, taken as exact"}
    variables["center"] = ((axis, "weight"), np.concatenate(list(points.values())), text)
    variables |= _ways(ways, len(parts), size)
    coordinates = {"weight": np.arange(size), "corner": np.arange(variables["corners"][1].shape[1])}
    return xr.Dataset(variables, coordinates)


def _ways(ways: list[Joined], count: int, size: int) -> dict:
    """The variables that only ways have; they come after `count` certificates in all, last."""
    corners = np.full((count, max([len(way.corners) for way in ways], default=0), size), np.nan)
    whole = {"from_side": np.full(count, -1), "reaches": np.full(count, -1)}
    for row, way in enumerate(ways, start=count - len(ways)):
        corners[row, : len(way.corners)] = way.corners
        whole["from_side"][row], whole["reaches"][row] = way.side, way.minimum
    texts = {
        "from_side": "of a way: 0 or 1, on which side of the saddle it begins",
        "reaches": "of a way: the number of the minimum at an image of which it ends",
    }
    axis = "certificate"
    text = {"long_name": "corners of a way, from the saddle's center to its end; NaN beyond"}
    return {name: (axis, whole[name], {"long_name": texts[name]}) for name in texts} | {
        "corners": ((axis, "corner", "weight"), corners, text)
    }


def checked(dataset) -> Iterator[tuple[str, bool, str]]:
    """(name, proved, text) of each certificate, proved again from the dataset alone."""
    rows = [dataset.isel(certificate=number) for number in range(dataset.sizes["certificate"])]
    places = {_key(row, row["stands_for"].item(), row["number"].item()): row for row in rows}
    for row in rows:
        part = row["stands_for"].item()
        name = f"{row['of_configuration'].item()} {part} {row['number'].item()}"
        if part == "way":
            name += f" side {row['from_side'].item()}"
        obstacle = _point_again(row, "minimum" if part == "way" else part)
        if not obstacle and part == "way":
            obstacle = _way_again(row, places)
        yield (name, False, obstacle) if obstacle else (name, True, _described(row, places))


def _key(row, part: str, number: int) -> tuple:
    return row["of_configuration"].item(), row["of_model"].item(), part, number


def _said(row) -> dict[str, float]:
    return {name: row[name].item() for name in BOUNDS}


def _model(row):
    return TypeAdapter(Model).validate_python(json.loads(row["of_model"].item()))


def _center(row, model) -> np.ndarray:
    return row["center"].values[: sum(int(np.prod(shape)) for shape in model.shapes().values())]


def _point_again(row, part: str) -> str:
    """Why the row's center is not proved again to be beside what it stands for, or ""."""
    said, model = _said(row), _model(row)
    if role(said) != part:
        return f"its bounds do not make it a {part}"
    found = _bounds(model.enclosure(), _center(row, model), said["radius"])
    weak = [bound for bound in BOUNDS if not _implied(bound, found[bound], said[bound])]
    return f"{weak[0]} = {said[weak[0]]:.17g} is not proved again" if weak else ""


def _way_again(row, places: dict) -> str:
    """Why the way is not proved again, or "". That its saddle and its minimum are what they stand
    for is said by their own certificates."""
    model = _model(row)
    corners = row["corners"].values[:, : len(_center(row, model))]
    corners = corners[np.isfinite(corners).all(axis=1)]
    saddle = places.get(_key(row, "saddle", row["number"].item()))
    minimum = places.get(_key(row, "minimum", row["reaches"].item()))
    if saddle is None or minimum is None:
        return "its saddle or its minimum has no certificate"
    if len(corners) < 2 or (corners[0] != _center(saddle, model)).any():
        return "it does not begin at its saddle"
    if (corners[-1] != _center(row, model)).any():
        return "it does not end at its end"
    end, node = _said(row), _said(minimum)
    if not is_image(model, corners[-1], end, _center(minimum, model), node):
        return "its end is not proved to be an image of its minimum"
    start = proof_of(_said(saddle))
    return nnflow.prove_way(model.enclosure(), corners, start, proof_of(end)).obstacle


def _described(row, places: dict) -> str:
    said, part = _said(row), row["stands_for"].item()
    if part == "way":
        saddle = places[_key(row, "saddle", row["number"].item())]
        return (
            f"way to minimum {row['reaches'].item()} with a loss of at most"
            f" {saddle['loss_high'].item():.9f}"
        )
    text = "saddle of index 1" if part == "saddle" else "minimum"
    return f"{text} with a loss in [{said['loss_low']:.9f}, {said['loss_high']:.9f}]"


def _implied(bound: str, proved: float, claimed: float) -> bool:
    return proved >= claimed if bound.endswith("_low") else proved <= claimed
