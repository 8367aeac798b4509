"""Networks fixed by S_{k−t} × S_t: reduced derivatives, isotypic blocks and enclosures, held
against the whole network."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from flint import arb, arb_mat, ctx
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import root
from students import normal, objective

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective, automatic_gradient, automatic_hessian
from nnflow.interfaces.registry import registry

# every kind of group: blocks of one, two, three and more neurons
CASES = [
    (3, 1), (4, 1), (6, 1), (12, 1), (5, 2), (4, 2), (11, 2), (6, 3), (12, 3), (9, 4), (8, 4),
    (6, 5), (10, 9), (3, 3), (4, 4), (10, 10),
]  # fmt: skip


def family(k, turned, runs=1):
    model = registry().get("models", "relu_symmetric_family")(k=k, turned=turned)
    return Objective(model, {}, Streams(0, "all", np.arange(runs), "train"))


def members(problem, scale=0.1, draw=0):
    """Random members of the family."""
    (size,) = problem.model.shapes()["shift"]
    runs = len(problem.streams.runs)
    return scale * normal(runs, size, draw=draw)


def critical_point(k, turned):
    """By SciPy from the family's start: an objective and (1, orbit)."""
    problem = family(k, turned)

    def equations(shift):
        return problem.gradient(torch.as_tensor(shift)[None])[0].numpy()

    def slope(shift):
        return problem.hessian(torch.as_tensor(shift)[None])[0].numpy()

    start = np.zeros(problem.model.shapes()["shift"])
    return problem, torch.as_tensor(root(equations, start, jac=slope, tol=1e-15).x)[None]


def whole_spectrum(problem, shift):
    """Eigenvalues with multiplicities from the isotypic blocks, (run, k²)."""
    values = [
        np.repeat(torch.linalg.eigvalsh(matrix).numpy(), multiplicity, axis=1)
        for _, multiplicity, matrix in problem.model.blocks({"shift": shift})
    ]
    return np.sort(np.concatenate(values, axis=1), axis=1)


@pytest.mark.parametrize("k, turned", CASES)
def test_reduced_loss_and_derivatives(k, turned):
    problem, whole = family(k, turned, 3), objective(k, k, 3)
    shift = members(problem)
    w = problem.model.matrix({"shift": shift}).flatten(1)
    torch.testing.assert_close(problem.loss(shift), whole.loss(w), rtol=0, atol=1e-13)

    def reduced(u):
        return whole.model.loss({"w": problem.model.matrix({"shift": u})}, {})

    torch.testing.assert_close(
        problem.gradient(shift), automatic_gradient(reduced, shift), rtol=0, atol=1e-12
    )
    torch.testing.assert_close(
        problem.hessian(shift), automatic_hessian(reduced, shift), rtol=0, atol=1e-11
    )


