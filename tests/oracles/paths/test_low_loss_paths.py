"""Ways between ensembles of neurons against formulas and against networks."""

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from networks import problem
from studies import module

from nnflow import mean
from nnflow.base.errors import UserError
from nnflow.engine.landscape import Landscape

ways = module("paths/_neurons")
T = np.array([0.0, 0.25, 0.5, 1.0])


def test_neurons_are_the_network_again():
    objective, weights = problem(widths=[5, 7, 3])
    ensembles, biases = ways.neurons(objective.model, weights.numpy())
    assert ensembles.shape == (3, 7, 5 + 1 + 3)
    np.testing.assert_array_equal(ways.flat_network(ensembles, biases, 5), weights.numpy())


def test_balanced_relu_networks_are_the_same_function():
    objective, weights = problem("relu", widths=[5, 7, 3])
    ensembles, biases = ways.neurons(objective.model, weights.numpy())
    moved = ways.balanced(ensembles, 5)
    flat = ways.flat_network(moved, biases, 5)
    np.testing.assert_allclose(objective.loss(torch.as_tensor(flat)), objective.loss(weights))
    sides = [np.linalg.norm(part, axis=2) for part in np.split(moved, [6], axis=2)]
    np.testing.assert_allclose(*sides)


def test_covariances_on_the_way_are_those_of_the_formulas():
    """(t² + (1 − t)²)Σ + t(1 − t)(C + Cᵀ) and Σ + ½ sin(πt)(C + Cᵀ), exact for samples whose own
    moments are Σ and C."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(2, 400, 2))
    sigma_x, sigma_y = x.T @ x / 400, y.T @ y / 400
    cross = x.T @ y / 400
    for t in T:
        at = np.array([t])
        line = ways.linear(x, y, at)[0]
        expected = (1 - t) ** 2 * sigma_x + t**2 * sigma_y + t * (1 - t) * (cross + cross.T)
        np.testing.assert_allclose(line.T @ line / 400, expected)
        bent = ways.arc(x, y, at, 0.0)[0]
        c, s = np.cos(np.pi * t / 2), np.sin(np.pi * t / 2)
        expected = c**2 * sigma_x + s**2 * sigma_y + np.sin(np.pi * t) / 2 * (cross + cross.T)
        np.testing.assert_allclose(bent.T @ bent / 400, expected)


def test_an_arc_about_the_mean_keeps_the_mean_and_one_about_0_does_not():
    x = np.random.default_rng(0).normal(size=(50, 2)) + np.array([3.0, 0.0])
    y = x[::-1]
    half = np.array([0.5])
    np.testing.assert_allclose(ways.arc(x, y, half, x.mean(axis=0))[0].mean(axis=0), x.mean(axis=0))
    about_zero = ways.arc(x, y, half, 0.0)[0].mean(axis=0)
    np.testing.assert_allclose(about_zero, np.sqrt(2) * x.mean(axis=0))


@pytest.fixture
def pair():
    objective, weights = problem("relu", widths=[5, 7, 3])
    for _ in range(100):
        weights = weights - 0.3 * objective.gradient(weights)
    return objective, weights


def around(objective, rows):
    trained = xr.Dataset(
        {
            name: (("run", *(f"{name}{i}" for i in range(part.ndim - 1))), part.numpy())
            for name, part in objective.named(rows).items()
        }
    )
    results = Handmade({"all": {"model": objective.model}}, {"training": {"all": trained}})
    results.objective = lambda configuration: Landscape(objective)
    return results


def test_columns_of_a_network_joined_to_itself(pair):
    """Straight paths stay; an arc about the mean doubles the covariance at the middle, so it moves
    (referee's trap)."""
    objective, weights = pair
    rows = weights[[0, 0]]
    loss = Landscape(objective)
    seen, value = loss.observables(rows[:1].numpy()), loss.loss(rows[:1].numpy())[0]
    train, test = (float(seen[name][0]) for name in ("accuracy", "test_accuracy"))
    only = (-np.inf, np.inf)
    same = {"loss": value, "train": train, "test": test}
    expected = {
        "pairs": [1],
        "width": [7],
        "ends_train": [(train, *only)],
        "ends_test": [(test, *only)],
    }
    for way in module("low_loss_paths").WAYS:
        for measure, number in same.items():
            stays = way in ("linear", "linear_matched")
            # curve and chain are trained, and the adjustment is a ridge regression
            found = number if stays else Between(0, np.inf)
            expected[f"{way}_{measure}"] = [(found, *only)]
        expected[f"{way}_slope"] = [(np.nan, np.nan, np.nan)]  # one width
    expected |= {
        "arc_gain": [(Between(-1, 0), *only)],
        "matched_gain": [(Between(0, 1), *only)],
        "spread_linear": [(1.0, *only)],
        "spread_arc": [(2.0, *only)],
        "spread_linear_matched": [(1.0, *only)],
        "spread_arc_matched": [(2.0, *only)],
    }
    assert_columns(analysis("low_loss_paths", points=3, steps=1), around(objective, rows), expected)


def test_adjusted_outputs_are_nearest_to_the_interpolated_ones(pair):
    objective, weights = pair
    model, loss, t = objective.model, Landscape(objective), np.array([0.0, 0.5, 1.0])
    line = ways.linear(*weights[:2].numpy(), t)
    moved = module("low_loss_paths")._adjusted(loss, model, line, t)
    np.testing.assert_array_equal(moved[[0, 2]], line[[0, 2]])

    def outputs(flat):
        *_, found = model._sums(objective.named(torch.as_tensor(flat)), objective.data["inputs"])
        return found.numpy()

    wanted = (outputs(line[[0]]) + outputs(line[[2]])) / 2
    errors = [np.square(outputs(way[[1]]) - wanted).sum() for way in (line, moved)]
    assert errors[1] < 0.9 * errors[0]
    rows = np.random.default_rng(0).normal(size=(20, moved.shape[1]))
    rows[:, : 5 * 7 + 7] = 0  # only output weights and biases
    near = np.square(outputs(moved[1] + 1e-2 * rows) - wanted).sum(axis=(1, 2))
    assert (near > errors[1]).all()


def test_the_ridge_of_adjusted_outputs_is_relative_to_the_mean_square(pair, monkeypatch):
    """By least squares with one more row √λ for each output weight, λ half of Σx² over their
    number."""
    objective, weights = pair
    part, model, loss = module("low_loss_paths"), objective.model, Landscape(objective)
    monkeypatch.setattr(part, "RIDGE", 0.5)
    t = np.array([0.0, 0.5, 1.0])
    line = ways.linear(*weights[:2].numpy(), t)
    x, *ends = (
        part._features(model, loss.data["inputs"], neurons[:, :6])
        for neurons in ways.neurons(model, line)[0][[1, 0, 2]]
    )
    before, biases = ways.neurons(model, line)
    wanted = sum(
        features @ np.vstack([before[place, :, 6:], biases[place]]) / 2
        for place, features in zip((0, 2), ends, strict=True)
    )
    rows = np.sqrt(0.5 * (x**2).sum() / 8) * np.eye(8)
    longer = np.vstack([x, rows]), np.vstack([wanted, np.zeros((8, 3))])
    expected = np.linalg.lstsq(*longer, rcond=None)[0]
    after, biases = ways.neurons(model, part._adjusted(loss, model, line, t))
    np.testing.assert_allclose(np.vstack([after[1, :, 6:], biases[1]]), expected, atol=1e-12)


@pytest.mark.parametrize("block", [1, 2**26])
def test_ways_are_measured_as_their_networks_are(pair, monkeypatch, block):
    """By one product with the inputs for each known network, and network by network."""
    objective, weights = pair
    along, plugin = module("paths/_along"), analysis("low_loss_paths", points=5, steps=2)
    monkeypatch.setattr(along, "BLOCK_BYTES", block)
    loss, t = Landscape(objective), np.linspace(0, 1, 5)
    model = objective.model.model_copy(update={"weight_decay": 0.1})
    loss = Landscape(type(objective)(model, objective.data, objective.streams))
    networks, found = plugin._ways(loss, model, *weights[:2].numpy(), t)
    assert set(found) == set(module("low_loss_paths").WAYS)
    for name, seen in along.measured(model, loss.data, networks, found).items():
        flat = found[name].flat
        known = loss.observables(flat)
        expected = [loss.loss(flat), known["accuracy"], known["test_accuracy"]]
        np.testing.assert_allclose(seen, expected, rtol=1e-12, err_msg=name)


def test_networks_trained_in_single_precision_are_joined_in_double(pair):
    objective, weights = pair
    plugin = analysis("low_loss_paths", points=3, ways=["linear"])
    coarse = plugin.compute(around(objective, weights[:2].float()))
    found = plugin.compute(around(objective, weights[:2].float().double()))
    assert coarse["linear_loss"] == found["linear_loss"]


def test_only_the_ways_that_are_asked_for_are_columns(pair):
    objective, weights = pair
    plugin = analysis("low_loss_paths", points=3, ways=["arc", "linear"])
    found = plugin.compute(around(objective, weights[:2]))
    assert found["arc_gain"] == found["arc_train"] - found["linear_train"]
    assert np.isnan(found["matched_gain"])
    assert "bezier_loss" not in found


def test_trained_ways_are_better_than_straight_ones(pair):
    objective, weights = pair
    plugin = analysis("low_loss_paths", points=11, steps=80, rate=0.3)
    found = plugin.compute(around(objective, weights[:2]))
    assert found["bezier_loss"] < found["linear_loss"]
    assert found["chain_loss"] < found["linear_loss"]


def test_arcs_are_about_zero_or_the_mean_to_the_other_network_or_its_image(pair):
    """At the middle ½√2 of both ends, and what is left of the mean of all neurons."""
    objective, weights = pair
    model, loss = objective.model, Landscape(objective)
    one, other = weights[:2].numpy()
    t = np.array([0.0, 0.5, 1.0])
    _, found = analysis("low_loss_paths", ways=["arc"])._ways(loss, model, one, other, t)
    image, _ = module("paths/_pairs").matched(model, one, other)
    assert np.abs(image - other).max() > 0.1
    half, ends = np.sqrt(0.5), {"arc_zero": other, "arc": other, "arc_matched": image}
    (a, b), _ = ways.neurons(model, np.stack([one, other]))
    mean_ = np.concatenate([a, b]).mean(axis=0)
    for name, end in ends.items():
        (a, b), biases = ways.neurons(model, np.stack([one, end]))
        rest = 0 if name == "arc_zero" else (1 - 2 * half) * mean_
        middle = ways.flat_network((half * (a + b) + rest)[None], biases.mean(axis=0)[None], 5)
        np.testing.assert_allclose(found[name].flat[1], middle[0], atol=1e-12)
        np.testing.assert_allclose(found[name].flat[[0, 2]], [one, end], atol=1e-12)


def test_numbers_of_ways_by_hand():
    """Two pairs; (highest loss, lowest accuracies) of three ways, and spreads at three places."""
    part = module("low_loss_paths")
    seen = np.array([[1.0, 3, 2], [0.5, 0.4, 0.9], [0.2, 0.7, 0.1]])
    assert part._worst(seen) == [3, 0.4, 0.1]
    names = ["linear", "arc", "linear_matched"]
    worst = np.array([[[3, 0.4, 0.1], [2, 0.6, 0.2], [1, 0.8, 0.3]],
                      [[5, 0.2, 0.1], [2, 0.9, 0.4], [1, 0.7, 0.5]]])  # fmt: skip
    spreads = np.array([[1.0, 0.5, 1], [1, 2, 1], [1, 0.75, 1], [1, 1.5, 1]])
    found = {
        "worst": worst, "ends": [[0.9, 0.8], [0.7, 0.5]], "spread": [spreads, 3 * spreads],
    }  # fmt: skip
    row = part._row(found, names)
    expected = {"pairs": 2, "ends_train": mean([0.9, 0.7]), "ends_test": mean([0.8, 0.5])}
    for i, name in enumerate(names):
        for j, measure in enumerate(("loss", "train", "test")):
            expected[f"{name}_{measure}"] = mean(worst[:, i, j])
    for name, value in zip(part.SPREADS, (0.5, 2, 0.75, 1.5), strict=True):
        expected[f"spread_{name}"] = mean([value, 3 * value])
    expected["arc_gain"] = mean([0.2, 0.7])
    assert set(row) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(row[name], value, err_msg=name)


def test_free_networks_are_trained_with_momentum_at_the_middles_of_equal_parts():
    """L = w²/2 from 0 to 2, at the middle alone: 1, ½ and ½ − ½(0.8 + ½)."""
    part, asked = module("low_loss_paths"), []

    def chain(t):
        asked.append(t.tolist())
        return part._chain(t)

    loss = type("Loss", (), {"gradient": staticmethod(lambda way: way)})
    plugin = analysis("low_loss_paths", steps=2, nodes=1, rate=0.5)
    free = plugin._trained(loss, np.array([0.0]), np.array([2.0]), chain)
    assert free == pytest.approx([-0.15]) and asked == [[0.5]]
    # with two nodes at a quarter and three, whose parts are ½ each: ½·mean(½w, ½w + 1)
    plugin = analysis("low_loss_paths", steps=1, nodes=2, rate=1.0)
    free = plugin._trained(loss, np.array([0.0]), np.array([2.0]), chain)
    assert free == pytest.approx([1 - 0.5 * (0.5 + 1.5) / 2]) and asked[1] == [0.25, 0.75]


def test_slopes_and_spreads_over_configurations_and_the_balanced_gauge(pair):
    """Of two widths; a balanced network is joined as the trained one is after balancing."""
    objective, weights = pair
    other, first = problem("relu", widths=[5, 9, 3])
    results = around(objective, weights[:2])
    more = around(other, first[:2])
    both = Handmade(
        {"all": {"model": objective.model}, "more": {"model": other.model}},
        {
            "training": {
                "all": results.at("training", "all"),
                "more": more.at("training", "all"),
            }
        },
    )
    losses = {"all": Landscape(objective), "more": Landscape(other)}
    both.objective = lambda configuration: losses[configuration.label]
    plugin = analysis("low_loss_paths", points=5, ways=["linear", "arc"])
    found = plugin.compute(both)
    slopes = np.diff(np.log(found["linear_loss"].values)) / np.log(9 / 7)
    np.testing.assert_allclose(found["linear_slope"], [slopes[0]] * 2)
    assert found["width"].values.tolist() == [7, 9]
    ends = Landscape(objective).observables(weights[:2].numpy())
    for ending, name in (("train", "accuracy"), ("test", "test_accuracy")):
        np.testing.assert_allclose(found[f"ends_{ending}"][0], ends[name].mean())
    assert len(set(ends["accuracy"])) == 2
    assert found["spread"].shape == (2, 4, 5)
    np.testing.assert_allclose(found["spread"][0, 0, 2], found["spread_linear"][0])
    np.testing.assert_allclose(found["spread"][:, :, [0, -1]].mean("t"), 1)
    ensembles, biases = ways.neurons(objective.model, weights[:2].numpy())
    moved = ways.flat_network(ways.balanced(ensembles, 5), biases, 5)
    again = plugin.compute(around(objective, torch.as_tensor(moved)))
    plugin = analysis("low_loss_paths", points=5, ways=["linear", "arc"], gauge="balanced")
    gauged = plugin.compute(around(objective, weights[:2]))
    for name in ("linear_loss", "arc_loss", "spread_arc"):
        np.testing.assert_allclose(gauged[name], again[name], rtol=1e-9)
    assert abs(gauged["linear_loss"] - found["linear_loss"][0]).item() > 1e-6


def test_deep_networks_are_refused():
    objective, weights = problem()
    with pytest.raises(UserError, match="networks of one hidden layer are needed; all has 2"):
        analysis("low_loss_paths").compute(around(objective, weights))


def test_columns_of_gaussian_squeeze():
    plugin = analysis("gaussian_squeeze", draws=40_000)

    def about(value):  # four standard errors, value·√(2/80,000) each
        return [(Between(0.98 * value, 1.02 * value), *(Between(0.95 * value, 1.05 * value),) * 2)]

    assert_columns(
        plugin,
        Handmade(),
        {
            "linear_middle": about(0.5),
            "arc_middle": about(1.0),
            "linear_same": about(1.0),
            "arc_same": about(2.0),
            "curve_error": [Between(0, 5)],
        },
    )


def test_the_error_of_curves_is_in_standard_errors(monkeypatch):
    """Squares a tenth too large on the arc, whose mean is 1 with the standard error 1/200."""
    part = module("gaussian_squeeze")
    honest = part._arc
    monkeypatch.setattr(part, "_arc", lambda x, y, t: 1.1**0.5 * honest(x, y, t))
    found = analysis("gaussian_squeeze", draws=40_000).compute(Handmade())
    assert 15 < found["curve_error"].item() < 25


@pytest.mark.parametrize("shape", ["_bezier", "_chain"])
def test_trained_curves_are_mixtures_that_begin_and_end_at_the_networks(shape):
    t = np.linspace(0, 1, 9)
    parts = np.array(getattr(module("low_loss_paths"), shape)(t))
    np.testing.assert_allclose(parts.sum(axis=0), 1, atol=1e-15)
    assert (parts >= 0).all()
    np.testing.assert_array_equal(parts[:, [0, -1]], [[1, 0], [0, 0], [0, 1]])
    np.testing.assert_allclose(parts, parts[::-1, ::-1], atol=1e-15)
    assert parts[1, 4] == (0.5 if shape == "_bezier" else 1)
