"""Families: images of one another under the symmetry."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from nnflow.engine.families import NO_FAMILY, beside, families


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
