"""Gradients and flows of linear networks in vector lanes: against automatic derivatives, and bit
for bit everywhere."""

import hashlib
import importlib
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processors import PROCESSORS, has, printed

from nnflow.base.automatic import automatic_gradient
from nnflow.engine.objective import Objective
from nnflow.interfaces import Descent
from nnflow.interfaces.registry import registry

registry()
lanes = importlib.import_module("nnflow_plugins.linear._lanes")


def network(widths, samples=None, seed=0):
    """A linear network with a random target, and random inputs where it has samples."""
    random = np.random.default_rng(seed)
    inputs = None if samples is None else random.standard_normal((widths[0], samples)).tolist()
    target = random.standard_normal((widths[-1], samples or widths[0])).tolist()
    return registry().get("models", "linear_network")(widths=widths, target=target, inputs=inputs)


def residual(depth, values, covariance=()):
    return registry().get("models", "residual_linear_network")(
        depth=depth, values=values, covariance=covariance, factor=0.8, rotation=0.3
    )


MODELS = [
    network([5, 4, 4, 3]),
    network([4, 3, 2], samples=7),
    network([2, 6, 1, 9], samples=1),
    network([3, 2]),
    network([12, 1, 12]),
    residual(3, (2.0, 1.0, 0.5)),
    residual(2, (2.0, 1.0, 0.5, 0.3, -1.0), (2.0, 1.0, 0.5, 1.0, 3.0)),
]


def drawn(model, runs, seed=0):
    size = model.size_if_known()
    return torch.from_numpy(np.random.default_rng(seed).standard_normal((runs, size)))


def flow(**more):
    return registry().get("optimizers", "gradient_flow")(interval=0.05, **more)


def started(optimizer, weights):
    return optimizer.start(weights, torch.ones(len(weights), dtype=torch.float64))


@pytest.mark.parametrize("model", MODELS)
def test_the_gradient_is_the_derivative_of_the_loss(model):
    problem, weights = Objective(model, {}, None), drawn(model, 11)
    assert problem.lane_gradient(weights) is not None
    expected = automatic_gradient(problem._function, weights)
    size = expected.abs().max().item()
    np.testing.assert_allclose(problem.gradient(weights), expected, rtol=0, atol=1e-14 * size)
    closed = torch.cat(
        [g.flatten(1) for g in model.gradient(problem.named(weights), {}).values()], 1
    )
    np.testing.assert_allclose(problem.gradient(weights), closed, rtol=0, atol=1e-14 * size)


