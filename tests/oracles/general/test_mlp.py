"""Multilayer perceptrons against torch.nn networks, one run at a time."""

import importlib

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import ACTIVATIONS, LOSSES, RUNS, classes, network, problem

from nnflow.base.automatic import automatic_gradient
from nnflow.base.streams import Streams
from nnflow.engine.eigenvalues import dense_eigenvalues, extreme_eigenvalues
from nnflow.engine.objective import Objective, flatten
from nnflow.interfaces.registry import registry

registry()
mlp = importlib.import_module("nnflow_plugins.general.models.mlp")


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_loss_and_gradient_are_those_of_torch_networks(activation, loss):
    objective, weights = problem(activation, loss)
    losses, gradients = objective.loss(weights), objective.gradient(weights)
    for run in range(RUNS):
        reference = network(objective, weights[run], activation)
        value = LOSSES[loss](reference(objective.data["inputs"]), objective.data["targets"])
        value.backward()
        expected = torch.cat([p.grad.flatten() for p in reference.parameters()])
        torch.testing.assert_close(losses[run], value.detach(), rtol=1e-13, atol=0)
        torch.testing.assert_close(gradients[run], expected, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "leaky_relu"])
def test_slopes_of_activations_have_all_their_digits(name):
    """In the precision of their numbers: a slope of 0.1 made in float32 was off by 1e-9."""
    activation = registry().get("activations", name)()
    places = torch.linspace(-4, 4, 99, dtype=torch.float64) + 0.013
    expected = automatic_gradient(activation, places)
    found = activation.derivative(places, activation(places))
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-15)
    single = places.float()
    assert activation.derivative(single, activation(single)).dtype == torch.float32


