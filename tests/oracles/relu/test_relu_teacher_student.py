"""The ReLU teacher-student loss against sampling and differentiation, and its symmetries."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from students import normal, objective, random_weights

from nnflow.engine.objective import automatic_gradient, automatic_hessian
from nnflow.interfaces.registry import registry

SIZES = [(1, 1), (2, 2), (4, 4), (5, 7), (6, 3), (3, 1)]


# Against sampling


@pytest.mark.parametrize("k, n", SIZES)
def test_closed_forms_are_the_expectations(k, n):
    samples, runs = 100_000, 2
    inputs = registry().get("datasets", "gaussian")(samples=samples, dimension=k).load(None)
    x = inputs["inputs"]
    weights = random_weights(k, n, runs)
    population = objective(k, n, runs)
    loss, gradient, hessian = (
        getattr(population, part)(weights).numpy() for part in ("loss", "gradient", "hessian")
    )
    for run, w in enumerate(weights.reshape(runs, n, k).numpy()):
        sums = x @ w.T
        excess = np.maximum(sums, 0).sum(1) - np.maximum(x, 0).sum(1)
        active = (sums > 0)[:, :, None] * x[:, None]
        features = active.reshape(samples, n * k)
        within_errors(excess**2 / 2, loss[run])
        within_errors(excess[:, None] * features, gradient[run])
        second = features.T @ features / samples
        # entries of ffᵀ have a variance of at most E x⁴ = 3
        assert np.abs(second - seen_by_samples(hessian[run], w)).max() < 6 * math.sqrt(3 / samples)


def within_errors(values, expected):
    """The mean over samples, (sample, …), is within 5 standard errors of what is expected."""
    error = values.std(axis=0) / math.sqrt(len(values))
    assert (np.abs(values.mean(axis=0) - expected) <= 5 * error + 1e-12).all()


def seen_by_samples(hessian, w):
    """∇²F without E r δ(wᵢ·x) xxᵀ, which samples miss as none lies on a kink: it is all of H_ii
    but the ½I of a neuron alone."""
    n, k = w.shape
    seen = hessian.copy()
    for i in range(n):
        seen[i * k : (i + 1) * k, i * k : (i + 1) * k] = np.eye(k) / 2
    return seen


def test_empirical_loss_is_the_mean_over_its_samples():
    k, n, runs, samples = 4, 5, 3, 50
    x, weights = normal(samples, k, draw=9), random_weights(k, n, runs)
    problem = objective(k, n, runs, "_empirical", {"inputs": x})
    for run, w in enumerate(weights.reshape(runs, n, k).numpy()):
        total = 0.0
        for sample in x.numpy():
            student = sum(max(row @ sample, 0) for row in w)
            teacher = sum(max(entry, 0) for entry in sample)
            total += (student - teacher) ** 2 / 2
        assert float(problem.loss(weights)[run]) == pytest.approx(total / samples, rel=1e-13)


def test_empirical_loss_takes_samples_of_each_run():
    k, n, runs = 3, 4, 3
    x, weights = normal(runs, 20 * k).reshape(runs, 20, k), random_weights(k, n, runs)
    together = objective(k, n, runs, "_empirical", {"inputs": x})
    for run in range(runs):
        alone = objective(k, n, 1, "_empirical", {"inputs": x[run]})
        own = weights[run : run + 1]
        assert torch.equal(alone.loss(own)[0], together.loss(weights)[run])
        assert torch.equal(alone.gradient(own)[0], together.gradient(weights)[run])
        assert torch.equal(alone.hessian(own)[0], together.hessian(weights)[run])


def test_empirical_loss_is_smooth_away_from_its_kinks():
    x = torch.tensor([[1.0, 2.0], [0.0, 0.0], [3.0, -1.0]], dtype=torch.float64)
    weights = torch.tensor([[1.0, 1, 1, 0], [2, -1, 1, 1], [1, 1, 0, 0]], dtype=torch.float64)
    problem = objective(2, 2, 3, "_empirical", {"inputs": x})
    # (2, −1) is orthogonal to the first sample; a sample at 0 is no kink, a student there is
    assert problem.smooth(weights).tolist() == [True, False, False]


def test_gaussian_inputs():
    def load(**settings):
        return registry().get("datasets", "gaussian")(dimension=3, **settings).load(None)["inputs"]

    assert np.array_equal(load(samples=10), load(samples=10))
    assert np.array_equal(load(samples=10), load(samples=20)[:10])
    assert not np.array_equal(load(samples=10), load(samples=10, seed=1))
    drawn = load(samples=20_000)
    np.testing.assert_allclose(drawn.T @ drawn / 20_000, np.eye(3), atol=0.04)


# Derivatives


@pytest.mark.parametrize("kind", ["", "_empirical"])
@given(k=st.integers(1, 7), n=st.integers(1, 8), draw=st.integers(0, 1000))
@settings(max_examples=40)
def test_derivatives(kind, k, n, draw):
    data = {"inputs": normal(30, k, draw=draw + 5000)} if kind else None
    problem, weights = objective(k, n, 2, kind, data), random_weights(k, n, 2, draw)
    gradient, hessian = problem.gradient(weights), problem.hessian(weights)
    torch.testing.assert_close(
        gradient, automatic_gradient(problem._function, weights), rtol=1e-9, atol=1e-10
    )
    torch.testing.assert_close(
        hessian, automatic_hessian(problem._function, weights), rtol=1e-6, atol=1e-7
    )
    direction = normal(2, n * k, draw=draw + 9000)
    direction = direction / direction.norm(dim=1, keepdim=True)
    # so small a step that no sample's kink is near
    step = 1e-6 if kind else 1e-5
    ahead, behind = weights + step * direction, weights - step * direction
    slope = (problem.loss(ahead) - problem.loss(behind)) / (2 * step)
    torch.testing.assert_close(slope, (gradient * direction).sum(1), rtol=1e-5, atol=1e-6)
    change = (problem.gradient(ahead) - problem.gradient(behind)) / (2 * step)
    product = (hessian @ direction[..., None]).squeeze(-1)
    torch.testing.assert_close(change, product, rtol=1e-3, atol=1e-4)


def steepest_change(problem, weights):
    """A direction in which the Hessian changes fast: power steps on the third derivative."""
    direction = normal(*weights.shape, draw=77)
    for _ in range(8):
        direction = direction / direction.norm(dim=1, keepdim=True)
        change = problem.hessian(weights + 1e-5 * direction)
        change -= problem.hessian(weights - 1e-5 * direction)
        values, vectors = torch.linalg.eigh(change)
        direction = vectors[torch.arange(len(weights)), :, values.abs().argmax(dim=1)]
    return direction


@given(
    k=st.integers(1, 6),
    n=st.integers(1, 7),
    draw=st.integers(0, 1000),
    radius=st.floats(1e-6, 0.5),
    part=st.floats(1e-3, 1),
    steep=st.booleans(),
)
def test_third_derivative_bound(k, n, draw, radius, part, steep):
    problem, weights = objective(k, n, 4), random_weights(k, n, 4, draw)
    direction = steepest_change(problem, weights) if steep else normal(4, n * k, draw=draw + 2000)
    away = radius * part * direction / direction.norm(dim=1, keepdim=True)
    length = away.norm(dim=1)
    bound = problem.model.third_derivative_bound(
        problem.named(weights), torch.full((4,), radius, dtype=torch.float64)
    )
    assert (bound > 0).all()
    change = problem.hessian(weights + away) - problem.hessian(weights)
    norm = torch.linalg.matrix_norm(change, ord=2)
    assert (norm <= bound * length * (1 + 1e-9) + 1e-13).all()


def test_third_derivative_bound_where_a_student_may_vanish():
    problem = objective(3, 2)
    weights = torch.tensor([[0.3, 0, 0, 0, 1, 0]], dtype=torch.float64)
    for radius, finite in ((0.2, True), (0.3, False), (1.0, False)):
        at = torch.tensor([radius], dtype=torch.float64)
        bound = problem.model.third_derivative_bound(problem.named(weights), at)
        assert bool(bound.isfinite()) == finite


# Symmetry and batches


def canonical_of_both(problem, weights, image):
    """The canonical form of weights and of their image, which have one loss and one set of
    invariants."""
    torch.testing.assert_close(problem.loss(image), problem.loss(weights), rtol=0, atol=1e-13)
    model = problem.model
    torch.testing.assert_close(
        model.invariants(problem.named(image)),
        model.invariants(problem.named(weights)),
        rtol=0,
        atol=1e-13,
    )
    canonical = model.canonical(problem.named(weights))["w"]
    assert torch.equal(model.canonical(problem.named(image))["w"], canonical)
    return canonical


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000), st.randoms())
def test_permutations_of_students_and_coordinates(k, n, draw, random):
    problem, weights = objective(k, n), random_weights(k, n, 1, draw)
    students, coordinates = random.sample(range(n), n), random.sample(range(k), k)
    image = weights.reshape(1, n, k)[:, students][:, :, coordinates].reshape(1, -1)
    canonical = canonical_of_both(problem, weights, image)
    assert torch.equal(canonical.flatten().sort().values, weights.flatten().sort().values)
    torch.testing.assert_close(
        problem.loss(canonical.reshape(1, -1)), problem.loss(weights), rtol=0, atol=1e-13
    )


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000), st.randoms())
def test_permutations_of_students_on_samples(k, n, draw, random):
    problem = objective(k, n, 1, "_empirical", {"inputs": normal(20, k)})
    weights, students = random_weights(k, n, 1, draw), random.sample(range(n), n)
    image = weights.reshape(1, n, k)[:, students].reshape(1, -1)
    canonical = canonical_of_both(problem, weights, image)
    assert sorted(canonical[0].tolist()) == sorted(weights.reshape(n, k).tolist())


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_invariants_tell_other_points_apart(k, n, draw):
    model = objective(k, n).model
    first, second = (random_weights(k, n, 1, d).reshape(1, n, k) for d in (draw, draw + 1))
    difference = model.invariants({"w": first}) - model.invariants({"w": second})
    assert difference.abs().max() > 1e-6


@pytest.mark.parametrize("kind", ["", "_empirical"])
@given(
    k=st.integers(1, 12),
    n=st.integers(1, 12),
    draw=st.integers(0, 1000),
    order=st.permutations(range(9)),
    cut=st.integers(1, 8),
)
def test_a_run_does_not_see_its_companions(kind, k, n, draw, order, cut):
    data = {"inputs": normal(17, k)} if kind else None
    problem, weights = objective(k, n, 9, kind, data), random_weights(k, n, 9, draw)
    for part in (problem.loss, problem.gradient, problem.hessian):
        together = part(weights)
        for rows in (order[:cut], order[cut:]):
            assert torch.equal(part(weights[rows]), together[rows])


def test_vanished_student_is_not_smooth():
    weights = random_weights(3, 2, 2)
    weights[1, 3:] = 0
    assert objective(3, 2, 2).smooth(weights).tolist() == [True, False]


@pytest.mark.parametrize("kind", ["", "_empirical"])
def test_infimum_is_known_where_the_students_can_copy_the_teacher(kind):
    assert [objective(3, n, kind=kind).model.infimum() for n in (2, 3, 4)] == [None, 0, 0]
