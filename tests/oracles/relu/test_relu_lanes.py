"""Gradient and loss in vector lanes: against the formulas in torch, and bit for bit everywhere."""

import hashlib
import importlib
from dataclasses import replace
from pathlib import Path

import flint
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processors import PROCESSORS, has, printed
from students import objective, random_weights

from nnflow.interfaces import Descent
from nnflow.interfaces.registry import registry

registry()
arccos = importlib.import_module("nnflow_plugins.relu._arccos")
loops = importlib.import_module("nnflow_plugins.relu._loops")
lanes = importlib.import_module("nnflow_plugins.relu._lanes")
population = importlib.import_module("nnflow_plugins.relu._population")
CASES = [(10, 10, 10, None), (20, 20, 20, None), (3, 2, 5, None), (1, 1, 4, None)]
CASES += [(2, 5, 5, None), (3, 3, 3, [1.0, 2.0, -1.0])]


def weights(n, d, runs=13):
    return np.random.default_rng(n).standard_normal((runs, n, d)) / np.sqrt(d)


@pytest.mark.parametrize("n, k, d, top", CASES)
def test_gradient_is_that_of_the_population(n, k, d, top):
    w = weights(n, d)
    tensors = torch.from_numpy(w), None if top is None else torch.tensor(top, dtype=torch.float64)
    expected = population.orthonormal_gradient(tensors[0], k, tensors[1]).numpy()
    np.testing.assert_allclose(lanes.gradient(w, k, top), expected, rtol=0, atol=4e-15)


def test_a_run_does_not_depend_on_its_companions():
    w = weights(6, 6, 17)
    together, losses = lanes.gradient(w, 6), lanes.loss(w, 6)
    for run in range(17):
        np.testing.assert_array_equal(lanes.gradient(w[run : run + 1], 6)[0], together[run])
        assert lanes.loss(w[run : run + 1], 6)[0] == losses[run]


def test_the_gradient_vanishes_at_the_teachers_and_is_nan_without_a_direction():
    w = np.stack([np.eye(4), np.diag([1.0, 1.0, 1.0, 0.0])])
    found, losses = lanes.gradient(w, 4), lanes.loss(w, 4)
    assert abs(losses[0]) < 2e-15 and np.isnan(losses[1])
    assert abs(found[0]).max() < 4e-16
    assert np.isnan(found[1]).any()


@pytest.fixture
def supplement(monkeypatch):
    """π−θ and sin θ of an array of cosines, in NumPy."""
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    return arccos.supplement


def test_angles_to_a_few_units_in_the_last_place(supplement, monkeypatch):
    cosines = np.concatenate([np.linspace(-1, 1, 401), 1 - np.logspace(-16, -1, 40), [0.5, -0.5]])
    rest, sine = supplement(cosines)
    monkeypatch.setattr(flint.ctx, "prec", 200)
    exact = [(-flint.arb(float(c))).acos() for c in cosines]
    sines = [(1 - flint.arb(float(c)) ** 2).sqrt() for c in cosines]
    np.testing.assert_allclose(rest, [float(e.mid()) for e in exact], rtol=8e-16, atol=0)
    np.testing.assert_allclose(sine, [float(e.mid()) for e in sines], rtol=3e-16, atol=0)


def test_cosines_beyond_one_count_as_one(supplement):
    rest, sine = supplement(np.array([1 + 1e-15, -1 - 1e-15]))
    np.testing.assert_array_equal(rest, [np.pi, 0])
    np.testing.assert_array_equal(sine, [0, 0])


def told():
    """A hash of losses and gradients, and where Hessians are compiled one of them."""
    found = [of(weights(n, d), k, top)
             for n, k, d, top in CASES for of in (lanes.gradient, lanes.loss)]  # fmt: skip
    curved = [loops.hessian(weights(n, d), k, top) for n, k, d, top in CASES]
    each = [found] if curved[0] is None else [found, curved]
    return [hashlib.sha256(b"".join(one.tobytes() for one in part)).hexdigest() for part in each]