@pytest.mark.parametrize("k, turned", CASES)
def test_principle_of_symmetric_criticality(k, turned):
    """The whole gradient lies in the fixed subspace: it is the reduced one, embedded."""
    problem, whole = family(k, turned, 3), objective(k, k, 3)
    shift = members(problem)
    at = problem.model.matrix({"shift": shift})
    reduced = problem.gradient(shift)
    embedded = problem.model.matrix({"shift": shift + reduced}) - at
    torch.testing.assert_close(
        whole.gradient(at.flatten(1)).reshape(at.shape), embedded, rtol=0, atol=1e-13
    )
    torch.testing.assert_close(
        reduced.norm(dim=1), embedded.flatten(1).norm(dim=1), rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("k, turned", CASES)
def test_blocks_have_the_whole_spectrum(k, turned):
    problem, whole = family(k, turned, 3), objective(k, k, 3)
    for scale in (0.01, 0.1):
        shift = members(problem, scale)
        w = problem.model.matrix({"shift": shift}).flatten(1)
        dense = torch.linalg.eigvalsh(whole.hessian(w)).numpy()
        np.testing.assert_allclose(whole_spectrum(problem, shift), dense, rtol=0, atol=1e-10)


@pytest.mark.parametrize("k, turned", CASES)
def test_own_blocks_have_the_spectrum_of_one_neuron(k, turned):
    problem, whole = family(k, turned), objective(k, k)
    shift = members(problem)
    w = problem.model.matrix({"shift": shift}).flatten(1)
    hessian = whole.hessian(w).reshape(k, k, k, k)
    neurons = (0,) if turned == k else (0, k - turned)
    found = problem.model.own_blocks({"shift": shift})
    assert sum(count for count, _ in found) == k
    for neuron, (_, matrix) in zip(neurons, found, strict=True):
        dense = torch.linalg.eigvalsh(hessian[neuron, :, neuron])
        ours = torch.linalg.eigvalsh(matrix[0])
        for one, other in ((dense, ours), (ours, dense)):
            assert (one[:, None] - other).abs().amin(1).max() < 1e-12


@pytest.mark.parametrize("turned", [1, 2, 3, 4, 10**6 - 1, 10**6])
def test_number_and_dimension_of_blocks_at_any_width(turned):
    k = 10**6
    problem = family(k, turned)
    parts = problem.model.blocks({"shift": members(problem, 1e-3)})
    assert sum(multiplicity * matrix.shape[1] for _, multiplicity, matrix in parts) == k * k
    distinct = {1: 12, 2: 12 + 7, 3: 12 + 9, 4: 22, k - 1: 12, k: 7}
    assert sum(matrix.shape[1] for *_, matrix in parts) == distinct[turned]
    assert all(matrix.isfinite().all() for *_, matrix in parts)


def grouped(values, within=1e-9):
    starts = [0, *(np.flatnonzero(np.diff(values) > within) + 1), len(values)]
    groups = [values[a:b] for a, b in pairwise(starts)]
    return [float(group.mean()) for group in groups], [len(group) for group in groups]


SPECTRUM_6 = {
    0.0047: 4, 0.04638: 6, 0.06244: 1, 0.07729: 4, 0.22117: 1, 0.23835: 4, 0.33885: 4,
    0.3638: 5, 0.86948: 1, 1.61787: 1, 1.67198: 4, 2.02373: 1,
}  # fmt: skip


def test_the_minimum_at_k_6():
    problem, shift = critical_point(6, 1)
    expected = [
        0.986703818888576842, -0.050413403216808737, 0.308010991479068746,
        0.224515807599477889, -0.601511923561093710,
    ]  # fmt: skip
    entries = problem.model.entries({"shift": shift})[0].numpy()
    np.testing.assert_allclose(entries, expected, rtol=0, atol=1e-14)
    distinct, counts = grouped(whole_spectrum(problem, shift)[0])
    assert distinct == pytest.approx(list(SPECTRUM_6), abs=5.1e-6)
    assert counts == list(SPECTRUM_6.values())


# (k, turned): loss, lowest eigenvalue of the whole Hessian
KNOWN = {
    (4, 1): (0.028025, -0.02442), (5, 1): (0.026970, -0.00770), (6, 1): (0.025081, 0.00470),
    (7, 1): (0.023203, 0.01406), (8, 1): (0.021508, 0.02135), (10, 1): (0.018702, 0.03196),
    (10, 2): (0.03533, 0.0160), (5, 5): (0.047708, -0.0058), (6, 6): (0.055669, 0.0015),
    (10, 10): (0.076637, 0.01749), (6, 5): (0.047396, -0.0058), (10, 9): (0.072057, 0.0149),
}  # fmt: skip


@pytest.mark.parametrize("k, turned", KNOWN)
def test_known_families(k, turned):
    problem, shift = critical_point(k, turned)
    assert problem.gradient(shift).norm() < 1e-14
    loss, lowest = KNOWN[k, turned]
    assert float(problem.loss(shift)) == pytest.approx(loss, abs=5.1e-6)
    assert whole_spectrum(problem, shift).min() == pytest.approx(lowest, abs=5.1e-5)


def test_the_limit_of_type_ii_from_its_start_at_any_width():
    widths, scaled = 10.0 ** np.arange(2, 7), []
    for k in widths.astype(int):
        problem, shift = critical_point(int(k), 1)
        assert problem.gradient(shift).norm() < 1e-14 * k
        scaled.append(k * float(problem.loss(shift)))
    # a polynomial in 1/√k through all five, at 1/√k = 0
    limit = np.polyfit(1 / np.sqrt(widths), scaled, 4)[-1]
    assert limit == pytest.approx(0.5 - 2 / math.pi**2, abs=1e-6)


@pytest.mark.parametrize("k, turned", [(1000, 1), (10**5, 1), (10**6, 3)])
def test_floats_at_large_width_against_balls(k, turned):
    """Neither the loss, a small difference of large sums, nor the eigenvalues lose their digits
    to k."""
    problem, shift = critical_point(k, turned)
    enclosure = problem.model.enclosure()
    ctx.prec = 200
    try:
        point = arb_mat([[arb(float(u))] for u in shift[0]])
        exact = float(enclosure.loss(point))
        balls = {block.name: block.matrix for block in enclosure.blocks(point)}
    finally:
        ctx.default()
    assert float(problem.loss(shift)) == pytest.approx(exact, rel=1e-16 * k + 1e-12)
    for name, _, matrix in problem.model.blocks({"shift": shift}):
        expected = [[float(x) for x in row] for row in balls[name].tolist()]
        np.testing.assert_allclose(matrix[0], expected, rtol=0, atol=1e-15 * k)


def test_near_the_global_minimum():
    """Entries of I but for 1e-9, where the spectrum is known in closed form."""
    k = 40
    problem = family(k, 1)
    exact = torch.tensor([[1, 1e-9, 1e-9, 1e-9, 1]], dtype=torch.float64)
    start = problem.model.entries({"shift": torch.zeros(1, 5, dtype=torch.float64)})
    counts = torch.tensor([k - 1, (k - 1) * (k - 2), k - 1, k - 1, 1]).double()
    shift = (exact - start) * counts.sqrt()
    assert abs(float(problem.loss(shift))) < 1e-14
    values = whole_spectrum(problem, shift)[0]
    low, high = 0.25 - 1 / (2 * math.pi), 0.25 + 1 / (2 * math.pi)
    assert (np.abs(values - low) < 1e-6).sum() == k * (k - 1) // 2
    assert (np.abs(values - high) < 1e-6).sum() == k * (k - 3) // 2
    rest = values[(np.abs(values - low) >= 1e-6) & (np.abs(values - high) >= 1e-6)]
    assert [count for count in grouped(rest, 1e-5)[1]] == [k - 1, 1, k - 1, 1]
    distinct = grouped(rest, 1e-5)[0]
    assert distinct[0] + distinct[2] == pytest.approx((k + 2) / 4, abs=1e-6)
    pair = [
        [0.5 + (k - 1) / (2 * math.pi), math.sqrt(k - 1) / 4],
        [math.sqrt(k - 1) / 4, k / 4 + 1 / (2 * math.pi)],
    ]
    np.testing.assert_allclose(distinct[1::2], np.linalg.eigvalsh(pair), atol=1e-6)


def test_more_turned_than_there_are_is_refused():
    with pytest.raises(ValueError, match="4 of 3 neurons"):
        registry().get("models", "relu_symmetric_family")(k=3, turned=4)


# Enclosures


@settings(max_examples=20)
@given(st.sampled_from(CASES), st.integers(0, 99), st.sampled_from([1e-12, 1e-6, 1e-3]))
def test_enclosures_contain_what_lies_in_the_box(case, draw, radius):
    problem = family(*case, runs=3)
    center = members(problem, 0.05, draw)[:1]
    box = arb_mat([[arb(float(u), radius)] for u in center[0]])
    inside = center + radius * (2 * torch.rand(3, center.shape[1]).double() - 1)
    enclosure = problem.model.enclosure()
    loss, gradient = enclosure.loss(box), enclosure.gradient(box)
    hessian, blocks = enclosure.hessian(box), enclosure.blocks(box)
    rounding = arb(0, 1e-13)
    assert enclosure.smooth(box)
    for value in problem.loss(inside):
        assert (loss + rounding).contains(arb(float(value)))
    for values in problem.gradient(inside).numpy():
        assert_inside(gradient, values[:, None], rounding)
    for values in problem.hessian(inside).numpy():
        assert_inside(hessian, values, rounding)
    for block, (name, multiplicity, matrices) in zip(
        blocks, problem.model.blocks({"shift": inside}), strict=True
    ):
        assert (block.name, block.multiplicity) == (name, multiplicity)
        for values in matrices.numpy():
            assert_inside(block.matrix, values, rounding)


def assert_inside(balls, values, rounding):
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            assert (balls[i, j] + rounding).contains(arb(float(value)))


def test_a_box_in_which_a_student_may_vanish_is_not_smooth():
    problem = family(5, 5)
    enclosure = problem.model.enclosure()
    assert not enclosure.smooth(arb_mat([[arb(0, 10)], [arb(0, 10)]]))
    assert not enclosure.loss(arb_mat([[arb(0, 10)], [arb(0, 10)]])).is_finite()
