"""Counts of operations by hand, gradients by other ways, and times where they belong."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from handmade import Between, Handmade, analysis, assert_columns
from studies import module

from nnflow.base.timing import timed


class Timed(Handmade):
    """Keeps what is measured."""

    def __init__(self):
        super().__init__()
        self.measured = []

    def measure(self, name, function, repeats=7, **numbers):
        self.measured.append((name, repeats, numbers))
        return function()


def by_hand(width, inputs, samples):
    """W, and operations of the loss, of loss and gradient, and of forward differences."""
    matrices = [(width, inputs), (width, width), (1, width)]
    products = [2 * samples * above * below for above, below in matrices]
    weights = sum(above * below + above for above, below in matrices)
    forward = sum(products)
    # each product once more for the weights and, but for the first, for what it was fed
    return weights, forward, 2 * forward + sum(products[1:]), (weights + 1) * forward


def test_columns_of_backprop_cost():
    results = Timed()
    plugin = analysis(
        "backprop_cost", widths=[3, 5, 9], most=5, timed=[3, 9], repeats=4, inputs=2, samples=7,
        depths=[1, 3], networks=5,
    )  # fmt: skip
    rows = np.array([by_hand(width, 2, 7) for width in (3, 5, 9)], dtype=float)
    weights, forward, backprop, differences = rows.T
    each = np.diff(np.log(backprop)) / np.diff(np.log(weights))
    steep = np.log(differences[1] / differences[0]) / np.log(weights[1] / weights[0])
    expected = {
        "backprop_slope": [(each[1], each.min(), each.max())],
        "difference_slope": [(steep, steep, steep)],
        "ratio_most": [(backprop / forward).max()],
        "forward_excess": [0],
        "backprop_excess": [0],
        "difference_excess": [0],
        "difference_error": [Between(1e-9, 1e-4)],
        "formula_error_most": [Between(1e-17, 1e-13)],
        "linear_error": [Between(1e-17, 1e-13)],
    }
    dataset = assert_columns(plugin, results, expected)
    np.testing.assert_array_equal(dataset["weights"], weights)
    np.testing.assert_array_equal(dataset["forward"], forward)
    np.testing.assert_array_equal(dataset["backprop"], backprop)
    np.testing.assert_array_equal(dataset["differences"], [*differences[:2], np.nan])
    assert dataset["formula_error"].shape == (3, 2)
    assert results.measured == [
        ("gradient", 4, {"weights": weights[0]}),
        ("differences", 4, {"weights": weights[0]}),
        ("gradient", 4, {"weights": weights[2]}),
    ]


def test_the_columns_hold_no_time():
    """The same numbers whether a call is timed or not."""
    plain, watched = Timed(), Timed()
    watched.measure = lambda name, function, repeats, **numbers: timed(function, repeats)[0]
    plugin = analysis("backprop_cost", widths=[2, 3], timed=[2], repeats=3, depths=[2], networks=2)
    assert plugin.compute(plain).identical(plugin.compute(watched))


def test_the_network_is_the_one_that_torch_makes():
    part = module("backprop_cost")
    net = part.Network.drawn(1, 4, 6, 9)
    layers = [torch.nn.Linear(4, 6), torch.nn.Linear(6, 6), torch.nn.Linear(6, 1)]
    other = torch.nn.Sequential(
        layers[0], torch.nn.Tanh(), layers[1], torch.nn.Tanh(), layers[2]
    ).double()
    torch.nn.utils.vector_to_parameters(net.weights, other.parameters())
    loss = torch.nn.functional.mse_loss(other(net.inputs[0]), net.targets[0]) / 2
    assert net.loss(net.weights[None])[0].item() == pytest.approx(loss.item(), rel=1e-13)
    exact = torch.autograd.grad(loss, list(other.parameters()))
    flat = torch.cat([one.flatten() for one in exact])
    torch.testing.assert_close(net.gradient(), flat, rtol=1e-12, atol=1e-15)
    torch.testing.assert_close(net.differences(1e-6), flat, rtol=0, atol=1e-5)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "identity"])
def test_slopes_of_the_activations(activation):
    value, slope = module("_layers").ACTIVATIONS[activation]
    z = torch.linspace(-3, 3, 8, dtype=torch.float64)
    beside = (value(z + 1e-6) - value(z - 1e-6)) / 2e-6
    torch.testing.assert_close(slope(z), beside, rtol=0, atol=1e-9)


def test_the_formula_with_a_wrong_slope_is_told(monkeypatch):
    part = module("_layers")
    value, slope = part.ACTIVATIONS["tanh"]
    monkeypatch.setitem(part.ACTIVATIONS, "tanh", (value, lambda z: 1.001 * slope(z)))
    plugin = analysis("backprop_cost", depths=[3], networks=3)
    assert plugin._formula(1).max() > 1e-4


def test_the_formula_of_linear_networks_by_differences():
    """Against central differences of ½ mean ‖W₂W₁x − f‖², which are exact for one entry."""
    layers, draw = module("_layers"), torch.Generator().manual_seed(0)
    first, second, x, f = (
        torch.randn(1, *shape, generator=draw, dtype=torch.float64)
        for shape in ((3, 4), (2, 3), (5, 4), (5, 2))
    )

    def loss(first, second):
        return ((x @ (second @ first).mT - f) ** 2).sum().item() / 10

    for place, found in enumerate(layers.linear_gradient([first, second], x, f)):
        for i, j in ((0, 0), (1, 2)):
            moved = torch.zeros_like((first, second)[place])
            moved[0, i, j] = 0.5
            ends = [
                loss(
                    *(m + sign * moved if k == place else m for k, m in enumerate((first, second)))
                )
                for sign in (1, -1)
            ]
            assert found[0, i, j].item() == pytest.approx(ends[0] - ends[1], rel=1e-12)


def test_a_wrong_formula_of_linear_networks_is_told(monkeypatch):
    part = module("backprop_cost")
    honest = part.linear_gradient
    monkeypatch.setattr(part, "linear_gradient", lambda *all: [2 * g for g in honest(*all)])
    assert analysis("backprop_cost", networks=3)._linear_error(1, 3) > 0.1


def test_one_wrong_entry_of_the_differences_is_told(monkeypatch):
    """By a tenth of the largest entry of the gradient."""
    part = module("backprop_cost")

    def wrong(net, step):
        found = net.gradient()
        found[3] += 0.1 * found.abs().max()
        return found

    monkeypatch.setattr(part.Network, "differences", wrong)
    assert analysis("backprop_cost")._counted(1, 8)["error"] == pytest.approx(0.1, rel=1e-12)


def test_dead_networks_have_the_gradient_0_in_both_ways():
    """Of 400 ReLU networks with five layers some are dead."""
    found = analysis("backprop_cost", depths=[5], networks=400, samples=2)._formula(1)
    assert np.isfinite(found).all() and found.max() < 1e-13


def test_slopes_of_powers():
    weights = np.array([10.0, 20, 40, 80])
    found = module("backprop_cost").slopes(weights, np.array([1.0, 2, 8, np.nan]))
    assert found == pytest.approx((2, 1, 2))
