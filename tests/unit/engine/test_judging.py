"""What the ends of runs are judged to be: flat valleys, and what is left of them."""

import dataclasses

import numpy as np
import pytest
import torch
from landscapes import DoubleWell, Quadratic, Slope, objective_of

from nnflow.engine.critical import KINDS
from nnflow.engine.judging import judged, valley_columns
from nnflow.interfaces.manifolds import Spheres
from nnflow.interfaces.model import Model
from nnflow.study.stage_settings import Classify


class Ring(Model):
    """L = (|w|² − 1)²: a curved valley."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (weights["w"].square().sum(1) - 1) ** 2


class OnSphere(Model):
    """L = ½w₁² on the unit sphere: a circle of minima."""

    def shapes(self):
        return {"w": (1, 3)}

    def loss(self, weights, data):
        return weights["w"][:, 0, 0] ** 2 / 2


class Sized(Ring):
    """A ring that names an invariant of its own."""

    def invariants(self, weights):
        return weights["w"].square().sum(1, keepdim=True)


def found(objective, ends):
    """Weights and columns of these ends (run, weight)."""
    start = torch.as_tensor(np.array(ends, dtype=float))
    weights, columns = judged(objective, start, Classify(), lambda text: None)
    columns |= valley_columns(objective, weights, columns, Classify())
    return weights.numpy(), columns


@pytest.fixture
def diagonalized(monkeypatch):
    """How many Hessians each call for eigenvectors had."""
    counts, eigh = [], torch.linalg.eigh
    monkeypatch.setattr("torch.linalg.eigh", lambda h: counts.append(len(h)) or eigh(h))
    return counts


def test_a_hessian_whose_entries_add_up_to_more_than_any_number_is_known():
    largest = 1.5e308
    objective = objective_of(Quadratic(eigenvalues=[largest, largest]), 1)
    _, columns = found(objective, [[0.0, 0.0]])
    assert columns["kind"].tolist() == [KINDS.index("minimum")]
    assert columns["min_eigenvalue"].tolist() == [largest]


def test_a_minimum_that_a_bound_settles_needs_no_eigenvectors(diagonalized):
    """Beside it a saddle, about which the bound says nothing, has them."""
    _, columns = found(objective_of(DoubleWell(), 3), [[1.01, 0.1], [0, 0], [-0.99, 0]])
    assert sum(diagonalized) == 1
    assert [KINDS[kind] for kind in columns["kind"]] == ["minimum", "saddle", "minimum"]
    np.testing.assert_allclose(columns["min_eigenvalue"], [1, -1, 1], atol=1e-12)
    np.testing.assert_allclose(columns["max_eigenvalue"], [2, 1, 2], atol=1e-12)
    assert columns["index"].tolist() == [0, 1, 0] and columns["nullity"].tolist() == [0, 0, 0]


def as_they_are(model, start, **settings):
    """The kinds of unpolished ends."""
    at = torch.tensor(start, dtype=torch.float64)
    settings = Classify(polish="none", **settings)
    _, columns = judged(objective_of(model, len(at)), at, settings, lambda text: None)
    return [KINDS[kind] for kind in columns["kind"]]


def test_runs_that_are_not_critical_stand_beside_settled_ones(diagonalized):
    found = as_they_are(DoubleWell(), [[1e4, 0], [1, 0], [-1, 0]])
    assert found == ["not_critical", "minimum", "minimum"] and sum(diagonalized) == 0


def test_a_model_is_not_asked_about_no_runs():
    class Never(Quadratic):
        def gradient(self, weights, data):
            assert len(weights["w"]) > 0

        def third_derivative_bound(self, weights, radius):
            assert len(radius) > 0

    assert as_they_are(Never(eigenvalues=[1.0]), [[3.0], [2.0]]) == ["not_critical"] * 2


def test_at_a_kink_the_gradient_needs_no_curvature_that_explains_it():
    class Kinked(Slope):
        """Said to be nonsmooth."""

        def smooth(self, weights, data):
            return torch.zeros(len(weights["w"]), dtype=torch.bool)

    assert as_they_are(Kinked(), [[0.0, 0.0]], critical_below=1e-3) == ["nonsmooth"]


def test_of_a_straight_valley_the_shortest_point_is_the_invariant():
    """Along the third weight nothing changes; the end keeps its own."""
    objective = objective_of(Quadratic(eigenvalues=[2.0, 1.0, 0.0]), 2)
    weights, columns = found(objective, [[0, 0, 5], [0, 0, -3]])
    assert [KINDS[kind] for kind in columns["kind"]] == ["degenerate"] * 2
    assert columns["straight"].tolist() == [True, True]
    assert columns["nullity"].tolist() == [1, 1]
    np.testing.assert_allclose(columns["invariant"], 0, atol=1e-12)
    np.testing.assert_allclose(weights[:, 2], [5, -3])


@pytest.mark.parametrize(
    ("model", "ends"),
    [
        (Ring(), [[1, 0], [0.6, 0.8]]),  # degenerate, and curved
        (Quadratic(eigenvalues=[2.0, 1.0]), [[0, 0], [0, 0]]),  # isolated
    ],
)
def test_of_other_ends_the_weights_are_the_invariant(model, ends):
    weights, columns = found(objective_of(model, 2), ends)
    assert columns["straight"].tolist() == [False, False]
    np.testing.assert_array_equal(columns["invariant"], weights)


def test_on_a_manifold_no_valley_is_straight():
    objective = objective_of(OnSphere(), 2)
    objective = dataclasses.replace(objective, manifold=Spheres(1, 3))
    weights, columns = found(objective, [[0, 1, 0], [0, 0.6, 0.8]])
    assert [KINDS[kind] for kind in columns["kind"]] == ["degenerate"] * 2
    assert columns["straight"].tolist() == [False, False]
    np.testing.assert_array_equal(columns["invariant"], weights)


def test_an_invariant_of_the_model_goes_first():
    _, columns = found(objective_of(Sized(), 2), [[1, 0], [0, 1]])
    np.testing.assert_allclose(columns["invariant"], [[1], [1]])
    assert columns["straight"].tolist() == [False, False]


def test_an_end_that_is_not_critical_says_what_is_in_the_way():
    objective = objective_of(Quadratic(eigenvalues=[2.0, 1.0]), 2)
    start = torch.tensor([[0.0, 0.0], [0.1, 0.0]], dtype=torch.float64)
    _, columns = judged(objective, start, Classify(polish="none"), lambda text: None)
    assert [KINDS[kind] for kind in columns["kind"]] == ["minimum", "not_critical"]
    assert columns["obstacle"][0] == 0 and columns["obstacle"][1] > 0
    assert columns["distance"].tolist() == [0, 0]
    np.testing.assert_allclose(columns["gradient_norm"], [0, 0.2])
