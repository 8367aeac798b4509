"""Verdicts on published numbers."""

import csv
import io
import math

import numpy as np
import pytest
import xarray as xr
from pydantic import ValidationError

from nnflow.study.claims import COLUMNS, VERDICTS, Claim, Correction, judge, to_csv


def summary(labels=("k=6,n=6", "k=10,n=10"), **columns):
    return xr.Dataset(
        {name: ("configuration", np.asarray(values)) for name, values in columns.items()},
        coords={"configuration": list(labels)},
    )


def claim(**changes):
    settings = {
        "claim": "loss",
        "statement": "the loss at {k} teachers and {n} students",
        "source": "Table 1",
        "value": "loss",
        "published": {"k=6,n=6": 0.5},
    }
    return Claim(**{**settings, **changes})


def verdict(one, data):
    (row,) = judge("study", [one], data)
    return row["verdict"]


def test_a_row_says_everything():
    data = summary(loss=[0.52, 1.0], loss_low=[0.49, 0.9], loss_high=[0.55, 1.1])
    (row,) = judge("spurious_minima", [claim(note="in passing")], data)
    assert row == {
        "claim": "loss[k=6,n=6]",
        "study": "spurious_minima",
        "source": "Table 1",
        "statement": "the loss at 6 teachers and 6 students",
        "published": 0.5,
        "measured": 0.52,
        "low": 0.49,
        "high": 0.55,
        "verdict": "reproduced",
        "note": "in passing",
    }
    assert tuple(row) == COLUMNS


@pytest.mark.parametrize(
    ("published", "within", "expected"),
    [
        (0.50, 0.0, "reproduced"),
        (0.49, 0.0, "reproduced"),
        (0.55, 0.0, "reproduced"),
        (0.4899, 0.0, "differs"),
        (0.5501, 0.0, "differs"),
        (0.48, 0.01, "reproduced"),
        (0.56, 0.01, "reproduced"),
        (0.47, 0.01, "differs"),
        (0.5611, 0.01, "differs"),
    ],
)
def test_the_interval_has_to_meet_the_published_number(published, within, expected):
    data = summary(["k=6,n=6"], loss=[0.52], loss_low=[0.49], loss_high=[0.55])
    assert verdict(claim(published={"k=6,n=6": published}, within=within), data) == expected


def test_without_an_interval_the_value_itself_counts():
    data = summary(["k=6,n=6"], loss=[0.0123])
    assert verdict(claim(published={"k=6,n=6": 0.012}, within=0.0005), data) == "reproduced"
    assert verdict(claim(published={"k=6,n=6": 0.012}, within=0.0002), data) == "differs"


def test_shares_are_compared_as_two_binomials():
    """0.3 of 1000 against 0.4 of 100 may be one probability (p = 0.05), of 1000 not."""
    data = summary(["k=6,n=6"], loss=[0.4], runs=[100])
    assert verdict(claim(published={"k=6,n=6": 0.3}, trials=1000), data) == "reproduced"
    data = summary(["k=6,n=6"], loss=[0.4], runs=[1000])
    assert verdict(claim(published={"k=6,n=6": 0.3}, trials=1000), data) == "differs"


def test_a_misprint_is_corrected():
    correction = {"k=6,n=6": Correction(value=0.7, note="the table's average includes zeros")}
    data = summary(["k=6,n=6"], loss=[0.7])
    (row,) = judge("s", [claim(corrected=correction, note="see text")], data)
    assert row["verdict"] == "corrected"
    assert row["note"] == "the table's average includes zeros; see text"
    assert row["published"] == 0.5


def test_a_correction_that_does_not_hold_is_no_excuse():
    correction = {"k=6,n=6": Correction(value=0.7, note="wrong too")}
    assert verdict(claim(corrected=correction), summary(["k=6,n=6"], loss=[0.6])) == "differs"


def test_a_number_that_holds_needs_no_correction():
    correction = {"k=6,n=6": Correction(value=0.7, note="not needed")}
    assert verdict(claim(corrected=correction), summary(["k=6,n=6"], loss=[0.5])) == "reproduced"


def test_a_claim_about_a_study_without_a_sweep():
    data = summary(["all"], loss=[0.5])
    (row,) = judge("s", [claim(published=0.5, statement="the loss")], data)
    assert (row["claim"], row["statement"], row["verdict"]) == ("loss", "the loss", "reproduced")


