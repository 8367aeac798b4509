"""Rows of claims, gathered into statements."""

import math

import pytest

from nnflow.report.rows import measured, stated, statements, typical
from nnflow.study.claims import Claim


def row(**given):
    base = {
        "claim": "share", "configuration": "k=6", "statement": "With k = 6 it is so",
        "comparison": "=", "published": 0.5, "tolerance": "", "measured": 0.5, "low": 0.4,
        "high": 0.6, "verdict": "reproduced",
    }  # fmt: skip
    return base | given


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({}, "0.5"),
        ({"comparison": "≥"}, "≥ 0.5"),
        ({"tolerance": "0.0005", "published": 0.021}, "0.021 ± 0.0005"),
        ({"tolerance": "0.0005 below, 0.001 above", "published": 0.014}, "0.014 (0.0135–0.015)"),
        ({"tolerance": "0"}, "0.5"),
        ({"comparison": "trend", "published": math.nan}, "trend"),
    ],
)
def test_what_is_stated_has_its_comparator_and_what_its_rounding_leaves_open(given, text):
    assert stated(row(**given)) == text


def test_a_residual_is_shown_by_its_size():
    assert measured(row(measured=8.56393e-30, low=8.56393e-30, high=8.56393e-30)) == "8.56×10⁻³⁰"
    assert measured(row()) == "0.50 (0.4–0.6)"
    assert measured(row(measured=math.nan, low=math.nan, high=math.nan)) == ""


def claim(statement):
    return Claim(claim="share", statement=statement, source="Table 1", value="share", published=0.5)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("With k = {k} teachers", "With k teachers"),
        ("Of {runs} runs", "Of runs"),
        ("with {inputs} of them", "with inputs of them"),
        ("is W_{j+1}", "is W_{j+1}"),
        ("the gradient ∇_{W_k}L, K = {depth}", "the gradient ∇_{W_k}L"),
        ("Saddles, k = {k}, n = {n}; share", "Saddles; share"),
        ("Barriers fall, widths {widths}", "Barriers fall"),
        ("At k = {k}, the largest", "At k, the largest"),
        ("They age ({size} spins, T = {temperature}); share", "They age; share"),
        ("It ends (1: proved), k = {k}", "It ends (1: proved)"),
    ],
)
def test_a_statement_of_several_cases_names_what_is_swept(statement, text):
    (found,) = statements("s", [claim(statement)], [row(), row(configuration="k=7")])
    assert found.text == text
    (single,) = statements("s", [claim(statement)], [row()])
    assert single.text == "With k = 6 it is so"


def test_a_statement_has_its_worst_verdict_and_the_case_that_shows_it():
    cases = [
        row(configuration="wide", verdict="differs", low=0.1, high=0.9),
        row(configuration="narrow", verdict="differs"),
        row(configuration="fine"),
        row(configuration="none", verdict="not_measured"),
    ]
    (found,) = statements("s", [claim("so")], cases)
    assert found.verdict == "differs"
    assert typical(found)["configuration"] == "narrow"
    assert [case["configuration"] for case in found.measured] == ["wide", "narrow", "fine"]
