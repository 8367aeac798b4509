"""Files that plugins read without naming them: a change of one would go unseen."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from nnflow.interfaces.plugin import Plugin, files_of
from nnflow.stages.job import Job

CODE = (".py", ".pyc")
"""Endings of files that the hash of the code covers."""
_watchers: list[set[str]] = []


@contextmanager
def naming_files(job: Job, plugins: Iterable[Plugin | None]) -> Iterator[None]:
    """Say, in a line, which files of the project or of the data folder the block has read that the
    method `files` of none of the plugins names, and none of their settings. A file that a library
    opens without Python's help (netCDF, HDF5, safetensors) is seen as a setting only."""
    with _opened() as opened:
        yield
    own = [Path.cwd(), *([job.data.resolve()] if job.data else [])]
    parts = [part for plugin in plugins if plugin is not None for part in plugin.plugins()]
    named = [file.resolve() for part in parts for file in _known_to(part, job.data or Path())]
    for file in sorted(Path(name).resolve() for name in opened):
        inside = any(file.is_relative_to(folder) for folder in own)
        known = any(file.is_relative_to(other) for other in (*named, job.results.resolve()))
        if inside and not known and file.is_file() and file.suffix not in CODE:
            job.reporter.line(
                f"{file.name} is read, and no plugin names it in its method `files`: a change of it"
                " makes nothing again"
            )


def _known_to(part: Plugin, data: Path) -> tuple[Path, ...]:
    return (*files_of(part, data), *part.fixed_files(data))


@contextmanager
def _opened() -> Iterator[set[str]]:
    """The paths of the files that the block opens for reading."""
    _install()
    found: set[str] = set()
    _watchers.append(found)
    try:
        yield found
    finally:
        _watchers.pop()


def _look(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _watchers and isinstance(arguments[0], str | bytes | os.PathLike):
        path, mode, flags = arguments
        if not flags & (os.O_WRONLY | os.O_RDWR) and "w" not in (mode or ""):
            _watchers[-1].add(os.fsdecode(path))


@cache
def _install() -> None:
    """Python takes no audit hook back, so there is one at most."""
    sys.addaudithook(_look)
