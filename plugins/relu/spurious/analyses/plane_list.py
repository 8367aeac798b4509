"""All critical points of two free ReLU neurons in the plane of their teachers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import xarray as xr
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table

APART, PARALLEL = "not parallel", "parallel"
PRECISION = 64


class PlaneList(Analysis):
    """The critical points of ½E([w₁·x]₊ + [w₂·x]₊ − [v₁·x]₊ − [v₂·x]₊)², x Gaussian, for w₁, w₂ ≠ 0
    in the plane of v₁ ⊥ v₂, |vⱼ| = 1 (Tian's problem for K = 2), proved complete. Where the
    neurons are not parallel their norms follow from their angles, and boxes of these are searched;
    nearly parallel ones are proved not to be critical; parallel ones are, on lines with w₁ + w₂
    fixed.

    Points have the coordinates (α₁, α₂ − α₁), the second in [0, π], and lines the angle of both.
    Each is a certificate: `nnflow certificate check` proves it again, and goes through the whole
    search. Lemmas, also of neurons that vanish: docs/complete-lists.md.
    """

    columns = {
        "isolated": "critical points of neurons that are not parallel, up to a swap of the neurons",
        "plane_minima": "of these, minima",
        "plane_spurious": "of these, spurious minima",
        "isolated_saddles": "of these, saddles",
        "lines": "lines of critical points with parallel neurons",
        "saddle_lines": "of these, lines of saddles (their middle, by its Hessian)",
        "plane_boxes": "boxes proved to hold no critical point",
        "plane_undecided": "boxes in which neither a critical point nor its absence is proved",
    }
    most_boxes: PositiveInt = 100_000
    """Maximum number of boxes that are examined in each of three searches."""

    def compute(self, results):
        from ._lists import certificates

        table = Table(results, self.columns)
        found, excluded, undecided = self._search()
        lines = [one.kind() for one in found.points if one.part == PARALLEL]
        kinds = [one.kind() for one in found.points if one.part == APART for _ in _orders(one)]
        table.everywhere(
            isolated=len(kinds) / 2,
            plane_minima=(kinds.count("minimum") + kinds.count("spurious_minimum")) / 2,
            plane_spurious=kinds.count("spurious_minimum") / 2,
            isolated_saddles=kinds.count("saddle") / 2,
            lines=len(lines),
            saddle_lines=lines.count("saddle"),
            plane_boxes=found.excluded + excluded,
            plane_undecided=found.undecided + undecided,
        )
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        dataset = table.dataset().assign(certificates(found))
        return nnflow.sealed(dataset.assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove each point again, and that there is no other."""
        from ._lists import proved_again

        found, excluded, undecided = self._search()
        yield from proved_again(dataset, _parts(), found)
        text = f"nearly parallel neurons: none in {excluded} intervals, {undecided} undecided"
        yield "nearly parallel", undecided == 0, text

    def _search(self):
        """What is found, and intervals without neurons that are nearly parallel."""
        import flint

        from ._lists import search
        from ._plane_points import nearly_parallel

        found = search(_parts(), self.most_boxes)
        with flint.ctx.workprec(PRECISION):
            excluded, undecided = nearly_parallel(self.most_boxes)
        return found, excluded, len(undecided)


def _parts():
    from ._lists import Part
    from ._plane_points import AROUND, NEAR, OPPOSITE, Apart, Parallel

    low, high = AROUND
    return {
        APART: Part(Apart(), (low, NEAR), (high, OPPOSITE)),
        PARALLEL: Part(Parallel(), (low,), (high,)),
    }


def _orders(one) -> range:
    """One for each order of the neurons; of opposite ones both orders are listed themselves."""
    opposite = abs(one.point[1] - math.pi) <= one.proved["radius"]
    return range(1 if opposite else 2)


@nnflow.hookimpl
def nnflow_register(register):
    register("plane_list", PlaneList)
