"""Numbers as text: as many digits as their interval supports."""

from __future__ import annotations

import math

MOST_DIGITS = 7
"""Significant digits shown at most."""
PLAIN_DIGITS = 6
"""Significant digits of a number without an interval."""
MINUS = "−"
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def number(value: float, digits: int = PLAIN_DIGITS) -> str:
    """A number to `digits` significant digits, without trailing zeros: 0.0375, −12, 1.5×10⁻⁹;
    "" for NaN."""
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    return signed(f"{value:.{digits}g}")


def signed(text: str) -> str:
    """What Python writes for a number, as it is printed: "-1.5e-09" is −1.5×10⁻⁹."""
    mantissa, _, exponent = text.partition("e")
    power = f"×10{str(int(exponent)).translate(_SUPERSCRIPTS)}" if exponent else ""
    return mantissa.replace("-", MINUS) + power


def with_interval(value: float, low: float, high: float) -> str:
    """A number with its interval: 0.375 (0.29–0.47).

    The ends are rounded to the first digit of the interval's half-width, the number to one
    digit more. Numbers below 10⁻⁴ or from 10⁶ on share a power of ten: 3.1 (3–4) ×10⁻⁷.
    Just the number where the interval is unknown or a point, to the digits shown; "" where
    the number is NaN.
    """
    if math.isnan(value) or math.isnan(low) or math.isnan(high):
        return number(value)
    if math.isinf(low) or math.isinf(high):
        return f"{number(value)} ({between(number(low), number(high))})"
    size = max(abs(value), abs(low), abs(high))
    half = (high - low) / 2
    if half <= size * 10.0 ** (1 - MOST_DIGITS):
        return number(value)
    power = math.floor(math.log10(size))
    shared = not -4 <= power < 6
    unit = 10.0**power if shared else 1.0
    value, low, high, half = value / unit, low / unit, high / unit, half / unit
    decimals = max(0, -math.floor(math.log10(half)))
    ends = between(_fixed(low, decimals), _fixed(high, decimals))
    # where the ends are whole numbers, so is the value: 123 (96–151)
    text = f"{_fixed(value, decimals + (decimals > 0))} ({ends})"
    return f"{text} ×10{str(power).translate(_SUPERSCRIPTS)}" if shared else text


def span(low: float, high: float) -> str:
    """An interval without a number: 0.01–0.044; only one end where the other is NaN, "" where
    both are."""
    first, last = number(low, 3), number(high, 3)
    if first and last:
        return between(first, last)
    return f"from {first}" if first else f"to {last}" if last else ""


def _fixed(value: float, decimals: int) -> str:
    text = f"{value:.{decimals}f}"
    negative = text.startswith("-") and text.strip("-0.") != ""
    return (MINUS if negative else "") + text.removeprefix("-")


def between(low: str, high: str) -> str:
    """Two numbers as an interval: with an en dash, or "to" beside a minus or a power."""
    return f"{low} to {high}" if set(f"{MINUS}×") & set(low + high) else f"{low}–{high}"