def test_what_this_scale_leaves_out_is_not_measured():
    one = claim(published={"k=13,n=13": 0.5, "k=6,n=6": 0.5}, note="see text")
    first, second = judge("s", [one], summary(["k=6,n=6"], loss=[0.5]))
    assert (first["verdict"], second["verdict"]) == ("not_measured", "reproduced")
    assert first["note"] == "this configuration is not part of this scale; see text"
    assert math.isnan(first["measured"])


def test_a_sample_without_such_a_run_is_not_measured():
    """The mean over spurious runs where there is none."""
    (row,) = judge("s", [claim()], summary(["k=6,n=6"], loss=[np.nan]))
    assert row["verdict"] == "not_measured"
    assert row["note"] == "no run of this sample to measure it on"


def test_a_column_that_the_summary_lacks_is_not_measured_and_says_so():
    (row,) = judge("s", [claim(value="lossy")], summary(["k=6,n=6"], loss=[0.5]))
    assert row["verdict"] == "not_measured"
    assert row["note"] == "the summary has no column 'lossy' (did you mean 'loss'?)"


def test_words_in_braces_that_are_no_parameter_stay():
    (row,) = judge("s", [claim(statement="in S_{k-1}, {m}")], summary(["k=6,n=6"], loss=[0.5]))
    assert row["statement"] == "in S_{k-1}, {m}"


def test_all_verdicts_are_named():
    assert set(VERDICTS) == {"reproduced", "differs", "corrected", "not_measured"}


def test_a_number_that_was_cut_off_leaves_more_open_above():
    data = summary(["k=6,n=6"], loss=[0.0128])
    one = {"published": {"k=6,n=6": 0.012}}
    assert verdict(claim(**one, within=(0.0005, 0.001)), data) == "reproduced"
    assert verdict(claim(**one, within=(0.001, 0.0005)), data) == "differs"


def test_a_single_value_can_agree_but_not_differ():
    """Its interval is the whole line, which would agree with everything."""
    at = {"loss_low": [-np.inf], "loss_high": [np.inf]}
    near, far = (summary(["k=6,n=6"], loss=[value], **at) for value in (0.504, 0.52))
    assert verdict(claim(within=0.005), near) == "reproduced"
    (row,) = judge("s", [claim(within=0.005)], far)
    assert row["verdict"] == "not_measured"
    assert row["note"] == "too few runs for an interval"


def test_an_interval_can_be_stretched():
    """Towards the published number, each end from the measured value."""
    data = summary(["k=6,n=6"], loss=[0.6], loss_low=[0.55], loss_high=[0.61])
    assert verdict(claim(), data) == "differs"
    assert verdict(claim(stretch=1.9), data) == "differs"
    assert verdict(claim(stretch=2.1), data) == "reproduced"


@pytest.mark.parametrize(("measured", "expected"), [(0.58, "reproduced"), (0.62, "corrected")])
def test_where_both_numbers_agree_the_nearer_one_decides(measured, expected):
    data = summary(["k=6,n=6"], loss=[measured], loss_low=[0.4], loss_high=[0.8])
    correction = {"k=6,n=6": Correction(value=0.7, note="a misprint")}
    assert verdict(claim(corrected=correction), data) == expected


@pytest.mark.parametrize(
    "changes", [{"trials": 0}, {"within": -1.0}, {"published": "0.5x"}, {"publishd": 1}]
)
def test_mistakes_are_refused(changes):
    with pytest.raises(ValidationError):
        claim(**changes)


def test_csv_has_the_columns_and_full_numbers():
    data = summary(["k=6,n=6"], loss=[1 / 3])
    rows = judge("s", [claim(statement='says "k, n"', published={"k=6,n=6": 0.5, "k=7": 1})], data)
    text = to_csv(rows)
    assert text.splitlines()[0] == ",".join(COLUMNS)
    read = list(csv.DictReader(io.StringIO(text)))
    assert [row["statement"] for row in read] == ['says "k, n"'] * 2
    assert read[0]["measured"] == "0.3333333333"
    assert read[1]["measured"] == ""
    assert to_csv(rows) == text


def test_csv_of_no_claims_is_its_header():
    assert to_csv([]) == ",".join(COLUMNS) + "\n"
