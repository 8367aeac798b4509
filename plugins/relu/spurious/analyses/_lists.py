"""Complete lists of critical points as certificates, and both proved again from them alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import nnflow

POLISHED = 3
"""Newton steps behind those of the search, which ends at gradients of 1e-9."""
NUMBERS = {
    "radius": "half-width of the box in which there is one critical point and no other",
    "distance": "proved: no coordinate of the critical point is farther from the center",
    "contraction": "proved: the factor by which a Newton-like map contracts the box",
    "min_eigenvalue_low": "proved: the lowest Hessian eigenvalue is at least this",
    "min_eigenvalue_high": "proved: the lowest Hessian eigenvalue is at most this",
    "max_eigenvalue_low": "proved: the highest Hessian eigenvalue is at least this",
    "max_eigenvalue_high": "proved: the highest Hessian eigenvalue is at most this",
    "loss_low": "proved: the loss is at least this",
    "loss_high": "proved: the loss is at most this",
}


class Part(NamedTuple):
    """Equations, as an enclosure, and the box in which all their zeros are listed."""

    enclosure: Any
    lower: tuple[float, ...]
    upper: tuple[float, ...]


class Listed(NamedTuple):
    """One zero: the part that lists it, its coordinates, and what is proved of it by NUMBERS."""

    part: str
    point: np.ndarray
    proved: dict[str, float]

    def kind(self) -> str:
        """As a critical point of a loss of least value 0."""
        said = self.proved
        if said["min_eigenvalue_low"] > 0:
            return "spurious_minimum" if said["loss_low"] > 0 else "minimum"
        if said["max_eigenvalue_high"] < 0:
            return "maximum"
        saddle = said["min_eigenvalue_high"] < 0 < said["max_eigenvalue_low"]
        return "saddle" if saddle else "unproved"


class Found(NamedTuple):
    """All zeros of all parts, boxes proved to hold none, and boxes where nothing is proved."""

    points: list[Listed]
    excluded: int
    undecided: int


def search(parts: Mapping[str, Part], most_boxes: int) -> Found:
    """All zeros of each part."""
    points, excluded, undecided = [], 0, 0
    for name, (enclosure, lower, upper) in parts.items():
        box = (np.array(lower), np.array(upper))
        listed = nnflow.complete_list(enclosure, box, most_boxes=most_boxes)
        excluded += listed.excluded
        undecided += len(listed.undecided)
        for point in listed.points:
            center = _polished(enclosure, point)
            proof = nnflow.weakened(nnflow.prove(enclosure, center))
            points.append(Listed(name, center, _numbers(proof)))
    points.sort(key=lambda one: (one.part, np.round(one.point, 6).tolist()))
    return Found(points, excluded, undecided)


def _numbers(proof: Any) -> dict[str, float]:
    return {name: getattr(proof, name) for name in NUMBERS}


def _polished(enclosure, point: np.ndarray) -> np.ndarray:
    from flint import arb_mat

    for _ in range(POLISHED):
        at = arb_mat(len(point), 1, point.tolist())
        step = enclosure.hessian(at).inv() * enclosure.gradient(at)
        point = point - np.array([float(x.mid()) for x in step.entries()])
    return point


def certificates(found: Found) -> dict[str, tuple]:
    """The points as variables over the axis `certificate`."""
    axis, points = "certificate", found.points
    centers = np.full((len(points), max(len(one.point) for one in points)), np.nan)
    for row, one in zip(centers, points, strict=True):
        row[: len(one.point)] = one.point
    numbers = {
        name: (axis, np.array([one.proved[name] for one in points]), {"long_name": text})
        for name, text in NUMBERS.items()
    }
    parts, kinds = ([one.part for one in points], [one.kind() for one in points])
    return numbers | {
        "center": ((axis, "coordinate"), centers, {"long_name": "center of the box"}),
        "part": (axis, np.array(parts, dtype=str), {"long_name": "the part that lists it"}),
        "kind": (axis, np.array(kinds, dtype=str), {"long_name": "what it is proved to be"}),
    }


def proved_again(
    dataset: xr.Dataset, parts: Mapping[str, Part], found: Found
) -> Iterator[tuple[str, bool, str]]:
    """Each point of the file by a proof at its own center; then the lists, against a search."""
    rows = [_row(dataset.isel(certificate=i)) for i in range(dataset.sizes["certificate"])]
    for number, (one, kind) in enumerate(rows):
        why = _refused(one, kind, parts)
        text = f"{one.part}: {kind.replace('_', ' ')} at {one.point.round(7).tolist()}"
        yield f"point {number}", not why, why or text
    for name in parts:
        said = [one for one, _ in rows if one.part == name]
        again = [one for one in found.points if one.part == name]
        whole = len(said) == len(again) and all(
            sum(_near(one, other) for other in said) == 1 for one in again
        )
        text = f"{len(said)} zeros of the equations, and no other"
        yield name, whole, text if whole else f"{text}; {len(again)} are found again"
    text = "every box holds no critical point, or one that is listed"
    yield "boxes", found.undecided == 0, f"{text}; {found.undecided} are undecided"


def _row(row: xr.Dataset) -> tuple[Listed, str]:
    point, said = row["center"].values, {name: float(row[name]) for name in NUMBERS}
    return Listed(str(row["part"].item()), point[~np.isnan(point)], said), str(row["kind"].item())


def _refused(one: Listed, kind: str, parts: Mapping[str, Part]) -> str:
    """Why a point of the file is refused; "" where it is proved again."""
    if one.part not in parts:
        return f"there is no part {one.part!r}"
    if len(one.point) != len(parts[one.part].lower):
        return "the center has another number of coordinates"
    if one.kind() != kind:
        return f"its bounds do not make it a {kind}"
    try:
        proof = nnflow.prove(parts[one.part].enclosure, one.point, radius=one.proved["radius"])
    except ValueError as error:
        return str(error)
    for name, proved in _numbers(proof).items():
        claimed = one.proved[name]
        if not (proved >= claimed if name.endswith("_low") else proved <= claimed):
            return f"{name} = {claimed:.17g} is not proved again"
    return ""


def _near(one: Listed, other: Listed) -> bool:
    """May both be the same point?"""
    apart = np.abs(one.point - other.point).max()
    return bool(apart <= one.proved["distance"] + other.proved["distance"])
