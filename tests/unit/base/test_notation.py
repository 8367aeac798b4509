"""Numbers as text: as many digits as their interval supports."""

import re

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from nnflow.base.notation import between, number, signed, span, with_interval


@pytest.mark.parametrize(
    ("triple", "text"),
    [
        ((0.375, 0.29, 0.47), "0.375 (0.29–0.47)"),
        ((1.0, 0.97, 1.0), "1.000 (0.97–1.00)"),
        ((0.0, 0.0, 0.026), "0.000 (0.00–0.03)"),
        ((0.0123, 0.0119, 0.0127), "0.01230 (0.0119–0.0127)"),
        ((123.4, 96.2, 151.9), "123 (96–152)"),
        ((-0.03, -0.05, 0.01), "−0.030 (−0.05 to 0.01)"),
        ((3.1e-7, 2.6e-7, 3.7e-7), "3.10 (2.6–3.7) ×10⁻⁷"),
        ((2.0, 2.0, 2.0), "2"),
        ((0.014059013, 0.014059013 - 1e-15, 0.014059013 + 1e-15), "0.014059"),
        ((2.0, -np.inf, np.inf), "2 (−∞ to ∞)"),
        ((np.nan, 0.0, 1.0), ""),
        ((0.5, np.nan, np.nan), "0.5"),
    ],
)
def test_a_number_has_the_digits_that_its_interval_supports(triple, text):
    assert with_interval(*triple) == text


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.01, 0.0444, "0.01–0.0444"),
        (-1.0, 2.0, "−1 to 2"),
        (1e-9, np.nan, "from 1×10⁻⁹"),
        (np.nan, 3.0, "to 3"),
        (np.nan, np.nan, ""),
    ],
)
def test_an_interval_alone_may_be_open(low, high, text):
    assert span(low, high) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-12.0, "−12"), (1.5e-9, "1.5×10⁻⁹"), (0.0375, "0.0375"), (1e21, "1×10²¹")],
)
def test_a_number_alone_is_short(value, text):
    assert number(value) == text


@given(st.floats(-1e12, 1e12), st.floats(1e-5, 1), st.floats(1e-5, 1))
def test_what_is_shown_lies_within_a_digit_of_the_interval(value, below, above):
    size = max(abs(value), 1e-12)
    low, high = value - below * size, value + above * size
    shown = with_interval(value, low, high).replace("−", "-")
    mantissa, _, power = shown.partition(" ×10")
    digits = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
    unit = 10.0 ** int(power.translate(digits)) if power else 1.0
    read = [float(part) * unit for part in re.split(r" \(| to |–|\)", mantissa) if part]
    # ends are rounded by at most half of the first digit of the half-width
    slack = (high - low) / 2 * 0.51 + size * 1e-8
    assert np.allclose(read, [value, low, high], rtol=0, atol=slack)


@pytest.mark.parametrize(
    ("text", "shown"),
    [("-1.5e-09", "−1.5×10⁻⁹"), ("1e+05", "1×10⁵"), ("-0.5", "−0.5"), ("38%", "38%")],
)
def test_what_python_writes_is_printed_with_signs(text, shown):
    assert signed(text) == shown


def test_an_interval_with_a_minus_has_no_dash():
    assert between("−1", "2") == "−1 to 2"
    assert between("1", "2") == "1–2"
