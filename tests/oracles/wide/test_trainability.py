"""Trainable depths on accuracies made by hand, and training against automatic differentiation."""

import numpy as np
import pytest
import torch
from handmade import Between, Handmade, analysis, assert_columns
from pydantic import ValidationError
from studies import module
from wide_networks import activation

from nnflow import UserError

DIGITS = {"name": "digits", "scaling": "standard"}
DEPTHS = np.array([4.0, 8, 16, 32])


def test_depths_are_where_accuracies_fall_through_the_level():
    found = module("_trainability").trainable_depths
    accuracy = np.array([[0.9, 0.9, 0.4, 0.9], [0.9, 0.7, 0.3, 0.9], [0.6, 0.3, 0.2, 0.9],
                         [0.4, 0.2, 0.1, 0.6]])  # fmt: skip
    depths = found(DEPTHS, accuracy, 0.5)
    assert depths[0] == pytest.approx(16 * np.sqrt(2))
    assert depths[1] == pytest.approx(8 * np.sqrt(2))
    assert np.isnan(depths[2]) and np.isnan(depths[3])  # below from the start; never below


def test_the_line_is_found_with_its_interval():
    """1/depth = 1/(6ξ) + 1/40: exactly, with noise, and where the factor can't be told."""
    fitted, scales = module("_trainability").fitted_line, np.geomspace(2, 1e9, 12)
    depths = 1 / (1 / (6 * scales) + 1 / 40)
    factor, limit = fitted(depths, scales)
    assert factor == pytest.approx((6, 6, 6)) and limit == pytest.approx((40, 40, 40))
    random, hits = np.random.default_rng(0), 0
    for _ in range(200):
        noisy = 1 / (1 / depths + 0.003 * random.standard_normal(12))
        factor, _ = fitted(noisy, scales)
        assert factor[1] <= factor[0] <= factor[2]
        hits += factor[1] <= 6 <= factor[2]
    assert hits >= 190  # of 200 intervals at 99 %
    factor, _ = fitted(np.full(12, 20.0) + random.standard_normal(12), scales)
    assert factor[2] == np.inf  # depths that do not depend on ξ_c
    assert np.isnan(fitted(np.array([5, np.nan, np.nan]), scales[:3])[0][0])


def test_training_is_descent_on_the_cross_entropy():
    """Two steps of two networks, each with its own α_w², by automatic differentiation."""
    part, random = module("_trainability"), np.random.default_rng(5)
    sigma = module("_nonlinearity").nonlinearity(activation("tanh"))
    inputs, targets = random.standard_normal((40, 6)), random.integers(0, 10, 40)
    variances = np.array([0.5, 3.0])
    given = sigma, np.random.default_rng(6), (inputs, targets), [6, 5, 10], variances, 0.05
    found = part.accuracies(*given, 0.3, 8, [0, 2])
    again = np.random.default_rng(6)
    layers = module("_fully_connected").random_layers(
        again, sigma, [6, 5, 10], 2, variances, 0.05, True
    )
    weights = [torch.as_tensor(w.copy()).requires_grad_(True)
               for w in (*layers.weights, *layers.biases)]  # fmt: skip

    def outputs(x):
        hidden = torch.tanh(torch.as_tensor(x) @ weights[0].mT + weights[2][:, None])
        return hidden @ weights[1].mT + weights[3][:, None]

    expected = []
    for _ in range(3):
        right = outputs(inputs).argmax(-1) == torch.as_tensor(targets)
        expected.append(right.double().mean(1).numpy())
        rows = again.integers(0, 40, 8)
        f, y = outputs(inputs[rows]), torch.as_tensor(targets[rows])
        loss = sum(torch.nn.functional.cross_entropy(one, y) for one in f)
        for w, g in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            w.data -= 0.3 * g
    np.testing.assert_array_equal(found, [expected[0], expected[2]])
    ratio = layers.weights[0][1].std() / layers.weights[0][0].std()
    assert ratio == pytest.approx(np.sqrt(6), rel=0.3)


def test_columns_of_trainability():
    plugin = analysis(
        "trainability", activation="tanh", dataset=DIGITS, depths=[3, 9, 27],
        weight_variances=[0.7, 1.0, 1.761, 4], width=24, rate=0.1, marks=[20, 60],
    )  # fmt: skip
    factor = (Between(0.5, 50), Between(0.1, 20), Between(1, np.inf))
    expected = {
        "depth_factor": [factor], "depth_factor_early": [factor], "depth_limit": [factor],
        "factor_growth": [(Between(0.1, 50), Between(0, 10), Between(0.5, np.inf))],
        "depths_found": [Between(3, 4)],
        "critical_weight_variance": [pytest.approx(1.760954639607, abs=5e-13)],
        "deepest_weight_variance": [1.761], "first_accuracy": [Between(0.5, 1)],
    }  # fmt: skip
    dataset = assert_columns(plugin, Handmade(), expected)
    last = dataset["accuracy"].isel(mark=-1)
    assert float(last[0].min()) > 0.5 > float(last[-1].max())  # shallow ones train, deep ones not
    at = dataset["curve_weight_variance"].values
    np.testing.assert_allclose(dataset["xi_c"][[0, -1]], dataset["curve_xi_c"][[0, -1]], rtol=1e-9)
    assert at[0] == 0.7 and at[-1] == 4


def test_a_network_without_a_depth_scale_is_named():
    plugin = analysis("trainability", activation="relu", dataset=DIGITS, depths=[1, 2],
                      weight_variances=[1, 2, 3], marks=[1, 2], width=4)  # fmt: skip
    with pytest.raises(UserError, match=r"^trainability: at the weight variance 2 lengths have no"):
        plugin.compute(Handmade())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"depths": [4, 4]}, "must rise"), ({"width": 0}, "greater than 0"),
     ({"weight_variances": [1, 2]}, "at least 3"), ({"rate": -1}, "greater than 0")],
)  # fmt: skip
def test_bad_input(wrong, message):
    settings = {"activation": "tanh", "dataset": DIGITS, "depths": [2, 4], "marks": [1, 2],
                "weight_variances": [1, 2, 3]}  # fmt: skip
    with pytest.raises(ValidationError, match=message):
        analysis("trainability", **{**settings, **wrong})
