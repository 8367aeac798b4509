"""Verdicts: agreement needs an interval that excludes what would refute."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.errors import UserError
from nnflow.base.statistics import mean, share
from nnflow.study.claims import COLUMNS, Claim
from nnflow.study.verdicts import judge

BASE = {"claim": "c", "statement": "loss at {k}", "source": "Table 1", "value": "loss"}


def rows(labels=("k=6",), columns=None, **settings):
    columns = columns or {}
    summary = xr.Dataset(
        {name: ("configuration", np.asarray(values)) for name, values in columns.items()},
        coords={"configuration": list(labels)},
    )
    return judge("study", [Claim(**{**BASE, **settings})], summary)


def verdict(low, value, high, runs=100, **settings):
    """The verdict on one measured interval."""
    columns = {"loss": [value], "loss_low": [low], "loss_high": [high], "runs": [runs]}
    ((row),) = rows(columns=columns, **settings)
    return row["verdict"]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (-1.1700, -1.1400, "not_contradicted"),
        (-1.1740, -1.1350, "undecided"),  # holds the ground state
        (-1.1600, -1.1350, "undecided"),  # and what is as far away on the other side
        (-1.1740, -1.1600, "differs"),
    ],
)
def test_agreement_excludes_a_rival(low, high, expected):
    given = {"published": -1.1547, "within": 0.002, "kind": "statement"}
    assert verdict(low, (low + high) / 2, high, rival=-1.1717, **given) == expected


def test_a_rival_is_another_number_than_one_that_is_measured():
    for wrong in ({"published": 0.5, "rival": 0.5}, {"at_most": 0.5, "rival": 1.0},
                  {"published": 0, "kind": "statement", "rival": 1.0}):  # fmt: skip
        with pytest.raises(ValueError, match="rival"):
            Claim(**BASE, **wrong)


def test_a_row_says_everything():
    columns = {"loss": [0.52], "loss_low": [0.49], "loss_high": [0.55]}
    (row,) = rows(columns=columns, published={"k=6": 0.5}, within=0.01, note="in passing")
    assert tuple(row) == COLUMNS
    assert row == {
        "claim": "c", "study": "study", "kind": "number", "source": "Table 1",
        "statement": "loss at 6", "configuration": "k=6", "column": "loss", "comparison": "=",
        "published": 0.5, "tolerance": "0.01", "measured": 0.52, "low": 0.49, "high": 0.55,
        "verdict": "reproduced", "note": "in passing",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("low", "value", "high", "published", "within", "expected"),
    [
        (0.49, 0.52, 0.55, 0.49, 0, "reproduced"),
        (0.49, 0.52, 0.55, 0.4899, 0, "differs"),
        (0.49, 0.52, 0.55, 0.56, 0.01, "reproduced"),
        (0.49, 0.52, 0.55, 0.5611, 0.01, "differs"),
        (0.0, 0.3, 0.6, 0.5, 0, "undecided"),  # an effect half as large is not excluded
        (0.26, 0.5, 0.74, 0.5, 0, "reproduced"),
        (0.24, 0.5, 0.76, 0.5, 0, "undecided"),
        (0.3, 0.5, 1.01, 0.5, 0, "undecided"),
        (0.5, 0.5, 0.5, 0.5, 0, "reproduced"),
        (0.0, 0.0, 0.026, 0.003, 0, "undecided"),  # 0 of 200 runs say nothing of .003
        (0.0, 0.0, 0.026, 0.3, 0, "differs"),
        (-np.inf, 0.5, np.inf, 0.5, 0, "undecided"),
    ],
)
def test_numbers(low, value, high, published, within, expected):
    assert verdict(low, value, high, published=published, within=within) == expected


@pytest.mark.parametrize(
    ("comparison", "low", "value", "high", "expected"),
    [
        ("at_most", 0.1, 0.2, 0.5, "reproduced"),
        ("at_most", 0.1, 0.2, 0.6, "undecided"),
        ("at_most", 0.6, 0.7, 0.8, "differs"),
        ("at_most", 0.5, 0.5, 0.5, "reproduced"),
        ("below", 0.5, 0.5, 0.5, "differs"),
        ("below", 0.4, 0.4, 0.4, "reproduced"),
        ("at_least", 0.5, 0.6, 0.7, "reproduced"),
        ("at_least", 0.4, 0.6, 0.7, "undecided"),
        ("at_least", 0.1, 0.2, 0.3, "differs"),
        ("above", 0.5, 0.5, 0.5, "differs"),
        ("above", 0.51, 0.51, 0.51, "reproduced"),
    ],
)
def test_bounds_are_held_by_the_whole_interval_and_strict_ones_strictly(
    comparison, low, value, high, expected
):
    assert verdict(low, value, high, **{comparison: 0.5}) == expected


def test_the_note_says_how_many_runs_would_decide():
    """0.19 of 16 runs against "at least a half": about as many as make the upper end .5."""
    _, low, high = share(3, 16)
    columns = {"loss": [3 / 16], "loss_low": [low], "loss_high": [high], "runs": [16]}
    (row,) = rows(columns=columns, at_least=0.5)
    assert row["verdict"] == "undecided"
    needed = int(row["note"].split("about ")[1].split(" runs")[0])
    assert 16 < needed < 40
    assert share(round(needed * 3 / 16), needed)[2] < 0.55


def test_statements():
    counted = {"published": 0, "kind": "statement"}
    assert verdict(0, 0, 0, **counted) == "not_contradicted"
    assert verdict(0.01, 0.02, 0.03, **counted) == "differs"
    columns = {"loss": [0.0], "loss_low": [0.0], "loss_high": [0.026]}
    (row,) = rows(columns=columns, **counted)
    assert row["verdict"] == "not_contradicted" and "at most 0.026 of all" in row["note"]
    assert verdict(1, 1, 1, published=1, kind="statement", proof=True) == "proved"
    assert verdict(0, 0, 0, published=1, kind="statement", proof=True) == "differs"
    assert verdict(0, 0, 0, published=0, basis="derived") == "reproduced"


def test_a_printed_mean_has_an_interval_of_its_own():
    settings = {"published": 0.5, "published_runs": 100}
    assert verdict(0.52, 0.56, 0.6, runs=100, published=0.5) == "differs"
    # √(1 + 100/100) times as wide: 0.5034 to 0.6166; with 300 runs of ours √(1 + 3) times
    assert verdict(0.52, 0.56, 0.6, runs=100, **settings) == "differs"
    assert verdict(0.52, 0.56, 0.6, runs=300, **settings) == "reproduced"


def test_shares_are_compared_as_binomials():
    settings = {"published": 0.346, "trials": 1000}
    assert verdict(*[share(69, 200)[i] for i in (1, 0, 2)], runs=200, **settings) == "reproduced"
    assert verdict(*[share(100, 200)[i] for i in (1, 0, 2)], runs=200, **settings) == "differs"
    assert verdict(*[share(7, 20)[i] for i in (1, 0, 2)], runs=20, **settings) == "undecided"


CORRECTION = {"value": 0.25, "printed": "½", "document": "p. 1", "note": "a factor"}


def test_a_correction_needs_the_printed_number_excluded():
    settings = {"published": 0.5, "corrected": {"k=6": CORRECTION}}
    assert verdict(0.25, 0.25, 0.25, **settings) == "corrected"
    assert verdict(0.5, 0.5, 0.5, **settings) == "reproduced"
    assert verdict(0.7, 0.7, 0.7, **settings) == "differs"
    assert verdict(0.2, 0.35, 0.55, **settings) == "undecided"  # agrees with both
    # within a factor of two of the correction, but what was printed isn't excluded
    assert verdict(0.15, 0.3, 0.5, **settings) == "undecided"
    columns = {"loss": [0.25]}
    (row,) = rows(columns=columns, **settings)
    assert row["note"] == "“½” (p. 1): a factor"


def test_a_printed_statement_that_the_data_contradict():
    refuted = {k: v for k, v in CORRECTION.items() if k != "value"}
    settings = {"published": 0, "kind": "statement", "corrected": {"k=6": refuted}}
    assert verdict(8, 8, 8, **settings) == "corrected"
    assert verdict(0, 0, 0, **settings) == "not_contradicted"


@pytest.mark.parametrize(
    ("values", "half_width", "expected"),
    [
        ([1, 2, 3], 0.1, "not_contradicted"),
        ([1, 2, 3], 0.6, "undecided"),
        ([1, 3, 2], 0.1, "differs"),
        ([3, 2, 1], 0.1, "differs"),
        ([1, 1, 2], 0.0, "differs"),
        ([1, np.nan, 2], 0.1, "not_contradicted"),
        ([1, np.nan, np.nan], 0.1, "not_measured"),
    ],
)
def test_trends_are_judged_over_all_configurations(values, half_width, expected):
    values = np.array(values, dtype=float)
    columns = {"loss": values, "loss_low": values - half_width, "loss_high": values + half_width}
    (row,) = rows(("a", "b", "c"), columns, trend="increasing")
    assert row["verdict"] == expected
    (other,) = rows(("c", "b", "a"), {n: v[::-1] for n, v in columns.items()}, trend="decreasing")
    assert other["verdict"] == expected


def test_a_trend_is_measured_by_its_ends():
    values = np.array([0.5, 9.0, 4.0])
    columns = {"loss": values, "loss_low": values - 0.25, "loss_high": values + 0.25}
    (row,) = rows(("a", "b", "c"), columns, trend="increasing")
    assert row["measured"] == 3.5 and row["configuration"] == "a → c"


def test_what_is_not_measured():
    (row,) = rows(columns={"loss": [0.5]}, published={"k=7": 1})
    assert row["verdict"] == "not_measured" and "not part of this scale" in row["note"]
    (row,) = rows(columns={"loss": [np.nan]}, published=1)
    assert row["verdict"] == "not_measured" and "no run" in row["note"]


def test_a_column_of_text_is_named():
    with pytest.raises(UserError, match=r"claims\.c: the column 'loss' holds text"):
        rows(columns={"loss": ["proved"]}, published=1)


@given(st.integers(0, 10**6))
def test_true_numbers_hardly_ever_differ_and_large_samples_are_decided(seed):
    random = np.random.default_rng(seed)
    sample = random.normal(1.0, 0.5, size=400)
    value, low, high = mean(sample)
    assert verdict(low, value, high, published=float(sample.mean())) == "reproduced"
    assert verdict(low, value, high, published=value + 2 * (high - value)) == "differs"
