"""A spurious minimum at every width: one proof for all k at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

import numpy as np
import xarray as xr
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis

from ._type_two import UNKNOWNS
from ._type_two_blocks import NAMES

WIDTHS = (6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30, 40, 60, 100, 200, 500, 2000, 100_000)
"""Widths at which points are shown."""
PRECISION = 64
"""Bits of the balls' midpoints."""
BOX = ("low", "high", "radius")
STATED = {
    "distance": "proved: no unknown is farther from the curve of the box",
    "eigenvalue_low": "proved: the lowest Hessian eigenvalue is at least this, for all s",
    "eigenvalue_high": "proved: the lowest Hessian eigenvalue is at most this, for all s",
    "loss_low": "proved: kF is at least this, for all s",
    "loss_high": "proved: kF is at most this, for all s",
    "split_high": "proved: an eigenvalue of the turned neuron's own block is at most ½ + s·this",
}


class EveryWidth(Analysis):
    """Proofs on boxes of s = 1/√k that cover all k from `from_k` on, infinity included: the family
    of type II (one of k neurons turned against its teacher) is there, is a local minimum, has a
    loss above 0, and becomes a saddle when the turned neuron is split in two. Each box is a
    certificate: `nnflow certificate check` proves it again, and that the boxes leave no gap.

    Source: the families are those of Arjevani & Field 2019 (arXiv:1912.11939), who give power
    series in 1/√k; Safran & Shamir 2018 prove spurious minima for 6 ≤ k ≤ 20, one by one.
    """

    columns = {
        "boxes": "intervals of s = 1/√k on which everything is proved",
        "undecided": "intervals on which something is not proved",
        "gaps": "gaps between the intervals, or ends where the family is not proved to go on",
        "lowest_eigenvalue": "proved: the lowest Hessian eigenvalue at every k is at least this",
        "loss_times_k": "proved: k times the loss at every k is at least this",
        "splitting": "proved: (h − ½)√k is at most this, h an eigenvalue of a neuron's block",
        "first_minimum": "real k at which the lowest eigenvalue of the family crosses 0",
    }
    from_k: PositiveInt = Field(default=6, ge=6)
    """The least k. Below 6 the family is a saddle."""
    tightness: float = Field(default=0.5, ge=0, lt=1)
    """Boxes are cut until the lower bound of the lowest eigenvalue is at least this part of the
    upper one."""
    shortest: PositiveFloat = 1e-6
    """Width of s below which a box is not cut any more, and counts as undecided."""
    crossing_width: PositiveFloat = 1e-7
    """Half-width in s of the interval in which the lowest eigenvalue is proved to cross 0."""

    def compute(self, results):
        import flint

        from ._type_two_boxes import at_width, connected, cover, crossing, proved

        found = []
        end = _end(self.from_k)
        with flint.ctx.workprec(PRECISION):
            for box, said in cover(0.0, end, self.tightness, self.shortest):
                found.append((box, said))
                results.progress(round(1000 * box.high / end), 1000, "of s is covered")
            boxes = [box for box, _ in found]
            joined = [connected(a, b) for a, b in pairwise(boxes)]
            points = [at_width(k) for k in WIDTHS]
            crossed, _ = crossing(6**-0.5, 5**-0.5, self.crossing_width)
        good = [said for _, said in found if proved(said)]
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            boxes=len(good),
            undecided=len(found) - len(good),
            gaps=joined.count(False),
            lowest_eigenvalue=min((said.eigenvalue_low for said in good), default=-np.inf),
            loss_times_k=min((said.loss_low for said in good), default=-np.inf),
            splitting=max((said.split_high for said in good), default=np.inf),
        )
        if crossed is not None:
            low, high = crossed.high**-2, crossed.low**-2
            table.everywhere(first_minimum=((low + high) / 2, low, high))
        ends = [np.nan, np.nan] if crossed is None else [crossed.low, crossed.high]
        return self._sealed(_with_points(table.dataset(), points), found, ends)

    def _sealed(self, columns: xr.Dataset, found: list, ends: list[float]) -> xr.Dataset:
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
        curve = {
            "center": "the unknowns at the middle of the box",
            "slope": "their derivatives in s",
        }
        for name, text in curve.items():
            values = np.array([getattr(box, name) for box in boxes])
            variables[name] = ((axis, "unknown"), values, {"long_name": text, "units": "1"})
        by_block = [one.by_block or (-np.inf,) * len(NAMES) for one in said]
        text = "proved: the lowest eigenvalue of each isotypic part is at least this"
        variables["by_block"] = ((axis, "block"), np.array(by_block), {"long_name": text})
        reasons = np.array([one.obstacle for one in said], dtype=str)
        variables["obstacle"] = (axis, reasons, {"long_name": "why nothing is proved"})
        text = "s between which the lowest eigenvalue is proved to cross 0"
        variables["crossing"] = ("end", np.array(ends), {"long_name": text})
        coordinates = {"unknown": list(UNKNOWNS), "block": list(NAMES), "end": ["low", "high"]}
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        dataset = columns.assign(variables).assign_coords(coordinates)
        return nnflow.sealed(dataset.assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove every box again, that they cover all k ≥ `from_k` without a gap, and a crossing."""
        import flint

        from ._type_two_boxes import connected, crosses, holds, parts_of

        with flint.ctx.workprec(PRECISION):
            boxes = [self._box(dataset, number) for number in range(dataset.sizes["certificate"])]
            refused = 0
            for number, (box, said) in enumerate(boxes):
                if why := holds(box, said) or _not_what_is_claimed(said):
                    refused += 1
                    yield f"box {number}", False, f"{box.low:.6g} ≤ s ≤ {box.high:.6g}: {why}"
            count = len(boxes) - refused
            yield f"{count} boxes", count > 0, f"a spurious minimum for all s of {count} intervals"
            only = [box for box, _ in boxes]
            whole = bool(only) and only[0].low == 0 and _reaches(only[-1].high, self.from_k)
            joined = all(connected(a, b) for a, b in pairwise(only))
            text = f"the boxes are one family for all real k ≥ {self.from_k}"
            yield "no gap", whole and joined, text if whole and joined else "the boxes leave a gap"
            low, high = dataset["crossing"].values.tolist()
            if np.isfinite(low):
                text = f"an eigenvalue crosses 0 at a k between {high**-2:.7f} and {low**-2:.7f}"
                yield "crossing", crosses(parts_of(low, high)), text

    @staticmethod
    def _box(dataset: xr.Dataset, number: int):
        from ._type_two_boxes import Box, Statement

        row = dataset.isel(certificate=number)
        curve = [tuple(row[name].values.tolist()) for name in ("center", "slope")]
        box = Box(float(row["low"]), float(row["high"]), *curve, float(row["radius"]))
        numbers = {name: float(row[name]) for name in STATED}
        return box, Statement(**numbers, by_block=tuple(row["by_block"].values.tolist()))


def _with_points(dataset: xr.Dataset, points: list) -> xr.Dataset:
    """With the middle of sharp bounds at some widths, for figures."""
    texts = {"eigenvalue": "lowest Hessian eigenvalue", "loss": "k times the loss"}
    for name, text in texts.items():
        ends = [[getattr(one, f"{name}_{end}") for end in ("low", "high")] for one in points]
        dataset[f"{name}_at"] = ("width", np.mean(ends, axis=1), {"long_name": text})
    return dataset.assign_coords(width=list(WIDTHS))


def _not_what_is_claimed(said) -> str:
    from ._type_two_boxes import proved

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
