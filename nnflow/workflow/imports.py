"""What files of Python name in import statements, kept from one process to the next.

Nothing is imported for it. All of nnflow takes a second to parse, which each command would wait
for, while what a file names depends on nothing but its content.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from nnflow.base import store

FOLDER = Path("~/.cache/nnflow/imports")
"""What was found, in a file for each state of this one."""
MOST = 10_000
"""Files of Python from which on what is kept begins anew."""
Statement = tuple[str, tuple[str, ...]]
"""`import a.b` is ("a.b", ()), `from .a import b, c` is (".a", ("b", "c"))."""


@cache
def statements(file: Path) -> tuple[Statement, ...]:
    """The imports of a file, wherever they stand, except those for type checking only. Raises
    SyntaxError."""
    content = file.read_bytes()
    key = hashlib.sha256(content).hexdigest()
    known = _kept()
    with contextlib.suppress(KeyError, TypeError, ValueError):  # not known, or damaged
        return tuple((str(name), tuple(map(str, names))) for name, names in known[key])
    found = tuple(_parsed(content))
    known[key] = [[name, list(names)] for name, names in found]
    _write_at_the_end(os.getpid())
    return found


def _parsed(content: bytes) -> Iterable[Statement]:
    for node in _walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base, tuple(alias.name for alias in node.names)


def _walk(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            children = child.orelse
        else:
            children = [child]
        for item in children:
            yield item
            yield from _walk(item)


def _place() -> Path:
    state = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return FOLDER.expanduser() / f"{state}.json"


@cache
def _kept() -> dict[str, list]:
    """{hash of a content: its imports}; empty where nothing, or nothing of use, is kept."""
    with contextlib.suppress(OSError, RuntimeError, ValueError):
        found = json.loads(_place().read_text(encoding="utf-8"))
        if isinstance(found, dict) and len(found) < MOST:
            return found
    return {}


@cache
def _write_at_the_end(process: int) -> None:
    """Once for each process; a fork that learns nothing new writes nothing."""
    atexit.register(_write, process)


def _write(process: int) -> None:
    if process == os.getpid():
        with contextlib.suppress(OSError, RuntimeError, store.UserError):
            store.write_text(_place(), json.dumps(_kept()))
