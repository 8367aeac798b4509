"""Settings that differ from run to run: the grid, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.errors import UserError
from nnflow.study.loading import load_study
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


def test_settings_are_told_from_one_another_in_datasets():
    grid = Grid({"optimizer.rate": [1.0], "model.rate": [2.0], "model.k": [3.0]}, 2)
    assert list(grid.coordinates(np.arange(2))) == ["optimizer_rate", "model_rate", "k", "start"]
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
        ("{optimizer.rate: []}", "vary.optimizer.rate"),
        ("{optimizer.rate: {from: 0, to: 1, count: 3, spacing: log}}", "needs numbers above 0"),
        ("{optimizer.rate: {from: 1, to: 2, count: 10000000}}", "are the most"),
        ("{optimizer.rate: {from: 1, to: 2}}", "count"),
    ],
)
def test_mistakes(tmp_path, vary, words):
    with pytest.raises(UserError) as caught:
        load(tmp_path, vary)
    assert words in str(caught.value) and "\n" not in str(caught.value)
