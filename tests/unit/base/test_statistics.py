"""Intervals against their definitions and published values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nnflow.base.statistics import CONFIDENCE, mean, share, share_of, two_binomials_agree


@given(trials=st.integers(1, 2000), fraction=st.floats(0, 1))
def test_share_is_clopper_and_pearsons_interval(trials, fraction):
    """Its ends are quantiles of beta distributions."""
    count = round(fraction * trials)
    value, low, high = share(count, trials)
    tail = (1 - CONFIDENCE) / 2
    assert value == count / trials
    expected_low = stats.beta.ppf(tail, count, trials - count + 1) if count else 0.0
    expected_high = stats.beta.ppf(1 - tail, count + 1, trials - count) if count < trials else 1.0
    assert low == pytest.approx(expected_low, abs=1e-9)
    assert high == pytest.approx(expected_high, abs=1e-9)
    assert low <= value <= high


def test_share_of_nothing_in_closed_form():
    """No success in n trials: the upper end solves (1 − p)ⁿ = α/2."""
    assert share(0, 100)[2] == pytest.approx(1 - 0.005**0.01, abs=1e-12)


def test_share_of_no_trials():
    assert all(math.isnan(number) for number in share(0, 0))


def test_mean_is_students_interval():
    values = np.array([4.2, 5.1, 3.9, 4.7, 5.0])
    average, low, high = mean(values)
    half = stats.t.ppf(0.995, 4) * values.std(ddof=1) / math.sqrt(5)
    assert average == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((average - half, average + half))


def test_mean_covers_the_truth_as_often_as_it_says():
    """Of 1000 intervals at 90 %, 900 ± 4·9.5 hold the true mean."""
    generator = np.random.default_rng(0)
    hits = 0
    for sample in generator.normal(2, 3, (1000, 6)):
        _, low, high = mean(sample, confidence=0.9)
        hits += low <= 2 <= high
    assert abs(hits - 900) < 4 * math.sqrt(1000 * 0.9 * 0.1)


def test_mean_of_one_value_says_nothing_of_its_error():
    assert mean(np.array([3.0])) == (3.0, -math.inf, math.inf)


def test_mean_of_nothing():
    assert all(math.isnan(number) for number in mean(np.array([])))


def test_mean_of_equal_values():
    assert mean(np.full(4, 0.1)) == pytest.approx((0.1, 0.1, 0.1))


@given(st.integers(1, 500), st.integers(1, 500), st.floats(0, 1), st.floats(0, 1))
def test_agreement_is_symmetric_and_reflexive(trials, other_trials, p, q):
    count, other = round(p * trials), round(q * other_trials)
    agree = two_binomials_agree(count, trials, other, other_trials)
    assert agree == two_binomials_agree(other, other_trials, count, trials)
    assert agree == two_binomials_agree(trials - count, trials, other_trials - other, other_trials)
    assert two_binomials_agree(count, trials, count, trials)


def test_agreement_has_its_level():
    """Samples of one probability are told apart in at most 1 % of the cases: of 2000, at
    most 20 and four standard deviations more."""
    generator = np.random.default_rng(1)
    pairs = generator.binomial([200, 1000], 0.3, (2000, 2))
    refused = sum(not two_binomials_agree(a, 200, b, 1000) for a, b in pairs)
    assert refused <= 20 + 4 * math.sqrt(20)


def test_fishers_tea():
    """Fisher's own table: 3 of 4 against 1 of 4 has p = 34/70."""
    assert two_binomials_agree(3, 4, 1, 4, confidence=1 - 34 / 70 + 1e-9)
    assert not two_binomials_agree(3, 4, 1, 4, confidence=1 - 34 / 70 - 1e-3)


def test_different_shares_are_told_apart():
    assert not two_binomials_agree(100, 200, 300, 1000)
    assert two_binomials_agree(62, 200, 300, 1000)


def test_the_share_of_a_mask_is_that_of_its_count():
    which = np.array([True, False, True, False, False])
    assert share_of(which) == share(2, 5)
    assert np.isnan(share_of(which[:0])).all()
