"""Critical points of the ReLU teacher-student loss that are known."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import root
from students import objective, random_weights


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
