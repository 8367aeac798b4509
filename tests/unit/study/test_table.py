"""Tables with one row per configuration: every type of cell, and what is missing."""

from types import SimpleNamespace

import numpy as np
import pytest

from nnflow import Table

CONFIGURATIONS = [SimpleNamespace(label=label) for label in ("k=1", "k=2", "k=3")]
MEANINGS = {"loss": "mean loss", "runs": "runs", "share": "share of them", "kind": "what it is"}


@pytest.fixture
def table():
    return Table(SimpleNamespace(configurations=CONFIGURATIONS), MEANINGS)


def test_columns_of_every_type_of_cell(table):
    first, second, third = CONFIGURATIONS
    table.row(third, loss=3.5, runs=30, share=(0.3, 0.2, 0.5), kind="saddle")
    table.row(first, loss=1.5, runs=10, share=(0.1, 0.0, 0.25), kind="minimum")
    table.row(second, loss=2.5, runs=20, share=(1.0, 0.75, 1.0), kind="maximum")
    dataset = table.dataset()
    assert dataset["configuration"].values.tolist() == ["k=1", "k=2", "k=3"]
    assert list(dataset) == ["loss", "runs", "share", "share_low", "share_high", "kind"]
    expected = {
        "loss": [1.5, 2.5, 3.5],
        "runs": [10, 20, 30],
        "share": [0.1, 1.0, 0.3],
        "share_low": [0.0, 0.75, 0.2],
        "share_high": [0.25, 1.0, 0.5],
        "kind": ["minimum", "maximum", "saddle"],
    }
    for name, values in expected.items():
        assert dataset[name].dims == ("configuration",)
        assert dataset[name].values.tolist() == values
    assert [dataset[name].dtype.kind for name in expected] == list("fifffU")
    texts = {name: column.attrs["long_name"] for name, column in dataset.items()}
    assert texts == {
        **MEANINGS,
        "share_low": "share of them: lower end of its interval",
        "share_high": "share of them: upper end of its interval",
    }


def test_what_no_row_gives_is_missing_of_its_own_type(table):
    table.row(CONFIGURATIONS[1], loss=2.0, runs=5, share=(0.5, 0.25, 0.75), kind="saddle")
    dataset = table.dataset()
    for name, value in (("loss", 2), ("runs", 5), ("share", 0.5), ("share_low", 0.25),
                        ("share_high", 0.75)):  # fmt: skip
        np.testing.assert_array_equal(dataset[name], [np.nan, value, np.nan])
    assert dataset["kind"].values.tolist() == ["", "saddle", ""]


def test_a_number_without_an_interval_among_those_that_have_one(table):
    table.row(CONFIGURATIONS[0], share=(0.5, 0.25, 0.75))
    table.row(CONFIGURATIONS[1], share=0.125)
    dataset = table.dataset()
    np.testing.assert_array_equal(dataset["share"], [0.5, 0.125, np.nan])
    np.testing.assert_array_equal(dataset["share_low"], [0.25, np.nan, np.nan])
    np.testing.assert_array_equal(dataset["share_high"], [0.75, np.nan, np.nan])


def test_columns_of_which_nothing_is_known_are_there(table):
    dataset = table.dataset()
    assert list(dataset) == list(MEANINGS)
    for name in MEANINGS:
        assert np.isnan(dataset[name].values).all() and dataset[name].shape == (3,)


def test_rows_are_filled_in_parts_and_everywhere(table):
    table.row(CONFIGURATIONS[0], loss=1.0)
    table.everywhere(runs=7, loss=9.0)
    table.row(CONFIGURATIONS[0], kind="saddle", loss=2.0)
    dataset = table.dataset()
    assert dataset["runs"].values.tolist() == [7, 7, 7]
    assert dataset["loss"].values.tolist() == [2, 9, 9]
    assert dataset["kind"].values.tolist() == ["saddle", "", ""]


def test_what_was_not_announced_is_an_error(table):
    with pytest.raises(KeyError, match="no column 'losses' was announced"):
        table.row(CONFIGURATIONS[0], losses=1.0)
    with pytest.raises(KeyError, match="no column 'losses' was announced"):
        table.everywhere(losses=1.0)
    with pytest.raises(KeyError, match="k=4"):
        table.row(SimpleNamespace(label="k=4"), loss=1.0)
    assert np.isnan(table.dataset()["loss"].values).all()
