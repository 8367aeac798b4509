"""All critical points of two ReLU neurons of unit norm, in any dimension."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

import numpy as np
import xarray as xr
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table

PLANE, BESIDE = "both in the plane", "on either side of the plane"
SIDE = 3.1415927
"""Half of the side of the torus of angles, and a little more."""
PRECISION = 64


class SphereList(Analysis):
    """The critical points of ½E([w₁·x]₊ + [w₂·x]₊ − [v₁·x]₊ − [v₂·x]₊)² for unit vectors, v₁ ⊥ v₂,
    and x Gaussian in ℝᵈ, for every d ≥ 3, proved complete. Both neurons lie in the plane of the
    teachers, or one on either side of it. Then the angles π − ∠(w₂, vⱼ) are r times those of w₁,
    and boxes of these angles and r are proved to hold none for r < 1: the plane mirrors the neurons
    onto one another. The mirrored ones are a sphere of dimension d − 3 each, by the direction
    across the plane.

    Each point is a certificate, by its angles: `nnflow certificate check` proves it again, and goes
    through the whole search. Lemmas: docs/complete-lists.md.

    Source: Wu, Luo & Lee (ICLR 2018 workshop), who prove that there is no spurious minimum.
    """

    columns = {
        "in_plane": "critical points with both neurons in the plane of the teachers",
        "minima": "of these, minima",
        "spurious": "minima that are not proved to be the teachers, in one order or the other",
        "in_plane_saddles": "of these, saddles",
        "in_plane_maxima": "of these, maxima",
        "beside": "families of critical points on either side of the plane",
        "beside_saddles": "of these, saddles",
        "euler": "sum of (−1)^index over the critical points in ℝ³; 4 on two spheres (Morse)",
        "sphere_boxes": "boxes proved to hold no critical point",
        "sphere_undecided": "boxes in which neither a critical point nor its absence is proved",
    }
    most_boxes: PositiveInt = 100_000
    """Maximum number of boxes that are examined in each of three searches."""

    def compute(self, results):
        from ._lists import certificates

        table = Table(results, self.columns)
        found, excluded, undecided = self._search()
        kinds = {
            name: [one.kind() for one in found.points if one.part == name]
            for name in (PLANE, BESIDE)
        }
        table.everywhere(
            in_plane=len(kinds[PLANE]),
            minima=kinds[PLANE].count("minimum"),
            spurious=sum("minimum" in one.kind() and not _is_teachers(one) for one in found.points),
            in_plane_saddles=kinds[PLANE].count("saddle"),
            in_plane_maxima=kinds[PLANE].count("maximum"),
            beside=len(kinds[BESIDE]),
            beside_saddles=kinds[BESIDE].count("saddle"),
            euler=_euler(found.points),
            sphere_boxes=found.excluded + excluded,
            sphere_undecided=found.undecided + undecided,
        )
        described = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        dataset = table.dataset().assign(certificates(found))
        return nnflow.sealed(dataset.assign_attrs(analysis=described))

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """Prove each point again, and that there is no other."""
        from ._lists import proved_again

        found, excluded, undecided = self._search()
        yield from proved_again(dataset, _parts(), found)
        text = f"unequal neurons beside the plane: none in {excluded} boxes, {undecided} undecided"
        yield "unequal", undecided == 0, text

    def _search(self):
        """What is found in and beside the plane, and boxes without unequal neurons."""
        import flint

        from ._lists import search
        from ._sphere_points import unequal

        found = search(_parts(), self.most_boxes)
        with flint.ctx.workprec(PRECISION):
            excluded, undecided = unequal(self.most_boxes)
        return found, excluded, len(undecided)


def _parts():
    from ._lists import Part
    from ._sphere_points import PI_OR_MORE, InPlane, Mirrored

    angles = (PI_OR_MORE,) * 3
    return {
        PLANE: Part(InPlane(), (-SIDE, -SIDE), (SIDE, SIDE)),
        BESIDE: Part(Mirrored(), (0.0, 0.0, 0.0), angles),
    }


def _is_teachers(one) -> bool:
    """Is it proved to be at the teachers' angles, which are critical: are they in the box?"""
    ends = ((0, math.pi / 2), (math.pi / 2, 0))
    near = [np.abs(one.point - np.array(end)).max() for end in ends] if one.part == PLANE else []
    return any(apart < one.proved["radius"] / 2 for apart in near)


def _euler(points) -> float:
    """Mirrored points are two in ℝ³, by the side that the first neuron is on."""
    import flint
    from flint import arb, arb_mat

    from ._sphere_points import index

    parts, total = _parts(), 0
    with flint.ctx.workprec(PRECISION):
        for one in points:
            box = [arb(x, one.proved["distance"]) for x in one.point.tolist()]
            negative = index(parts[one.part].enclosure.blocks(arb_mat(len(box), 1, box)))
            if negative is None:
                return np.nan
            total += (-1) ** negative * (2 if one.part == BESIDE else 1)
    return total


@nnflow.hookimpl
def nnflow_register(register):
    register("sphere_list", SphereList)
