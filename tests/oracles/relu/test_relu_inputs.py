"""The ReLU teacher-student loss with more inputs than teachers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from students import normal, objective, random_weights
from studies import module

from nnflow.engine.objective import automatic_gradient, automatic_hessian

SIZES = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
"""k, n and inputs beyond k."""


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=25)
def test_students_among_the_teachers_do_not_notice(size, draw):
    k, n, more = size
    narrow, wide = objective(k, n, 3), objective(k, n, 3, inputs=k + more)
    weights = random_weights(k, n, 3, draw).reshape(3, n, k)
    padded = torch.cat([weights, torch.zeros(3, n, more)], dim=2).flatten(1)
    weights = weights.flatten(1)
    torch.testing.assert_close(wide.loss(padded), narrow.loss(weights), rtol=1e-13, atol=1e-14)
    gradient = wide.gradient(padded).reshape(3, n, k + more)
    inside = narrow.gradient(weights).reshape(3, n, k)
    torch.testing.assert_close(gradient[..., :k], inside, rtol=1e-12, atol=1e-13)
    assert not gradient[..., k:].any()


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=25)
def test_derivatives(size, draw):
    k, n, more = size
    problem = objective(k, n, 2, inputs=k + more)
    weights = random_weights(k + more, n, 2, draw)
    expected = automatic_gradient(problem._function, weights)
    torch.testing.assert_close(problem.gradient(weights), expected, rtol=1e-9, atol=1e-10)
    expected = automatic_hessian(problem._function, weights)
    torch.testing.assert_close(problem.hessian(weights), expected, rtol=1e-6, atol=1e-7)


def test_the_loss_is_the_expectation():
    k, n, d, samples = 2, 3, 4, 200_000
    weights = random_weights(d, n, 1)
    x, w = normal(samples, d, draw=7).numpy(), weights.reshape(n, d).numpy()
    excess = np.maximum(x @ w.T, 0).sum(1) - np.maximum(x[:, :k], 0).sum(1)
    error = (excess**2 / 2).std() / math.sqrt(samples)
    loss = float(objective(k, n, inputs=d).loss(weights))
    assert abs((excess**2 / 2).mean() - loss) < 5 * error


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=25)
def test_rotations_beyond_the_teachers_change_nothing(size, draw):
    k, n, more = size
    problem = objective(k, n, 1, inputs=k + more)
    w = random_weights(k + more, n, 1, draw).reshape(n, k + more)
    turn, _ = torch.linalg.qr(normal(more, more, draw=draw + 2000))
    turned = torch.cat([w[:, :k], w[:, k:] @ turn], dim=1)
    images = torch.stack([w, turned[torch.randperm(n)]])
    both = problem.named(images.flatten(1))
    loss, invariants = problem.loss(images.flatten(1)), problem.model.invariants(both)
    torch.testing.assert_close(loss[0], loss[1], rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(invariants[0], invariants[1], rtol=1e-11, atol=1e-12)
    canonical = problem.model.canonical(both)["w"]
    torch.testing.assert_close(canonical[0], canonical[1], rtol=1e-8, atol=1e-9)
    kept = problem.loss(canonical.flatten(1))
    torch.testing.assert_close(kept, loss, rtol=1e-11, atol=1e-12)


@given(SIZES, st.integers(0, 1000), st.floats(1e-4, 0.2))
@settings(max_examples=25)
def test_the_hessian_changes_no_faster_than_the_bound(size, draw, radius):
    k, n, more = size
    problem = objective(k, n, 1, inputs=k + more)
    weights = random_weights(k + more, n, 1, draw)
    way = normal(1, weights.shape[1], draw=draw + 3000)
    way *= radius / way.norm()
    within = torch.tensor([radius], dtype=torch.float64)
    bound = problem.model.third_derivative_bound(problem.named(weights), within)
    change = problem.hessian(weights + way) - problem.hessian(weights)
    assert torch.linalg.matrix_norm(change, 2) <= bound * radius * (1 + 1e-9)


def test_no_enclosure_but_of_the_plain_loss():
    models = [objective(3, 3, **more).model for more in ({}, {"inputs": 4}, {"norms": "unit"})]
    assert [model.enclosure() is None for model in models] == [False, True, True]


def test_teachers_need_room():
    with pytest.raises(ValidationError, match="inputs: 2 is less than k = 3"):
        objective(3, 3, inputs=2)


@pytest.mark.parametrize(
    "k, n, norms, infimum",
    [
        (3, 2, "free", None),
        (3, 3, "free", 0.0),
        (3, 4, "free", 0.0),
        (3, 2, "unit", None),
        (3, 3, "unit", 0.0),
        # one unit vector too many can not vanish
        (3, 4, "unit", None),
    ],
)
def test_the_infimum_is_known_where_the_students_can_be_the_teachers(k, n, norms, infimum):
    assert objective(k, n, norms=norms).model.infimum() == infimum


@given(SIZES, st.integers(0, 1000))
@settings(max_examples=25)
def test_the_gradient_on_a_device_is_the_one_of_the_processor(size, draw):
    """The hot loop is compiled for a processor, and runs in torch elsewhere."""
    k, n, more = size
    problem = objective(k, n, 3, inputs=k + more)
    weights = random_weights(k + more, n, 3, draw)
    hot = module("_population").orthonormal_gradient
    by_torch = hot(weights.reshape(3, n, k + more), k).flatten(1)
    torch.testing.assert_close(by_torch, problem.gradient(weights), rtol=1e-12, atol=1e-14)
