"""Functions of numbers and arrays, compiled on first use, with the same bits on every processor.

numba compiles them without any leave to reorder sums or to contract a product and a sum, and keeps
what it made on disk, so that one job compiles and the next ones read. Where numba is missing, a
form of NumPy's takes the same steps in the same order.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import types
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

PLAIN = "NNFLOW_PLAIN"
"""Where this variable is set, nothing is compiled."""
FOLDER = Path("~/.cache/nnflow/compiled")
"""What was compiled, in a folder for each state of the source; the variable NUMBA_CACHE_DIR names
another one."""


class Compiled:
    """A function that numba compiles when it is first called.

    function: what numba compiles: loops over arrays, or arithmetic of numbers. It may call other
    `Compiled`, which are compiled into it. Square roots, divisions, products and sums are exactly
    rounded on every processor; a library's exp or arccos is not, and belongs in no such function
    whose last bits matter.
    plain: the same in NumPy, called where numba is missing; default: the function itself, as for
    arithmetic that takes numbers and arrays alike. For the same bits it has to take each sum in
    the order of the loops, run by run.

    Numbers behave as in NumPy: 1/0 is inf.
    """

    def __init__(self, function: Callable[..., Any], plain: Callable[..., Any] | None = None):
        self.function = function
        self.plain = plain or function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__

    def __call__(self, *arguments: Any) -> Any:
        if compiles():
            return self.dispatcher(*arguments)
        return self.plain(*arguments)

    @cached_property
    def dispatcher(self) -> Any:
        """numba's function; compiled for the types of its arguments as they come."""
        import numba

        function = self.function
        names = {name: part.dispatcher for name, part in self._parts()}
        with_parts = types.FunctionType(
            function.__code__,
            {**function.__globals__, **names},
            function.__name__,
            function.__defaults__,
            function.__closure__,
        )
        with_parts.__module__ = function.__module__
        with_parts.__qualname__ = function.__qualname__
        folder = self._folder()
        if folder is None:
            return numba.njit(error_model="numpy")(with_parts)
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:
            return numba.njit(error_model="numpy", cache=True)(with_parts)
        finally:
            numba.config.CACHE_DIR = before

    def _parts(self) -> Iterator[tuple[str, Compiled]]:
        """The compiled functions that this one calls, by the names that it knows them by."""
        for name in self.function.__code__.co_names:
            part = self.function.__globals__.get(name)
            if isinstance(part, Compiled):
                yield name, part

    def _files(self) -> set[str]:
        """The files of the source of this function and of those that it calls."""
        inner = [part._files() for _, part in self._parts()]
        return {self.function.__code__.co_filename}.union(*inner)

    def _folder(self) -> Path | None:
        """Where numba keeps what it made; None: nowhere, as nothing can be written. numba itself
        notices a change of the function's own file, but not one of a file that it calls."""
        sources = b"\0".join(Path(file).read_bytes() for file in sorted(self._files()))
        chosen = os.environ.get("NUMBA_CACHE_DIR")
        base = Path(chosen) if chosen else FOLDER.expanduser()
        folder = base / hashlib.sha256(sources).hexdigest()[:16]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return None
        return folder if os.access(folder, os.W_OK) else None


def compiles() -> bool:
    """Is numba here, and wanted?"""
    return not os.environ.get(PLAIN) and importlib.util.find_spec("numba") is not None


def _number(condition, yes, no):
    return yes if condition else no


choose = Compiled(_number, np.where)
"""`yes` where the condition holds, else `no`; of numbers in loops, of arrays in NumPy."""
