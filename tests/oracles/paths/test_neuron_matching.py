"""Matching of neurons against brute force, hidden permutations and outputs."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, assert_columns
from networks import CHANNELS, problem
from studies import module

from nnflow import mean, share
from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry

matching, pairs, flat = module("_matching"), module("_pairs"), module("_flat")
STREAMS = Streams(0, "all", np.arange(3), "initialize")


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
            "barrier_repaired": [np.nan],
            "repair_fall": [np.nan],
            "slope_before": [(np.nan, np.nan, np.nan)],
            "slope_after": [(np.nan, np.nan, np.nan)],
            "slope_repaired": [np.nan],
            "drop_repaired": [np.nan],
            "distance_before": [(distance, *only)],
            "distance_after": [(Between(0, 1e-12), *only)],
            "permutation_error": [Between(0, 1e-12)],
            "rounds": [2],
        },
    )
    assert dataset["loss"].shape == (1, 2, 1, 5)


def normed(**neurons):
    """Two networks with a batch norm, the second an image of the first under a permutation; the
    model, its landscape and both as `_normed.Network`."""
    made = registry().get("models", "torch_module")(
        target="user_nets:SmallResNet",
        loss="cross_entropy",
        mode="train",
        neurons={**CHANNELS, **neurons},
    )
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(7, 1, 6, 6, generator=random, dtype=torch.float64)
    data = {"inputs": inputs, "targets": torch.arange(7) % 3}
    first = {name: torch.as_tensor(part) for name, part in made.initial(STREAMS).items()}
    objective = Objective(
        made, data, STREAMS, buffers={name: first[name][:1] for name in made.buffers()}
    )
    turned = {axis: np.roll(np.arange(3), 1) for axis in CHANNELS}
    image = {name: part[:1] for name, part in made.permuted(first, turned).items()}
    rows = {name: np.concatenate([first[name][:1], image[name], first[name][1:]]) for name in first}
    trained = xr.Dataset(
        {
            name: (("run", *(f"{name}{i}" for i in range(part.ndim - 1))), part)
            for name, part in rows.items()
        }
    )
    return made, Landscape(objective), trained


def test_batch_norms_move_with_their_neurons_and_are_renewed():
    model, loss, trained = normed()
    results = Handmade({"all": {"model": model}}, {"training": {"all": trained}})
    results.objective = lambda configuration, run: loss
    found = registry().get("analyses", "neuron_matching")(points=5).compute(results)
    assert found["path"].values.tolist() == ["as_trained", "matched", "repaired"]
    ways = found["loss"].values[0]
    # the image is the first network again: constant on both matched paths, whichever statistics
    assert np.ptp(ways[1, 0]) < 1e-12
    assert np.ptp(ways[2, 0]) < 1e-12
    assert np.ptp(ways[0, 0]) > 1e-3
    assert float(found["permutation_error"][0]) < 1e-12
    # networks 2 and 3 of the dataset differ; at the ends statistics are the networks' own
    np.testing.assert_allclose(ways[1, 1, [0, -1]], ways[2, 1, [0, -1]], rtol=1e-12)
    assert (np.abs(ways[1, 1, 1:-1] - ways[2, 1, 1:-1]) > 1e-6).all()
    _, _, other, last = module("_normed").networks(loss, results.configurations[0], trained)
    matched, _ = module("_normed").image(model, other, last)
    middle = (other.weights + matched.weights) / 2
    at_middle = {
        "averaged": {n: (v + matched.buffers[n]) / 2 for n, v in other.buffers.items()},
        "renewed": loss.statistics(middle),
    }
    for row, name in ((1, "averaged"), (2, "renewed")):
        expected = loss.keeping(at_middle[name]).loss(middle)[0]
        assert ways[row, 1, 2] == pytest.approx(expected, rel=1e-12)
    barriers = [pairs.barrier(ways[row], found["t"].values).mean() for row in range(3)]
    for name, value in zip(("before", "after", "repaired"), barriers, strict=True):
        assert float(found[f"barrier_{name}"][0]) == pytest.approx(value)
    assert float(found["repair_fall"][0]) == pytest.approx(barriers[1] - barriers[2])
    assert np.isnan(float(found["drop_repaired"][0]))


def test_slopes_are_over_networks_of_as_many_layers():
    mlp = registry().get("models", "mlp")
    shapes = {"a": [5, 4, 3], "b": [5, 8, 3], "c": [5, 4, 8, 3], "d": [5, 16, 9, 3]}
    configurations = Handmade(
        {
            name: {"model": mlp(widths=widths, activation="relu", loss_function="squared")}
            for name, widths in shapes.items()
        },
        {},
    ).configurations
    t = np.array([0.0, 0.5, 1.0])

    def curves(before, after):
        heights = np.array([[before, before], [after, after]])
        return {"loss": np.stack([0 * heights, heights, 0 * heights], axis=-1)}

    found = [curves(8, 8), curves(4, 2), curves(8, 1), curves(8, 9)]
    slopes = dict(
        (each.label, values)
        for each, values in module("neuron_matching")._slopes(configurations, found, t)
    )
    assert slopes["a"] == slopes["b"]
    assert slopes["c"] == slopes["d"]
    assert slopes["a"]["slope_before"][0] == pytest.approx(-1)
    assert slopes["a"]["slope_after"][0] == pytest.approx(-2)
    assert slopes["c"]["slope_before"][0] == pytest.approx(0)
    assert slopes["c"]["slope_after"][0] == pytest.approx(np.log(9) / np.log(9 / 4))
    assert "slope_repaired" not in slopes["a"]


def test_a_run_without_an_end_takes_its_buffers_with_it():
    model, loss, trained = normed()
    trained["stem.bias"][1] = np.nan
    results = Handmade({"all": {"model": model}}, {"training": {"all": trained}})
    ends = module("_normed").networks(loss, results.configurations[0], trained)
    assert len(ends) == 3
    weights = np.concatenate([trained[name].values[2].ravel() for name in model.shapes()])
    np.testing.assert_array_equal(ends[1].weights, weights)
    statistics = loss.statistics(weights)
    for name, values in ends[1].buffers.items():
        np.testing.assert_array_equal(values, statistics[name])


def test_in_eval_mode_the_buffers_are_the_runs_own():
    model, loss, trained = normed()
    still = model.reading()
    configurations = Handmade({"all": {"model": still}}, {}).configurations
    ends = module("_normed").networks(loss, configurations[0], trained)
    name = "blocks.0.norm.running_var"
    for run, end in enumerate(ends):
        np.testing.assert_array_equal(end.buffers[name], trained[name].values[run])


def test_a_declaration_that_is_wrong_is_refused():
    wrong = {"blocks.0.first.weight": 0, "blocks.0.second.weight": 1}  # without the norm
    model, loss, trained = normed(hidden=wrong)
    trained["blocks.0.norm.bias"][:] = [0.1, -0.3, 0.7]  # moved by training
    results = Handmade({"all": {"model": model}}, {"training": {"all": trained}})
    results.objective = lambda configuration, run: loss
    with pytest.raises(UserError, match="declares stream, hidden interchangeable, but another"):
        registry().get("analyses", "neuron_matching")(points=5).compute(results)


# Numbers by hand


def test_numbers_of_pairs_by_hand():
    """Barriers 2 and 2, 1 and 2½ after matching, ½ and 1 after repair, of five and three hidden
    neurons; accuracies that drop by ½ and 0, by 0.1 and 0.2, and by 0.3 and 0."""
    part = module("neuron_matching")
    model = registry().get("models", "mlp")(
        widths=[2, 5, 3, 2], activation="tanh", loss_function="cross_entropy"
    )
    found = {
        "loss": [[[0, 2, 0], [1, 3, 1]], [[0, 1, 0], [1, 3.5, 1]], [[0, 0.5, 0], [1, 2, 1]]],
        "accuracy": [
            [[1, 0.5, 1], [1, 1, 1]], [[1, 0.9, 1], [1, 0.8, 1]], [[1, 0.7, 1], [1, 1, 1]],
        ],
        "distance": [[0.5, 0.75], [0.25, 0.5]], "error": [1e-9, 3e-9], "rounds": [2, 5],
    }  # fmt: skip
    found = {name: np.array(values) for name, values in found.items()}
    two = {
        "pairs": 2, "width": 3, "barrier_before": mean([2, 2]), "barrier_after": mean([1, 2.5]),
        "barrier_fall": mean([1, -0.5]), "share_lowered": share(1, 2),
        "drop_before": mean([0.5, 0]), "drop_after": mean([0.1, 0.2]),
        "distance_before": mean([0.5, 0.75]), "distance_after": mean([0.25, 0.5]),
        "permutation_error": 3e-9, "rounds": 5,
    }  # fmt: skip
    three = {
        "barrier_repaired": mean([0.5, 1]), "repair_fall": mean([0.5, 1.5]),
        "drop_repaired": mean([0.3, 0]),
    }  # fmt: skip
    t = np.array([0, 0.5, 1])
    for paths, expected in ((3, two | three), (2, two)):
        given = found | {name: found[name][:paths] for name in ("loss", "accuracy")}
        row = part._row(model, given, t)
        assert set(row) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(row[name], value, atol=1e-12, err_msg=name)
    assert part._row(model, {"error": []}, t) == {"pairs": 0}


def test_fewer_pairs_and_paths_are_filled():
    one, other = np.ones((2, 1, 3)), 2 * np.ones((3, 2, 3))
    found = module("neuron_matching")._stacked([one, other])
    assert found.shape == (2, 3, 2, 3)
    assert (found[0, :2, :1] == 1).all() and (found[1] == 2).all()
    assert np.isnan(found[0, 2]).all() and np.isnan(found[0, :, 1]).all()


@pytest.mark.parametrize(("samples", "error"), [(3, 0.5), (None, 4.0), (60, 0.0)])
def test_the_error_of_an_order_is_the_largest_of_single_samples(samples, error):
    """Of three samples 0, ½ and ¼; of many the first fifty are asked; without samples the loss."""

    class Loss:
        def __init__(self, chosen=None):
            self.samples, self.chosen = samples, chosen

        def among(self, chosen):
            assert chosen.tolist() == [chosen[0]] and chosen[0] < 50
            return Loss(chosen[0])

        def loss(self, weights):
            if self.chosen is None:
                return [1.0 + 4 * weights[0]]
            moved = [0, -0.5, 0.25][self.chosen] if samples == 3 else 0
            return [1 + self.chosen + moved * weights[0]]

    ends = (SimpleNamespace(weights=np.array([x]), buffers={}) for x in (0.0, 1.0))
    assert module("neuron_matching")._error(Loss(), *ends) == error
