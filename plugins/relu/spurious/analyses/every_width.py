"""A spurious minimum at every width: one proof for all k at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

import nnflow
from nnflow import Analysis

from ._families import FAMILIES

WIDTHS = (6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30, 40, 60, 100, 200, 500, 2000, 100_000)
"""Widths at which points are shown."""
MOST_UNKNOWNS = max(len(family.unknowns) for family in FAMILIES.values())
MOST_BLOCKS = 8
"""Isotypic parts of a Hessian."""
MAIN = "one_turned"
"""The family whose columns have no name of a family behind theirs."""
PRECISION = 64
"""Bits of the balls' midpoints."""
BOX = ("low", "high", "radius")
STATED = {
    "distance": "proved: no unknown is farther from the curve of the box",
    "eigenvalue_low": "proved: the lowest Hessian eigenvalue is at least this, for all s",
    "eigenvalue_high": "proved: the lowest Hessian eigenvalue is at most this, for all s",
    "loss_low": "proved: kF (types I and A: F) is at least this, for all s",
    "loss_high": "proved: kF (types I and A: F) is at most this, for all s",
    "split_high": "proved: an eigenvalue of a turned neuron's own block is at most ½ + s·this",
}


COLUMNS = {
    "boxes": "intervals of s = 1/√k on which everything is proved",
    "undecided": "intervals on which something is not proved",
    "gaps": "gaps between the intervals, or ends where the family is not proved to go on",
    "lowest_eigenvalue": "proved: the lowest Hessian eigenvalue at every k is at least this",
    "scaled_loss": "proved: kF (types I and A: F) at every k is at least this",
    "splitting": "proved: (h − ½)√k is at most this, h an eigenvalue of a neuron's block",
    "first_minimum": "real k at which the lowest eigenvalue of the family, carried on below its"
    " first width, crosses 0 (where the boxes start at that width)",
}


def _column(name: str, family: str) -> str:
    return name if family == MAIN else f"{name}_{family}"


