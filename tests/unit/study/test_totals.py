"""Each statement is counted once, by kind, and chance is computed."""

import math

import pytest

from nnflow.study.claims import NOT_HERE, Claim
from nnflow.study.totals import counted_as, expected_false, sentence, statements, totals


def row(claim, verdict, kind="statement", study="s", configuration="all", note=""):
    return {"study": study, "claim": claim, "kind": kind, "verdict": verdict,
            "configuration": configuration, "note": note}  # fmt: skip


def test_printed_numbers_are_counted_one_by_one_and_rows_of_another_scale_not_at_all():
    rows = [
        row("share", "reproduced", "number", configuration="k=6"),
        row("share", "undecided", "number", configuration="k=7"),
        row("certified", "differs", "number", configuration="k=7"),
        row("share", "not_measured", "number", configuration="k=8", note=NOT_HERE),
        row("theorem", "not_measured", configuration="k=8", note=f"{NOT_HERE}; by hand"),
    ]
    found = statements(rows, {("s", "certified"): "table", ("s", "share"): "table"})
    assert found == {
        "table[k=6]": ("number", "reproduced"),
        "table[k=7]": ("number", "differs"),
    }


def test_the_worst_verdict_of_a_statement_counts():
    rows = [row("a", "reproduced"), row("a", "not_measured"), row("b", "proved"),
            row("b", "undecided"), row("b", "differs")]  # fmt: skip
    found = statements(rows, {})
    assert found == {"s/a": ("statement", "reproduced"), "s/b": ("statement", "differs")}


def test_one_statement_of_several_studies():
    claims = [Claim(claim="t", statement="", source="", value="x", at_most=1, counts_as="theorem")]
    names = counted_as("s", claims) | counted_as("other", claims)
    rows = [row("t", "proved", "bound"), row("t", "reproduced", "bound", "other")]
    assert statements(rows, names) == {"theorem": ("bound", "reproduced")}


def test_a_claim_that_others_count_as_is_the_same_statement():
    given = {"statement": "", "source": "", "value": "x", "at_most": 1}
    claims = [Claim(claim=name, **given) for name in ("ages", "alone")]
    claims.append(Claim(claim="at_infinity", counts_as="ages", **given))
    assert counted_as("s", claims) == {("s", "ages"): "ages", ("s", "at_infinity"): "ages"}


def test_totals_are_by_kind():
    rows = [row("a", "reproduced", "number"), row("b", "differs", "number"), row("c", "proved")]
    counts = totals(statements(rows, {}))
    assert counts["number"] == {"reproduced": 1, "differs": 1} and not counts["cross_check"]
    assert sentence(counts) == "numbers: 1 reproduced, 1 differs; statements: 1 proved"


def test_false_alarms_to_be_expected():
    one = {"low": 0.0, "high": 1.0, "measured": 0.4, "published": 0.5}
    rows = [
        {**one, "comparison": "="},
        {**one, "comparison": "≤"},
        {**one, "comparison": "=", "high": math.inf},  # no interval to miss it
        {**one, "comparison": "=", "high": 0.0, "measured": 0.0},  # exact
        {**one, "comparison": "=", "published": 0.4},  # a count that was met
        {**one, "comparison": "trend", "low": math.nan, "high": math.nan},
    ]
    assert expected_false(rows) == pytest.approx(0.01 + 0.005)
