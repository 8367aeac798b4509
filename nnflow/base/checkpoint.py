"""Checkpoints: where a long job stands, kept at intervals, to go on from after any end.

A checkpoint is a netCDF file of plain arrays in groups, written atomically at a path that
names the job and a key: a hash of all that its numbers depend on. A hash of its content tells
a damaged one. What can't be used is ignored, and the log says why.
"""

from __future__ import annotations

import hashlib
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import netCDF4
import numpy as np

from nnflow.base.errors import UserError
from nnflow.base.store import replacing

Arrays = Mapping[str, np.ndarray]
DIGEST = "sha256"
BOOLEAN = "boolean"


class Stopped(SystemExit):
    """The job was told to end (SIGTERM), and has kept a checkpoint."""


class Checkpoint:
    """The checkpoint of one job.

    path: where it is kept. every: seconds between two; the clock that counts them is not
    the one of the calendar. say: gets a line for the log.
    """

    def __init__(self, path: Path, every: float, say: Callable[[str], None]) -> None:
        self.path = path
        self._every = every
        self._say = say
        self._last = time.monotonic()
        self._told_to_end = False

    def load(self) -> dict[str, dict[str, np.ndarray]]:
        """The groups that were saved last; {} where there is nothing to go on from."""
        for other in self._relatives("{}"):
            if other != self.path:
                self._say(f"ignored {other}: of other settings, code or first weights")
        if not self.path.exists():
            return {}
        try:
            groups = _read(self.path)
        except (OSError, RuntimeError, ValueError, KeyError, AttributeError) as error:
            self._say(f"ignored {self.path}: damaged ({' '.join(str(error).split())})")
            return {}
        self._say(f"goes on from {self.path}")
        return groups

    def save(self, groups: Callable[[], Mapping[str, Arrays]]) -> None:
        """Save the groups if it is time; where that fails, the job goes on without.

        Raises Stopped once they are saved if the process was told to end.
        """
        if not self._told_to_end and time.monotonic() - self._last < self._every:
            return
        try:
            _write(self.path, groups())
        except UserError as error:
            self._say(f"no checkpoint: {error}")
        self._last = time.monotonic()
        if self._told_to_end:
            self._say("told to end (SIGTERM)")
            raise Stopped(128 + signal.SIGTERM)

    def remove(self) -> None:
        """Remove it, those of other keys, and what a kill left half-written."""
        for file in (*self._relatives("{}"), *self._relatives(".{}.*.part")):
            file.unlink(missing_ok=True)

    @contextmanager
    def at_the_end(self) -> Iterator[None]:
        """While the block runs, SIGTERM makes the next `save` save and end the process."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def note(number: int, frame: object) -> None:
            self._told_to_end = True

        before = signal.signal(signal.SIGTERM, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    def _relatives(self, pattern: str) -> list[Path]:
        """Files of the same job, whatever their key."""
        job = self.path.stem.rpartition("-")[0]
        return sorted(self.path.parent.glob(pattern.format(f"{job}-*.nc")))


def key(*parts: object) -> str:
    """A hash of the parts' texts."""
    text = "\0".join(str(part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(path: Path, groups: Mapping[str, Arrays]) -> None:
    with replacing(path) as temporary, netCDF4.Dataset(temporary, "w") as file:
        file.setncattr(DIGEST, _digest(groups))
        for label, arrays in groups.items():
            group = file.createGroup(label)
            for name, values in arrays.items():
                _add(group, name, values)


def _add(group: netCDF4.Group, name: str, values: np.ndarray) -> None:
    for axis, length in enumerate(values.shape):
        group.createDimension(f"{name}_{axis}", length)
    axes = tuple(f"{name}_{axis}" for axis in range(values.ndim))
    boolean = values.dtype == bool
    kind = np.dtype(np.int8) if boolean else values.dtype
    variable = group.createVariable(name, kind, axes, fill_value=False)
    variable.set_auto_maskandscale(False)
    if boolean:
        variable.setncattr(BOOLEAN, 1)
    variable[...] = values.astype(kind)


def _read(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The groups of a file. No value is decoded: each bit of a NaN is what was saved."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        groups = {
            label: {name: _values(variable) for name, variable in group.variables.items()}
            for label, group in file.groups.items()
        }
        if file.getncattr(DIGEST) != _digest(groups):
            raise ValueError("its content does not have the hash that it was saved with")
    return groups


def _values(variable: netCDF4.Variable) -> np.ndarray:
    values = np.asarray(variable[...])
    return values.astype(bool) if BOOLEAN in variable.ncattrs() else values


def _digest(groups: Mapping[str, Arrays]) -> str:
    digest = hashlib.sha256()
    for label in sorted(groups):
        for name, values in sorted(groups[label].items()):
            digest.update(f"{label}\0{name}\0{values.dtype.str}\0{values.shape}\0".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
