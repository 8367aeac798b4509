"""Files joined along the axis `run`, piece by piece: a file that is joined or read takes no more
memory the more runs it has.

Values are copied as they are stored, undecoded, so that every bit and every attribute stays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from nnflow.base import store
from nnflow.base.conventions import variable_attributes
from nnflow.base.errors import UserError
from nnflow.base.spilled import Spilled

RUN = "run"
CHUNK = 2**20
"""Bytes of a chunk: what a variable holds back until it is written."""


@dataclass(frozen=True)
class Piece:
    """Some runs of a configuration: a group of a file ("": its root), and how many they are."""

    path: Path
    group: str
    runs: int


@dataclass(frozen=True)
class Column:
    """A variable over `run`: its values, (run, …), and attributes."""

    values: np.ndarray | Spilled
    attributes: Mapping[str, Any]


def join(
    path: Path,
    pieces: Mapping[str, Sequence[Piece]],
    attributes: Mapping[str, Any],
    without: Collection[str] = (),
    added: Callable[[str], AbstractContextManager[Mapping[str, Column]]] | None = None,
    sources: Sources | None = None,
) -> None:
    """Write one file with a group for each configuration, as `store.write` would.

    pieces: by configuration label, in the order of their runs. attributes: of the file. without:
    variables that are left out. added: the columns (run,) of a label by name, which may take the
    place of what the pieces have; they are asked for when the label's turn comes, and let go after
    it. sources: what opens the pieces' files, where it has been used before. Raises UserError for a
    piece that is missing or damaged, or is not made like the first one.
    """
    with (
        store.replacing(path) as temporary,
        netCDF4.Dataset(temporary, "w") as file,
        nullcontext(sources) if sources else Sources() as sources,
    ):
        file.setncatts(store.root_attributes(attributes, list(pieces)))
        for label, ordered in pieces.items():
            group = file.createGroup(label) if len(pieces) > 1 else file
            with added(label) if added else nullcontext({}) as columns:
                _join_group(group, ordered, sources, without, columns)


def whole(pieces: Iterable[Piece], name: str, sources: Sources) -> Column:
    """A variable of all runs, as it is stored, in memory: for those of a byte a run. sources: as in
    `join`."""
    read = []
    for piece in pieces:
        variable = sources.group(piece)[name]
        read.append((_values(piece, variable), _attributes(variable)[0]))
    return Column(np.concatenate([values for values, _ in read]), read[0][1])


@contextmanager
def rows(
    pieces: Iterable[Piece], names: Sequence[str], sources: Sources, folder: Path
) -> Iterator[dict[str, Column]]:
    """{name: column} for some variables of all runs, as they are stored, each `Spilled`, until the
    block ends. sources: as in `join`. folder: where there is room on disk."""
    with ExitStack() as files:
        found: dict[str, Column] = {}
        for piece in pieces:
            group = sources.group(piece)
            for name in names:
                values = _values(piece, group[name])
                if name not in found:
                    room = files.enter_context(Spilled(folder, values.shape[1:], values.dtype))
                    found[name] = Column(room, _attributes(group[name])[0])
                found[name].values.add(values)
        yield found


def _attributes(variable: netCDF4.Variable) -> tuple[dict[str, Any], Any]:
    """Attributes, and what stands for a missing value; False for none."""
    attributes = {name: variable.getncattr(name) for name in variable.ncattrs()}
    return attributes, attributes.pop("_FillValue", False)


def _join_group(
    target: netCDF4.Dataset,
    pieces: Sequence[Piece],
    sources: Sources,
    without: Collection[str],
    added: Mapping[str, Column],
) -> None:
    total = sum(piece.runs for piece in pieces)
    growing: dict[str, _Growing] = {}
    for piece in pieces:
        source = sources.group(piece)
        names = [name for name in source.variables if name not in without]
        if not growing:
            _add_dimensions(target, [source[name] for name in names], total)
            for name in names:
                if name in added:
                    _add_column(target, name, added[name])
                else:
                    growing[name] = _Growing(_copied(target, source[name]))
        names = [name for name in names if name not in added]
        if names != list(growing):
            raise _unlike(piece, pieces[0], "other variables")
        for name in names:
            values = _values(piece, source[name])
            if not growing[name].takes(source[name], values):
                raise _unlike(piece, pieces[0], f"another shape, type or values of {name}")
            growing[name].add(values)
    for column in growing.values():
        column.finish()
    for name, made in added.items():
        if name not in target.variables:
            _add_column(target, name, made)


def _add_column(target: netCDF4.Dataset, name: str, column: Column) -> None:
    kind, total = column.values.dtype, len(target.dimensions[RUN])
    (step,) = chunk = _whole_runs([total], kind)
    variable = target.createVariable(name, kind, (RUN,), fill_value=False, **_packed(chunk))
    variable.setncatts(variable_attributes(name, kind, column.attributes))
    for start in range(0, total, step):
        variable[start : start + step] = column.values[start : start + step]


class Sources:
    """The file that is read, kept open for what is read next: neighbouring pieces share one, and to
    open a file of many groups takes long."""

    def __init__(self) -> None:
        self._path: Path | None = None
        self._file: netCDF4.Dataset | None = None

    def __enter__(self) -> Sources:
        return self

    def __exit__(self, *raised: object) -> None:
        if self._file is not None:
            self._file.close()

    def open(self, path: Path) -> None:
        """Open a file, whose attributes `store.attributes` knows from then on."""
        if path == self._path:
            return
        self.__exit__()
        self._path = self._file = None
        state = store.state_of(path)
        with store.naming_what_cant_be_read(path):
            self._file = netCDF4.Dataset(path)
        self._file.set_auto_maskandscale(False)
        attributes = {name: self._file.getncattr(name) for name in self._file.ncattrs()}
        store.remember(path, state, attributes)
        self._path = path

    def group(self, piece: Piece) -> netCDF4.Dataset:
        """What a piece is read from."""
        self.open(piece.path)
        with store.naming_what_cant_be_read(piece.path):
            return self._file[piece.group] if piece.group else self._file


def _values(piece: Piece, variable: netCDF4.Variable) -> np.ndarray:
    with store.naming_what_cant_be_read(piece.path):
        return np.asarray(variable[...])


def _add_dimensions(
    target: netCDF4.Dataset, variables: Iterable[netCDF4.Variable], total: int
) -> None:
    for variable in variables:
        for name, length in zip(variable.dimensions, variable.shape, strict=True):
            if name not in target.dimensions:
                target.createDimension(name, total if name == RUN else length)


def _copied(target: netCDF4.Dataset, source: netCDF4.Variable) -> netCDF4.Variable:
    """A variable like the source, without its values."""
    attributes, fill = _attributes(source)
    filters = source.filters() or {}
    packed: dict[str, Any] = {}
    if filters.get("zlib"):
        shape = [len(target.dimensions[name]) for name in source.dimensions]
        grows = source.dimensions[0] == RUN
        packed = _packed(_whole_runs(shape, source.dtype) if grows else shape)
    made = target.createVariable(
        source.name, source.dtype, source.dimensions, fill_value=fill, **packed
    )
    made.set_auto_maskandscale(False)
    made.setncatts(attributes)
    return made


def _whole_runs(shape: list[int], kind: np.dtype) -> list[int]:
    """A chunk's shape: as many runs as it takes."""
    row = kind.itemsize * math.prod(shape[1:])
    return [max(1, min(shape[0], CHUNK // max(1, row))), *shape[1:]]


def _packed(chunk: list[int]) -> dict[str, Any]:
    """How a variable is packed. Each chunk is written once: none fits into the cache, so that none
    is kept for later."""
    return {**store.PACKED, "chunksizes": chunk, "chunk_cache": 1}


class _Growing:
    """A variable whose runs come piece by piece. Whole chunks are written, each once."""

    def __init__(self, variable: netCDF4.Variable) -> None:
        self._variable = variable
        self._grows = variable.dimensions[:1] == (RUN,)
        chunks = variable.chunking()
        self._chunk = 1 if chunks == "contiguous" or not self._grows else chunks[0]
        self._waiting: list[np.ndarray] = []
        self._written = 0

    def takes(self, source: netCDF4.Variable, values: np.ndarray) -> bool:
        """Are the values of the source a piece of this variable?"""
        made = self._variable
        if (source.dimensions, source.dtype) != (made.dimensions, made.dtype):
            return False
        if source.shape[self._grows :] != made.shape[self._grows :]:
            return False
        if self._grows or self._written == 0:
            return True
        return np.array_equal(values, made[...], equal_nan=values.dtype.kind == "f")

    def add(self, values: np.ndarray) -> None:
        if not self._grows:
            if self._written == 0:
                self._variable[...] = values
                self._written = 1
            return
        self._waiting.append(values)
        count = sum(map(len, self._waiting))
        self._write(count - count % self._chunk)

    def finish(self) -> None:
        if self._grows:
            self._write(sum(map(len, self._waiting)))

    def _write(self, count: int) -> None:
        if count == 0:
            return
        values = np.concatenate(self._waiting)
        self._variable[self._written : self._written + count] = values[:count]
        self._written += count
        # a view would keep all of them
        self._waiting = [values[count:].copy()]


def _unlike(piece: Piece, first: Piece, what: str) -> UserError:
    return UserError(f"{piece.path}: has {what} than {first.path}; delete both and run again")