SCRIPT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[up]) for up in (0, 1)]!r}
import test_relu_lanes
print(*test_relu_lanes.told())
"""


@pytest.fixture(scope="module")
def digests(tmp_path_factory):
    """By processor: of losses and gradients, and of Hessians."""
    found = {"this one": told()}
    for name, (variables, feature) in PROCESSORS.items():
        if not feature or has(feature):
            folder = tmp_path_factory.mktemp("compiled")
            found[name] = printed(SCRIPT, folder, **variables)
    return found


@pytest.mark.slow
def test_every_processor_gives_the_bits_of_numpy(digests, tmp_path):
    (plain,) = printed(SCRIPT, tmp_path, NNFLOW_PLAIN="1")
    if len(digests) < 3:
        pytest.skip("this processor has no AVX2")
    assert {name: first for name, (first, _) in digests.items()} == dict.fromkeys(digests, plain)


@pytest.mark.slow
def test_every_processor_gives_the_same_hessians(digests):
    if len(digests) < 3:
        pytest.skip("this processor has no AVX2")
    assert len({second for _, second in digests.values()}) == 1


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 2), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_gradient_follows_permutations(n, k, more, draw):
    """Of the students, and of the teachers with their coordinates."""
    random = np.random.default_rng([n, k, more, draw])
    w = random.standard_normal((3, n, k + more))
    students = random.permutation(n)
    inputs = np.append(random.permutation(k), np.arange(k, k + more))
    moved = lanes.gradient(np.ascontiguousarray(w[:, students][:, :, inputs]), k)
    expected = lanes.gradient(w, k)[:, students][:, :, inputs]
    np.testing.assert_allclose(moved, expected, rtol=0, atol=1e-13)
    assert abs(expected).max() > 1e-3


@given(st.integers(1, 6), st.integers(0, 2), st.booleans(), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_the_gradient_is_the_derivative_of_the_loss(n, more, weighted, draw):
    random = np.random.default_rng([n, more, draw])
    w = torch.from_numpy(random.standard_normal((11, n, n + more))).requires_grad_(True)
    top = random.uniform(-2, 2, n) if weighted else np.ones(n)
    tops = torch.from_numpy(top)
    total = population.orthonormal_loss(w, n, tops, tops).sum()
    (expected,) = torch.autograd.grad(total, w)
    found = lanes.gradient(w.detach().numpy(), n, list(top) if weighted else None)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-10)
    losses = lanes.loss(w.detach().numpy(), n, list(top) if weighted else None)
    assert losses.shape == (11,)
    np.testing.assert_allclose(losses.sum(), total.item(), rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("plain", [False, True])
def test_no_runs_have_no_losses(plain, monkeypatch):
    if plain:
        monkeypatch.setenv("NNFLOW_PLAIN", "1")
    none = np.empty((0, 3, 2))
    assert lanes.loss(none, 2).shape == (0,)
    assert lanes.gradient(none, 2).shape == (0, 3, 2)


PERTURBED = {
    "radius": 0.01,
    "gradient_threshold": 0.7,
    "loss_threshold": 0.05,
    "waiting_time": 7,
}


@pytest.mark.parametrize(
    "name, more",
    [
        ("gradient_descent", {}),
        ("heavy_ball", {}),
        ("nesterov", {}),
        ("perturbed_gradient_descent", PERTURBED),
    ],
)
def test_many_steps_at_once_have_the_bits_of_single_ones(name, more, monkeypatch):
    optimizer = registry().get("optimizers", name)(rate=0.1, **more)
    problem, weights = objective(5, 6, 11), random_weights(5, 6, 11)
    start = optimizer.start(weights, torch.linspace(0.5, 1, 11, dtype=torch.float64))
    before = weights.clone()
    assert problem.descend(weights, Descent(1, start["rate"])) is not None
    together, state = weights, start
    for _ in range(10):  # some verdicts are due just where a call begins
        together, state = optimizer.steps(problem, together, state, 3)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert problem.descend(weights, Descent(1, start["rate"])) is None
    alone, expected = optimizer.steps(problem, weights, start, 30)
    assert torch.equal(together, alone) and torch.equal(weights, before)
    assert all(torch.equal(state[part], expected[part]) for part in expected)
    if more:  # some runs were moved by noise twice, and some have returned
        assert 0 < state["returned"].sum() < 11 and (state["noise_step"] > 15).any()


def test_unit_vectors_take_steps_on_their_sphere():
    problem = objective(3, 3, 2, norms="unit")
    problem = replace(problem, manifold=problem.model.manifold())
    assert problem.descend(random_weights(3, 3, 2), Descent(1, torch.ones(2, 1))) is None


@pytest.mark.parametrize("n, k, d, top", CASES)
def test_hessian_is_that_of_the_population(n, k, d, top):
    w = torch.from_numpy(weights(n, d, 3))
    tops = None if top is None else torch.tensor(top, dtype=torch.float64)
    teachers = torch.eye(d, dtype=torch.float64)[:k]
    expected = population.hessian(w, teachers, tops, torch).numpy()
    found = loops.hessian(w.numpy(), k, top)
    np.testing.assert_allclose(found, expected, rtol=0, atol=4e-14)
    np.testing.assert_allclose(found, found.transpose(0, 2, 1), rtol=0, atol=1e-14)


def test_hessian_keeps_its_digits_between_neurons_that_nearly_coincide():
    """arccos of their cosine alone would lose half of them."""
    w = torch.tensor([[[1.0, 0.0], [1.0, 1e-9]], [[1.0, 0.0], [-2.0, 1e-9]]], dtype=torch.float64)
    expected = population.hessian(w, torch.eye(2, dtype=torch.float64), None, torch).numpy()
    np.testing.assert_allclose(loops.hessian(w.numpy(), 2), expected, rtol=0, atol=1e-14)


def test_hessians_are_those_of_torch_where_nothing_is_compiled(monkeypatch):
    problem, weights = objective(3, 4, 5), random_weights(3, 4, 5)
    compiled = problem.hessian(weights)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert loops.hessian(weights.numpy().reshape(5, 4, 3), 3) is None
    torch.testing.assert_close(problem.hessian(weights), compiled, rtol=0, atol=1e-14)
