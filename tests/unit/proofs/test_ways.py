"""Ways down from saddles: what stays below is proved, and what rises above never is."""

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from flint import arb, arb_mat

from nnflow.interfaces import Enclosure
from nnflow.proofs import ways
from nnflow.proofs.proof import Proof, lowest_bound, prove, weakened
from nnflow.proofs.ways import find_way, prove_way


class Wells(Enclosure):
    """L = Σ sᵢ(wᵢ² − 1)²/4: minima where all wᵢ = ±1, saddles of height sᵢ/4 where one is 0."""

    def __init__(self, *scales, kink=None):
        self.scales, self.kink = scales, kink

    def _pairs(self, box):
        return list(zip(self.scales, box.entries(), strict=True))

    def smooth(self, box):
        return self.kink is None or not box[0, 0].contains(self.kink)

    def loss(self, box):
        return sum((s * (w * w - 1) * (w * w - 1) / 4 for s, w in self._pairs(box)), arb(0))

    def gradient(self, box):
        return arb_mat([[s * w * (w * w - 1)] for s, w in self._pairs(box)])

    def hessian(self, box):
        matrix = arb_mat(len(self.scales), len(self.scales))
        for i, (s, w) in enumerate(self._pairs(box)):
            matrix[i, i] = s * (3 * w * w - 1)
        return matrix


class Parabola(Enclosure):
    """L = c w²."""

    def __init__(self, curvature):
        self.curvature = curvature

    def loss(self, box):
        return self.curvature * box[0, 0] * box[0, 0]

    def gradient(self, box):
        return box * (2 * self.curvature)

    def hessian(self, box):
        return arb_mat([[2 * self.curvature]])


def ends(enclosure, corners):
    corners = np.array(corners, dtype=float)
    return corners, *(weakened(prove(enclosure, corners[place])) for place in (0, -1))


def test_a_straight_way_down_is_proved_and_found():
    enclosure = Wells(1.0, 2.0)
    corners, start, end = ends(enclosure, [[0, 1], [0.7, 1], [1, 1]])
    way = find_way(enclosure, corners, start, end)
    assert way.obstacle == ""
    assert 0.25 <= way.level < 0.25 + 1e-8
    assert way.level == start.loss_high
    assert (way.corners[[0, -1]] == corners[[0, -1]]).all()
    assert prove_way(enclosure, way.corners, start, end).obstacle == ""
    # the same line as it is: along its first piece the curvature changes sign
    assert prove_way(enclosure, corners, start, end).obstacle.startswith("segment 0 ")


def test_points_of_a_fine_trajectory_are_skipped():
    enclosure = Wells(1.0, 2.0)
    line = np.stack([np.linspace(0, 1, 201), np.ones(201)], axis=1)
    line, start, end = ends(enclosure, line)
    way = find_way(enclosure, line, start, end)
    assert way.obstacle == ""
    assert len(way.corners) < 30
    assert all((line == corner).all(axis=1).any() for corner in way.corners)
    assert prove_way(enclosure, way.corners, start, end).obstacle == ""


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        # over the other saddle, of height 1/2, to the minimum behind it
        ([[0, 1], [0.1, 1], [1, 1], [1, 0.5], [1, 0], [1, -0.5], [1, -1]], "beyond point"),
        # up the wall beside the saddle
        ([[0, 1], [0, 1.2], [1, 1.2], [1, 1]], "beyond point 0"),
    ],
)
def test_a_way_that_rises_is_not_proved(line, reason):
    enclosure = Wells(1.0, 2.0)
    line, start, end = ends(enclosure, line)
    assert reason in find_way(enclosure, line, start, end).obstacle
    fine = np.concatenate([np.linspace(a, b, 50) for a, b in pairwise(line)])
    assert find_way(enclosure, fine, start, end).obstacle
    assert prove_way(enclosure, fine, start, end).obstacle


def test_one_moved_corner_is_found():
    enclosure = Wells(1.0, 2.0)
    line, start, end = ends(enclosure, [[0, 1], [0.7, 1], [1, 1]])
    corners = find_way(enclosure, line, start, end).corners
    for place in range(1, len(corners) - 1):
        moved = corners.copy()
        moved[place] += [0, 0.6]
        way = prove_way(enclosure, moved, start, end)
        assert f"segment {place - 1} " in way.obstacle or f"segment {place} " in way.obstacle