@given(
    st.lists(st.integers(1, 12), min_size=2, max_size=6),
    st.none() | st.integers(1, 6),
    st.integers(0, 20),
    st.lists(st.integers(1, 19), max_size=3),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_batch_may_be_split_anywhere(widths, samples, runs, cuts, seed):
    model = network(widths, samples, seed)
    problem, weights = Objective(model, {}, None), drawn(model, runs, seed)
    together = problem.gradient(weights)
    places = [0, *sorted(min(cut, runs) for cut in cuts), runs]
    parts = [problem.gradient(weights[a:b]) for a, b in pairwise(places)]
    assert torch.equal(torch.cat(parts), together)
    plain = lanes._array_gradient(weights.numpy(), 0, tuple(model._quadratic))
    np.testing.assert_array_equal(plain, together)


def test_wide_layers_are_left_to_products_of_matrices():
    wide = network([lanes.WIDEST + 1, 2])
    weights = drawn(wide, 3)
    problem = Objective(wide, {}, None)
    assert problem.lane_gradient(weights) is None
    expected = automatic_gradient(problem._function, weights)
    np.testing.assert_allclose(problem.gradient(weights), expected, rtol=1e-12, atol=1e-13)


def test_diverging_runs_end_in_no_number_alone():
    model = network([3, 3, 3])
    weights = drawn(model, 10)
    weights[4] *= 1e200
    found = Objective(model, {}, None).gradient(weights)
    finite = found.isfinite().all(1)
    assert finite.sum() == 9 and not finite[4]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("name", ["gradient_descent", "heavy_ball", "nesterov"])
def test_many_steps_at_once_have_the_bits_of_single_ones(name, model, monkeypatch):
    optimizer = registry().get("optimizers", name)(rate=0.003)
    problem, weights = Objective(model, {}, None), 0.5 * drawn(model, 11)
    state = started(optimizer, weights)
    assert problem.descend(weights, Descent(1, state["rate"])) is not None
    together, after = optimizer.steps(problem, weights, state, 30)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert problem.descend(weights, Descent(1, state["rate"])) is None
    alone, expected = optimizer.steps(problem, weights, state, 30)
    assert torch.equal(together, alone) and not torch.equal(together, weights)
    assert all(torch.equal(after[part], expected[part]) for part in expected)


def flowed(model, weights, counts, optimizer):
    state = started(optimizer, weights)
    for count in counts:
        weights, state = optimizer.steps(Objective(model, {}, None), weights, state, count)
    return torch.cat([weights, state["length"][:, None], state["interval"][:, None]], dim=1)


@pytest.mark.parametrize("model", MODELS)
def test_the_flow_has_the_bits_of_single_intervals(model, monkeypatch):
    """Some runs diverge, and one begins without a number."""
    weights = drawn(model, 19)
    weights[3], weights[4], weights[5] = 300 * weights[3], 1e160 * weights[4], np.nan
    before = weights.clone()
    optimizer = flow(relative_error=1e-9, absolute_error=1e-11)
    together = flowed(model, weights, [7], optimizer)
    np.testing.assert_array_equal(flowed(model, weights, [0, 1, 4, 2], optimizer), together)
    np.testing.assert_array_equal(weights, before)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    np.testing.assert_array_equal(flowed(model, weights, [7], optimizer), together)
    assert len(np.unique(together[:, -2])) > 12  # lengths of their own


def test_an_error_that_is_no_number_ends_an_interval(monkeypatch):
    """One over what is allowed overflows when it is squared."""
    model, weights = MODELS[0], drawn(MODELS[0], 3)
    strict = flow(relative_error=1e-200, absolute_error=1e-200)
    together = flowed(model, weights, [4], strict)
    assert together.isfinite().all() and not torch.equal(together[:, :-2], weights)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert torch.equal(flowed(model, weights, [4], strict), together)


@given(st.integers(1, 18), st.integers(1, 17), st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_a_flow_does_not_depend_on_its_companions(runs, cut, seed):
    model = MODELS[0]
    weights = drawn(model, runs, seed)
    together = flowed(model, weights, [3], flow())
    parts = [flowed(model, part, [3], flow()) for part in (weights[:cut], weights[cut:])]
    assert torch.equal(torch.cat(parts), together)


def test_settings_that_differ_from_run_to_run_are_those_of_each(monkeypatch):
    model, weights = MODELS[0], drawn(MODELS[0], 10)
    errors = torch.logspace(-12, -6, 10, dtype=torch.float64)[:, None]
    varied = flow().with_values({"relative_error": errors, "interval": 100 * errors.sqrt()})
    together = flowed(model, weights, [3], varied)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert torch.equal(flowed(model, weights, [3], varied), together)
    for run in range(10):
        error = errors[run].item()
        alone = registry().get("optimizers", "gradient_flow")(
            relative_error=error, interval=100 * float(errors[run].sqrt())
        )
        assert torch.equal(flowed(model, weights[run : run + 1], [3], alone)[0], together[run])


def digest():
    """Of gradients, steps and flows."""
    found = []
    for model in MODELS:
        weights = drawn(model, 19)
        found += [Objective(model, {}, None).gradient(weights), flowed(model, weights, [2], flow())]
    return hashlib.sha256(b"".join(one.numpy().tobytes() for one in found)).hexdigest()


SCRIPT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[up]) for up in (0, 1)]!r}
import test_linear_lanes
print(test_linear_lanes.digest())
"""


@pytest.mark.slow
def test_every_processor_gives_the_bits_of_numpy(tmp_path):
    found = {"this one": digest()}
    for name, (variables, feature) in PROCESSORS.items():
        if not feature or has(feature):
            (found[name],) = printed(SCRIPT, tmp_path / name, **variables)
    if len(found) < 3:
        pytest.skip("this processor has no AVX2")
    (plain,) = printed(SCRIPT, tmp_path, NNFLOW_PLAIN="1")
    assert found == dict.fromkeys(found, plain)
