"""Backpropagated errors against automatic differentiation and exact means."""

import math

import numpy as np
import pytest
import torch
from handmade import Between, Handmade, analysis, assert_columns
from pydantic import ValidationError
from studies import AGREE, assert_drawn, complete, module, verdicts
from wide_networks import propagation

from nnflow import mean
from nnflow.study.loading import load_study, study_file

TANH = {"activation": "tanh", "weight_variance": 1.69, "bias_variance": 0.09}


class Recorder:
    """A generator that keeps what it drew."""

    def __init__(self, seed):
        self.generator, self.drawn = np.random.default_rng(seed), []

    def standard_normal(self, shape):
        self.drawn.append(self.generator.standard_normal(shape))
        return self.drawn[-1]


def test_errors_are_gradients_of_automatic_differentiation():
    maps, width, depth = propagation("tanh", 1.69, 0.09), 6, 4
    recorder = Recorder(0)
    found = module("_backward").backpropagated(maps, recorder, width, depth, 1, 0.6)[0]
    first, *rest, last = (torch.as_tensor(x[0]) for x in recorder.drawn)
    z = [(0.6**0.5 * first).requires_grad_(True)]
    for matrix, bias in zip(rest[::2], rest[1::2], strict=True):
        z.append((1.69 / width) ** 0.5 * matrix @ torch.tanh(z[-1]) + 0.3 * bias)
    gradients = torch.autograd.grad(z[-1] @ last, z)
    squares = np.array([float((g**2).sum()) for g in gradients])
    np.testing.assert_allclose(found, squares / squares[-1], rtol=1e-12)


def test_one_layer_back_has_the_mean_chi1():
    """One step through independent matrices: E = α_w² E σ'², exactly at every width."""
    maps = propagation("tanh", 1.69, 0.09)
    q = 0.6070467919093
    for tied in (True, False):
        found = module("_backward").backpropagated(
            maps, np.random.default_rng(1), 8, 2, 40_000, q, tied
        )[:, 0]
        error = found.std() / np.sqrt(len(found))
        assert abs(found.mean() - 0.9398074286822) < 4 * error


def test_critical_relu_keeps_the_mean_and_loses_the_logarithm():
    """E ‖δ₁‖² = ‖δ_K‖²; E ln falls by about 5/(2n) a layer."""
    maps = propagation("relu", 2, 0)
    found = module("_backward").backpropagated(maps, np.random.default_rng(2), 25, 6, 4000, 1.0)
    assert abs(found[:, 0].mean() - 1) < 4 * found[:, 0].std() / np.sqrt(4000)
    log = np.log(found[:, 0])
    assert log.mean() / (5 * 5 / (2 * 25)) == pytest.approx(-1, abs=0.35)
    assert (found[:, -1] == 1).all()


def test_widths_need_not_be_equal():
    """‖δ_k‖² = χ₁‖δ_{k+1}‖² on average with weights of variance α_w²/d_k, widths 60 and 30."""
    maps, q, random = propagation("tanh", 1.69, 0.09), 0.6070467919093, np.random.default_rng(3)
    widths, runs = [60, 30, 60, 30, 60], 20_000
    layers = module("_fully_connected").random_layers(
        random, maps.moments.sigma, widths, runs, 1.69, 0.09
    )
    start = np.sqrt(q) * random.standard_normal((runs, 1, widths[0]))
    values = [start]
    for weight, bias, scale in zip(
        layers.weights, layers.biases, layers.weight_scales, strict=True
    ):
        sums = scale * np.tanh(values[-1]) @ weight.mT + layers.bias_scale * bias[:, None]
        values.append(sums)
    delta = random.standard_normal(values[-1].shape)
    last = (delta**2).sum(axis=(1, 2))
    for place in range(len(layers.weights) - 1, -1, -1):
        back = layers.weight_scales[place] * delta @ layers.weights[place]
        delta = back * (1 - np.tanh(values[place]) ** 2)
    ratio = (delta**2).sum(axis=(1, 2)) / last
    error = ratio.std() / np.sqrt(runs)
    assert abs(ratio.mean() - 0.9398074286822**4) < 4 * error + 0.01  # lengths drift by 1/n
    assert error < 0.01


def test_columns_of_gradient_propagation():
    wide = {**TANH, "weight_variance": 6.25}
    # χ₁ = 1 leads neither way
    even = {"activation": {"name": "relu"}, "weight_variance": 2.0, "bias_variance": 0.0}
    plugin = analysis("gradient_propagation", networks=[TANH, wide, even], width=40, depth=5,
                      runs=200)  # fmt: skip
    near = (Between(0.9, 1.1), Between(0.8, 1.05), Between(0.95, 1.2))
    log = (Between(0.75, 1.05), Between(0.7, 1.0), Between(0.75, 1.1))
    expected = {"towards_input": [2], "tried": [2]}
    for place in (0, 1, 2):
        expected |= {
            f"factor_{place}": [near],
            f"log_factor_{place}": [log],
            f"tied_{place}": [(Between(0.6, 1.6), Between(0.3, 1.1), Between(0.9, 2.5))],
        }
    dataset = assert_columns(plugin, Handmade(), expected)
    np.testing.assert_allclose(dataset["limit"][0, 0], dataset["chi1"][0] ** 4)
    assert (dataset["median"][:, 0] < dataset["mean"][:, 0]).all()


