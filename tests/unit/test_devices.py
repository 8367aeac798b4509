"""Every path works where the weights are not on the CPU, and gives what the CPU gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from offdevice import AWAY, Pretended, WrongDevice, there

from nnflow.base.streams import Streams
from nnflow.checks.contract_tests import LeastSquares
from nnflow.checks.plugin_report import SAMPLES, _from_studies, _with_defaults
from nnflow.engine.basin import inside_basin
from nnflow.engine.constrained import OnFace, judge
from nnflow.engine.objective import Objective
from nnflow.engine.polish import polish
from nnflow.engine.training import train
from nnflow.interfaces import Model, Optimizer
from nnflow.interfaces.constraints import Ball, Box, Halfspaces, Simplex
from nnflow.interfaces.registry import registry
from nnflow.stages.runtime_contract import check_training
from nnflow.study.stage_settings import Classify, Stop, Trace
from nnflow.workflow import warm

RUNS = 3
ROOT = Path(__file__).resolve().parents[2]
SUBJECTS = {
    f"{plugin.kind}/{plugin.name}": subject
    for plugin, subject in _from_studies(ROOT / "config/studies")[0].items()
    if issubclass(plugin, Model | Optimizer)
}
for _name, _plugin in registry().plugins["optimizers"].items():
    if (_subject := _with_defaults(_plugin)) is not None:
        SUBJECTS.setdefault(f"optimizers/{_name}", _subject)


SETS = {
    "box": Box((-0.5, 0.0, -9.0), (0.5, 0.25, 9.0)),
    "ball": Ball((0.5, 0.0, 0.0), 0.5),
    "simplex": Simplex(3),
    "polyhedron": Halfspaces(((1.0, 1.0, 0.0), (0.0, -1.0, 1.0)), (0.25, 0.5)),
}


def objectives(model, arrays, held=None):
    """The model's objective here and on the pretended device, on a convex set."""
    streams = Streams(0, "device", np.arange(RUNS), "train")
    data = {name: torch.as_tensor(array) for name, array in arrays.items()}
    away = {name: there(array) for name, array in data.items()}
    first = model.initial(streams) if model.buffers() else {}
    buffers = {name: torch.as_tensor(first[name]) for name in model.buffers()}
    moved = {name: there(values) for name, values in buffers.items()}
    return tuple(
        Objective(model, part, streams, None, held, buffers=own)
        for part, own in ((data, buffers), (away, moved))
    )


def weights_of(model):
    size = sum(int(np.prod(shape)) for shape in model.shapes().values())
    drawn = Streams(1, "device", np.arange(RUNS), "weights").normal(size)
    return torch.as_tensor(drawn) / max(1, size) ** 0.25


def same(found, expected):
    assert found.device == AWAY
    inner = found.inner
    assert inner.dtype == expected.dtype
    assert torch.equal(inner, expected) or torch.allclose(inner, expected, rtol=1e-12, atol=1e-14)


def test_the_pretended_device_knows_what_a_gpu_refuses():
    here = torch.ones(3, dtype=torch.float64)
    with Pretended():
        away = there(here)
        assert (away + 1 + torch.tensor(1.0)).inner.tolist() == [3, 3, 3]
        assert away[torch.tensor([0])].cpu().numpy().tolist() == [1]
        assert torch.zeros(2, device=away.device).device == AWAY
        assert float(away.sum()) == 3 and bool((away > 0).all())
        with pytest.raises(WrongDevice):
            away + here
        with pytest.raises(WrongDevice):
            away + torch.zeros(3)
        with pytest.raises(WrongDevice):
            here[torch.zeros(1, dtype=torch.int64, device=AWAY)]
        with pytest.raises(WrongDevice):
            away.numpy()


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name.startswith("models")])
def test_models(name):
    subject = SUBJECTS[name]
    dataset = subject.settings and subject.settings.dataset
    arrays = dataset.load(Path()) if dataset else {}
    model = subject.plugin
    here, away = objectives(model, {n: a[:SAMPLES] for n, a in arrays.items()})
    weights = weights_of(model)
    with Pretended():
        moved = there(weights)
        for method in ("loss", "gradient", "smooth"):
            same(getattr(away, method)(moved), getattr(here, method)(weights))
        same(away.hessian_vector(moved)(moved), here.hessian_vector(weights)(weights))
        if weights.shape[1] <= 200:
            same(away.hessian(moved), here.hessian(weights))
            polish(away, moved, 1.0).cpu()
        named, plain = away.named(moved), here.named(weights)
        radius = torch.ones(RUNS, dtype=torch.float64)
        for found, expected in (
            (model.invariants(named), model.invariants(plain)),
            (
                model.third_derivative_bound(named, there(radius)),
                model.third_derivative_bound(plain, radius),
            ),
        ):
            assert (found is None) == (expected is None)
            if expected is not None:
                same(found, expected)
        kinked = model.kinks(plain, here.data, 1e-3)
        if kinked is not None:
            for one, other in zip(model.kinks(named, away.data, 1e-3), kinked, strict=True):
                assert (one is None) == (other is None)
                if other is not None:
                    np.testing.assert_allclose(one.normals, other.normals, atol=1e-12)
        for method, arguments in (("canonical", ()), ("observables", ("data",))):
            found = getattr(model, method)(named, *(away.data for _ in arguments))
            expected = getattr(model, method)(plain, *(here.data for _ in arguments))
            for key, values in expected.items():
                same(found[key], values)


