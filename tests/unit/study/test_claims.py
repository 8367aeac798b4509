"""Claims: what a study may say, and the table that scripts read."""

import csv
import io
import math

import pytest
from pydantic import ValidationError

from nnflow.study.claims import COLUMNS, COMPARISONS, Claim, described, to_csv

BASE = {"claim": "c", "statement": "s", "source": "Table 1", "value": "loss"}
ROW = dict.fromkeys(COLUMNS, "") | {
    "published": 0.5, "measured": 0.25, "low": math.nan, "high": math.nan, "comparison": "=",
}  # fmt: skip


def claim(**settings):
    return Claim(**{**BASE, **settings})


def test_the_columns_are_the_contract():
    assert COLUMNS == (
        "claim", "study", "kind", "source", "statement", "configuration", "column", "comparison",
        "published", "tolerance", "measured", "low", "high", "verdict", "note",
    )  # fmt: skip
    assert list(COMPARISONS.values()) == ["=", "≤", "≥", "<", ">", "trend"]


@pytest.mark.parametrize(
    ("settings", "category"),
    [
        ({"published": 1}, "number"),
        ({"published": 1, "kind": "statement"}, "statement"),
        ({"at_most": 1}, "bound"),
        ({"above": 0}, "bound"),
        ({"trend": "increasing"}, "statement"),
        ({"published": 1, "basis": "derived"}, "cross_check"),
        ({"below": 1, "basis": "ours"}, "cross_check"),
    ],
)
def test_kinds(settings, category):
    assert claim(**settings).category == category


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "exactly one of published, at_most"),
        ({"published": 1, "above": 0}, "there are: published, above"),
        ({"at_most": 1, "within": 0.1}, "within goes with `published`"),
        ({"published": 1, "stretch": 1.4}, "Extra inputs are not permitted"),
        (
            {"published": 1, "basis": "ours",
             "corrected": {"all": {"value": 2, "printed": "1", "document": "d", "note": "n"}}},
            "only what is printed can be corrected",
        ),
        ({"published": 1, "corrected": {"all": {"value": 2, "note": "n"}}}, "printed"),
    ],
)  # fmt: skip
def test_what_no_claim_may_say(settings, words):
    with pytest.raises(ValidationError, match=words):
        claim(**settings)


def test_one_number_means_every_configuration():
    assert claim(published=0).expected(["a", "b"]) == {"a": 0, "b": 0}
    assert claim(published={"a": 1}).expected(["a", "b"]) == {"a": 1}


def read(row):
    (found,) = csv.DictReader(io.StringIO(to_csv([row])))
    return found


def test_numbers_are_written_as_numbers_and_nan_as_nothing():
    found = read(ROW | {"published": -1 / 3, "measured": -2.0})
    assert found["published"] == "-0.3333333333" and found["measured"] == "-2"
    assert found["low"] == found["high"] == "" and found["comparison"] == "="


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@sum", "\tx"])
def test_text_is_no_formula_of_a_spreadsheet(text):
    assert read(ROW | {"statement": text})["statement"] == f"'{text}"
    assert read(ROW | {"statement": "a" + text})["statement"] == "a" + text


def test_a_row_in_one_line():
    row = ROW | {"claim": "share", "configuration": "k=6", "low": 0.2, "high": 0.3}
    assert described(row) == "share at k=6: = 0.5, measured 0.25 (0.2 to 0.3)"
