"""Flat valleys, straight and curved, whose number is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from landscapes import objective_of

from nnflow.engine import valleys
from nnflow.engine.families import JOINED, NO_FAMILY, split_valleys
from nnflow.engine.polish import polish
from nnflow.engine.valleys import beside_valley, marks, walk
from nnflow.interfaces import Model


class Ring(Model):
    """L = (x² + y² − 1)², with a third weight that it ignores: a curved valley."""

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        return (weights["w"][:, :2].square().sum(1) - 1) ** 2


class Wells(Model):
    """L = (x² − 1)² + 2y², with a third weight that it ignores: two straight valleys."""

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        x, y, _ = weights["w"].unbind(1)
        return (x**2 - 1) ** 2 + 2 * y**2


@pytest.mark.parametrize(("model", "straight"), [(Wells(), True), (Ring(), False)])
def test_straight_valleys_have_one_shortest_point_and_curved_ones_none(model, straight):
    ends = {True: [[1, 0, 0.3], [1, 0, -2], [-1, 0, 1]], False: [[1, 0, 0.3], [0.6, 0.8, -2]]}
    at = torch.tensor(ends[straight], dtype=torch.float64)
    objective = objective_of(model, len(at))
    values, vectors = torch.linalg.eigh(objective.hessian(at))
    zero = 1e-7 * values.abs().amax(dim=1, keepdim=True)
    flat, limit = values.abs() <= zero, torch.full((len(at),), 1e-9, dtype=torch.float64)
    shortest, found = beside_valley(objective, at, vectors, flat, zero, limit)
    assert (found == straight).all()
    if straight:
        expected = torch.tensor([[1, 0, 0], [1, 0, 0], [-1, 0, 0]], dtype=torch.float64)
        torch.testing.assert_close(shortest, expected, rtol=0, atol=1e-12)


LOSSES = {
    "ring": lambda x, y, z: (x**2 + y**2 - 1) ** 2,
    "sphere": lambda x, y, z: (x**2 + y**2 + z**2 - 1) ** 2,
    "parabolas": lambda x, y, z: (x**2 - 1) ** 2 + (y - z**2) ** 2,
    "branches": lambda x, y, z: (x * y - 1) ** 2 + z**2,
    "signs": lambda x, y, z: (x * y * z - 1) ** 2,
    "wave": lambda x, y, z: (y - torch.sin(3 * x)) ** 2 + z**2,
}


class Curved(Model):
    """A loss of `LOSSES`, which vanishes on valleys."""

    valleys: str

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        return LOSSES[self.valleys](*weights["w"].unbind(1))


def in_valleys(name, runs=24):
    """An objective, weights of runs in its valleys, and their nullity."""
    objective = objective_of(Curved(valleys=name), runs)
    drawn = torch.from_numpy(np.random.default_rng(3).uniform(-2, 2, (runs, 3)))
    weights = polish(objective, drawn, 10.0)
    reached = (objective.loss(weights) < 1e-20).numpy()
    objective, weights = objective.take(np.flatnonzero(reached)), weights[reached]
    values = torch.linalg.eigvalsh(objective.hessian(weights)).abs()
    nullity = (values < 1e-7 * values.amax(dim=1, keepdim=True)).sum(dim=1).numpy()
    return objective, weights, nullity, torch.full((len(weights),), 1e-9, dtype=torch.float64)


def parts(name):
    """(families, joined, weights) by walks in the named valleys."""
    objective, weights, nullity, below = in_valleys(name)
    found = marks(objective, weights, nullity, below)
    every = np.ones(len(weights), bool)
    family, joined = split_valleys(np.zeros(len(weights), int), found, every, 1e-6)
    return family, [JOINED[number] for number in np.unique(joined)], weights.numpy()


@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("ring", lambda w: w[:, 0] * 0),
        ("sphere", lambda w: w[:, 0] * 0),
        ("parabolas", lambda w: np.sign(w[:, 0])),
        ("branches", lambda w: np.sign(w[:, 0])),
        ("signs", lambda w: np.sign(w[:, 0]) + 3 * np.sign(w[:, 1])),
    ],
)
def test_curved_valleys_are_told_apart_as_topology_has_them(name, side):
    """One circle, one sphere; two parabolas and two branches of a hyperbola; xyz = 1 has a sheet
    in each of the four octants where the product is positive."""
    family, joined, weights = parts(name)
    assert joined == ["yes"] and len(family) > 15
    pairs = set(zip(family.tolist(), side(weights).tolist(), strict=True))
    assert len(pairs) == len({f for f, _ in pairs}) == len({s for _, s in pairs})


def test_a_valley_with_many_bays_is_not_cut_into_them():
    """Along y = sin 3x the distance to a landmark has several minima: other ones for another
    landmark, so that they are none of the valley's parts."""
    family, _, _ = parts("wave")
    assert set(family) == {0}
    objective, weights, nullity, below = in_valleys("wave")
    found = marks(objective, weights, nullity, below)
    assert max(len(_unique(found[:, number])) for number in range(len(found[0]))) > 1