@pytest.mark.parametrize("name", [name for name in SUBJECTS if name.startswith("optimizers")])
def test_optimizers(name):
    optimizer = SUBJECTS[name].plugin
    draw = Streams(2, "device", np.arange(512), "data").normal(4)
    held = SETS["simplex"] if optimizer.keeps_constraints else None
    here, away = objectives(LeastSquares(), {"inputs": draw[:, :3], "targets": draw[:, 3]}, held)
    weights = weights_of(here.model)
    stop, trace = Stop(steps=30, check_every=7), Trace()
    expected = train(here, optimizer, weights, stop, trace)
    with Pretended():
        check_training(away, optimizer, there(weights))
        found = train(away, optimizer, there(weights), stop, trace)
        same(found.weights, expected.weights)
    np.testing.assert_array_equal(found.status, expected.status)
    np.testing.assert_allclose(found.trace["loss"], expected.trace["loss"], rtol=1e-12)


@pytest.mark.parametrize("name", SETS)
def test_convex_sets(name):
    draw = Streams(2, "device", np.arange(512), "data").normal(4)
    arrays = {"inputs": draw[:, :3], "targets": draw[:, 3]}
    here, away = objectives(LeastSquares(), arrays, SETS[name])
    weights = here.retract(weights_of(here.model))

    def judged(objective, start):
        ends = polish(OnFace(objective), start, 1.0)
        residual = torch.linalg.vector_norm(objective.stationarity(ends), dim=1)
        smooth = objective.smooth(ends)
        return judge(objective, ends, Classify(), residual.cpu().numpy(), smooth.cpu().numpy())

    expected = judged(here, weights)
    with Pretended():
        moved = there(weights)
        same(away.retract(3 * moved), here.retract(3 * weights))
        same(away.stationarity(moved), here.stationarity(weights))
        if name in ("ball", "simplex"):
            same(SETS[name].extreme(moved), SETS[name].extreme(weights))
        found = judged(away, moved)
    for column, values in expected.items():
        np.testing.assert_allclose(found[column], values, atol=1e-12)


def test_the_basin_rule():
    subject = SUBJECTS["models/relu_teacher_student"]
    here, away = objectives(subject.plugin, {})
    weights = weights_of(here.model)
    stop = Stop(gradient_norm=1e-6, basin=True, steps=600, halvings=1)
    descent = SUBJECTS["optimizers/gradient_descent"].plugin
    expected = train(here, descent, weights, stop, Trace())
    rate = torch.full((RUNS,), 0.01, dtype=torch.float64)
    with Pretended():
        found = train(away, descent, there(weights), stop, Trace())
        inside_basin(away, there(weights), there(rate)).cpu()
    np.testing.assert_array_equal(found.stopped_by, expected.stopped_by)


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["train", "bowl"], False),
        (["train", "bowl", "--gpus", "0"], False),
        (["train", "bowl", "--gpus", "1", "--batch", "0"], True),
    ],
)
def test_the_warm_process_knows_who_asks_for_a_gpu(words, asked):
    assert warm._gpus(words) == asked
