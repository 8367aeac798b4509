"""Conjecture 1, proved by branch and bound in ball arithmetic."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis

from ._coverage import uncovered_domain, uncovered_share


class SeparationProof(Analysis):
    """L₁₂ > 0 for 0 < φ < θ and L₁₂ < 0 for θ < φ < 2π, for every θ ∈ (0, π): signs proved on
    boxes, which are kept with the result on each. The method is described in `_conjecture`. As
    L₂₁(θ, φ) = L₁₂(θ, θ − φ), the same holds for L₂₁.

    Arrays of each box: the index of its `sheet`, its bounds `box` (box, bound) in the sheet's own
    coordinates, whether it is `decided`, and its corners `theta` and `phi` (box, corner); of each
    sheet: `sign`, `shows` (value: the sign of L₁₂, slope: that of its change with φ near a line
    where it vanishes), `sheet_boxes`, `sheet_undecided`.
    """

    columns = {
        "boxes": "boxes",
        "undecided_boxes": "boxes whose sign is not proved",
        "uncovered": "largest share of a sheet without a box",
        "uncovered_domain": "share of 0 < θ < π, 0 ≤ φ ≤ 2π in no box with a proved sign",
    }

    precision: Annotated[int, Field(ge=24)] = 64
    """Bits of the ball arithmetic; with 30 and with 200 bits all boxes are decided too."""
    most_splits: PositiveInt = 40
    """Maximum number of halvings; a box that is undecided then is given up."""

    def compute(self, results):
        from ._conjecture import prove, sheets  # python-flint is needed here alone

        every, partitions, count = list(sheets()), [], 0
        for number, sheet in enumerate(every):
            results.progress(number, len(every), f"sheets, {count} boxes")
            partitions.append(prove(sheet, self.precision, self.most_splits))
            count += len(partitions[-1].decided) + len(partitions[-1].undecided)
        boxes = _boxes(every, partitions)
        table = nnflow.Table(results, self.columns)
        table.everywhere(**_totals(every, boxes))
        return (
            table.dataset()
            .merge(boxes)
            .merge(_of_sheets(every, partitions))
            .assign_attrs(precision=self.precision)
        )


def _boxes(every, partitions):
    """All boxes of all sheets, with their corners."""
    import xarray as xr

    from ._conjecture import corners

    counts = [(len(one.decided), len(one.undecided)) for one in partitions]
    bounds = np.array([box for one in partitions for box in one.decided + one.undecided])
    sheet = np.repeat(np.arange(len(every)), [sum(pair) for pair in counts])
    decided = np.repeat([1, 0] * len(every), np.ravel(counts))
    theta, phi = corners(every, sheet, bounds)
    return xr.Dataset(
        {
            "sheet": ("box", sheet.astype(np.int16), {"long_name": "index of the sheet"}),
            "box": (("box", "bound"), bounds, {"long_name": "bounds in the sheet's coordinates"}),
            "decided": ("box", decided.astype(np.int8), {"long_name": "1: the sign is proved"}),
            "theta": (("box", "corner"), theta, {"long_name": "θ at the corners", "units": "rad"}),
            "phi": (("box", "corner"), phi, {"long_name": "φ at the corners", "units": "rad"}),
        },
        {"bound": ["x_low", "x_high", "t_low", "t_high"]},
    )


def _of_sheets(every, partitions):
    """What each sheet proves, on how many boxes."""
    import xarray as xr

    decided, undecided = (
        [len(one.decided) for one in partitions],
        [len(one.undecided) for one in partitions],
    )
    return xr.Dataset(
        {
            "sign": ("sheets", [s.sign for s in every], {"long_name": "sign that is proved"}),
            "shows": ("sheets", [s.shows for s in every], {"long_name": "what has that sign"}),
            "sheet_boxes": ("sheets", decided, {"long_name": "decided boxes"}),
            "sheet_undecided": ("sheets", undecided, {"long_name": "undecided boxes"}),
        },
        {"sheets": [sheet.name for sheet in every]},
    )


def _totals(every, boxes) -> dict[str, float]:
    """The columns."""
    bounds, theta, phi = (boxes[name].values for name in ("box", "theta", "phi"))
    decided, sheet = boxes["decided"].values == 1, boxes["sheet"].values
    areas = [(one.x[1] - one.x[0]) * (one.t[1] - one.t[0]) for one in every]
    half = np.array([one.half for one in every])[sheet]
    proved = (part[decided] for part in (bounds, theta, phi, half))
    return {
        "boxes": len(bounds),
        "undecided_boxes": (~decided).sum(),
        "uncovered": max(
            uncovered_share(area, bounds[sheet == index]) for index, area in enumerate(areas)
        ),
        "uncovered_domain": uncovered_domain(*proved),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_proof", SeparationProof)
