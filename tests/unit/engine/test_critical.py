"""Kinds of critical points from eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nnflow.base.errors import UserError
from nnflow.engine.critical import (
    IS_GLOBAL,
    KINDS,
    OBSTACLES,
    SENSITIVE,
    check_infimum,
    critical_limit,
    indefinite,
    index_bounds,
    inertia,
    inertia_of_ends,
    is_global,
    kinds,
    one_kind,
    second_order,
    sensitive,
    small_unit,
    zero_range,
)
from nnflow.study.stage_settings import Classify

CASES = {
    "minimum": [0.1, 1.0, 2.0],
    "saddle": [-0.1, 1.0, 2.0],
    "maximum": [-3.0, -2.0, -1.0],
    "degenerate": [0.0, 1e-12, 2.0],
}


def kind_of(eigenvalues, gradient_norm=0.0, smooth=True):
    settings = Classify()
    values = np.array([eigenvalues])
    index, nullity = inertia(values, settings.zero_below)
    signs = indefinite(values, settings.zero_below)
    limit = critical_limit(settings.critical_below, np.abs(values).max(axis=1))
    found = kinds(
        second_order(signs, index, nullity, values.shape[1]),
        np.where(np.array([gradient_norm]) < limit, 0, OBSTACLES.index("gradient")),
        np.array([smooth]),
    )
    return KINDS[found[0]]


@pytest.mark.parametrize(("kind", "eigenvalues"), CASES.items())
def test_kinds(kind, eigenvalues):
    assert kind_of(eigenvalues) == kind


def test_a_negative_direction_makes_a_saddle_whatever_the_nullity():
    assert kind_of([-0.1, 0.0, 2.0]) == "saddle"
    assert kind_of([-0.1, 0.0, 0.0]) == "degenerate"
    assert kind_of([0.0, 0.0, 0.0]) == "degenerate"


def test_a_zero_eigenvalue_makes_a_maximum_degenerate():
    assert kind_of([-3.0, -2.0, 0.0]) == "degenerate"


def test_missing_eigenvalues_do_not_count():
    values = np.array([[1.0, np.nan, np.nan], [-1.0, 2.0, np.nan]])
    index, nullity = inertia(values, 1e-7)
    assert index.tolist() == [0, 1] and nullity.tolist() == [0, 0]
    assert zero_range(values, 1e-7).tolist() == [[0, 1], [0, 0.5]]


def test_zero_may_be_judged_by_a_larger_scale():
    """An eigenvalue of 1e-9 in a part of a matrix of norm 1."""
    values, largest = np.array([[1e-9]]), np.array([1.0])
    assert inertia(values, 1e-7)[1][0] == 0
    assert inertia(values, 1e-7, largest)[1][0] == 1
    assert zero_range(values, 1e-7, largest).tolist() == [[1e-9, np.inf]]


def test_gradient_and_kinks_come_first():
    assert kind_of(CASES["minimum"], gradient_norm=1e-3) == "not_critical"
    assert kind_of(CASES["minimum"], gradient_norm=np.nan) == "not_critical"
    assert kind_of(CASES["saddle"], smooth=False) == "nonsmooth"


def test_an_unknown_index_is_no_saddle_unless_both_signs_were_seen():
    unknown = np.array([-1])
    for both, kind in ((True, "saddle"), (False, "degenerate")):
        found = second_order(np.array([both]), unknown, unknown, 9)
        assert KINDS[found[0]] == kind


@given(
    arrays(float, (4, 5), elements=st.integers(-3000, 3000).map(lambda n: n / 1000)),
    st.floats(1e-6, 0.5),
)
def test_every_threshold_in_the_zero_range_judges_alike(eigenvalues, threshold):
    low, high = zero_range(eigenvalues, threshold).T
    assert (low <= threshold).all() and (high > threshold).all()
    index, nullity = inertia(eigenvalues, threshold)
    for row in range(4):
        within = low[row] + np.array([1e-9, 0.5, 1 - 1e-9]) * (min(high[row], 1) - low[row])
        for other in within[within > low[row]]:
            again = inertia(eigenvalues[row : row + 1], other)
            assert (again[0][0], again[1][0]) == (index[row], nullity[row])


def test_is_global():
    found = is_global(np.array([0.0, 1e-7, 0.02]), 0.0, 1e-6)
    assert [IS_GLOBAL[value] for value in found] == ["yes", "yes", "no"]
    assert IS_GLOBAL[is_global(np.zeros(1), None, 1e-6)[0]] == "unknown"
    assert IS_GLOBAL[is_global(np.array([np.nan]), 0.0, 1e-6)[0]] == "unknown"
    # rounding of a large loss may lead below the infimum by more than the threshold
    assert IS_GLOBAL[is_global(np.array([-1e6 - 1e-4]), -1e6, 1e-6)[0]] == "yes"


def test_in_a_small_unit_a_threshold_that_tells_nothing_apart_leaves_it_unknown():
    loss, unit = np.array([1e-9, 1e-9, 1e-12, 1e-3]), np.array([1, 1e-5, 1e-5, 1e-5])
    found = is_global(loss, 0.0, 1e-6, unit)
    assert [IS_GLOBAL[value] for value in found] == ["yes", "unknown", "yes", "no"]


def test_thresholds_follow_the_unit_only_where_it_is_far_from_one():
    norm = np.array([0, 1e-6, 1e-4, 1, 1e4, 1e6])
    np.testing.assert_allclose(critical_limit(1e-9, norm), [1e-9] * 5 + [1e-7])
    np.testing.assert_allclose(small_unit(norm), [0, 1e-2, 1, 1, 1, 1])


NAN = np.nan
ENDS = {
    "definite": ([1, 2], [8, 9], 0, 0),
    "negative definite": ([-9, -8], [-2, -1], 100, 0),
    "one negative": ([-1, 2], [8, 9], 1, 0),
    "one negative and a zero": ([-1, 0, 2], [7, 8, 9], 1, 1),
    "all but one negative": ([-9, -8], [-2, 1], 99, 0),
    "all but a zero and one negative": ([-9, -8, -7], [-2, 0, 1], 98, 1),
    "semidefinite": ([0, 0], [8, 9], 0, -1),
    "semidefinite, and all zeros known": ([0, 1], [8, 9], 0, 1),
    "negative semidefinite": ([-9, -8], [0, 0], -1, -1),
    "indefinite": ([-2, -1], [8, 9], -1, -1),
    "zero": ([0, 0], [0, 0], 0, 100),
    "inner ends missing": ([1, NAN], [NAN, 9], 0, 0),
    "lowest missing": ([NAN, NAN], [8, 9], -1, -1),
    "the upper end alone": ([], [8, 9], -1, -1),
    "the upper end alone, negative": ([], [-8, -1], 100, 0),
    "the lower end alone": ([1, 2], [], 0, 0),
}


@pytest.mark.parametrize("name", ENDS)
def test_ends_of_a_spectrum_decide_what_they_can(name):
    low, high, index, nullity = ENDS[name]
    ends = (np.array([low], dtype=float), np.array([high], dtype=float))
    error = np.zeros((1, len(low) + len(high)))
    found = inertia_of_ends(*ends, np.array([[1e-6]]), error, 100)
    assert (found[0][0], found[1][0]) == (index, nullity)


def test_an_eigenvalue_of_an_open_sign_decides_nothing():
    """0.1 ± 0.2 may be negative; 0.3 ± 0.2 is positive, and so are those above it."""
    low, high, zero = np.array([[0.1, 0.3]]), np.array([[8.0, 9.0]]), np.array([[1e-6]])
    for error, expected in (([0.2, 0.2], (-1, -1)), ([0.05, 0.2], (0, 0))):
        found = inertia_of_ends(low, high, zero, np.array([[*error, 0, 0]]), 100)
        assert (found[0][0], found[1][0]) == expected


@given(arrays(float, 6, elements=st.integers(-2, 2).map(float)), st.integers(1, 3))
def test_ends_never_contradict_the_whole_spectrum(values, count):
    whole = np.sort(values)[None]
    index, nullity = inertia(whole, 1e-7)
    found = inertia_of_ends(
        whole[:, :count], whole[:, -count:], np.full((1, 1), 1e-9), np.zeros((1, 2 * count)), 6
    )
    assert found[0][0] in (-1, index[0]) and found[1][0] in (-1, nullity[0])


def test_one_point_has_one_kind():
    names = ["minimum", "saddle", "saddle", "minimum", "nonsmooth", "degenerate"]
    kind = np.array([KINDS.index(name) for name in names])
    family = np.array([0, 0, 1, 1, 2, 2])
    index, nullity = np.array([0, 1, 2, 0, 0, 0]), np.array([0, 0, 3, 3, 9, 9])
    found, differ, split = one_kind(family, kind, [index, nullity])
    assert [KINDS[k] for k in found] == ["degenerate"] * 4 + ["nonsmooth", "degenerate"]
    assert [where.tolist() for where in differ] == [[True] * 4 + [False] * 2, [False] * 6]
    assert split.tolist() == [True] * 4 + [False] * 2
    assert kind.tolist()[:2] == [0, 1], "the argument was changed"


def test_kinds_that_hang_on_the_threshold_are_told():
    ranges = np.array([[0, 1e-3], [2e-8, 1], [0, 5e-7], [1e-9, 1], [NAN, NAN]])
    found = [SENSITIVE[value] for value in sensitive(ranges, 1e-7)]
    assert found == ["no", "yes", "yes", "no", "unknown"]


def test_a_loss_below_the_infimum_is_an_error():
    loss, runs = np.array([1.0, -1e-12, np.nan]), np.array([4, 5, 6])
    check_infimum(loss, 0.0, runs, "bowl")
    check_infimum(loss - 100, None, runs, "bowl")
    with pytest.raises(UserError, match="run 5"):
        check_infimum(loss - [0, 1e-7, 0], 0.0, runs, "bowl")
    # rounding is relative to the infimum
    check_infimum(np.array([1e6 - 1e-4]), 1e6, runs[:1], "bowl")
    with pytest.raises(UserError, match=r"model 'bowl': run 6 has the loss -3, below .* infimum 0"):
        check_infimum(np.array([1.0, -2.0, -3.0]), 0.0, runs, "bowl")


def test_an_index_lies_between_what_ritz_values_leave_open():
    """Two negative and three positive ones seen of ten; the floor decides the rest only where
    nothing can be below zero."""
    values = np.array([[-2.0, -1.0, 3.0, 4.0, 5.0], [1e-12, 2.0, 3.0, 4.0, 5.0]])
    zero = np.full((2, 1), 1e-9)
    open_ = index_bounds(values, zero, np.array([-2.1, -1e-6]), 10)
    np.testing.assert_array_equal(open_["index_least"], [2, 0])
    np.testing.assert_array_equal(open_["index_most"], [7, 6])
    sure = index_bounds(values, zero, np.array([np.nan, -1e-10]), 10)
    np.testing.assert_array_equal(sure["index_most"], [7, 0])
