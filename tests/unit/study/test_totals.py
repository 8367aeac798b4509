"""Each statement is counted once, by kind, and chance is computed."""

import pytest

from nnflow.study.claims import Claim
from nnflow.study.totals import counted_as, expected_false, sentence, statements, totals


def row(claim, verdict, kind="number", study="s", low=0.0, high=0.0, comparison="="):
    return {"study": study, "claim": claim, "kind": kind, "verdict": verdict, "low": low,
            "high": high, "comparison": comparison}  # fmt: skip


def test_the_worst_verdict_of_a_statement_counts():
    rows = [row("a", "reproduced"), row("a", "not_measured"), row("b", "proved"),
            row("b", "undecided"), row("b", "differs")]  # fmt: skip
    found = statements(rows, {})
    assert found == {"s/a": ("number", "reproduced"), "s/b": ("number", "differs")}


def test_one_statement_of_several_studies():
    claims = [Claim(claim="t", statement="", source="", value="x", at_most=1, counts_as="theorem")]
    names = counted_as("s", claims) | counted_as("other", claims)
    rows = [row("t", "proved", "bound"), row("t", "reproduced", "bound", "other")]
    assert statements(rows, names) == {"theorem": ("bound", "reproduced")}


def test_totals_are_by_kind():
    rows = [row("a", "reproduced"), row("b", "differs"), row("c", "proved", "statement")]
    counts = totals(statements(rows, {}))
    assert counts["number"] == {"reproduced": 1, "differs": 1} and not counts["cross_check"]
    assert sentence(counts) == "numbers: 1 reproduced, 1 differs; statements: 1 proved"


def test_false_alarms_to_be_expected():
    rows = [row("a", "reproduced", high=1.0), row("b", "differs", high=1.0, comparison="≤"),
            row("c", "reproduced"), row("d", "undecided", high=1.0)]  # fmt: skip
    assert expected_false(rows) == pytest.approx(0.01 + 0.005)
