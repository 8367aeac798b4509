"""Shallow networks with one input: kinds of ends on hand-made runs, and levels of the loss."""

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import assert_drawn, complete, module, verdicts

from nnflow import Streams, share
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

X = np.linspace(-1, 1, 41)
STEPS = np.array([0, 1, 10, 100, 1000])


@pytest.fixture
def plugin():
    return module("shallow_ends")


def weights():
    """Five networks of two neurons: |x|; one kink at 0 (one neuron dead); both dead; a full one
    and a dead one, so that f is affine; and one kink elsewhere."""
    w1 = [[1, -1], [1, 1], [1, 1], [0.5, 1], [1, 1]]
    b1 = [[0, 0], [0, -9], [-9, -9], [2, -9], [-0.3, -9]]
    w2 = [[1, 1], [1, 1], [1, 1], [0, 1], [0.2, 1]]
    b2 = [0, 0, 0.5, 0.5, 0.4]
    return (np.array(part, dtype=float) for part in (w1, b1, w2, b2))


def trained():
    """Their ends: global, moving, stuck, flat, unbounded."""
    w1, b1, w2, b2 = weights()
    x = np.maximum(w1[:, :, None] * X + b1[:, :, None], 0)
    loss = (((w2[:, :, None] * x).sum(axis=1) + b2[:, None] - np.abs(X)) ** 2).mean(axis=1) / 2
    traced = np.outer(loss, np.ones(5))
    traced[1, :4] *= 2  # halves in the last factor of ten
    traced[4, :4] *= 1.001
    norms = np.ones((5, 5, 2))
    norms[4] = STEPS[:, None].clip(1) ** 0.25  # grows as a power
    return xr.Dataset(
        {
            "w1": (("run", "hidden", "one"), w1[:, :, None]),
            "b1": (("run", "hidden"), b1),
            "w2": (("run", "one", "hidden"), w2[:, None]),
            "b2": (("run", "one"), b2[:, None]),
            "loss": ("run", loss),
            "gradient_norm": ("run", [1e-3, 1e-3, 1e-9, 1e-4, 1e-9]),
            "trace_step": STEPS,
            "kept_step": STEPS,
            "trace_loss": (("run", "trace_step"), traced),
            "kept_w1": (("run", "kept_step", "hidden"), norms),
        }
    )


def test_ends_are_named_in_order(plugin):
    assert plugin.ends(trained(), 1000).tolist() == [
        "global", "moving", "stuck", "flat", "unbounded",
    ]  # fmt: skip


def made(loss, growth, gradient, fall):
    """Runs with these losses, growth exponents, gradient norms and relative falls over the last
    factor of ten; just before, at step 95, all is otherwise."""
    loss, growth, steps = np.array(loss), np.array(growth), np.array([0, 1, 10, 95, 100, 1000])
    before = loss / (1 - np.array(fall))
    traced = np.where(steps < 1000, before[:, None], loss[:, None])
    norms = steps.clip(1.0)[:, None] ** growth[:, None, None] * np.ones(2)
    traced[:, 3], norms[:, 3] = 9, 1e-3
    return xr.Dataset(
        {
            "loss": ("run", loss),
            "gradient_norm": ("run", gradient),
            "trace_step": steps,
            "kept_step": steps,
            "trace_loss": (("run", "trace_step"), traced),
            "kept_w1": (("run", "kept_step", "hidden"), norms),
        }
    )


def test_ends_on_both_sides_of_each_threshold(plugin):
    expected = {
        "global": (0.9e-3, 0.06, 0.9e-6, 0.009),
        "unbounded": (1.1e-3, 0.051, 0.9e-6, 0.009),
        "stuck": (1.1e-3, 0.049, 0.9e-6, 0.009),
        "flat": (1.1e-3, 0.049, 1.1e-6, 0.009),
        "moving": (1.1e-3, 0.049, 1.1e-6, 0.011),
    }
    found = plugin.ends(made(*np.transpose(list(expected.values()))), 1000)
    assert found.tolist() == list(expected)
    # a loss that has long been 0 has fallen; growth of the last of several intervals is steady
    pace = np.array([[0.2, 0.1, 0.161], [0.2, 0.1, 0.159], [0.051, 0.051, 0.049]])
    assert plugin.grows(pace).tolist() == [True, False, False]


def test_levels_are_two_ten_thousandths_wide_on_either_side(plugin):
    """The best constant, and the best function with one kink, whose loss is 0.030099."""
    constant, kink = plugin.best_losses(X, np.abs(X))
    away = np.array([-2.1e-4, -1.9e-4, 1.9e-4, 2.1e-4])
    data = made([*(constant + away), *(kink + away), 1e-4], [0] * 9, [1.0] * 9, [0.5] * 9)
    w1, b1, w2, b2 = (np.repeat(part[:1], 9, axis=0) for part in weights())
    data = data.assign(
        w1=(("run", "hidden", "one"), w1[:, :, None]), b1=(("run", "hidden"), b1),
        w2=(("run", "one", "hidden"), w2[:, None]), b2=(("run", "one"), b2[:, None]),
    )  # fmt: skip
    data["b2"][:, 0] = np.arange(9)
    parts = {
        "dataset": registry().get("datasets", "function_samples")(function="absolute"),
        "stop": type("Stop", (), {"steps": 1000})(),
    }
    found = analysis("shallow_ends").compute(
        Handmade({"all": parts, "next": parts}, {"training": {"all": data, "next": data}})
    )
    assert found["constant_share"].values.tolist() == [2 / 8] * 2
    assert found["level_share"].values.tolist() == [4 / 8] * 2
    assert found["affine_share"].values.tolist() == [0] * 2
    # the first run of each sort, told apart by the bias
    shown = found["output"].values - np.abs(X)
    assert found["end"].values.tolist() == ["global minimum", "best constant", "one kink"]
    np.testing.assert_allclose(shown, np.array([[8.0], [1], [5]]) + 0 * shown, atol=1e-12)
    np.testing.assert_allclose(found["input"], X)
    np.testing.assert_allclose(found["target"], np.abs(X))


