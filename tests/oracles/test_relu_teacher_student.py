"""The ReLU teacher-student loss against sampling, differentiation and known critical points."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import root

from nnflow.objective import Objective, automatic_gradient, automatic_hessian
from nnflow.registry import registry
from nnflow.streams import Streams

SIZES = [(1, 1), (2, 2), (4, 4), (5, 7), (6, 3), (3, 1)]


def objective(k, n, runs=1, kind="", data=None):
    model = registry().get("models", f"relu_teacher_student{kind}")(k=k, n=n)
    return Objective(model, data or {}, Streams(0, "all", np.arange(runs), "train"))


def normal(*shape, draw=0):
    drawn = Streams(5, "all", np.arange(shape[0]), "test").normal(math.prod(shape[1:]), draw)
    return torch.as_tensor(drawn.reshape(shape))


def random_weights(k, n, runs, draw=0):
    return normal(runs, n * k, draw=draw) / math.sqrt(k)


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


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000), st.randoms())
def test_permutations_of_students_and_coordinates(k, n, draw, random):
    problem, weights = objective(k, n), random_weights(k, n, 1, draw)
    students, coordinates = random.sample(range(n), n), random.sample(range(k), k)
    image = weights.reshape(1, n, k)[:, students][:, :, coordinates].reshape(1, -1)
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
    assert torch.equal(canonical.flatten().sort().values, weights.flatten().sort().values)
    torch.testing.assert_close(
        problem.loss(canonical.reshape(1, -1)), problem.loss(weights), rtol=0, atol=1e-13
    )


@given(st.integers(1, 6), st.integers(1, 8), st.integers(0, 1000), st.randoms())
def test_permutations_of_students_on_samples(k, n, draw, random):
    problem = objective(k, n, 1, "_empirical", {"inputs": normal(20, k)})
    weights, students = random_weights(k, n, 1, draw), random.sample(range(n), n)
    image = weights.reshape(1, n, k)[:, students].reshape(1, -1)
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


# Critical points that are known


def at_teacher(k):
    return torch.eye(k, dtype=torch.float64).reshape(1, -1)


@pytest.mark.parametrize("k", [3, 4, 6, 10])
def test_spectrum_at_the_global_minimum(k):
    problem = objective(k, k)
    assert abs(float(problem.loss(at_teacher(k)))) < 1e-14 * k * k
    assert problem.gradient(at_teacher(k)).abs().max() < 1e-14
    hessian = problem.hessian(at_teacher(k))[0].numpy()
    # δᵀHδ = ¼‖X‖² + ¼‖Σᵢxᵢ‖² + [(tr X)² + tr X² − 2Σ X_ii²]/2π, X with rows xᵢ
    eye = np.eye(k)
    trace, diagonal = eye.ravel(), np.diag(eye.ravel())
    swap = np.einsum("ad,bc->abcd", eye, eye).reshape(k * k, k * k)
    total = np.einsum("bd,ac->abcd", eye, np.ones((k, k))).reshape(k * k, k * k)
    expected = np.eye(k * k) / 4 + total / 4
    expected += (np.outer(trace, trace) + swap - 2 * diagonal) / (2 * math.pi)
    np.testing.assert_allclose(hessian, expected, atol=1e-15)
    values = np.linalg.eigvalsh(hessian)
    low, high = 0.25 - 1 / (2 * math.pi), 0.25 + 1 / (2 * math.pi)
    counts = [(np.abs(values - value) < 1e-12).sum() for value in (low, high)]
    assert counts == [k * (k - 1) // 2, k * (k - 3) // 2]
    simple = np.linalg.eigvalsh(
        [
            [0.5 + (k - 1) / (2 * math.pi), math.sqrt(k - 1) / 4],
            [math.sqrt(k - 1) / 4, k / 4 + 1 / (2 * math.pi)],
        ]
    )
    assert all(np.abs(values - value).min() < 1e-12 for value in simple)


def test_spectrum_at_the_global_minimum_at_k_6():
    values = torch.linalg.eigvalsh(objective(6, 6).hessian(at_teacher(6)))[0].numpy()
    distinct, counts = grouped(values)
    expected = [0.0908451, 0.28708, 0.4091549, 0.88966, 1.71292, 2.06527]
    assert distinct == pytest.approx(expected, abs=5e-6)
    assert counts == [15, 5, 9, 1, 5, 1]


def grouped(values, within=1e-9):
    """Distinct values and how often each occurs."""
    starts = [0, *(np.flatnonzero(np.diff(values) > within) + 1), len(values)]
    groups = [values[a:b] for a, b in pairwise(starts)]
    return [float(group.mean()) for group in groups], [len(group) for group in groups]


def one_turned(k, a, b, c, d, e):
    """k × k with S_{k−1} symmetry: a on the diagonal and b off it among the first k − 1, c in
    their last column, the last row d, …, d, e."""
    w = np.full((k, k), b)
    np.fill_diagonal(w, a)
    w[:, -1] = c
    w[-1] = d
    w[-1, -1] = e
    return torch.as_tensor(w).reshape(1, -1)


def solve_one_turned(k):
    """The critical point of that form: five equations for five unknowns."""
    problem = objective(k, k)

    def equations(entries):
        g = problem.gradient(one_turned(k, *entries))[0].numpy().reshape(k, k)
        return [g[0, 0], g[0, 1], g[0, -1], g[-1, 0], g[-1, -1]]

    found = root(equations, [0.99, -0.05, 0.3, 0.22, -0.6], tol=1e-14)
    return problem, found.x, one_turned(k, *found.x)


SERIES = {
    4: (0.028025, -0.02442), 5: (0.026970, -0.00770), 6: (0.025081, 0.00470),
    7: (0.023203, 0.01406), 8: (0.021508, 0.02135), 10: (0.018702, 0.03196),
}  # fmt: skip


@pytest.mark.parametrize("k", SERIES)
def test_points_with_one_student_turned(k):
    problem, _, weights = solve_one_turned(k)
    assert problem.gradient(weights).abs().max() < 1e-13
    loss, lowest = SERIES[k]
    assert float(problem.loss(weights)) == pytest.approx(loss, abs=5.1e-7)
    eigenvalues = torch.linalg.eigvalsh(problem.hessian(weights))
    assert float(eigenvalues.min()) == pytest.approx(lowest, abs=5.1e-6)


def test_spurious_minimum_at_k_6():
    problem, entries, weights = solve_one_turned(6)
    expected = [
        0.986703818888576842, -0.050413403216808737, 0.308010991479068746,
        0.224515807599477889, -0.601511923561093710,
    ]  # fmt: skip
    np.testing.assert_allclose(entries, expected, rtol=0, atol=1e-13)
    values = torch.linalg.eigvalsh(problem.hessian(weights))[0].numpy()
    distinct, counts = grouped(values)
    spectrum = {
        0.0047: 4, 0.04638: 6, 0.06244: 1, 0.07729: 4, 0.22117: 1, 0.23835: 4, 0.33885: 4,
        0.3638: 5, 0.86948: 1, 1.61787: 1, 1.67198: 4, 2.02373: 1,
    }  # fmt: skip
    assert distinct == pytest.approx(list(spectrum), abs=5.1e-6)
    assert counts == list(spectrum.values())


def test_spurious_minimum_at_k_7_as_its_authors_print_it():
    _, entries, _ = solve_one_turned(7)
    printed = [0.9969227988, -0.0350801559, 0.2616910758, 0.1859910463, -0.6327039049]
    np.testing.assert_allclose(entries, printed, atol=1e-9)


ALL_TURNED = [(5, 0.047708, -0.0058), (6, 0.055669, 0.0015), (10, 0.076637, 0.01749)]


@pytest.mark.parametrize("k, loss, lowest", ALL_TURNED)
def test_points_with_all_students_turned(k, loss, lowest):
    problem = objective(k, k)

    def matrix(entries):
        on, off = entries
        return torch.as_tensor(off + (on - off) * np.eye(k)).reshape(1, -1)

    def equations(entries):
        g = problem.gradient(matrix(entries))[0].numpy().reshape(k, k)
        return [g[0, 0], g[0, 1]]

    weights = matrix(root(equations, [-1 + 2 / k, 2 / k], tol=1e-14).x)
    assert problem.gradient(weights).abs().max() < 1e-13
    assert float(problem.loss(weights)) == pytest.approx(loss, abs=5.1e-7)
    eigenvalues = torch.linalg.eigvalsh(problem.hessian(weights))
    assert float(eigenvalues.min()) == pytest.approx(lowest, abs=5.1e-5)


def test_saddle_with_all_students_equal():
    # Tian 2017, Theorem 7: x = (√(k−1) − arccos(1/√k) + π)/(πk) in every entry
    for k, entry in ((2, 0.534155), (5, 0.256841), (10, 0.155735)):
        exact = (math.sqrt(k - 1) - math.acos(1 / math.sqrt(k)) + math.pi) / (math.pi * k)
        assert exact == pytest.approx(entry, abs=5e-7)
        problem, weights = objective(k, k), torch.full((1, k * k), exact, dtype=torch.float64)
        assert problem.gradient(weights).abs().max() < 1e-14
        assert torch.linalg.eigvalsh(problem.hessian(weights)).min() < -0.1


# Neurons that are split: two students in one direction, θ = 0 between them


def split(weights, k, student, share):
    w = weights.reshape(k, k)
    parts = [w, (1 - share) * w[student : student + 1]]
    split = torch.cat(parts)
    split[student] *= share
    return split.reshape(1, -1)


@given(st.integers(2, 7), st.integers(0, 100), st.floats(0.05, 0.95))
def test_split_neurons(k, draw, share):
    weights = random_weights(k, k, 1, draw)
    whole, parted = objective(k, k), objective(k, k + 1)
    image = split(weights, k, 0, share)
    assert float(parted.loss(image)) == pytest.approx(float(whole.loss(weights)), rel=1e-12)
    gradient = whole.gradient(weights).reshape(k, k)
    expected = torch.cat([gradient, gradient[:1]])
    torch.testing.assert_close(
        parted.gradient(image).reshape(k + 1, k), expected, rtol=0, atol=1e-13
    )
    hessian = parted.hessian(image).reshape(k + 1, k, k + 1, k)
    eye = torch.eye(k, dtype=torch.float64)
    torch.testing.assert_close(hessian[0, :, -1], eye / 2, rtol=0, atol=1e-13)
    own = whole.hessian(weights).reshape(k, k, k, k)[0, :, 0]
    # moving both parts alike moves the whole; the curvature of a part alone grows as 1/share
    torch.testing.assert_close(
        hessian[0, :, 0], eye / 2 + (own - eye / 2) / share, rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("student, curvature", [(0, -0.11815), (5, -0.09039)])
def test_split_turns_the_spurious_minimum_into_a_saddle(student, curvature):
    problem, _, weights = solve_one_turned(6)
    own = problem.hessian(weights).reshape(6, 6, 6, 6)[student, :, student]
    lowest = float(torch.linalg.eigvalsh(own - torch.eye(6).double() / 2).min())
    assert lowest == pytest.approx(curvature, abs=5.1e-6)
    parted = objective(6, 7)
    eigenvalues = torch.linalg.eigvalsh(parted.hessian(split(weights, 6, student, 0.5)))
    assert float(eigenvalues.min()) == pytest.approx(2 * lowest, abs=1e-7)


def test_vanished_student_is_not_smooth():
    weights = random_weights(3, 2, 2)
    weights[1, 3:] = 0
    assert objective(3, 2, 2).smooth(weights).tolist() == [True, False]


@pytest.mark.parametrize("kind", ["", "_empirical"])
def test_infimum_is_known_where_the_students_can_copy_the_teacher(kind):
    assert [objective(3, n, kind=kind).model.infimum() for n in (2, 3, 4)] == [None, 0, 0]
