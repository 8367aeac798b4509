"""Certificates of ReLU students: known minima and saddles, and what must not be proved."""

import flint
import numpy as np
import pytest
import torch
from flint import arb, arb_mat
from students import objective, random_weights

from nnflow.base.streams import Streams
from nnflow.checks.enclosure_tests import check_enclosure
from nnflow.engine.objective import automatic_gradient, automatic_hessian
from nnflow.engine.polish import polish
from nnflow.interfaces.registry import registry
from nnflow.proofs.proof import prove, verdict, weakened


def certified(problem, point, **settings):
    model = problem.model
    claim = weakened(prove(model.enclosure(), point.ravel().numpy(), **settings))
    return verdict(claim, model.infimum()), claim


def turned(k, n, steps=2000, **settings):
    """The critical point that the start with turned neurons leads to, (1, n·k)."""
    law = registry().get("initializers", "turned_neurons")(**settings)
    problem = objective(k, n)
    start = law.draw(problem.model.shapes(), Streams(0, "", np.arange(1), "initialize"))["w"]
    point = torch.as_tensor(start).reshape(1, -1)
    for _ in range(steps):
        point = point - 0.25 * problem.gradient(point)
    return problem, polish(problem, point, 1.0)


@pytest.mark.parametrize(("k", "n"), [(1, 1), (2, 3), (5, 5), (4, 7)])
def test_against_float64(k, n):
    findings = list(check_enclosure(objective(k, n).model))
    assert len(findings) > 5
    assert all(finding.passed for finding in findings), findings


@pytest.mark.parametrize("radius", [0.0, 1e-9, 1e-3])
def test_values_by_automatic_differentiation_lie_in_the_balls(radius):
    problem = objective(4, 5)
    center = random_weights(4, 5, runs=1)[0]
    box = arb_mat(len(center), 1, [arb(x, radius) for x in center.tolist()])
    enclosure = problem.model.enclosure()
    inside = torch.as_tensor(np.random.default_rng(1).uniform(-radius, radius, (6, 20)))

    def loss(weights):
        return problem.model.loss(problem.named(weights), {})

    for point in (center + inside)[:, None]:
        for balls, values in (
            ([enclosure.loss(box)], loss(point)),
            (enclosure.gradient(box).entries(), automatic_gradient(loss, point)),
            (enclosure.hessian(box).entries(), automatic_hessian(loss, point)),
        ):
            for ball, value in zip(balls, values.flatten().tolist(), strict=True):
                assert (ball + arb(0, 1e-9)).contains(value)


def test_parallel_opposite_and_matched_neurons_are_enclosed():
    """Angles of 0 and π between students, and to a teacher: the Hessian has limits there."""
    point = random_weights(3, 5, runs=1)[0].reshape(5, 3)
    point[1], point[2] = 2 * point[0], -0.5 * point[0]
    point[3], point[4] = torch.tensor([0, 1.5, 0]), torch.tensor([0, 0, -1.0])
    problem = objective(3, 5)
    flat = point.reshape(1, -1)
    enclosure = problem.model.enclosure()
    for radius in (0.0, 1e-10):
        box = arb_mat(15, 1, [arb(x, radius) for x in flat[0].tolist()])
        assert enclosure.smooth(box)
        hessian = enclosure.hessian(box)
        values = problem.hessian(flat).flatten().tolist()
        for ball, value in zip(hessian.entries(), values, strict=True):
            assert (ball + arb(0, 1e-13)).contains(value)
            assert ball.rad() <= 1e-12 + 1e3 * radius
        # moved by less than the radius, the parallel neurons are parallel no more
        moved = flat + radius * (2 * torch.rand(1, 15, dtype=torch.float64) - 1)
        for ball, value in zip(
            hessian.entries(), problem.hessian(moved).flatten().tolist(), strict=True
        ):
            assert (ball + arb(0, 1e-13)).contains(value)
    assert (enclosure.loss(box) + arb(0, 1e-13)).contains(float(problem.loss(flat)))


def test_a_vanishing_student_is_not_smooth():
    point = random_weights(3, 4, runs=1)[0].reshape(4, 3)
    point[2] = 0
    problem = objective(3, 4)
    said, claim = certified(problem, point)
    assert said == "unproved"
    assert "smooth" in claim.obstacle
    point[2, 0] = 1e-13
    assert "smooth" in certified(problem, point, radius=1e-12)[1].obstacle


# loss and lowest eigenvalue of the p = 1 family, solved independently (Arjevani & Field's type II)
FAMILY = {
    4: ("saddle", 0.028025, -0.02442),
    5: ("saddle", 0.026970, -0.00770),
    6: ("spurious_minimum", 0.025081, 0.00470),
    7: ("spurious_minimum", 0.023203, 0.01406),
    8: ("spurious_minimum", 0.021508, 0.02135),
    10: ("spurious_minimum", 0.018702, 0.03196),
}


@pytest.mark.parametrize("k", FAMILY)
def test_the_family_with_one_turned_neuron(k):
    kind, loss, eigenvalue = FAMILY[k]
    said, claim = certified(*turned(k, k))
    assert said == kind
    assert claim.loss_low == pytest.approx(loss, abs=1e-6)
    assert claim.loss_high - claim.loss_low < 1e-8
    assert claim.min_eigenvalue_low == pytest.approx(eigenvalue, abs=1e-5)
    assert claim.min_eigenvalue_high - claim.min_eigenvalue_low < 1e-7
    assert claim.contraction < 1e-5


# Safran & Shamir 2018, Table 2: mean lowest eigenvalue and loss of one to three runs of 1000
@pytest.mark.parametrize(
    ("k", "n", "eigenvalue", "loss"), [(8, 9, 0.0059, 0.021), (10, 11, 0.0057, 0.018)]
)
def test_one_student_more(k, n, eigenvalue, loss):
    said, claim = certified(*turned(k, n))
    assert said == "spurious_minimum"
    assert claim.min_eigenvalue_low == pytest.approx(eigenvalue, abs=1e-4)
    assert claim.loss_low == pytest.approx(loss, abs=1e-3)


def test_a_row_that_the_theorem_leaves_out():
    assert certified(*turned(9, 10))[0] == "spurious_minimum"


def test_what_is_no_spurious_minimum_is_never_called_one():
    problem, point = turned(6, 6)
    assert certified(problem, torch.eye(6, dtype=torch.float64))[0] == "minimum", "the global one"
    for draw in range(3):
        assert certified(problem, random_weights(6, 6, runs=1, draw=draw))[0] == "unproved"
    # a minimum whose neuron is split in two is a saddle of a continuum: no isolated point
    split = torch.cat([point.reshape(6, 6), point.reshape(6, 6)[:1] / 2])
    split[0] /= 2
    assert certified(objective(6, 7), split)[0] == "unproved"


def test_more_bits_say_the_same_more_sharply():
    problem, point = turned(6, 6)
    coarse, fine = (certified(problem, point, precision=bits)[1] for bits in (64, 192))
    assert fine.min_eigenvalue_low == pytest.approx(coarse.min_eigenvalue_low, abs=1e-8)
    assert flint.ctx.prec == 53
