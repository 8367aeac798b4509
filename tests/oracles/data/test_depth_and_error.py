"""Depth and error: the convolutional model against torch's own, the columns and the study."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from pydantic import ValidationError
from studies import AGREE, assert_drawn, complete, verdicts
from torch.nn import functional

from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

NET = {"activation": "relu", "loss_function": "cross_entropy"}


def network(**settings):
    return registry().get("models", "small_convolution")(**NET, **settings)


def some(model, runs, samples, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(runs, *shape, generator=generator, dtype=torch.float64)
        for name, shape in model.shapes().items()
    }
    inputs = torch.rand(samples, model.side**2, generator=generator, dtype=torch.float64)
    return weights, {"inputs": inputs, "targets": torch.arange(samples) % model.classes}


def by_torch(model, weights, inputs):
    """The same network of one run by torch's convolution and pooling."""
    values = inputs.reshape(-1, 1, model.side, model.side)
    for layer in range(1, len(model.channels) + 1):
        values = functional.conv2d(values, weights[f"k{layer}"], weights[f"b{layer}"])
        values = torch.relu(functional.max_pool2d(values, 2))
    return values.flatten(1) @ weights["w"].T + weights["b"]


@pytest.mark.parametrize(
    "settings",
    [
        {"side": 8, "channels": [3]},
        {"side": 9, "channels": [2, 3], "window": 2},
        {"side": 28, "channels": [2, 4], "window": 5, "classes": 3},
    ],
)
def test_it_is_the_network_of_torch(settings):
    model = network(**settings)
    weights, data = some(model, 3, 7)
    outputs = model.outputs(weights, data["inputs"])
    for run in range(3):
        one = {name: w[run].clone().requires_grad_() for name, w in weights.items()}
        expected = by_torch(model, one, data["inputs"])
        torch.testing.assert_close(outputs[run], expected, rtol=1e-11, atol=1e-11)
        loss = functional.cross_entropy(expected, data["targets"])
        torch.testing.assert_close(model.loss(weights, data)[run], loss, rtol=1e-12, atol=0)
        loss.backward()
        for name, gradient in model.gradient(weights, data).items():
            torch.testing.assert_close(gradient[run], one[name].grad, rtol=1e-9, atol=1e-10)


def test_blocks_change_nothing_and_minibatches_are_of_each_run(monkeypatch):
    model = network(side=8, channels=[3])
    weights, data = some(model, 2, 50)
    data |= {"test_inputs": data["inputs"][:9], "test_targets": data["targets"][:9]}
    module = __import__("sys").modules[type(model).__module__]
    found = []
    for size in (2**26, 8 * 64 * 9 * 7):
        monkeypatch.setattr(module, "BLOCK_BYTES", size)
        found.append([model.loss(weights, data), *model.gradient(weights, data).values()])
        found[-1] += model.observables(weights, data).values()
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-13)
    right = model.outputs(weights, data["inputs"]).argmax(-1) == data["targets"]
    observed = model.observables(weights, data)
    torch.testing.assert_close(observed["accuracy"], right.double().mean(1))
    torch.testing.assert_close(observed["test_accuracy"], right[:, :9].double().mean(1))
    held = {"inputs": data["test_inputs"], "targets": data["test_targets"]}
    torch.testing.assert_close(observed["test_loss"], model.loss(weights, held))
    rows = torch.tensor([[0, 1, 2, 3], [4, 5, 6, 7]])
    part = Objective(model, data, streams=None).minibatch(rows)
    losses = model.loss(weights, part.data)
    for run in range(2):
        chosen = {name: data[name][rows[run]] for name in ("inputs", "targets")}
        torch.testing.assert_close(losses[run], model.loss(weights, chosen)[run])


def test_images_that_are_too_small_are_refused():
    with pytest.raises(ValidationError, match="side: images of 8 pixels are too small for 3"):
        network(side=8, channels=[2, 2, 2])


def test_columns_of_depth_and_error():
    def trained(test, train):
        traces = {"trace_test_accuracy": test, "trace_accuracy": train}
        return xr.Dataset(
            {
                name: (("run", "trace_step"), [[0.1, v] for v in values])
                for name, values in traces.items()
            },
            {"trace_step": [0, 5]},
        )

    mlp = registry().get("models", "mlp")(widths=[4, 3, 2], **NET)
    settings = {
        "mlp": {"model": mlp},
        "convolution": {"model": network(side=4, channels=[2], classes=3)},
    }
    datasets = {
        "mlp": trained([0.9, 0.8, 0.7], [1, 1, 1]),
        "convolution": trained([0.5, 0.5, 0.5], [0.75, 0.85, 0.8]),
    }
    half = 9.924843 * 10 / np.sqrt(3)  # Student's quantile of two degrees of freedom
    near = 1e-4
    expected = {
        "runs": [3, 3],
        "weights": [4 * 3 + 3 + 3 * 2 + 2, 2 * 9 + 2 + 3 * 2 + 3],
        "test_error": [
            (
                20,
                Between(20 - half - near, 20 - half + near),
                Between(20 + half - near, 20 + half + near),
            ),
            (50, 50, 50),
        ],
        "train_error": [(0, 0, 0), (20, Between(-10, 0), Between(40, 60))],
    }
    handmade = Handmade(settings, {"training": datasets})
    assert_columns(analysis("depth_and_error"), handmade, expected)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with fewer runs."""
    study = load_study(study_file("depth_and_error", root / "config/studies"))
    few = tuple(
        dataclasses.replace(one, settings=one.settings.model_copy(update={"runs": 6}))
        for one in study.configurations
    )
    return complete(
        dataclasses.replace(study, configurations=few), tmp_path_factory.mktemp("depth")
    )


def test_no_claim_differs(done):
    """Two and four hidden layers can't be told apart by so few runs."""
    found = verdicts(done)
    assert set(found.values()) <= AGREE | {"undecided", "not_measured"}, found
    assert {v for claim, v in found.items() if claim.startswith("hidden_layers_help")} <= AGREE


def test_figure_is_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)


def test_images_of_another_side_are_refused():
    """Sides of 8 and 9 lead to weights of the same shapes."""
    model = registry().get("models", "small_convolution")(
        activation="relu", loss_function="cross_entropy", channels=[2], side=9
    )
    weights = {n: torch.ones(1, *shape, dtype=torch.float64) for n, shape in model.shapes().items()}
    with pytest.raises(ValueError, match="side: 9 by 9 pixels, but the dataset gives 64 numbers"):
        model.outputs(weights, torch.zeros(3, 64, dtype=torch.float64))
