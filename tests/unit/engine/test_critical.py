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
    check_infimum,
    indefinite,
    inertia,
    is_global,
    kinds,
    second_order,
    zero_range,
)
from nnflow.study.types import Classify

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
    found = kinds(
        second_order(signs, index, nullity, values.shape[1]),
        np.array([gradient_norm]),
        np.array([smooth]),
        settings,
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
    assert IS_GLOBAL[is_global(np.array([np.nan]), 0.0, 1e-6)[0]] == "no"


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