def _unique(places):
    return np.unique(places[np.isfinite(places[:, 0])].round(5), axis=0)


def test_walks_stay_in_the_valley_and_end_at_the_nearest_point():
    """On the unit circle the nearest point is the landmark's direction."""
    objective, weights, nullity, below = in_valleys("ring")
    landmark = torch.tensor([2.0, -1.0, 0.5], dtype=torch.float64)
    place, arrived = walk(objective, weights, nullity, landmark.expand_as(weights), below)
    assert arrived.all()
    nearest = torch.tensor([2 / 5**0.5, -1 / 5**0.5, 0.5], dtype=torch.float64)
    torch.testing.assert_close(place, nearest.expand_as(place), rtol=0, atol=1e-7)


def on_the_circle(angles):
    """An objective, points of the unit circle, and eigenvalues, eigenvectors and null directions of
    the Hessian there."""
    angles = torch.tensor(angles, dtype=torch.float64)
    objective = objective_of(Curved(valleys="ring"), len(angles))
    at = torch.stack([angles.cos(), angles.sin(), torch.full_like(angles, 0.5)], dim=1)
    hessian = objective.hessian(at)
    values, vectors = torch.linalg.eigh(hessian)
    return objective, at, hessian, (values, vectors, values.abs() < 1e-9)