def test_what_the_ends_must_be():
    enclosure = Wells(1.0, 2.0)
    line, start, end = ends(enclosure, [[0, 1], [1, 1]])
    nowhere = prove(enclosure, np.array([0.5, 0.5]))

    def why(line, start, end):
        found = find_way(enclosure, np.array(line), start, end).obstacle
        assert found == prove_way(enclosure, np.array(line), start, end).obstacle
        return found

    assert "at the start" in why(line, nowhere, end)
    assert "at the start" in why(line, replace(start, loss_high=math.inf), end)
    assert "at the end" in why(line, start, nowhere)
    assert "convex" in why([[0.0, 1.0], [0.0, 1.0]], start, start)
    low = replace(end, loss_high=-1e-6)
    assert "not below" in why([[1.0, 1.0], [1.0, 1.0]], low, end)
    for wrong in (line[:1], line[0], line * np.nan):
        with pytest.raises(ValueError, match="no broken line"):
            find_way(enclosure, wrong, start, end)


def test_a_kink_on_the_way_is_no_proof():
    """From it on nothing is known of the slope."""
    enclosure = Wells(1.0, 2.0, kink=0.7)
    line, start, end = ends(enclosure, [[0, 1], [1, 1]])
    assert "beyond point 0" in find_way(enclosure, line, start, end).obstacle


def test_a_way_is_given_up_after_as_many_segments_as_allowed():
    enclosure = Wells(1.0, 2.0)
    line, start, end = ends(enclosure, [[0, 1], [1, 1]])
    whole = find_way(enclosure, line, start, end)
    segments = len(whole.corners) - 1
    assert find_way(enclosure, line, start, end, most=segments).obstacle == ""
    assert "no way within" in find_way(enclosure, line, start, end, most=segments - 1).obstacle


@pytest.mark.parametrize("curvature", [-1.0, 1.0])
@pytest.mark.parametrize(("here", "goal"), [(-2.0, 2.0), (1.0, 5.0), (-1.0, 3.0)])
@pytest.mark.parametrize("over", [1e-9, -1e-9])
def test_the_bounds_of_a_segment_are_those_of_parabolas(curvature, here, goal, over):
    """One of the two is exact wherever the top is an end of a convex parabola, the middle of a
    concave one, or where a concave one begins."""
    top = {(-1.0, -2.0): 0.0, (-1.0, 1.0): -1.0, (-1.0, -1.0): 3.0}.get(
        (curvature, here), curvature * max(here**2, goal**2)
    )
    level = Proof(1.0, distance=0.0, loss_high=top + over)
    found = ways._below(Parabola(curvature), np.array([here]), np.array([goal]), False, level)
    assert found is (over > 0)


def test_no_level_below_the_top_of_a_segment_is_proved():
    """Segments among four wells, with levels on both sides of their sampled tops."""
    rng, enclosure, proved = np.random.default_rng(0), Wells(1.0, 2.0), 0
    t = np.linspace(0, 1, 200)[:, None]
    for _ in range(200):
        here = rng.uniform(-1.5, 1.5, 2)
        goal = here + rng.uniform(-0.1, 0.1, 2)
        points = (1 - t) * here + t * goal
        top = float((((points**2 - 1) ** 2) @ [0.25, 0.5]).max())
        for part, sound in ((-1e-9, False), (0.02, True)):
            level = Proof(1.0, distance=0.0, loss_high=top + part)
            found = ways._below(enclosure, here, goal, False, level)
            assert sound or not found
            proved += found
    assert proved > 150


def test_beside_the_saddle_curvature_alone_counts():
    """Whatever the margin: from (0, 1) the loss falls along the first weight only."""
    enclosure, start = Wells(1.0, 2.0), Proof(1e-9, distance=1e-12, loss_high=10.0)
    saddle = np.array([0.0, 1.0])
    assert ways._below(enclosure, saddle, np.array([0.1, 1.0]), True, start)
    assert not ways._below(enclosure, saddle, np.array([0.0, 1.1]), True, start)
    # where the critical point may be anywhere in a wide box, nothing is proved
    wide = replace(start, distance=0.7)
    assert not ways._below(enclosure, saddle, np.array([0.1, 1.0]), True, wide)


def test_a_way_begins_at_the_critical_point_itself():
    """Where that may be far from the center, the first segment is not proved."""
    enclosure = Wells(1.0, 2.0)
    line, start, end = ends(enclosure, [[0, 1], [1, 1]])
    corners = find_way(enclosure, line, start, end).corners
    anywhere = replace(start, radius=1.0, distance=0.7)
    assert prove_way(enclosure, corners, anywhere, end).obstacle.startswith("segment 0 ")
    assert "beyond point 0" in find_way(enclosure, line, anywhere, end).obstacle


def test_the_lowest_bound_is_that_of_the_models_own_weights():
    """At (1, 1) the eigenvalues are 2 and 4, at the box's lowest corner 3·.99² − 1 = 1.94."""
    enclosure = Wells(1.0, 2.0)
    assert lowest_bound(enclosure, np.ones(2), 0.0) == pytest.approx(2, abs=1e-7)
    assert 1.8 < lowest_bound(enclosure, np.ones(2), 0.01) <= 3 * 0.99**2 - 1
    assert lowest_bound(enclosure, np.array([0.0, 1.0]), 0.0) < -0.99