def test_weight_decay_adds_half_the_squared_norm():
    objective, weights = problem()
    dear = objective.model.model_copy(update={"weight_decay": 0.3})
    priced = Objective(dear, objective.data, objective.streams)
    added = 0.15 * weights.square().sum(dim=1)
    torch.testing.assert_close(priced.loss(weights), objective.loss(weights) + added)
    gradient = objective.gradient(weights) + 0.3 * weights
    torch.testing.assert_close(priced.gradient(weights), gradient)
    on_plane = priced.model.on_plane(*(priced.named(w[None]) for w in weights), priced.data)
    at = torch.tensor([0.5], dtype=torch.float64)
    point = weights[0] + 0.5 * (weights[1] + weights[2])
    torch.testing.assert_close(on_plane(at, at), priced.loss(point[None]))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_derivatives_are_those_of_finite_differences(activation, loss):
    objective, weights = problem(activation, loss)
    direction = torch.randn(weights.shape, dtype=torch.float64, generator=torch.manual_seed(2))
    step = 1e-5
    ahead, behind = weights + step * direction, weights - step * direction
    slope = (objective.loss(ahead) - objective.loss(behind)) / (2 * step)
    along = (objective.gradient(weights) * direction).sum(dim=1)
    torch.testing.assert_close(along, slope, rtol=1e-6, atol=1e-8)
    turn = (objective.gradient(ahead) - objective.gradient(behind)) / (2 * step)
    product = objective.hessian_vector(weights)(direction)
    torch.testing.assert_close(product, turn, rtol=1e-5, atol=1e-7)
    whole = (objective.hessian(weights) @ direction.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(product, whole, rtol=1e-10, atol=1e-13)


def test_minibatches_of_each_run_are_the_loss_on_those_samples():
    objective, weights = problem()
    chosen = torch.tensor([[0, 3, 5], [24, 1, 2], [7, 7, 8]])
    losses = objective.minibatch(chosen).loss(weights)
    for run in range(RUNS):
        reference = network(objective, weights[run], "tanh")
        inputs, targets = (objective.data[name][chosen[run]] for name in ("inputs", "targets"))
        expected = classes(reference(inputs), targets).detach()
        torch.testing.assert_close(losses[run], expected, rtol=1e-13, atol=0)


@given(runs=st.lists(st.integers(0, 39), min_size=1, max_size=40, unique=True))
@settings(max_examples=25, deadline=None)
def test_a_run_has_the_same_bits_whatever_its_companions(runs):
    objective, weights = problem(widths=[64, 16, 10], runs=40)
    whole, part = objective.gradient(weights), objective.gradient(weights[runs])
    assert torch.equal(whole[runs], part)
    assert torch.equal(objective.loss(weights)[runs], objective.loss(weights[runs]))


def test_permuted_neurons_are_the_same_network():
    objective, weights = problem()
    named = {name: part.clone() for name, part in objective.named(weights).items()}
    named["w1"], named["b1"] = named["w1"][:, [2, 0, 3, 1]], named["b1"][:, [2, 0, 3, 1]]
    named["w2"] = named["w2"][:, :, [2, 0, 3, 1]]
    flipped = {**named, "w3": -named["w3"], "w2": -named["w2"], "b2": -named["b2"]}
    invariants = objective.model.invariants(objective.named(weights))
    for image in (named, flipped):
        torch.testing.assert_close(objective.loss(flatten(image)), objective.loss(weights))
        assert torch.equal(objective.model.invariants(image), invariants)
    assert (objective.model.invariants(objective.named(1.01 * weights)) != invariants).any()


def test_observables_are_shares_of_rightly_classified_samples():
    objective, weights = problem()
    observed = objective.model.observables(objective.named(weights), objective.data)
    assert set(observed) == {"accuracy", "test_accuracy", "test_loss"}
    for run in range(RUNS):
        reference = network(objective, weights[run], "tanh")
        for prefix in ("", "test_"):
            outputs = reference(objective.data[f"{prefix}inputs"]).detach()
            right = outputs.argmax(dim=1) == objective.data[f"{prefix}targets"]
            assert observed[f"{prefix}accuracy"][run] == right.double().mean()
        expected = classes(outputs, objective.data["test_targets"])
        torch.testing.assert_close(observed["test_loss"][run], expected)


def test_squared_loss_takes_real_targets_of_any_width():
    squared = registry().get("losses", "squared")()
    outputs = torch.tensor([[1.0], [3.0]])
    torch.testing.assert_close(squared(outputs, torch.tensor([0.0, 1.0])), torch.tensor([0.5, 2.0]))
    pairs = torch.tensor([[1.0, 2.0], [0.0, 0.0]])
    torch.testing.assert_close(squared(pairs, torch.zeros(2, 2)), torch.tensor([2.5, 0.0]))


def test_cross_entropy_survives_large_logits():
    entropy = registry().get("losses", "cross_entropy")()
    outputs = torch.tensor([[1e4, 0.0], [0.0, 1e4]], dtype=torch.float64)
    expected = torch.tensor([0.0, 1e4], dtype=torch.float64)
    assert torch.equal(entropy(outputs, torch.tensor([0, 0])), expected)


def test_smooth_except_where_a_rectified_input_is_zero():
    objective, weights = problem("relu")
    assert objective.smooth(weights).all()
    kinked = weights.clone()
    for name in ("w1", "b1"):
        objective.named(kinked)[name][1, 0] = 0
    assert objective.smooth(kinked).tolist() == [True, False, True]
    tanh, _ = problem("tanh")
    assert tanh.smooth(kinked).all()


def trained_on_digits(widths):
    """Weights of one network a few hundred steps into its training, and its objective."""
    arrays = registry().get("datasets", "digits")(samples=200).load(None)
    model = problem(widths=widths)[0].model
    data = {name: torch.as_tensor(array) for name, array in arrays.items()}
    objective = Objective(model, data, Streams(3, "all", np.arange(1), "train"))
    drawn = (
        registry()
        .get("initializers", "normal")()
        .draw(model.shapes(), Streams(3, "all", np.arange(1), "initialize"))
    )
    weights = flatten({name: torch.as_tensor(part) for name, part in drawn.items()})
    sgd = registry().get("optimizers", "sgd")(rate=0.1, minibatch=20, momentum=0.9)
    state = sgd.start(weights, torch.ones(1, dtype=torch.float64))
    for _ in range(300):
        weights, state = sgd.step(objective, weights, state)
    return objective, weights


def test_spectrum_of_a_network_on_digits():
    objective, weights = trained_on_digits([64, 16, 10])
    values, residuals = dense_eigenvalues(objective.hessian(weights))
    values, scale = values[0].numpy(), float(values.abs().max())
    assert weights.shape == (1, 1210)
    assert residuals.max() < 1e-12 * scale

    # white pixels carry no gradient, and a number added to all logits changes nothing
    white = int((objective.data["inputs"] == 0).all(dim=0).sum())
    assert white >= 3
    assert (np.abs(values) < 1e-13 * scale).sum() >= 16 * white + 16 + 1

    product = objective.hessian_vector(weights)
    ends = extreme_eigenvalues(lambda v: product(torch.as_tensor(v)[None])[0].numpy(), 1210, 4)
    assert ends.converged
    np.testing.assert_allclose(ends.lowest, values[:4], atol=1e-12 * scale)
    np.testing.assert_allclose(ends.highest, values[-4:], atol=1e-12 * scale)


@given(
    st.sampled_from(sorted(ACTIVATIONS)),
    st.sampled_from(sorted(LOSSES)),
    st.lists(st.integers(1, 12), min_size=2, max_size=4),
    st.integers(1, 23),
    st.integers(1, 2000),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_blocks_of_runs_do_not_change_the_gradient(activation, loss, widths, runs, block, own):
    """With the same samples for all of them, and with samples of each. The logistic function and
    what is made of it have last bits, in torch, that depend on the place in an array."""
    objective, weights = problem(activation, loss, widths, runs)
    if own:
        chosen = np.random.default_rng(runs).integers(0, objective.samples, (runs, 9))
        objective = objective.minibatch(torch.as_tensor(chosen))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(mlp, "BLOCK", 10**9)
        whole = objective.gradient(weights)
        patched.setattr(mlp, "BLOCK", block)
        cut = objective.gradient(weights)
    if activation in ("tanh", "relu", "identity"):
        assert torch.equal(cut, whole)
    torch.testing.assert_close(cut, whole, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    "runs, numbers, block, lengths",
    [
        (7, 10, 10**6, [7]),
        (7, 10, 20, [2, 2, 3]),
        (3, 10, 20, [3]),
        (9, 10, 45, [4, 5]),
        (5, 100, 1, [2, 3]),
        (1, 100, 1, [1]),
        (0, 100, 1, [0]),
    ],
)
def test_no_block_has_one_run_beside_others(runs, numbers, block, lengths, monkeypatch):
    monkeypatch.setattr(mlp, "BLOCK", block)
    assert np.diff(mlp._ends(runs, numbers)).tolist() == lengths


def test_many_small_networks_go_block_by_block(monkeypatch):
    """Forty runs of 25 samples and 18 numbers of each in blocks of eight."""
    objective, weights = problem(runs=40)
    alone, seen = type(objective.model)._backpropagated, []

    def counted(model, weights, data):
        seen.append(len(weights["b1"]))
        return alone(model, weights, data)

    monkeypatch.setattr(type(objective.model), "_backpropagated", counted)
    monkeypatch.setattr(mlp, "BLOCK", 8 * 25 * 18)
    found = objective.model.gradient(objective.named(weights), objective.data)
    assert seen == [8] * 5
    torch.testing.assert_close(flatten(found), objective.gradient(weights), rtol=1e-12, atol=1e-15)
