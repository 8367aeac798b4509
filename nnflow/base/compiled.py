"""Functions of numbers and arrays, compiled on first use, with the same bits on every processor.

numba compiles them without any leave to reorder sums or to contract a product and a sum, and keeps
what it made on disk, so that one job compiles and the next ones read. Where numba is missing, a
form of NumPy's takes the same steps in the same order.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import types
from collections.abc import Callable, Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

PLAIN = "NNFLOW_PLAIN"
"""Where this variable is set, nothing is compiled."""
FOLDER = Path("~/.cache/nnflow/compiled")
"""What was compiled, in a folder for each state of the source; the variable NUMBA_CACHE_DIR names
another one."""
LANES = 8
"""Numbers in a vector: one register of AVX-512, two of AVX2, four of any x86-64. A processor's bits
do not depend on that; arrays of twice as many would not fit the first cache at k = n = 20."""

_NUMBERS = (int, float, str, tuple, np.generic)


class Instruction:
    """What stands for instructions of the processor in functions that are compiled: numba takes it
    from `nnflow.base.lanes`, NumPy's form is `plain`."""

    def __init__(self, name: str, plain: Callable[..., Any], doc: str):
        self.__name__ = name
        self.__module__ = __name__
        self.__doc__ = doc
        self.plain = plain

    def __call__(self, *arguments: Any) -> Any:
        return self.plain(*arguments)

    @property
    def dispatcher(self) -> Any:
        """numba's form."""
        from nnflow.base import lanes

        return getattr(lanes, self.__name__)

    def _files(self) -> set[str]:
        return {str(Path(__file__).with_name("lanes.py"))}


class Compiled:
    """A function that numba compiles when it is first called.

    function: what numba compiles: loops over arrays, or arithmetic of numbers. It may call other
    `Compiled`, which are compiled into it. Square roots, divisions, products and sums are exactly
    rounded on every processor; a library's exp or arccos is not, and belongs in no such function
    whose last bits matter.
    plain: the same in NumPy, called where numba is missing; default: the function itself. For the
    same bits it has to take each sum in the order of the loops, run by run.
    parts: further `Compiled` that the function calls, by the names that it knows them by, besides
    those of its module.

    Numbers behave as in NumPy: 1/0 is inf.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        plain: Callable[..., Any] | None = None,
        parts: Mapping[str, Compiled] = MappingProxyType({}),
    ):
        self.function = function
        self.plain = plain or function
        self.parts = parts
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
        # numba imports the module of what it kept, and one of a plugin may be gone by then; what
        # has the same name it takes for the same
        with_parts.__module__ = __name__
        with_parts.__name__ = with_parts.__qualname__ = self._name()
        folder = self._folder()
        if folder is None:
            return numba.njit(error_model="numpy")(with_parts)
        before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(folder)
        try:
            return numba.njit(error_model="numpy", cache=True)(with_parts)
        finally:
            numba.config.CACHE_DIR = before

    def _name(self) -> str:
        """The function's name, with a hash that tells it from all others: from lambdas of one line,
        and from itself with other parts or numbers, in its closure, its defaults or its module.
        Raises TypeError for a closure over something else than numbers."""
        function = self.function
        code, cells = function.__code__, [cell.cell_contents for cell in function.__closure__ or ()]
        if not all(isinstance(content, _NUMBERS) for content in cells):
            raise TypeError(f"{self.__name__}: what is compiled may close over numbers alone")
        known = {name: function.__globals__.get(name) for name in code.co_names}
        known = {name: value for name, value in known.items() if isinstance(value, _NUMBERS)}
        plain = [const for const in code.co_consts if isinstance(const, _NUMBERS)]
        parts = [
            f"{name} {part._name() if isinstance(part, Compiled) else part.__name__}"
            for name, part in self._parts()
        ]
        told = [self.__module__, function.__qualname__, code.co_firstlineno, code.co_code.hex()]
        told += [code.co_names, plain, cells, function.__defaults__, known, parts]
        digest = hashlib.sha256(repr(told).encode()).hexdigest()
        return f"{self.__name__}_{digest[:16]}"

    def _parts(self) -> Iterator[tuple[str, Compiled | Instruction]]:
        """The compiled functions that this one calls, by the names that it knows them by."""
        known = {**self.function.__globals__, **self.parts}
        for name in self.function.__code__.co_names:
            part = known.get(name)
            if isinstance(part, Compiled | Instruction):
                yield name, part

    def _files(self) -> set[str]:
        """The files of the source of this function, of those that it calls, and this one."""
        inner = [part._files() for _, part in self._parts()]
        return {self.function.__code__.co_filename, __file__}.union(*inner)

    def _folder(self) -> Path | None:
        """Where numba keeps what it made; None: nowhere, as nothing can be written. numba itself
        notices a change of the function's own file, but not one of a file that it calls."""
        sources = b"\0".join(Path(file).read_bytes() for file in sorted(self._files()))
        chosen = os.environ.get("NUMBA_CACHE_DIR")
        try:
            base = Path(chosen) if chosen else FOLDER.expanduser()
            folder = base / hashlib.sha256(sources).hexdigest()[:16]
            folder.mkdir(parents=True, exist_ok=True)
        except (OSError, RuntimeError):  # no home, or none to write to
            return None
        return folder if os.access(folder, os.W_OK) else None