def test_growth_has_to_go_on(plugin):
    pace = np.array([[0.2, 0.2, 0.19], [0.2, 0.1, 0.06], [0.2, 0.01, 0.2], [np.nan] * 3])
    assert plugin.grows(pace).tolist() == [True, False, False, False]


def test_the_flow_is_called_unbounded_by_its_exponent(plugin, monkeypatch):
    assert plugin.unbounded()[2]
    for growth, grows in ((0.16, True), (0.175, False)):  # 1/6 lies between
        monkeypatch.setattr(plugin, "GROWTH", growth)
        assert plugin.unbounded()[2] is grows


def test_a_run_that_ended_early_has_no_growth(plugin):
    data = trained()
    data["kept_w1"][2, 3:] = np.nan
    data["trace_loss"][2, 3:] = np.nan
    assert plugin.ends(data, 1000)[2] == "stuck"


def test_levels_of_the_loss(plugin):
    """½Var|x|; and one kink by a dense search over all three parameters' optimum."""
    constant, kink = plugin.best_losses(X, np.abs(X))
    assert constant == pytest.approx(np.var(np.abs(X)) / 2)
    assert kink == pytest.approx(0.030099, abs=1e-6)
    assert plugin.best_losses(X, np.maximum(X - 0.25, 0))[1] == pytest.approx(0, abs=1e-20)


def test_kinks_in_either_direction_and_inside_of_the_samples_only(plugin):
    x = np.linspace(0, 1, 21)
    for y in (np.maximum(x - 0.25, 0), np.maximum(0.75 - x, 0)):
        assert plugin.best_losses(x, y)[1] == pytest.approx(0, abs=1e-20)
    ends = xr.Dataset(
        {
            "w1": (("run", "hidden", "one"), [[[1.0], [1.0], [-1.0]]]),
            "b1": (("run", "hidden"), [[-0.3, 0.3, 0.7]]),
            "w2": (("run", "one", "hidden"), [[[1.0, 10.0, 100.0]]]),
            "b2": (("run", "one"), [[1000.0]]),
        }
    )
    assert plugin.kinked(ends, x).tolist() == [[True, False, True]]
    at_0_and_1 = [10 * 0.3 + 100 * 0.7 + 1000, 0.7 + 10 * 1.3 + 1000]
    np.testing.assert_allclose(plugin._output(ends, x)[:, [0, -1]], [at_0_and_1])


def test_the_levels_are_those_of_stationary_networks(plugin):
    """A dead and a full neuron with f = ½: the gradient of the model vanishes there."""
    model = registry().get("models", "mlp")(
        widths=[1, 2, 1], activation="relu", loss_function="squared"
    )
    data = registry().get("datasets", "function_samples")(function="absolute").load(None)
    tensors = {name: torch.as_tensor(array) for name, array in data.items()}
    objective = Objective(model, tensors, Streams(0, "", np.arange(1), ""))
    best = np.abs(X).mean()
    point = torch.tensor([[0.5, 1, 2, -9, 0, 0, best]], dtype=torch.float64)
    assert objective.loss(point).item() == pytest.approx(plugin.best_losses(X, np.abs(X))[0])
    assert objective.gradient(point).norm().item() < 1e-15


def test_columns_of_shallow_ends(plugin):
    data = registry().get("datasets", "function_samples")(function="absolute")
    parts = {"dataset": data, "stop": type("Stop", (), {"steps": 1000})()}
    results = Handmade({"all": parts}, {"training": {"all": trained()}})
    loss, (constant, kink) = trained()["loss"].values, plugin.best_losses(X, np.abs(X))
    at = np.abs(loss - constant) < 2e-4
    level = at | (np.abs(loss - kink) < 2e-4)
    # both networks without a kink have f = ½, whose loss is that of the best constant to 7.4e-5
    assert at.tolist() == [False, False, True, True, False]
    expected = {
        **{f"{kind}_share": [share(1, 5)] for kind in plugin.KINDS},
        "constant_level": [constant],
        "kink_level": [kink],
        "constant_share": [share(2, 4)],
        "level_share": [share(int(level[1:].sum()), 4)],
        "affine_share": [share(2, 4)],
        "runs": [5],
        "growth_exponent": [pytest.approx(1 / 6, abs=1e-3)],
        "loss_exponent": [Between(-0.668, -0.665)],
        "flow_grows": [1],
    }
    found = assert_columns(analysis("shallow_ends"), results, expected)
    np.testing.assert_allclose(found["output"].sel(end="global minimum"), np.abs(X))


def test_the_output_bias_begins_at_zero():
    streams = Streams(1, "", np.arange(2000), "initialize")
    shapes = {"w1": (3, 1), "b1": (3,), "w2": (1, 3), "b2": (1,)}
    drawn = registry().get("initializers", "shallow_normal")(variance=4).draw(shapes, streams)
    assert (drawn["b2"] == 0).all()
    for name in ("w1", "b1", "w2"):
        assert drawn[name].shape == (2000, *shapes[name])
        assert drawn[name].std() == pytest.approx(2, abs=0.05)


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("shallow_1d", root / "config/studies"))
    job = complete(study, tmp_path)
    assert "differs" not in verdicts(job).values()
    assert_drawn(job.folder, study.settings.figures)
