"""Rows that lie on disk: the same as those of an array."""

import os
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nnflow.base import spilled
from nnflow.base.spilled import Spilled


def rows_like(values, folder, cuts=()):
    """Spilled rows, added in parts."""
    rows = Spilled(folder, values.shape[1:], values.dtype)
    for part in np.split(values, cuts):
        rows.add(part)
    return rows


def values_of(count, row, kind):
    return np.random.default_rng(0).integers(-100, 100, (count, *row)).astype(kind)


@pytest.fixture(params=[0, 100, 2**40], ids=["on disk", "from some row on", "in memory"])
def held(request, monkeypatch):
    monkeypatch.setattr(spilled, "HELD", request.param)
    # so that neighbours, and rows far from each other, are read
    monkeypatch.setattr(spilled, "GAP", 50)


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 60), max_size=5),
    st.lists(st.integers(0, 59), max_size=70),
    st.sampled_from([(), (3,), (2, 2)]),
    st.sampled_from(["f8", "i1", "i4"]),
)
def read_as_an_array(folder, cuts, some, row, kind):
    values = values_of(60, row, kind)
    with rows_like(values, folder, sorted(cuts)) as rows:
        assert (len(rows), rows.shape, rows.dtype) == (60, values.shape, values.dtype)
        mask = np.zeros(60, bool)
        mask[some] = True
        first, last = (some * 2 or [0, 0])[:2]
        for where in (
            np.array(some, int), mask, 7, np.int64(59), slice(None), slice(first, last),
            slice(last, 200), slice(3, 50, 7), slice(50, 3, -7), np.array([[5, 4], [4, 59]]),
        ):  # fmt: skip
            found = rows[where]
            assert found.dtype == values.dtype and found.shape == values[where].shape
            np.testing.assert_array_equal(found, values[where])
        with rows.in_order(np.array(some, int)) as copy:
            np.testing.assert_array_equal(copy[:], values[some])
        with rows.replaced(mask, 9) as copy:
            expected = values.copy()
            expected[mask] = 9
            np.testing.assert_array_equal(copy[:], expected)
        np.testing.assert_array_equal(rows[:], values)
        assert sum(len(piece) for piece in rows.pieces()) == 60


def test_rows_are_those_of_an_array(tmp_path, held):
    read_as_an_array(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_rows_are_copied_when_they_are_added(tmp_path):
    values = np.zeros(5)
    rows = rows_like(values, tmp_path)
    values[:] = 1
    assert not rows[:].any()


def test_rows_added_after_others_were_read(tmp_path, monkeypatch):
    monkeypatch.setattr(spilled, "HELD", 40)
    values = values_of(30, (), "f8")
    with Spilled(tmp_path, (), np.float64) as rows:
        for start in range(0, 30, 2):
            rows.add(values[start : start + 2])
            np.testing.assert_array_equal(rows[:], values[: start + 2])


def test_none_but_rows_that_are_there(tmp_path, held):
    with rows_like(values_of(4, (2,), "f8"), tmp_path) as rows:
        for where in (4, -1, np.array([0, 4])):
            with pytest.raises(IndexError, match="rows 0 to 3"):
                rows[where]
        with pytest.raises(IndexError, match="a mask of 3 for 4 rows"):
            rows[np.ones(3, bool)]
        with pytest.raises(ValueError, match="shape"):
            rows.add(np.zeros((2, 3)))


def test_a_file_that_became_shorter_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(spilled, "HELD", 0)
    with rows_like(values_of(4, (2,), "f8"), tmp_path) as rows:
        os.ftruncate(rows._file.fileno(), 40)
        with pytest.raises(OSError, match="shorter"):
            rows[:]


def test_a_copy_that_fails_leaves_no_file_open(tmp_path, monkeypatch):
    monkeypatch.setattr(spilled, "HELD", 0)
    before = len(os.listdir("/proc/self/fd"))
    with rows_like(values_of(4, (), "f8"), tmp_path) as rows, pytest.raises(IndexError):
        rows.in_order(np.array([1, 9]))
    with rows_like(values_of(4, (), "f8"), tmp_path) as rows, rows.in_order(np.arange(4)):
        assert len(os.listdir("/proc/self/fd")) == before + 2
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_does_not_grow_with_the_rows(tmp_path):
    """16 MB of rows, read in the order that scatters them most."""
    part = np.random.default_rng(0).random((1000, 100))
    order = np.random.default_rng(1).permutation(20_000)
    with Spilled(tmp_path, (100,), part.dtype) as rows:
        tracemalloc.start()
        for _ in range(20):
            rows.add(part)
        with rows.in_order(order) as copy:
            for found in copy.pieces():
                assert found.shape[1:] == (100,)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        np.testing.assert_array_equal(rows[order[-5:]], part[order[-5:] % 1000])
    assert most < 5e6
