"""Files that plugins read without naming them: a change of one would go unseen."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnflow.base.opened import opened
from nnflow.interfaces.plugin import Plugin, files_of
from nnflow.interfaces.registry import registry
from nnflow.stages.job import Job

CODE = (".py", ".pyc", ".nbi", ".nbc")
"""Endings of files that the hash of the code covers, and of what numba made of them."""
READERS = ("model", "dataset", "initializer")
"""Parts of a configuration that may read files."""
STUDIES = Path("config")
"""Where study files are, whose settings are known."""


@contextmanager
def naming_files(job: Job, plugins: Iterable[Plugin | None]) -> Iterator[None]:
    """Say, in a line, which files of the project or of the data folder the block has read, or the
    plugins' modules at their import, that the method `files` of none of the plugins names, and none
    of their settings. What `opened` does not see is told by `opening`."""
    with opened() as found:
        yield
    parts = [part for plugin in plugins if plugin is not None for part in plugin.plugins()]
    found = found.union(*(registry().read_by(type(part)) for part in parts))
    own = [Path.cwd(), *([job.data.resolve()] if job.data else [])]
    known = [file.resolve() for part in parts for file in _known_to(part, job.data or Path())]
    known += [path.resolve() for path in (job.results, STUDIES, Path(sys.prefix))]
    for file in sorted(Path(name).resolve() for name in found):
        inside = any(file.is_relative_to(folder) for folder in own)
        named = any(file.is_relative_to(other) for other in known)
        if inside and not named and file.is_file() and file.suffix not in CODE:
            job.reporter.note(
                f"{file.name} is read, and no plugin names it in its method `files`: a change of it"
                " makes nothing again"
            )


def with_readers(job: Job, plugin: Plugin) -> list[Plugin]:
    """An analysis or a figure, and the plugins through which it may read files: `READERS`."""
    return [plugin, *job.study.plugins(*READERS)]


def _known_to(part: Plugin, data: Path) -> tuple[Path, ...]:
    return (*files_of(part, data), *part.fixed_files(data))
