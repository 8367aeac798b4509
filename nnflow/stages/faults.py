"""Whose fault it is: what goes wrong inside a plugin, in one line that names it."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from nnflow.base.errors import UserError
from nnflow.interfaces.plugin import Plugin
from nnflow.stages.job import Job


@contextmanager
def blaming(job: Job, plugins: Iterable[Plugin | None], configuration: str = "") -> Iterator[None]:
    """Turn what the block raises into a UserError that names study, plugin and reason.

    plugins: those whose code the block runs. The whole traceback goes to the job's log.
    """
    place = f"{job.study.file}: {configuration}: " if configuration else f"{job.study.file}: "
    try:
        yield
    except UserError as error:
        text = str(error)
        raise UserError(text if job.study.file in text else place + text) from error
    except Exception as error:
        job.reporter.line(traceback.format_exc(), terminal=False)
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        found = [part for plugin in plugins if plugin is not None for part in plugin.plugins()]
        raise UserError(f"{place}{_culprit(error, found)}: {reason}") from error


def described(plugin: Plugin) -> str:
    """ "optimizer 'sgd'"."""
    kind = next(base for base in type(plugin).__mro__ if "kind" in vars(base))
    return f"{kind.__name__.lower()} {plugin.name!r}"


def _culprit(error: Exception, plugins: list[Plugin]) -> str:
    """The plugin whose file was entered last on the way to the error; all of them where none
    was, as then one of them gave nnflow what it can't work with."""
    files = {_file(plugin): plugin for plugin in plugins}
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if (plugin := files.get(frame.filename)) is not None:
            return f"{described(plugin)} ({Path(frame.filename).name}, line {frame.lineno})"
    return " with ".join(dict.fromkeys(described(plugin) for plugin in plugins)) or "nnflow"


def _file(plugin: Plugin) -> str:
    return getattr(sys.modules.get(type(plugin).__module__), "__file__", None) or ""
