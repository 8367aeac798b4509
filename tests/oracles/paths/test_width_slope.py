"""The slope of a mean on the width, against power laws and a straight line fitted by NumPy."""

import numpy as np
import pytest
from studies import module

width_slope = module("_width_slope").width_slope
WIDTHS = [4, 16, 64]


def test_the_slope_of_a_power_law():
    values = [np.full(5, 3.0 * width**-1.5) for width in WIDTHS]
    assert width_slope(WIDTHS, values) == pytest.approx((-1.5, -1.5, -1.5))


def test_the_slope_is_that_of_the_line_through_the_logarithms_of_the_means():
    values = list(np.random.default_rng(0).uniform(1, 2, size=(3, 7)))
    means = [part.mean() for part in values]
    expected = np.polyfit(np.log(WIDTHS), np.log(means), 1)[0]
    slope, low, high = width_slope(WIDTHS, values)
    assert slope == pytest.approx(expected)
    assert high - slope == pytest.approx(slope - low)


def test_the_interval_holds_the_true_slope_as_often_as_it_says():
    random, hits = np.random.default_rng(1), 0
    for _ in range(400):
        values = [w**-0.5 * random.gamma(9, 1 / 9, size=8) for w in WIDTHS]
        _, low, high = width_slope(WIDTHS, values)
        hits += low <= -0.5 <= high
    assert hits / 400 >= 0.985


def test_the_standard_error_is_that_of_the_delta_method_for_many_pairs():
    values = list(np.random.default_rng(2).gamma(9, 1 / 9, size=(2, 2000)))
    _, low, high = width_slope([1, np.e], values)
    errors = [part.std(ddof=1) / part.mean() / np.sqrt(2000) for part in values]
    assert (high - low) / 2 == pytest.approx(2.578 * np.hypot(*errors), rel=2e-3)


@pytest.mark.parametrize(
    "values",
    [
        [np.ones(2)],
        [np.ones(2), np.ones(0)],
        [np.ones(2), np.zeros(2)],
        [np.ones(2), -np.ones(3)],
    ],
)
def test_no_slope_without_two_positive_means(values):
    assert np.isnan(width_slope(range(1, 1 + len(values)), values)).all()


def test_one_pair_tells_no_interval():
    assert width_slope([1, 2], [np.ones(1), np.ones(4) / 2]) == (pytest.approx(-1), -np.inf, np.inf)


def test_no_interval_where_one_pair_carries_the_mean():
    values = [np.ones(3), np.array([1.0, 0, 0])]
    assert width_slope([1, 2], values)[1:] == (-np.inf, np.inf)
