"""Matching of neurons against brute force, hidden permutations and outputs."""

import itertools

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, assert_columns
from networks import problem
from studies import module

from nnflow.engine.landscape import Landscape
from nnflow.interfaces.registry import registry

matching, pairs, flat = module("_matching"), module("_pairs"), module("_flat")


def network(weights, model, run):
    return {name: part[run] for name, part in flat.named_weights(model, weights.numpy()).items()}


def test_a_hidden_permutation_of_two_layers_is_found():
    objective, weights = problem(widths=[5, 7, 6, 3])
    model, one = objective.model, network(weights, objective.model, 0)
    hidden = {"hidden1": np.roll(np.arange(7), 3), "hidden2": np.roll(np.arange(6), 2)}
    orders, _ = matching.matching(model, one, matching.permuted(model, one, hidden))
    found = matching.permuted(model, matching.permuted(model, one, hidden), orders)
    for name, part in one.items():
        np.testing.assert_array_equal(found[name], part)


def test_one_layer_is_matched_as_well_as_any_order_can():
    objective, weights = problem(widths=[5, 4, 3])
    model = objective.model
    one, other = (network(weights, model, run) for run in (0, 1))
    orders, _ = matching.matching(model, one, other)
    best = max(
        matching.product(model, one, other, {"hidden1": np.array(order)})
        for order in itertools.permutations(range(4))
    )
    assert matching.product(model, one, other, orders) == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_permuted_networks_have_the_same_outputs(activation):
    objective, weights = problem(activation)
    other, _ = pairs.matched(objective.model, weights[0].numpy(), weights[1].numpy())
    assert not np.array_equal(other, weights[1].numpy())
    both = objective.named(torch.stack([weights[1], torch.as_tensor(other)]))
    *_, outputs = objective.model._sums(both, objective.data["inputs"])
    torch.testing.assert_close(outputs[0], outputs[1], rtol=0, atol=1e-12)


def test_students_are_matched_by_their_declared_symmetry():
    model = registry().get("models", "relu_teacher_student")(k=3, n=3)
    one = {"w": np.eye(3)}
    orders, rounds = matching.matching(model, one, {"w": np.eye(3)[[2, 0, 1]]})
    assert orders["neuron"].tolist() == [1, 2, 0]
    assert rounds == 2


def test_a_barrier_is_a_rise_above_the_straight_line():
    t = np.linspace(0, 1, 5)
    assert pairs.barrier(np.array([1, 1.5, 2, 2.5, 3.0]), t) == 0
    np.testing.assert_allclose(pairs.barrier(np.array([[1, 2, 3, 2.5, 3.0]]), t), [1.0])


def test_pairs_share_no_run():
    assert pairs.disjoint_pairs(5) == [(0, 1), (2, 3)]


def test_columns_of_neuron_matching():
    """Three runs make one pair: a network and its image under a permutation."""
    objective, weights = problem(widths=[5, 7, 3])
    weights = 4 * weights
    for _ in range(200):  # to a network that is worth something
        weights = weights - 0.5 * objective.gradient(weights)
    model, one = objective.model, weights[0].numpy()
    moved = matching.permuted(
        model, network(weights, model, 0), {"hidden1": np.roll(np.arange(7), 1)}
    )
    image = np.concatenate([moved[name].ravel() for name in model.shapes()])
    rows = torch.as_tensor(np.stack([one, image, one]))
    trained = xr.Dataset(
        {
            name: (("run", *(f"{name}{i}" for i in range(part.ndim - 1))), part.numpy())
            for name, part in objective.named(rows).items()
        }
    )
    results = Handmade({"all": {"model": model}}, {"training": {"all": trained}})
    results.objective = lambda configuration: Landscape(objective)
    before = pairs.barrier(
        objective.loss(torch.as_tensor(np.linspace(one, image, 5))).numpy(), np.linspace(0, 1, 5)
    )
    assert before > 0.01
    only = (-np.inf, np.inf)
    distance = np.linalg.norm(one - image) / np.linalg.norm([one, image])
    plugin = registry().get("analyses", "neuron_matching")(points=5)
    dataset = assert_columns(
        plugin,
        results,
        {
            "pairs": [1],
            "width": [7],
            "barrier_before": [(before, *only)],
            "barrier_after": [(Between(0, 1e-12), *only)],
            "barrier_fall": [(Between(before - 1e-12, before + 1e-12), *only)],
            "share_lowered": [(1.0, 0.005, 1.0)],
            "drop_before": [(Between(0, 1), *only)],
            "drop_after": [(Between(0, 1e-12), *only)],
            "distance_before": [(distance, *only)],
            "distance_after": [(Between(0, 1e-12), *only)],
            "permutation_error": [Between(0, 1e-12)],
            "rounds": [2],
        },
    )
    assert dataset["loss"].shape == (1, 2, 1, 5)
