"""Manifolds against the Rayleigh quotient, whose critical points on the sphere are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from landscapes import normal_weights, objective_of

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.engine.objective import Objective
from nnflow.engine.polish import polish
from nnflow.engine.training import train
from nnflow.engine.weights import from_flat
from nnflow.interfaces import Model
from nnflow.interfaces.manifolds import Spheres
from nnflow.interfaces.registry import registry
from nnflow.stages.classify import _classify_runs
from nnflow.stages.job import Job
from nnflow.study.loading import load_study, study_file
from nnflow.study.stage_settings import Stop, Trace


class Rayleigh(Model):
    """L = Σᵢ ½xᵢᵀAxᵢ over unit vectors xᵢ: critical where each is an eigenvector of A. At the
    eigenvector of λ the Hessian has the eigenvalues μ − λ over the other eigenvalues μ."""

    matrix: list[list[float]]
    count: int = 1

    def shapes(self):
        return {"x": (self.count, len(self.matrix))}

    def manifold(self):
        return Spheres(self.count, len(self.matrix))

    def loss(self, weights, data):
        matrix = torch.tensor(self.matrix, dtype=torch.float64)
        return torch.einsum("rci,ij,rcj->r", weights["x"], matrix, weights["x"]) / 2


SPECTRUM = np.array([-1.0, 0.5, 2.0, 4.0])


def rayleigh(seed: int, runs: int, count: int = 1) -> tuple[Objective, torch.Tensor]:
    """The objective for a random basis of eigenvectors, and the basis in its columns."""
    turn, _ = torch.linalg.qr(normal_weights(4, 4, seed))
    matrix = turn @ torch.diag(torch.tensor(SPECTRUM)) @ turn.T
    model = Rayleigh(matrix=matrix.tolist(), count=count)
    bound = objective_of(model, runs)
    return Objective(model, {}, bound.streams, model.manifold()), turn


@given(st.integers(0, 10**6), st.integers(1, 3))
def test_hessians_at_eigenvectors_are_the_gaps_of_the_spectrum(seed, count):
    objective, turn = rayleigh(seed, 4, count)
    # run r has its i-th vector at the eigenvector number r + i
    places = [[(run + i) % 4 for i in range(count)] for run in range(4)]
    weights = torch.stack([turn.T[chosen].flatten() for chosen in places])
    assert torch.linalg.vector_norm(objective.gradient(weights), dim=1).max() < 1e-13
    found = torch.linalg.eigvalsh(objective.hessian(weights)).numpy()
    for values, chosen in zip(found, places, strict=True):
        gaps = [other - SPECTRUM[i] for i in chosen for other in np.delete(SPECTRUM, i)]
        np.testing.assert_allclose(values, np.sort(gaps), atol=1e-12)
        assert (values < 0).sum() == sum(chosen)


@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(2, 5))
def test_tangents_and_retraction(seed, count, length):
    spheres = Spheres(count, length)
    weights = spheres.retract(normal_weights(3, count * length, seed))
    vectors = normal_weights(3, count * length, seed + 1)
    basis = spheres.basis(weights)
    eye = torch.eye(spheres.dimension, dtype=torch.float64).expand(3, -1, -1)
    torch.testing.assert_close(basis.mT @ basis, eye, rtol=0, atol=1e-13)
    tangent = (basis @ basis.mT @ vectors[..., None]).squeeze(-1)
    torch.testing.assert_close(spheres.project(weights, vectors), tangent, rtol=0, atol=1e-13)
    torch.testing.assert_close(spheres.retract(weights), weights, rtol=0, atol=1e-15)
    moved = spheres.retract(weights + 1e-5 * tangent)
    torch.testing.assert_close((moved - weights) / 1e-5, tangent, rtol=0, atol=2e-4)
    norms = torch.linalg.vector_norm(moved.unflatten(1, (count, length)), dim=2)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-15)


@given(st.integers(0, 10**6), st.sampled_from([(1, 1), (2, 3), (3, 2)]))
def test_derivatives_along_a_geodesic(seed, size):
    """Along great circles f changes by ⟨grad f, v⟩ t + ½⟨v, Hess f v⟩ t², also away from
    critical points."""
    objective, _ = rayleigh(seed, 2, size[0])
    weights = objective.retract(normal_weights(2, 4 * size[0], seed))
    way = objective.manifold.project(weights, normal_weights(2, 4 * size[0], seed + 1))

    def along(t):
        points, ways = (part.unflatten(1, (size[0], 4)) for part in (weights, way))
        speed = torch.linalg.vector_norm(ways, dim=2, keepdim=True)
        circle = torch.cos(t * speed) * points + torch.sin(t * speed) * ways / speed
        return objective.loss(circle.flatten(1))

    step = 1e-4
    slope = (along(step) - along(-step)) / (2 * step)
    torch.testing.assert_close(
        slope, (objective.gradient(weights) * way).sum(1), rtol=1e-5, atol=1e-5
    )
    bend = (along(step) - 2 * along(0.0) + along(-step)) / step**2
    inside = objective.to_tangent(weights, way)
    expected = (inside * (objective.hessian(weights) @ inside[..., None]).squeeze(-1)).sum(1)
    torch.testing.assert_close(bend, expected, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(objective.from_tangent(weights, inside), way, rtol=0, atol=1e-12)


def test_descent_goes_to_the_lowest_eigenvector():
    objective, turn = rayleigh(3, 20)
    descent = registry().get("optimizers", "riemannian_gradient_descent")(rate=0.2)
    stop = Stop(gradient_norm=1e-12, steps=5000)
    outcome = train(objective, descent, normal_weights(20, 4), stop, Trace())
    assert (outcome.steps < 5000).all()
    torch.testing.assert_close(
        (outcome.weights @ turn[:, 0]).abs(), torch.ones(20, dtype=torch.float64)
    )
    np.testing.assert_allclose(outcome.loss, SPECTRUM[0] / 2, atol=1e-13)


@pytest.mark.parametrize("number", range(4))
def test_polishing_goes_onto_the_eigenvector_beside_it(number):
    objective, turn = rayleigh(5, 10)
    start = objective.retract(turn[:, number] + 1e-4 * normal_weights(10, 4))
    ends = polish(objective, start, radius=0.1)
    assert torch.linalg.vector_norm(objective.gradient(ends), dim=1).max() <= 1e-13
    torch.testing.assert_close(ends, turn[:, number].expand(10, 4), rtol=0, atol=1e-12)
    index = (torch.linalg.eigvalsh(objective.hessian(ends)) < 0).sum(1)
    assert (index == number).all()


def test_polishing_far_from_a_minimum_does_not_climb():
    objective, _ = rayleigh(7, 200)
    start = objective.retract(normal_weights(200, 4))
    ends = polish(objective, start, radius=10.0)
    assert (objective.loss(ends) <= objective.loss(start) + 1e-12).all()
    norms = torch.linalg.vector_norm(ends, dim=1)
    torch.testing.assert_close(norms, torch.ones_like(norms), rtol=0, atol=1e-14)


def test_without_a_manifold_it_is_gradient_descent():
    model = registry().get("models", "relu_teacher_student")(k=3, n=3)
    objective, weights = objective_of(model, 5), normal_weights(5, 9)
    ways = []
    for name in ("gradient_descent", "riemannian_gradient_descent"):
        optimizer = registry().get("optimizers", name)(rate=0.1)
        state = optimizer.start(weights, torch.ones(5, dtype=torch.float64))
        ways.append(optimizer.step(objective, weights, state)[0])
    assert torch.equal(*ways)


def test_products_with_the_hessian_are_refused():
    objective, _ = rayleigh(0, 1)
    with pytest.raises(UserError, match=r"dense_up_to must be at least 4"):
        objective.hessian_vector(torch.ones(1, 4, dtype=torch.float64))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("riemannian_gradient_descent", "gradient_descent", "optimizer: 'gradient_descent' leaves"),
        ("stop: {", "stop: {basin: true, ", "stop.basin: no basin can be proved"),
    ],
)
def test_what_leaves_the_manifold_is_refused(root, tmp_path, old, new, message):
    text = (study_file("two_relu_minimum", root / "config/studies")).read_text(encoding="utf-8")
    file = tmp_path / "two.yaml"
    file.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(UserError, match=message):
        load_study(file)


def test_runs_that_are_not_finite_do_not_stop_classification(root, tmp_path):
    """At weights of infinite length there is no tangent space."""
    study = load_study(study_file("two_relu_minimum", root / "config/studies"))
    run_slice = dataclasses.replace(study.batches[0][0], stop=3)
    model = run_slice.configuration.settings.model
    weights = torch.tensor([[1.0, 0, 0, 1], [np.nan, 1, 1, 1], [0, 1, 1, 0]], dtype=torch.float64)
    job = Job(study, tmp_path, tmp_path, 0, {}, Reporter("test", None))
    ends = _classify_runs(job, run_slice, xr.Dataset(from_flat(model, weights)), np.arange(3))
    assert ends["kind"].values.tolist() == [0, 5, 0]
    assert np.isnan(ends["min_eigenvalue"].values).tolist() == [False, True, False]