TIED = np.array([[0.25, 0.5, 1.0], [1.0, 0.5, 1.0]])
FREE = np.array([[0.5, 0.5, 1.0], [1.5, 0.7, 1.0]])


def test_growth_a_layer_by_hand():
    """Two runs, two layers back, χ₁ = ½: the mean .625 and the mean logarithm of ½ over ½, and
    .625 over the mean 1 of independent matrices."""
    plugin = analysis("gradient_propagation", networks=[TANH], depth=3)
    found = plugin._columns(7, TIED, FREE, 0.5)
    first = mean(TIED[:, 0])
    assert found["factor_7"] == pytest.approx(
        tuple(math.sqrt(max(end, 1e-300)) / 0.5 for end in first)
    )
    logs = mean(np.log(TIED[:, 0]))
    assert found["log_factor_7"] == pytest.approx(tuple(math.exp(end / 2) / 0.5 for end in logs))
    # 1.96 is not it: intervals are at 99 %; variances .28125 and .5 of two runs each
    half = 2.5758293 * math.sqrt(0.28125 / 0.625**2 / 2 + 0.5 / 1 / 2)
    assert found["tied_7"] == pytest.approx(
        (0.625, 0.625 * math.exp(-half), 0.625 * math.exp(half))
    )


def test_arrays_of_gradient_propagation_by_hand():
    plugin = analysis("gradient_propagation", networks=[TANH], depth=3)
    found = plugin._described(TIED, FREE, 0.5)
    for name, place in (("mean", 0), ("mean_low", 1), ("mean_high", 2)):
        assert found[name].values.tolist() == [mean(column)[place] for column in TIED.T]
    three = plugin._described(np.concatenate([TIED, TIED[:1]]), FREE, 0.5)
    assert three["median"].values.tolist() == [0.25, 0.5, 1]
    assert found["mean_log"].values == pytest.approx([0.5, 0.5, 1])
    assert found["independent"].values == pytest.approx([1, 0.6, 1])
    assert found["limit"].values.tolist() == [0.25, 0.5, 1]


def test_directions_that_contradict_chi1_are_counted(monkeypatch):
    """χ₁ < 1 and twice > 1, with gradients that vanish, grow and vanish from the last layer to the
    first, whatever they do between; and χ₁ = 1, which says nothing."""
    part, asked = module("gradient_propagation"), []
    vanishing = np.array([[0.25, 2.0, 1.0], [1.0, 2.0, 1.0]])
    growing = np.array([[2.0, 0.5, 1.0], [1.0, 0.5, 1.0]])

    def drawn(maps, generator, width, depth, runs, q, tied):
        asked.append((width, depth, runs, q, tied, generator.random()))
        each = (vanishing, growing, vanishing, growing)
        return each[(len(asked) - 1) // 2] if tied else FREE

    monkeypatch.setattr(part, "backpropagated", drawn)
    wide, wider = ({**TANH, "weight_variance": variance} for variance in (6.25, 9.0))
    even = {"activation": {"name": "relu"}, "weight_variance": 2.0, "bias_variance": 0.0}
    results, seen = Handmade(), []
    results.progress = lambda done, total, detail: seen.append((done, total))
    found = analysis(
        "gradient_propagation", networks=[TANH, wide, wider, even], width=40, depth=3, runs=20
    ).compute(results)
    assert (found["towards_input"].item(), found["tried"].item()) == (2, 3)
    assert [call[:3] for call in asked] == [(40, 3, 20)] * 8
    assert [call[4] for call in asked] == [True, False] * 4
    assert asked[0][3] == pytest.approx(0.6070467919093)
    assert asked[6][3] == 1  # any length is a fixed point
    assert len({call[5] for call in asked}) == 8  # numbers of their own
    assert seen == [(done, 4) for done in range(4)]
    assert found["layer"].values.tolist() == [1, 2, 3]
    np.testing.assert_allclose(found["chi1"][3], 1)


def test_bad_input():
    with pytest.raises(ValidationError, match="greater than 0"):
        analysis("gradient_propagation", networks=[TANH], width=0)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("gradient_propagation", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("gradient"))


def test_every_claim_holds(done):
    found = verdicts(done)
    assert set(found.values()) <= AGREE, found


def test_figures_show_data(done):
    assert_drawn(done.folder, ("gradient_propagation", "trainability"))
