"""Rows of numbers that may be many: few are in memory, more in a file without a name."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np

HELD = 2**20
"""Bytes that are held in memory; with more there is a file."""
GAP = 2**12
"""Bytes between two rows that are read along with them, as that takes less time than to read once
more."""


class Spilled:
    """Rows (row, …) that are added in their order and then read like those of an array, by a
    number, a slice, numbers or a mask.

    Most rows are in a file without a name, which takes no disk any more once it is closed or the
    process has ended, however it ends. They are read, not mapped, as mapped pages count as memory
    of the process.
    """

    def __init__(self, folder: Path, row: tuple[int, ...], dtype: np.dtype) -> None:
        """folder: where the file is. row: shape of one row."""
        self._folder, self._row, self.dtype = folder, row, np.dtype(dtype)
        self._width = self.dtype.itemsize * math.prod(row)
        self._held = [np.empty((0, *row), self.dtype)]  # where none is added, there is something
        self._file: BinaryIO | None = None
        self._count = 0

    def __enter__(self) -> Spilled:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def __len__(self) -> int:
        return self._count

    @property
    def shape(self) -> tuple[int, ...]:
        """(row, …)."""
        return (self._count, *self._row)

    def add(self, rows: np.ndarray) -> None:
        """Add rows (row, …) behind those that are there. Raises ValueError for rows of another
        shape, and OSError where the disk is full."""
        if rows.shape[1:] != self._row:
            raise ValueError(f"rows of shape {rows.shape[1:]} behind those of {self._row}")
        self._held.append(np.array(rows, self.dtype, order="C"))
        self._count += len(rows)
        if self._file is None and self._count * self._width > HELD:
            self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115
        if self._file is not None:
            for held in self._held:
                self._file.write(held)
            self._file.flush()
            self._held = []

    def __getitem__(self, where: int | slice | np.ndarray) -> np.ndarray:
        """The rows (…, …), as an array would give them. Raises IndexError for one that is not
        there, for negative numbers, and for a mask of another length."""
        if isinstance(where, slice):
            start, stop, step = where.indices(len(self))
            if step == 1:
                return self._stretch(start, max(0, stop - start))
            where = np.arange(start, stop, step)
        rows = np.asarray(where)
        if rows.dtype == bool:
            if len(rows) != len(self):
                raise IndexError(f"a mask of {len(rows)} for {len(self)} rows")
            rows = np.flatnonzero(rows)
        if rows.size and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"not all of rows 0 to {len(self) - 1}")
        if self._file is None:
            return self._held_rows()[rows]
        if rows.ndim == 0:
            return self._stretch(int(rows), 1)[0]
        return self._read(rows.ravel()).reshape((*rows.shape, *self._row))

    def _held_rows(self) -> np.ndarray:
        if len(self._held) > 1:
            self._held = [np.concatenate(self._held, dtype=self.dtype)]
        return self._held[0]

    def _read(self, rows: np.ndarray) -> np.ndarray:
        """(row, …), with one access for neighbours."""
        found = np.empty((len(rows), *self._row), self.dtype)
        order = np.argsort(rows, kind="stable")
        rising = rows[order]
        apart = np.diff(rising) > 1 + GAP // self._width
        start = 0
        for stop in [*(np.flatnonzero(apart) + 1), len(rows)] if len(rows) else []:
            first, count = int(rising[start]), int(rising[stop - 1] - rising[start]) + 1
            found[order[start:stop]] = self._stretch(first, count)[rising[start:stop] - first]
            start = stop
        return found

    def _stretch(self, first: int, count: int) -> np.ndarray:
        """(row, …), neighbours."""
        if self._file is None:
            return self._held_rows()[first : first + count]
        found = np.empty((count, *self._row), self.dtype)
        place, left = first * self._width, memoryview(found.reshape(-1).view(np.uint8))
        while left:
            # what is read at once is limited
            read = os.preadv(self._file.fileno(), [left], place)
            if read == 0:
                raise OSError("a file without a name has become shorter")
            place, left = place + read, left[read:]
        return found

    def pieces(self, order: np.ndarray | None = None) -> Iterator[np.ndarray]:
        """All rows piece by piece, (row, …) each. order: numbers of rows; None: as they are."""
        step = max(1, HELD // max(1, self._width))
        for start in range(0, len(self) if order is None else len(order), step):
            part = slice(start, start + step)
            yield self[part if order is None else order[part]]

    def in_order(self, order: np.ndarray) -> Spilled:
        """These rows in another order, so that those are neighbours that are read together."""
        return self._copy(self.pieces(order))

    def replaced(self, where: np.ndarray, value: float) -> Spilled:
        """These rows with one value in place of those of some rows; where: (row,) bool."""

        def pieces() -> Iterator[np.ndarray]:
            start = 0
            for rows in self.pieces():
                rows = rows.copy()
                rows[where[start : start + len(rows)]] = value
                start += len(rows)
                yield rows

        return self._copy(pieces())

    def _copy(self, pieces: Iterable[np.ndarray]) -> Spilled:
        with ExitStack() as unless_done:
            copy = unless_done.enter_context(Spilled(self._folder, self._row, self.dtype))
            for rows in pieces:
                copy.add(rows)
            unless_done.pop_all()
        return copy
