"""Settings that differ from run to run: the grid, and what is refused."""

from functools import partial

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages.opening import landscape_of
from nnflow.study.loading import load_study
from nnflow.study.results import Results
from nnflow.study.vary import Grid, Range, axis

STUDY = """
title: A map
model: {name: toy_valley, epsilon: 0.1}
initializer: {name: normal}
optimizer: {name: heavy_ball, rate: 0.1}
runs: 3
vary: VARY
"""


def load(tmp_path, vary):
    file = tmp_path / "map.yaml"
    file.write_text(STUDY.replace("VARY", vary))
    return load_study(file)


def test_ranges():
    numbers = Range.model_validate({"from": 1, "to": 100, "count": 3, "spacing": "log"})
    np.testing.assert_allclose(axis(numbers), [1, 10, 100])
    assert axis(Range.model_validate({"from": -1, "to": 1, "count": 3})).tolist() == [-1, 0, 1]
    assert axis([3, 1.5]).tolist() == [3, 1.5]


@given(st.lists(st.integers(1, 4), max_size=3), st.integers(1, 4))
def test_the_grid_is_a_product_whose_last_key_runs_fastest(lengths, starts):
    vary = {f"optimizer.s{i}": list(range(n)) for i, n in enumerate(lengths)}
    grid = Grid(vary, starts)
    runs = np.arange(grid.runs)
    assert grid.shape == (*lengths, starts) and grid.runs == np.prod(grid.shape)
    values = grid.values("optimizer", runs)
    for i, n in enumerate(lengths):
        expected = np.arange(n).reshape([-1 if j == i else 1 for j in range(len(lengths) + 1)])
        np.testing.assert_array_equal(
            values[f"s{i}"].reshape(grid.shape), np.broadcast_to(expected, grid.shape)
        )
    starts_of = grid.start_of(runs).reshape(grid.shape)
    np.testing.assert_array_equal(starts_of, np.broadcast_to(np.arange(starts), grid.shape))
    part = np.arange(grid.runs // 2, grid.runs)
    for name, column in grid.values("optimizer", part).items():
        np.testing.assert_array_equal(column, values[name][part])


def test_a_setting_that_varies_need_not_be_named_at_its_plugin(tmp_path):
    text = """
title: A map
model: toy_valley
initializer: normal
optimizer: {name: heavy_ball, momentum: 0.2}
vary:
  optimizer.rate: {from: 0.01, to: 1, count: 3}
  optimizer.momentum: [0, 0.5]
  model.epsilon: [0.1, 0.2]
"""
    (tmp_path / "map.yaml").write_text(text)
    settings = load_study(tmp_path / "map.yaml").configurations[0].settings
    assert (settings.optimizer.rate, settings.optimizer.momentum) == (0.01, 0.2)
    assert settings.model.epsilon == 0.1


def test_a_name_that_is_no_text_is_a_mistake_like_others(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text(
        "title: t\nmodel: {name: [toy_valley]}\ninitializer: normal\n"
        "optimizer: {name: gradient_descent, rate: 0.1}\nvary: {model.epsilon: [0.1, 0.2]}\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match="model: expected a plugin's name"):
        load_study(file)


def test_rules_between_settings_hold_for_all_numbers(tmp_path):
    """Each with each: here a step size and a smoothness, which exclude one another."""
    text = STUDY.replace(
        "vary: VARY", "vary: {optimizer.step_size: [0.1], optimizer.smoothness: [1]}"
    )
    model = "{name: quadratic_program, matrix: [[1]], slope: [0], ball: 1}"
    text = text.replace("{name: toy_valley, epsilon: 0.1}", model)
    (tmp_path / "map.yaml").write_text(text.replace("heavy_ball, rate: 0.1", "frank_wolfe"))
    with pytest.raises(UserError, match="only one of them may be given"):
        load_study(tmp_path / "map.yaml")


def test_datasets_as_maps(tmp_path):
    study = load(tmp_path, "{optimizer.rate: [0.3, 0.1], optimizer.momentum: [0, 0.5, 0.2]}")
    grid = study.configurations[0].grid
    runs = np.arange(grid.runs)
    variables = {
        "loss": ("run", runs.astype(float)),
        "w": (("run", "weight"), np.stack([runs, -runs], 1)),
        "other": ("weight", [1.0, 2.0]),
    }
    coordinates = {"run": runs, **grid.coordinates(runs), "weight": ["a", "b"]}
    store.write(tmp_path / "training.nc", {"": xr.Dataset(variables, coordinates)}, {})
    found = Results(study, tmp_path).varied("training")
    assert found["w"].dims == ("rate", "momentum", "start", "weight")
    assert found["rate"].values.tolist() == [0.3, 0.1]
    assert found["rate"].attrs["long_name"] == "setting optimizer.rate"
    flat = Results(study, tmp_path).at("training", "all")
    for run in runs:
        at = {name: flat[name].values[run] for name in ("rate", "momentum", "start")}
        assert found["loss"].sel(at) == run
        assert found["w"].sel(at).values.tolist() == [run, -run]
    assert "other" not in found and found["weight"].values.tolist() == ["a", "b"]
    store.write(tmp_path / "training.nc", {"": xr.Dataset(variables).isel(run=slice(3))}, {})
    with pytest.raises(UserError, match="training does not have all runs at all"):
        Results(study, tmp_path).varied("training")


def test_there_is_no_one_loss_where_the_model_varies(tmp_path):
    study = load(tmp_path, "{model.epsilon: [0.5, 2.0]}")
    (configuration,) = study.configurations
    with pytest.raises(
        UserError, match=r"vary: the model's settings differ .* objective\(…, run=0"
    ):
        landscape_of(None, study, configuration)
    results = Results(study, tmp_path, landscape=partial(landscape_of, None))
    points = np.array([[1.0, 1.0], [2.0, 4.0]])
    for run, epsilon in ((0, 0.5), (5, 2.0)):
        landscape = results.objective(configuration, run)
        assert landscape.loss(points).tolist() == [epsilon, 4 * epsilon]
        assert landscape.hessian(points)[:, 0, 0].tolist() == [8 + 2 * epsilon, 32 + 2 * epsilon]
    fixed = load(tmp_path, "{optimizer.rate: [0.5, 2.0]}")
    loss = landscape_of(None, fixed, fixed.configurations[0]).loss(points)
    np.testing.assert_allclose(loss, [0.1, 0.4])


def test_settings_are_told_from_one_another_in_datasets():
    vary = {"optimizer.rate": [1.0], "model.rate": [2.0], "model.k": [3.0], "model.steps": [1.0]}
    names = ["optimizer_rate", "model_rate", "k", "model_steps", "start"]
    assert list(Grid(vary, 2).coordinates(np.arange(2))) == names
    assert Grid({}, 5).coordinates(np.arange(5)) == {}


def test_runs_are_those_of_all_settings_and_batches_cut_across(tmp_path):
    study = load(tmp_path, "{optimizer.rate: [0.1, 0.2], optimizer.momentum: [0, 0.5]}\nbatch: 5")
    (configuration,) = study.configurations
    assert configuration.runs == 12
    assert [(s.start, s.stop) for batch in study.batches for s in batch] == [
        (0, 5),
        (5, 10),
        (10, 12),
    ]


def test_a_million_settings_are_a_short_text(tmp_path):
    study = load(tmp_path, "{optimizer.rate: {from: 0.001, to: 1, count: 1000000, spacing: log}}")
    assert study.configurations[0].runs == 3_000_000
    assert len(study.settings_json("vary")) < 300


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        ("{rate: [0.1]}", "vary.rate: expected a setting of optimizer, initializer, model"),
        ("{stop.steps: [1]}", "vary.stop.steps: expected a setting of"),
        (
            "{optimizer.ratte: [0.1]}",
            "can't differ from run to run (those that can: rate, mom",
        ),
        ("{initializer.per: [1]}", "vary.initializer.per: this setting of 'normal'"),
        (
            "{optimizer.rate: [0.1, -1]}",
            "vary.optimizer.rate: Input should be greater than 0 (got -1.0)",
        ),
        ("{optimizer.momentum: {from: 0, to: 1, count: 3}}", "less than 1 (got 1.0)"),
        ("{optimizer.rate: []}", "vary.optimizer.rate: expected a list"),
        ("{optimizer.rate: [0.3, 0.1, 0.3]}", "vary.optimizer.rate: 0.3 occurs twice"),
        (
            "{optimizer.rate: [.nan]}",
            "vary.optimizer.rate: expected a list of finite numbers, or a",
        ),
        ("{optimizer: {rate: [1]}}", "vary.optimizer: rate: unknown key (there are: count, from,"),
        ("5", "vary: Input should be a valid dictionary"),
        ("{stop.steps: [1]}\nsweep: {stop.steps: [5]}", "this setting already varies"),
        ("{optimizer.rate: [1]}\nsweep: {optimizer.rate: [5]}", "sweep.optimizer.rate: this"),
        ("{model.epsilon: [1]}\ncertify: {}", "certificates are of one model"),
        ("{optimizer.rate: {from: 0, to: 1, count: 3, spacing: log}}", "needs numbers above 0"),
        ("{optimizer.rate: {from: 1, to: 2, count: 10000000}}", "are the most"),
        ("{optimizer.rate: {from: 1, to: 2}}", "vary.optimizer.rate: count: this key is missing"),
    ],
)
def test_mistakes(tmp_path, vary, words):
    with pytest.raises(UserError) as caught:
        load(tmp_path, vary)
    assert words in str(caught.value) and "\n" not in str(caught.value)
