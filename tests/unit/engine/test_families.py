"""Families: images of one another under the symmetry."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nnflow.base.spilled import Spilled
from nnflow.engine.families import JOINED, NO_FAMILY, _clusters, beside, families, split_valleys


def test_numbered_by_rising_loss_and_told_apart_by_invariants():
    loss = np.array([0.5, 0.1, 0.1, 0.5, np.nan, 0.1])
    invariants = np.array([[1.0], [2.0], [3.0], [1.0 + 1e-9], [0.0], [2.0]])
    found = families(loss, invariants, np.ones(6, bool), 1e-6)
    assert found.tolist() == [2, 0, 1, 2, NO_FAMILY, 0]


def test_points_of_a_continuum_are_grouped_by_loss_alone():
    loss = np.array([0.0, 1e-9, 0.0])
    invariants = np.array([[1.0], [2.0], [3.0]])
    found = families(loss, invariants, np.array([False, False, True]), 1e-6)
    assert found.tolist() == [0, 0, 1]


@pytest.mark.parametrize("unit", [1.0, 1e10, 1e12, 1e300])
def test_large_losses_and_weights_differ_by_rounding(unit):
    """Above 1e10 neighbouring numbers are farther apart than the threshold."""
    loss = unit * np.array([1.0, 1 + 3e-16, 2.0, 2.0])
    found = families(loss, loss[:, None], np.ones(4, bool), 1e-6)
    assert found.tolist() == [0, 0, 1, 1]
    some = np.array([1, 0, 1, 0], bool)
    assert beside(loss, loss[:, None], some, ~some, 1e-6).tolist() == some.tolist()


def test_each_finite_run_has_a_family_however_small_the_level():
    loss = np.array([0.0, 0.0, 1e-300])
    found = families(loss, loss[:, None], np.zeros(3, bool), 1e-6, np.zeros(3))
    assert found.tolist() == [0, 0, 1]


@pytest.mark.parametrize("piece", [1, 3, 8])
def test_invariants_may_be_copied_piece_by_piece(piece, monkeypatch):
    monkeypatch.setattr("nnflow.engine.families.PIECE", piece)
    invariants = np.array([1.0, 2, 1, 1, 2, 1, 3, 1])[:, None]
    found = families(np.zeros(8), invariants, np.ones(8, bool), 1e-6)
    assert found.tolist() == [0, 1, 0, 0, 1, 0, 2, 0]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30), st.integers(0, 2**32 - 1))
def test_the_partition_does_not_depend_on_the_order_or_on_noise(labels, seed):
    random = np.random.default_rng(seed)
    labels = np.array(labels)
    noise = 1e-9 * random.standard_normal(len(labels))
    found = families(labels + noise, labels[:, None] + noise[:, None], labels >= 0, 1e-6)
    order = random.permutation(len(labels))
    again = families(
        (labels + noise)[order], (labels[:, None] + noise[:, None])[order], labels >= 0, 1e-6
    )
    np.testing.assert_array_equal(again, found[order])
    np.testing.assert_array_equal(found, np.unique(labels, return_inverse=True)[1])


def test_the_same_point_by_loss_and_invariants():
    loss = np.array([0.0, 1e-9, 0.0, 0.5, np.nan, 1e-9])
    invariants = np.array([[1.0], [1.0], [2.0], [1.0], [1.0], [3.0]])
    some, others = np.array([1, 0, 1, 1, 0, 0], bool), np.array([0, 1, 0, 0, 0, 1], bool)
    assert beside(loss, invariants, some, others, 1e-6).tolist() == [True] + [False] * 5
    assert not beside(loss, invariants, some, ~(some | ~some), 1e-6).any()


@given(st.lists(st.integers(0, 12), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_each_run_is_compared_with_all_others(steps, seed):
    """Also where neighbours are alike and ends of a chain are not, with infinite losses between."""
    random = np.random.default_rng(seed)
    loss = 0.4 * np.array(steps, float)
    loss[random.random(len(loss)) < 0.1] = random.choice([np.nan, np.inf, -np.inf])
    invariants = random.integers(0, 2, (len(loss), 2)).astype(float)
    isolated = random.random(len(loss)) < 0.5
    found = families(loss, invariants, isolated, 1.0)
    expected, number = np.full(len(loss), NO_FAMILY), 0
    for row in np.argsort(loss, kind="stable"):
        if not np.isfinite(loss[row]) or expected[row] != NO_FAMILY:
            continue
        for other in np.flatnonzero(np.isfinite(loss) & (expected == NO_FAMILY)):
            same = np.abs(invariants[other] - invariants[row]).max() < 1.0 or not isolated[row]
            if abs(loss[other] - loss[row]) < 1.0 and isolated[other] == isolated[row] and same:
                expected[other] = number
        number += 1
    np.testing.assert_array_equal(found, expected)


def test_rows_on_disk_give_the_families_of_an_array(tmp_path, monkeypatch):
    """Of invariants and of marks, in pieces that cut families."""
    monkeypatch.setattr("nnflow.engine.families.PIECE", 7)
    monkeypatch.setattr("nnflow.base.spilled.HELD", 0)
    random = np.random.default_rng(0)
    loss = random.integers(0, 3, 200) + 1e-9 * random.random(200)
    loss[::50] = np.nan
    invariants = random.integers(0, 3, (200, 2)).astype(float)
    marks = random.integers(0, 2, (200, 1, 1)) + 1e-9 * random.random((200, 4, 3))
    marks[(loss < 0.5) & (random.random(200) < 0.1)] = np.nan
    isolated = random.random(200) < 0.5
    with (
        Spilled(tmp_path, (2,), invariants.dtype) as on_disk,
        Spilled(tmp_path, (4, 3), marks.dtype) as marks_on_disk,
    ):
        on_disk.add(invariants)
        marks_on_disk.add(marks)
        found, expected = (
            [
                beside(loss, rows, isolated, ~isolated, 1e-6),
                family := families(loss, rows, isolated, 1e-6),
                *split_valleys(family, walked, ~isolated, 1e-6),
            ]
            for rows, walked in ((on_disk, marks_on_disk), (invariants, marks))
        )
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(np.unique(expected[2])) > len(np.unique(expected[1])) > 10


def test_families_without_runs_leave_no_gap_and_one_that_walked_is_enough(monkeypatch):
    """Points whose invariants are NaN are of no family, though a number was theirs."""
    monkeypatch.setattr("nnflow.engine.families.PIECE", 2)
    family = np.array([4, 4, 4, 4, 0, 2, NO_FAMILY, 6])
    marks = np.full((8, 2, 1), np.nan)
    marks[2:4] = 1.0
    found, joined = split_valleys(family, marks, family == 4, 1e-6)
    assert found.tolist() == [2, 2, 2, 2, 0, 1, NO_FAMILY, 3]
    assert [JOINED[j] for j in joined] == ["no"] * 4 + ["yes"] * 2 + ["unknown", "yes"]


MARK = st.sampled_from([0.0, 1.0, 2.0, 3.5, np.nan])


@given(st.lists(st.tuples(MARK, MARK), min_size=1))
def test_places_have_no_gap_within(rows):
    """Chains of steps within the threshold, in each column; NaN is alone."""
    rows = np.array(rows)
    found = _clusters(rows[:, None], np.arange(len(rows)), 0, 1.0)

    def chain(column):
        """Numbers of places along one column."""
        order = np.argsort(column, kind="stable")
        far = ~(np.diff(column[order]) <= 1.0)
        return np.concatenate([[0], np.cumsum(far)])[np.argsort(order)]

    of = list(zip(*(chain(column).tolist() for column in rows.T), strict=True))
    assert found.tolist() == [list(dict.fromkeys(of)).index(one) for one in of]
