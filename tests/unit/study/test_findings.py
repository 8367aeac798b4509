"""Findings: sentences with the summary's numbers."""

import numpy as np
import pytest
import xarray as xr

from nnflow.study.findings import Field, fields, filled

LABELS = ["k=6,n=6", "k=8,n=8", "k=10,n=10"]
SUMMARY = xr.Dataset(
    {
        "share": ("configuration", [0.0, 0.125, 0.375]),
        "share_low": ("configuration", [0.0, 0.07, 0.29]),
        "share_high": ("configuration", [0.026, 0.19, 0.47]),
        "runs": ("configuration", np.array([1000, 1000, 2000])),
        "error": ("configuration", [-1.5e-9, np.nan, -1.5e-9]),
        "unknown": ("configuration", [np.nan] * 3),
        "gap": ("configuration", [0.5, 0.5, 0.5]),
        "gap_low": ("configuration", [0.4999999, 0.5, 0.5]),
        "gap_high": ("configuration", [0.5000001, 0.5, 0.5]),
        "slope": ("configuration", [-0.9, -0.9, -0.9]),
        "slope_low": ("configuration", [-1.0, -1.0, -1.0]),
        "slope_high": ("configuration", [-0.8, -0.8, -0.8]),
        "proved": ("configuration", np.array([True, True, True])),
        "name": ("configuration", ["flat", "steep", "flat"]),
        "whole": ("configuration", [37008.0, 37008.0, 37008.0]),
    },
    {"configuration": LABELS},
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("{share[k=8,n=8]}", "0.125 (0.07–0.19)"),
        ("{share[k=10,n=10]:.0%} of them", "38% (29–47%) of them"),
        ("{share.max:.3f}", "0.375 (0.290–0.470)"),
        ("{share.first:.1%}, {share.last:.1%}", "0.0% (0.0–2.6%), 37.5% (29.0–47.0%)"),
        ("{share}", "0–0.375"),
        ("{runs.sum:,}", "4,000"),
        ("{runs}", "1000–2000"),
        ("{error}", "−1.5×10⁻⁹"),
        ("{error:.2g}", "−1.5×10⁻⁹"),
        ("{gap.first:.2f}", "0.50"),
        ("{slope:.2f}", "−0.90 (−1.00 to −0.80)"),
        ("{slope:.0%}", "−90% (−100% to −80%)"),
        ("{proved}", "yes"),
        ("{name}; {name[k=8,n=8]}", "flat, steep; steep"),
        ("{whole:,}", "37,008"),
        ("{{as it is}}", "{as it is}"),
    ],
)
def test_a_field_is_the_column_with_its_interval(text, shown):
    assert filled(text, SUMMARY) == shown


@pytest.mark.parametrize("text", ["{unknown}", "{error[k=8,n=8]}", "{share[k=20,n=20]}"])
def test_what_was_not_measured_makes_no_sentence(text):
    assert filled(f"{{runs}} and {text}", SUMMARY) is None


def test_a_column_that_there_is_not_is_an_error():
    with pytest.raises(KeyError, match="shore"):
        filled("{shore}", SUMMARY)


def test_fields_are_read_in_order():
    assert fields("{a} {b[k=0.1,x=-1]:.2%} {c.min}") == [
        Field("a"), Field("b", label="k=0.1,x=-1", spec=".2%"), Field("c", pick="min"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text", ["{", "}", "{}", "{0}", "{a.middle}", "{a!r}", "{a:wide}", "{a b}"]
)
def test_braces_that_are_no_field_are_refused(text):
    with pytest.raises(ValueError, match=r"expected|Single|no format|braces|encountered"):
        fields(text)
