"""Lists of critical points that are proved complete."""

import flint
import numpy as np
import pytest
from flint import arb, arb_mat
from hypothesis import given
from hypothesis import strategies as st

import nnflow
from nnflow import Enclosure
from nnflow.proofs import complete


class Waves(Enclosure):
    """L = cos(w₁)/p + w₂²/2: critical at (jπ, 0), minima at odd j."""

    def loss(self, box):
        x, y = box.entries()
        return x.cos() + y * y / 2

    def gradient(self, box):
        x, y = box.entries()
        return arb_mat([[-x.sin()], [y]])

    def hessian(self, box):
        x, _ = box.entries()
        return arb_mat([[-x.cos(), 0], [0, 1]])


class Monkey(Enclosure):
    """L = w₁³ − 3w₁w₂²: its only critical point, 0, is degenerate."""

    def loss(self, box):
        x, y = box.entries()
        return x * x * x - 3 * x * y * y

    def gradient(self, box):
        x, y = box.entries()
        return arb_mat([[3 * x * x - 3 * y * y], [-6 * x * y]])

    def hessian(self, box):
        x, y = box.entries()
        return arb_mat([[6 * x, -6 * y], [-6 * y, -6 * x]])


class Kinked(Waves):
    """Not proved smooth anywhere."""

    def smooth(self, box):
        return False


def square(half, center=(0.0, 0.0)):
    return np.array(center) - half, np.array(center) + half


@given(half=st.floats(0.5, 9), x=st.floats(-3, 3), y=st.floats(-0.4, 0.4))
def test_every_point_is_listed_once_wherever_the_box_is(half, x, y):
    found = nnflow.complete_list(Waves(), square(half, (x, y)))
    wanted = [j for j in range(-9, 10) if abs(j * np.pi - x) <= half]
    edge = [j for j in range(-9, 10) if abs(abs(j * np.pi - x) - half) < 1e-6]
    assert not found.undecided
    assert sorted(round(p[0] / np.pi) for p in found.points) == wanted or edge
    kinds = {round(p[0] / np.pi): kind for p, kind in zip(found.points, found.kinds(), strict=True)}
    assert all(kind == ("minimum" if j % 2 else "saddle") for j, kind in kinds.items())


def test_a_degenerate_point_is_left_undecided_and_surrounds_itself():
    found = complete.complete_list(Monkey(), square(1.0, (0.1, 0.07)), narrowest=0.01)
    assert found.points == [] and found.undecided
    for low, high in found.undecided:
        assert (low <= 0.02).all() and (high >= -0.02).all()


def test_when_enough_boxes_were_looked_at_the_rest_is_undecided():
    found = complete.complete_list(Waves(), square(7.0), most_boxes=5)
    assert found.undecided


def test_what_is_not_smooth_is_undecided():
    found = complete.complete_list(Kinked(), square(0.5), narrowest=0.4)
    assert found.points == [] and found.excluded == 0 and len(found.undecided) == 16


def test_a_box_without_a_critical_point_is_excluded_and_one_with_it_never():
    with flint.ctx.workprec(64):
        assert complete.excluded(Waves(), square(0.5, (1.5, 0.0)))
        for half in (1e-6, 0.1, 1.0, 5.0):
            assert not complete.excluded(Waves(), square(half, (np.pi, 0.0)))


def test_a_wrong_gradient_does_not_give_the_list():
    class Wrong(Waves):
        def gradient(self, box):
            x, y = box.entries()
            return arb_mat([[-x.sin() + arb("0.5")], [y]])

    found = complete.complete_list(Wrong(), square(7.0))
    assert {round(p[0], 3) for p in found.points}.isdisjoint({0.0, 3.142})


@pytest.mark.parametrize("box", [([0.0], [0.0]), ([0.0, 1.0], [1.0, 0.0]), ([0.0], [np.inf])])
def test_no_box_is_refused(box):
    with pytest.raises(ValueError, match="no box"):
        complete.complete_list(Waves(), box)
