"""Conjecture 1, proved by branch and bound in ball arithmetic."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis


class SeparationProof(Analysis):
    """L₁₂ > 0 for 0 < φ < θ and L₁₂ < 0 for θ < φ < 2π, for every θ ∈ (0, π): signs proved on
    boxes, which are kept with the verdict on each. The method is told in `_conjecture`. As
    L₂₁(θ, φ) = L₁₂(θ, θ − φ), the same holds for L₂₁.

    Of each box: `sheet`, its bounds `box` (box, bound) in the sheet's own coordinates, and its
    corners `theta` and `phi` (box, corner); of each sheet: `sign`, `shows` (value: the sign of
    L₁₂, slope: that of its change with φ beside a line where it vanishes), `boxes`, `undecided`.
    Columns: `boxes`, `undecided_boxes`, and `uncovered`, the largest share of a sheet's area that
    its boxes leave open.
    """

    precision: Annotated[int, Field(ge=24)] = 64
    """Bits of the ball arithmetic; with 30 and with 200 bits all boxes are decided too."""
    most_splits: PositiveInt = 40
    """A box that is undecided after so many halvings is given up."""

    def compute(self, results):
        import xarray as xr

        from ._conjecture import corners, prove, sheets  # python-flint is needed here alone

        every = list(sheets())
        bounds, sheet_of, decided, areas = [], [], [], []
        for number, sheet in enumerate(every):
            results.progress(number, len(every), f"sheets, {len(bounds)} boxes")
            verdict = prove(sheet, self.precision, self.most_splits)
            found = verdict.decided + verdict.undecided
            bounds += found
            sheet_of += [number] * len(found)
            decided += [True] * len(verdict.decided) + [False] * len(verdict.undecided)
            areas.append(_uncovered(sheet, np.array(found)))
        bounds, sheet_of, decided = map(np.array, (bounds, sheet_of, decided))
        theta, phi = corners(every, sheet_of, bounds)
        counts = [np.bincount(sheet_of[rows], minlength=len(every)) for rows in (decided, ~decided)]
        variables = {
            "sheet": ("box", sheet_of.astype(np.int16), {"long_name": "number of the sheet"}),
            "box": (("box", "bound"), bounds, {"long_name": "bounds in the sheet's coordinates"}),
            "decided": ("box", decided.astype(np.int8), {"long_name": "1: the sign is proved"}),
            "theta": (("box", "corner"), theta, {"long_name": "θ at the corners", "units": "rad"}),
            "phi": (("box", "corner"), phi, {"long_name": "φ at the corners", "units": "rad"}),
            "sign": ("sheets", [s.sign for s in every], {"long_name": "sign that is proved"}),
            "shows": ("sheets", [s.shows for s in every], {"long_name": "what has that sign"}),
            "sheet_boxes": ("sheets", counts[0], {"long_name": "decided boxes"}),
            "sheet_undecided": ("sheets", counts[1], {"long_name": "undecided boxes"}),
        }
        for name, value, text in (
            ("boxes", len(bounds), "boxes"),
            ("undecided_boxes", (~decided).sum(), "boxes whose sign is not proved"),
            ("uncovered", max(areas), "largest share of a sheet without a box"),
        ):
            variables[name] = (
                "configuration",
                np.full(len(results.configurations), value),
                {"long_name": text},
            )
        return xr.Dataset(
            variables,
            {
                "configuration": [configuration.label for configuration in results.configurations],
                "sheets": [sheet.name for sheet in every],
                "bound": ["x_low", "x_high", "t_low", "t_high"],
            },
            {"precision": self.precision},
        )


def _uncovered(sheet, bounds: np.ndarray) -> float:
    area = (sheet.x[1] - sheet.x[0]) * (sheet.t[1] - sheet.t[0])
    covered = (bounds[:, 1] - bounds[:, 0]) * (bounds[:, 3] - bounds[:, 2])
    return abs(1 - covered.sum() / area)


@nnflow.hookimpl
def nnflow_register(register):
    register("separation_proof", SeparationProof)
