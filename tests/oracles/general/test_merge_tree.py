"""Merge trees of grids whose basins are known."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from studies import module

merge_tree = module("_merge_tree").merge_tree


def test_a_row_of_three_basins():
    """3 0 5 1 4 2 6: 2 meets 1 at 4, and 1 meets 0 at 5."""
    found = merge_tree(np.array([[3.0, 0, 5, 1, 4, 2, 6]]))
    assert found["birth"].tolist() == [0, 1, 2]
    assert found["death"].tolist() == [np.inf, 5, 4]
    assert found["parent"].tolist() == [-1, 0, 1]
    assert found["place"].tolist() == [[0, 1], [0, 3], [0, 5]]


def test_himmelblau_has_four_basins_that_merge_at_its_saddles():
    """Its saddles are at 13.3119, 67.7192 and 104.0152; the fourth, 178.3372, joins nothing."""
    side = np.linspace(-5.5, 5.5, 1101)
    x, y = np.meshgrid(side, side)
    found = merge_tree((x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2)
    np.testing.assert_allclose(found["birth"], 0, atol=3e-3)
    np.testing.assert_allclose(np.sort(found["death"])[:3], [13.3119, 67.7192, 104.0152], rtol=1e-3)
    assert found["death"][0] == np.inf
    assert len(found["birth"]) == 4


def test_what_is_not_finite_parts_basins():
    found = merge_tree(np.array([[0.0, np.nan, 1.0], [2.0, np.inf, 3.0]]))
    assert found["birth"].tolist() == [0, 1]
    assert found["death"].tolist() == [np.inf, np.inf]
    assert found["parent"].tolist() == [-1, -1]


def test_a_plateau_is_one_basin_and_a_diagonal_valley_does_not_fall_apart():
    assert merge_tree(np.zeros((4, 5)))["birth"].tolist() == [0]
    assert merge_tree(1 - np.eye(6))["birth"].tolist() == [0]


def test_nothing_finite_is_no_basin():
    assert merge_tree(np.full((3, 3), np.nan))["place"].shape == (0, 2)


@given(arrays(np.float64, (5, 6), elements=st.integers(0, 9).map(float)), st.integers(0, 9))
def test_as_many_basins_as_parts_of_the_sublevel_set(values, level):
    """Between two levels basins are born and die as often as the parts of {values ≤ level} say."""
    found = merge_tree(values)
    alive = ((found["birth"] <= level) & (found["death"] > level)).sum()
    parts = ndimage.label(values <= level, np.ones((3, 3)))[1]
    assert alive == parts
