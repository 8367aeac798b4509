"""What is proved of the minima and saddles of a graph, as data that is checked again."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from pydantic import TypeAdapter

import nnflow
from nnflow import Model

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
    rows = [_stated(_bounds(enclosure, point)) for point in points]
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


def _stated(found: dict[str, float]) -> dict[str, float]:
    """The bounds a little weaker; the distance by a factor of two."""
    slack = SLACK * found.get("scale", 0.0)
    loss = SLACK * (1 + abs(found["loss_low"])) if np.isfinite(found["loss_low"]) else 0.0
    by = {"lowest_low": -slack, "lowest_high": slack, "second_low": -slack, "loss_low": -loss,
          "loss_high": loss, "distance": found["distance"], "radius": 0.0}  # fmt: skip
    return {name: found[name] + by[name] for name in BOUNDS}


def certified(configuration, points: dict, numbers: dict, found: dict):
    """A dataset over `certificate` of the points of one configuration, each {minimum or saddle:
    …}: their weights (point, weight), their numbers in the graph, their certificates."""
    import xarray as xr

    axis = "certificate"
    variables = {
        name: (axis, np.concatenate([found[part][name] for part in points]),
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
    text = {"long_name": "its number among the minima or saddles of the configuration"}
    variables["number"] = (axis, np.concatenate(list(numbers.values())), text)
    text = {"long_name": "center of the box; float64 numbers, taken as exact"}
    variables["center"] = ((axis, "weight"), np.concatenate(list(points.values())), text)
    return xr.Dataset(variables, {"weight": np.arange(variables["center"][1].shape[1])})


def checked(dataset) -> Iterator[tuple[str, bool, str]]:
    """(name, proved, text) of each certificate, proved again from the dataset alone."""
    for number in range(dataset.sizes["certificate"]):
        row = dataset.isel(certificate=number)
        said = {name: row[name].item() for name in BOUNDS}
        part, label = row["stands_for"].item(), row["of_configuration"].item()
        name = f"{label} {part} {row['number'].item()}"
        if role(said) != part:
            yield name, False, f"its bounds do not make it a {part}"
            continue
        model = TypeAdapter(Model).validate_python(json.loads(row["of_model"].item()))
        size = sum(int(np.prod(shape)) for shape in model.shapes().values())
        found = _bounds(model.enclosure(), row["center"].values[:size], said["radius"])
        weak = [bound for bound in BOUNDS if not _implied(bound, found[bound], said[bound])]
        if weak:
            yield name, False, f"{weak[0]} = {said[weak[0]]:.17g} is not proved again"
        else:
            low, high = said["loss_low"], said["loss_high"]
            text = "saddle of index 1" if part == "saddle" else "minimum"
            yield name, True, f"{text} with a loss in [{low:.9f}, {high:.9f}]"


def _implied(bound: str, proved: float, claimed: float) -> bool:
    return proved >= claimed if bound.endswith("_low") else proved <= claimed
