"""Interchangeable neurons of modules, and the statistics that their batch norms keep."""

import numpy as np
import pytest
import torch
from networks import CHANNELS
from test_torch_module import CASES, model, problem

from nnflow.base.errors import UserError
from nnflow.checks.contract_tests import check_model
from nnflow.engine.landscape import Landscape


def without(axis, name):
    part = {key: place for key, place in CHANNELS[axis].items() if key != name}
    return {**CHANNELS, axis: part}


def orders_found(neurons):
    settings, data = CASES["resnet"]
    found = check_model(model(**settings, neurons=neurons), data)
    return {f.check: f.passed for f in found if f.check.startswith("interchangeable")}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_declared_channels_leave_the_loss_as_it_is(mode):
    settings, data = CASES["resnet"]
    made = model(**settings, mode=mode, neurons=CHANNELS)
    found = [f for f in check_model(made, data) if f.check.startswith("interchangeable")]
    assert len(found) == 2
    assert all(f.passed for f in found)


def test_a_declaration_that_forgets_a_weight_is_found():
    checks = orders_found(without("stream", "stem.bias"))
    assert checks["interchangeable: the same loss, stream"] is False
    assert checks["interchangeable: the same loss, hidden"] is True


@pytest.mark.parametrize(
    ("neurons", "words"),
    [
        ({"a": {"stemm.weight": 0}}, "neurons: a: there is no weight or buffer 'stemm.weight'"),
        ({"a": {"stem.bias": 1}}, "neurons: a: 'stem.bias' has 1 axes, counted from 0, and no"),
        ({"a": {"stem.bias": 0, "stem.weight": 1}}, "has 1 entries, and axis 0 of 'stem.bias' 3"),
    ],
)
def test_declarations_that_do_not_fit(neurons, words):
    settings, _ = CASES["resnet"]
    with pytest.raises(UserError) as error:
        model(**settings, neurons=neurons).dimensions()
    assert words in str(error.value)


def test_a_name_with_a_capital_is_refused():
    settings, _ = CASES["resnet"]
    with pytest.raises(ValueError, match="pattern"):
        model(**settings, neurons={"Hidden": {"stem.bias": 0}})


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_statistics_are_those_of_what_enters_the_norm(mode):
    objective, weights = problem("cnn" if mode == "eval" else "cnn in train mode")
    found = Landscape(objective.take([1])).statistics(weights[1].numpy())
    named = {name: part[1] for name, part in objective.named(weights).items()}
    before = torch.nn.functional.conv2d(
        objective.data["inputs"], named["conv.weight"], named["conv.bias"]
    )
    rows = before.movedim(1, 0).flatten(1)
    np.testing.assert_allclose(found["norm.running_mean"], rows.mean(1), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found["norm.running_var"], rows.var(1), rtol=1e-13)
    layer = objective.model.network.module.norm
    assert layer.momentum == 0.1
    assert layer.training == (mode == "train")


def test_dropout_does_not_disturb_the_statistics():
    module = torch.nn.Sequential(
        torch.nn.Dropout(0.5), torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU()
    ).double()
    made = model(target="torch.nn:Module", loss="cross_entropy").of(module.eval(), "cross_entropy")
    inputs = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(5, 4)
    weights = {name: torch.as_tensor(values) for name, values in made.present().items()}
    found = made.statistics(weights, {"inputs": inputs, "targets": torch.arange(5) % 3})
    torch.testing.assert_close(found["2.running_mean"][0], module[1](inputs).mean(0).detach())


def test_a_module_without_batch_norm_keeps_none():
    objective, weights = problem("tied")
    assert Landscape(objective).statistics(weights[0].numpy()) is None


def test_a_loss_that_keeps_buffers_is_that_of_the_module_in_eval_mode():
    objective, weights = problem("cnn in train mode")
    landscape, point = Landscape(objective.take([2])), weights[2].numpy()
    buffers = landscape.statistics(point)
    module = objective.model._built(0).eval()
    named = {name: part[2] for name, part in objective.named(weights).items()}
    state = {**named, **{name: torch.as_tensor(values) for name, values in buffers.items()}}
    outputs = torch.func.functional_call(module, state, (objective.data["inputs"],))
    expected = float(torch.nn.functional.cross_entropy(outputs, objective.data["targets"]))
    assert landscape.keeping(buffers).loss(point)[0] == pytest.approx(expected, rel=1e-13)
    assert abs(landscape.loss(point)[0] - expected) > 1e-4  # biased variances in train mode
    other = {**buffers, "norm.running_mean": buffers["norm.running_mean"] + 1}
    assert abs(landscape.keeping(other).loss(point)[0] - expected) > 1e-4


def test_the_model_of_a_module_that_is_there_reads_its_buffers_too():
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).double().train()
    made = model(target="torch.nn:Module", loss="cross_entropy").of(module, "cross_entropy")
    other = made.reading()
    assert (made.mode, other.mode) == ("train", "eval")
    assert not other.network.module.training
    assert made.network.module.training
    assert other.reading() is other


def test_the_module_of_a_built_in_study_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = model(target="normed_networks:Normed", loss="cross_entropy", settings={"width": 3})
    assert made.shapes()["first.weight"] == (3, 64)