class EveryWidth(Analysis):
    """Proofs on boxes of s = 1/√k that cover all k from some k on, infinity included: a family of
    symmetric points is there, is a local minimum, has a loss above 0, and becomes a saddle when
    a turned neuron is split in two. Each box is a certificate: `nnflow certificate check` proves
    it again, and that the boxes leave no gap. Columns of families but `one_turned` have the
    family's name behind their own.

    Source: the families are those of Arjevani & Field 2019 (arXiv:1912.11939), who give power
    series in 1/√k; Safran & Shamir 2018 prove spurious minima for 6 ≤ k ≤ 20, one by one.
    """

    columns = {
        _column(name, family): f"{one.title}: {text}"
        for family, one in FAMILIES.items()
        for name, text in COLUMNS.items()
    }
    families: dict[str, PositiveInt] = Field(default={MAIN: 6}, min_length=1)
    """Families, each with the least k of its proof: one_turned (k from 6 on), two_turned (8),
    three_turned (10), four_turned (11), type_one (7), type_a (6). Below, they are saddles."""
    tightness: float = Field(default=0.5, ge=0, lt=1)
    """Boxes are cut until the lower bound of the lowest eigenvalue is at least this part of the
    upper one."""
    shortest: PositiveFloat = 1e-7
    """Width of s below which a box is not cut any more, and counts as undecided."""
    crossing_width: PositiveFloat = 1e-7
    """Half-width in s of the interval in which the lowest eigenvalue is proved to cross 0."""

    @field_validator("families")
    @classmethod
    def _known(cls, families):
        for name, k in families.items():
            if name not in FAMILIES:
                raise ValueError(f"{name!r} is no family; there are {', '.join(FAMILIES)}")
            if k < FAMILIES[name].from_k:
                raise ValueError(f"{name} is no minimum below k = {FAMILIES[name].from_k}, not {k}")
        return families

    def compute(self, results):
        import flint

        from ._family_boxes import at_widths, connected, cover, crossing, linked, proved

        table = nnflow.Table(results, self.columns)
        every, points, ends = [], [], []
        with flint.ctx.workprec(PRECISION):
            for number, (name, k) in enumerate(self.families.items()):
                found, end = [], _end(k)
                for box, said in cover(name, 0.0, end, self.tightness, self.shortest):
                    found.append((box, said))
                    done = 1000 * number + round(1000 * box.high / end)
                    results.progress(done, 1000 * len(self.families), "of s is covered")
                joined = [connected(a, b) for (a, _), (b, _) in pairwise(found)]
                least = FAMILIES[name].from_k
                crossed = None
                if k == least:
                    ends_of_k = least**-0.5, (least - 1) ** -0.5
                    crossed, parts = crossing(name, *ends_of_k, self.crossing_width)
                    crossed = crossed if linked(found[-1][0], parts[0]) else None
                table.everywhere(**_columns(name, found, joined.count(False), proved, crossed))
                every += found
                points.append(at_widths(name, [k for k in WIDTHS if k >= least]))
                ends.append([np.nan] * 2 if crossed is None else [crossed.low, crossed.high])
        return self._sealed(self._with_points(table.dataset(), points), every, ends)

    def _sealed(self, columns: xr.Dataset, found: list, ends: list) -> xr.Dataset:
        """The columns, and the boxes with what is proved on them."""
        axis = "certificate"
        boxes, said = [box for box, _ in found], [one for _, one in found]
        texts = {
            "low": "least s = 1/√k of the box",
            "high": "greatest s = 1/√k of the box",
            "radius": "half-width of the tube in which there is exactly one critical point",
            **STATED,
        }
        variables = {
            name: (axis, np.array([getattr(one, name) for one in (boxes if name in BOX else said)]),
                   {"long_name": text, "units": "1"})
            for name, text in texts.items()
        }  # fmt: skip
        # the report lets a reader look into the boxes, and also reads s as k
        variables["low"][2].update(symbol="s", also="k", also_power=-2.0)
        names = np.array([box.name for box in boxes], dtype=str)
        variables["of_family"] = (axis, names, {"long_name": "the family that the box is about"})
        curve = {
            "center": "the unknowns at the middle of the box",
            "slope": "their derivatives in s",
        }
        for name, text in curve.items():
            values = _padded([getattr(box, name) for box in boxes], MOST_UNKNOWNS)
            variables[name] = ((axis, "unknown"), values, {"long_name": text, "units": "1"})
        text = "proved: the lowest eigenvalue of each isotypic part is at least this"
        by_block = _padded([one.by_block for one in said], MOST_BLOCKS)
        variables["by_block"] = ((axis, "block"), by_block, {"long_name": text})
        reasons = np.array([one.obstacle for one in said], dtype=str)
        variables["obstacle"] = (axis, reasons, {"long_name": "why nothing is proved"})
        text = "s between which the lowest eigenvalue is proved to cross 0"
        variables["crossing"] = (("family", "end"), np.array(ends), {"long_name": text})
        coordinates = {"family": list(self.families), "end": ["low", "high"]}
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        dataset = columns.assign(variables).assign_coords(coordinates)
        return nnflow.sealed(dataset.assign_attrs(analysis=described, interactive="boxes"))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove every box again, that those of each family cover all k from the stated one on
        without a gap, and the crossings."""
        import flint

        with flint.ctx.workprec(PRECISION):
            of = dataset["of_family"].values.astype(str)
            for name, k in self.families.items():
                yield from self._check_family(dataset, name, k, np.flatnonzero(of == name))

    def _check_family(self, dataset: xr.Dataset, name: str, k: int, rows: np.ndarray):
        from ._family_boxes import connected, crosses, holds, linked, parts_of

        boxes = [self._box(dataset, number) for number in rows.tolist()]
        refused = 0
        for number, (box, said) in zip(rows.tolist(), boxes, strict=True):
            if why := holds(box, said) or _not_what_is_claimed(said):
                refused += 1
                yield f"box {number}", False, f"{name}, {box.low:.6g} ≤ s ≤ {box.high:.6g}: {why}"
        title, count = FAMILIES[name].title, len(boxes) - refused
        text = f"{title}: a spurious minimum for all s of {count} intervals"
        yield f"{count} boxes", count > 0, text
        only = [box for box, _ in boxes]
        whole = bool(only) and only[0].low == 0 and _reaches(only[-1].high, k)
        whole = whole and all(connected(a, b) for a, b in pairwise(only))
        text = f"one family for all real k ≥ {k}" if whole else "the boxes leave a gap"
        yield "no gap", whole, f"{title}: {text}"
        low, high = dataset["crossing"].sel(family=name).values.tolist()
        if 0 < low < high < 1:
            text = f"an eigenvalue crosses 0 at a k between {high**-2:.7f} and {low**-2:.7f}"
            parts = parts_of(name, low, high)
            there = bool(only) and linked(only[-1], parts[0]) and crosses(parts)
            yield "crossing", there, f"{title}: {text}"
        elif not np.isnan([low, high]).all():
            yield "crossing", False, f"{title}: {low} to {high} is no interval of s"

    @staticmethod
    def _box(dataset: xr.Dataset, number: int):
        from ._family_boxes import Box, Statement

        row = dataset.isel(certificate=number)
        name = str(row["of_family"].item())
        size = len(FAMILIES[name].unknowns)
        curve = [tuple(row[one].values[:size].tolist()) for one in ("center", "slope")]
        box = Box(name, float(row["low"]), float(row["high"]), *curve, float(row["radius"]))
        numbers = {one: float(row[one]) for one in STATED}
        by_block = row["by_block"].values
        return box, Statement(**numbers, by_block=tuple(by_block[~np.isnan(by_block)].tolist()))

    def _with_points(self, dataset: xr.Dataset, points: list) -> xr.Dataset:
        """With the middle of sharp bounds at some widths, (family, width), for figures."""
        texts = {"eigenvalue": "lowest Hessian eigenvalue", "loss": "kF (types I and A: F)"}
        for name, text in texts.items():
            values = np.full((len(points), len(WIDTHS)), np.nan)
            for row, found in zip(values, points, strict=True):
                for index, k in enumerate(WIDTHS):
                    if one := found.get(k):
                        ends = [getattr(one, f"{name}_{end}") for end in ("low", "high")]
                        row[index] = np.mean(ends)
            dataset[f"{name}_at"] = (("family", "width"), values, {"long_name": text})
        return dataset.assign_coords(width=list(WIDTHS), family=list(self.families))


def _columns(name: str, found: list, gaps: int, proved, crossed) -> dict:
    """The columns of one family."""
    good = [said for _, said in found if proved(said)]
    columns = {
        "boxes": len(good),
        "undecided": len(found) - len(good),
        "gaps": gaps,
        "lowest_eigenvalue": min((said.eigenvalue_low for said in good), default=-np.inf),
        "scaled_loss": min((said.loss_low for said in good), default=-np.inf),
        "splitting": max((said.split_high for said in good), default=np.inf),
    }
    if crossed is not None:
        low, high = crossed.high**-2, crossed.low**-2
        columns["first_minimum"] = ((low + high) / 2, low, high)
    return {_column(key, name): value for key, value in columns.items()}


def _padded(rows: list, size: int) -> np.ndarray:
    """NaN behind short rows."""
    filled = np.full((len(rows), size), np.nan)
    for row, values in zip(filled, rows, strict=True):
        row[: len(values)] = values
    return filled


def _not_what_is_claimed(said) -> str:
    from ._family_boxes import proved

    return "" if proved(said) else "no spurious minimum is claimed"


def _end(k: int) -> float:
    """A float that is at least 1/√k."""
    end = k**-0.5
    while not _reaches(end, k):
        end = float(np.nextafter(end, 1))
    return end


def _reaches(end: float, k: int) -> bool:
    """Is end ≥ 1/√k, exactly?"""
    return Fraction(end) ** 2 * k >= 1


@nnflow.hookimpl
def nnflow_register(register):
    register("every_width", EveryWidth)