def test_steps_of_a_walk_are_newtons_for_the_distance_along_the_circle():
    """Half the squared distance from (cos a, sin a) to the landmark (r, 0, z) has the derivative
    r sin a along the circle and the second one r cos a, whose sign does not count; along the axis
    the valley is straight, and the step goes all the way. The curvature of the circle is 1."""
    angles = [0.3, -1.1, 2.0, -2.9]
    objective, at, hessian, local = on_the_circle(angles)
    way = torch.tensor([3.0, 0.0, -1.0], dtype=torch.float64) - at
    step = valleys._towards(objective, at, way, hessian, *local)
    a = torch.tensor(angles, dtype=torch.float64)
    tangent = torch.stack([-a.sin(), a.cos(), torch.zeros_like(a)], dim=1)
    expected = -tangent * (a.sin() / a.cos().abs())[:, None]
    expected[:, 2] = -1.5
    torch.testing.assert_close(step, expected, rtol=0, atol=1e-4)
    turn = valleys._turn(objective, at, tangent, *local)
    torch.testing.assert_close(
        turn, -at * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("name", LOSSES)
def test_walks_arrive_within_a_few_dozen_steps(name, monkeypatch):
    """All but few: one may be stuck beside a bend, which no step of the least length passes."""
    monkeypatch.setattr(valleys, "STEPS", 40)
    objective, weights, nullity, below = in_valleys(name)
    found = marks(objective, weights, nullity, below)
    assert np.isfinite(found).all(axis=2).mean() > 0.9


def test_corrections_converge_faster_than_linearly():
    """Six lead from a point half a tenth off the circle to 10⁻⁹, by the curvature at another."""
    objective, _, _, local = on_the_circle([0.4])
    end = torch.tensor([[0.72, 0.74, 0.5]], dtype=torch.float64)
    asked = []

    class Counted:
        def gradient(self, weights):
            asked.append(len(weights))
            return objective.gradient(weights)

    limit = torch.full((1,), 1e-9, dtype=torch.float64)
    there, bent, still = valleys._corrected(Counted(), end, end, *local, limit, limit + 1)
    assert still.all() and len(asked) <= 8
    assert float(torch.linalg.vector_norm(there[:, :2])) == pytest.approx(1, abs=1e-9)
    assert bent.item() == pytest.approx(float(torch.linalg.vector_norm(there - end)))


def test_marks_do_not_depend_on_which_walks_go_side_by_side(monkeypatch):
    """Each run walks to its own landmarks, in the order of the landmarks."""
    objective, weights, nullity, below = in_valleys("ring")
    whole = marks(objective, weights, nullity, below)
    for together in (1, 9 * 3, 9 * 7):
        monkeypatch.setattr(valleys, "TOGETHER", together)
        np.testing.assert_allclose(
            marks(objective, weights, nullity, below), whole, rtol=0, atol=1e-6
        )
    one = marks(objective.take(np.array([1])), weights[1:2], nullity[1:2], below[1:2])
    np.testing.assert_allclose(one[0], whole[1], rtol=0, atol=1e-6)
    assert np.ptp(whole, axis=1).min() > 1e-3  # of other landmarks other marks


ONE, TWO, THREE, LOST = [1.0], [5.0], [9.0], [np.nan]


@pytest.mark.parametrize(
    ("rows", "families", "answer"),
    [
        ([[ONE] * 2] * 2 + [[TWO] * 2] * 2, [0, 0, 1, 1], "yes"),
        ([[ONE] * 2] * 3, [0, 0, 0], "yes"),
        # one run alone in its part, or lost
        ([[ONE] * 2] * 2 + [[TWO] * 2], [0, 0, 0], "no"),
        ([[ONE] * 2] * 2 + [[TWO] * 2] * 2 + [[LOST] * 2], [0] * 5, "no"),
        # the second landmark says that all are one, or that some are
        ([[ONE, ONE], [ONE, ONE], [TWO, ONE], [TWO, ONE]], [0] * 4, "yes"),
        ([[ONE, ONE], [ONE, TWO], [TWO, TWO], [TWO, THREE], [THREE, THREE]], [0] * 5, "yes"),
        ([[ONE, ONE], [ONE, ONE], [TWO, TWO], [THREE, TWO]], [0] * 4, "no"),
        # two of three agree, and the third is no worse than unsure
        ([[ONE] * 3] * 2 + [[TWO, TWO, TWO], [TWO, TWO, THREE]], [0, 0, 1, 1], "yes"),
        ([[ONE] * 3] * 2 + [[TWO, TWO, TWO], [TWO, TWO, LOST]], [0, 0, 1, 1], "yes"),
        ([[LOST] * 2] * 2, [0, 0], "unknown"),
        ([[LOST] * 2], [0], "yes"),
    ],
)
def test_parts_of_a_family_by_places(rows, families, answer):
    marks_of, every = np.array(rows), np.ones(len(rows), bool)
    family, joined = split_valleys(np.zeros(len(rows), int), marks_of, every, 1e-6)
    assert family.tolist() == families and {JOINED[j] for j in joined} == {answer}


def test_families_behind_one_that_is_split_move_up():
    rows = np.array([[ONE] * 2, [ONE] * 2, [TWO] * 2, [TWO] * 2, [ONE] * 2, [ONE] * 2, [ONE] * 2])
    before = np.array([1, 1, 1, 1, 0, 2, NO_FAMILY])
    family, joined = split_valleys(before, rows, before == 1, 1e-6)
    assert family.tolist() == [1, 1, 2, 2, 0, 3, NO_FAMILY]
    assert [JOINED[j] for j in joined] == ["yes"] * 6 + ["unknown"]
