"""Which files a block of code opens, as Python tells it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

_watchers: list[set[str]] = []


@contextmanager
def opened() -> Iterator[set[str]]:
    """The paths of the files that the block opens for reading, also as an SQLite database. What a
    library opens without Python (netCDF, HDF5, safetensors) is not seen."""
    _install()
    found: set[str] = set()
    _watchers.append(found)
    try:
        yield found
    finally:
        _watchers.remove(found)


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watchers or event not in ("open", "sqlite3.connect"):
        return
    path, mode, flags = (*arguments, None, 0)[:3]
    writes = flags & (os.O_WRONLY | os.O_RDWR) or "w" in (mode or "")
    if isinstance(path, str | bytes | os.PathLike) and not writes:
        for found in _watchers:
            found.add(os.path.abspath(os.fsdecode(path)))


@cache
def _install() -> None:
    """Python takes no audit hook back, so there is one at most."""
    sys.addaudithook(_look)