class Arithmetic(Compiled):
    """A function of numbers, for arithmetic without loops or branches.

    Compiled code calls it with numbers or vectors, Python with numbers or NumPy's arrays.
    """

    def __call__(self, *arguments: Any) -> Any:
        return self.function(*arguments)


def compiles() -> bool:
    """Is numba here, and wanted?"""
    return not os.environ.get(PLAIN) and _numba_works()


def prepare() -> None:
    """Have at hand what compiles, half a second's work, for the processes forked from this one."""
    if not compiles():
        return
    from numba.core.registry import cpu_target

    cpu_target.typing_context.refresh()
    cpu_target.target_context.refresh()


@cache
def _numba_works() -> bool:
    """Can numba be imported? It refuses releases of NumPy that are newer than it knows."""
    try:
        importlib.import_module("numba")
    except ImportError:
        return False
    return True


def _vectors(rows):
    """An array of vectors, (rows, LANES), not filled, that begins where a line of the cache does: a
    vector across two lines is read twice."""
    numbers = np.empty((rows + 1) * LANES)
    beyond = numbers.ctypes.data % (8 * LANES) // 8
    start = (LANES - beyond) % LANES
    return numbers[start : start + rows * LANES].reshape(rows, LANES)


vectors = Compiled(_vectors)

choose = Instruction(
    "choose", np.where, "`yes` where the condition holds, else `no`: choose(condition, yes, no)."
)
square_root = Instruction("square_root", np.sqrt, "The square root, exactly rounded.")
magnitude = Instruction("magnitude", np.abs, "|x|.")


def _power_of_two(exponent):
    with np.errstate(invalid="ignore"):  # no number
        return np.ldexp(1.0, np.asarray(exponent).astype(np.int32))


power_of_two = Instruction(
    "power_of_two",
    _power_of_two,
    "2ⁿ of a whole number n as a float64, −1022 ≤ n ≤ 1023; any number where n is none.",
)


def _lane_sums(*vectors):
    rows = np.stack(vectors, axis=-2)
    while rows.shape[-1] > 1:
        half = rows.shape[-1] // 2
        rows = rows[..., :half] + rows[..., half:]
    return rows[..., 0]


lane_sums = Instruction(
    "lane_sums",
    _lane_sums,
    "The sums of LANES vectors as a vector; of each, the second half is added to the first, and so"
    " on: lane_sums(a, …, h).",
)


def _row(array, row):
    return array[row].copy()  # a vector, not a view of it


def _into_row(array, row, value):
    array[row] = value


load_row = Instruction(
    "load_row", _row, "A row of a float64 array (row, LANES) as a vector: load_row(array, row)."
)
store_row = Instruction(
    "store_row",
    _into_row,
    "Write a vector, or a number LANES times, to a row: store_row(array, row, value).",
)
