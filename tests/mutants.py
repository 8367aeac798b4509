"""A sample of small changes of the code, and which of them no test sees.

    python tests/mutants.py [--count 40] [--seed TEXT] [PATH]...

Each mutant is one change at a place drawn at random from nnflow/ and the analyses of plugins/ (or
from PATH): a comparison, an operator, a number, min for max, a condition turned round, a statement
left out. It is made in a copy of the repository, where the fast tests run that name the module,
and then those that name a module which imports it, until one fails. They run in forks of one
process, which has imported what takes long. What survives is printed, with the share and its 95 %
interval.
"""

from __future__ import annotations

import argparse
import ast
import compileall
import datetime
import importlib
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FROM = ("nnflow", "plugins/*/analyses", "plugins/*/*/analyses")
COPIED = ("nnflow", "plugins", "tests", "config", "docs", "workflow", "Snakefile", "pyproject.toml",
          "README.md", "CHANGELOG.md", "requirements.lock", "environment.yml")  # fmt: skip
OTHER = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.Pow: ast.Mult,
    ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
"""What an operator becomes."""
NAMES = {
    "min": "max", "argmin": "argmax", "any": "all", "amin": "amax", "low": "high", "fmin": "fmax",
    "first": "last", "nanmin": "nanmax", "start": "stop", "zeros": "ones",
}  # fmt: skip
NAMES |= {new: old for old, new in NAMES.items()}
"""What a name or an attribute becomes."""
MANUAL = "tests/unit/checks/test_manual.py"
"""Compares the defaults of all plugins with config/README.md."""
WARM = ("torch", "scipy.stats", "scipy.optimize", "scipy.sparse.linalg", "xarray", "netCDF4",
        "pandas", "matplotlib.pyplot", "seaborn", "flint", "pydantic")  # fmt: skip
"""What most tests import; nothing of nnflow, which a fork imports with its change, and no plugin of
pytest, which has to import it itself."""
FORK = multiprocessing.get_context("fork")
LIMIT = 100
"""Seconds for the tests of one ring. A mutant that takes longer is seen where the tests without it
do not."""


@dataclass(frozen=True)
class Mutant:
    """The text from `start` to `stop` of a file, in bytes, replaced."""

    file: Path
    line: int
    start: int
    stop: int
    old: str
    new: str

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.new.encode() + source[self.stop :]

    def __str__(self) -> str:
        old, new = (" ".join(text.split()) for text in (self.old, self.new))
        return f"{self.file}:{self.line}: {old[:90]}  →  {new[:90]}"


def mutants(file: Path, source: bytes) -> list[Mutant]:
    """Every change of the source that is tried; docstrings, annotations and texts stay."""
    ends = [0]
    for line in source.splitlines(keepends=True):
        ends.append(ends[-1] + len(line))
    found = []
    for node, new in _changes(ast.parse(source)):
        start = ends[node.lineno - 1] + node.col_offset
        stop = ends[node.end_lineno - 1] + node.end_col_offset
        text = f"({new})" if isinstance(node, ast.expr) and _compound(new) else new
        found.append(Mutant(file, node.lineno, start, stop, source[start:stop].decode(), text))
    return found


def _compound(text: str) -> bool:
    return not isinstance(ast.parse(text, mode="eval").body, (ast.Constant, ast.Name, ast.Call))


def _changes(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """(node, what it becomes) below a node."""
    for child in _code(tree):
        yield from ((child, new) for new in _variants(child))
        yield from _changes(child)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The children of a node that are run, and can be replaced by position."""
    skipped = {"annotation", "returns", "decorator_list", "type_params", "format_spec"}
    if isinstance(node, ast.JoinedStr) or _for_types(node):
        return
    for name, value in ast.iter_fields(node):
        if name not in skipped:
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield child


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def _variants(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Compare) and type(node.ops[0]) in OTHER:
        ops = [OTHER[type(node.ops[0])](), *node.ops[1:]]
        yield ast.unparse(ast.Compare(node.left, ops, node.comparators))
    elif isinstance(node, (ast.BinOp, ast.BoolOp)) and type(node.op) in OTHER:
        parts = {name: value for name, value in ast.iter_fields(node) if name != "op"}
        yield ast.unparse(type(node)(op=OTHER[type(node.op)](), **parts))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield ast.unparse(node.operand)
    elif isinstance(node, ast.Constant) and type(node.value) in (bool, int, float):
        yield repr(_other_number(node.value))
    elif isinstance(node, ast.Name) and node.id in NAMES and isinstance(node.ctx, ast.Load):
        yield NAMES[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in NAMES and isinstance(node.ctx, ast.Load):
        yield ast.unparse(ast.Attribute(node.value, NAMES[node.attr], node.ctx))
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "abs":
        yield ast.unparse(node.args[0])
    elif isinstance(node, ast.IfExp):
        yield ast.unparse(ast.IfExp(node.test, node.orelse, node.body))
    elif isinstance(node, (ast.Expr, ast.AugAssign)) and not _is_docstring(node):
        yield "pass"
    elif isinstance(node, (ast.Continue, ast.Break)):
        yield "break" if isinstance(node, ast.Continue) else "continue"


def _other_number(value: bool | int | float) -> bool | int | float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else 2 * value or 1.0


def _is_docstring(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


# Which tests


@cache
def _texts(folder: Path) -> dict[Path, str]:
    """The files of a folder and what is in them; empty folders and caches aside."""
    return {file: file.read_text(encoding="utf-8") for file in sorted(folder.rglob("*.py"))}


def named(module: Path) -> re.Pattern[str]:
    """What a file says that imports a module of nnflow, or uses a file of plugins by its name."""
    if module.stem == "__init__":
        module = module.parent
    stem = module.stem
    if module.parts[0] != "nnflow":
        return re.compile(rf"\b{stem}\b")
    package = re.escape(".".join(module.parent.parts))
    return re.compile(rf"{package}\.{stem}\b|from {package} import [^\n]*\b{stem}\b")


def rings(module: Path) -> tuple[list[Path], ...]:
    """The file of tests that is nearest to a module, all others that name it, and those that name
    a module which imports it or, for a plugin, compare its settings with the manual."""
    tests = {f: t for f, t in _texts(ROOT / "tests").items() if f.name.startswith("test_")}
    tests = {f: t for f, t in tests.items() if "workflow" not in f.relative_to(ROOT).parts[1]}
    tests.pop(ROOT / "tests/unit/test_mutants.py", None)
    own, quoted = f"test_{module.stem.lstrip('_')}.py", f'"{module.stem}"'
    first = [f for f, text in tests.items() if f.name == own or named(module).search(text)]
    imports = re.compile(rf"import\b[^\n]*\b{module.stem}\b|from [\w.]*\b{module.stem} import")
    others = [
        file.relative_to(ROOT)
        for folder in ("nnflow", "plugins")
        for file, text in _texts(ROOT / folder).items()
        if imports.search(text)
    ]
    second = [f for f, t in tests.items() if any(named(other).search(t) for other in others)]
    analysis, far = ("columns", "unit") if module.parts[0] == "plugins" else ("", "oracles")

    def distance(file: Path) -> tuple[bool, bool, bool, bool, int]:
        text = tests[file]
        named = (file.name != own, far in file.parts, quoted not in text, analysis not in file.name)
        return (*named, len(text))

    if module.parts[0] == "plugins":
        second.append(ROOT / MANUAL)
    first.sort(key=distance)
    return first[:1], first[1:], [file for file in second if file not in first]


# Running them


def copy_of(root: Path, folder: Path) -> Path:
    """The repository without results and history."""
    for name in COPIED:
        if (root / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", ".pytest_cache")
            shutil.copytree(root / name, folder / name, ignore=ignored)
        elif (root / name).exists():
            shutil.copy(root / name, folder / name)
    return folder


def failing(copy: Path, tests: list[Path]) -> str:
    """The first of these files of tests that fails in the copy; "" where all pass, and "time"
    where they take too long. They run in a fork of this process, which has imported what takes
    long, but nothing of nnflow."""
    if not tests:
        return ""
    places = [str(file.relative_to(ROOT)) for file in tests]
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as log:
        process = FORK.Process(target=_run, args=(copy, places, log.name))
        process.start()
        process.join(LIMIT)
        late = process.is_alive()
        with suppress(ProcessLookupError):  # what the tests started ends with them
            os.killpg(process.pid, signal.SIGKILL)
        process.join()
        said = log.read()
    if late:
        return "time"
    if process.exitcode in (0, 5):  # 5: all of them are slow
        return ""
    failed = re.search(r"^(?:FAILED|ERROR) (tests/\S+?\.py)", said, re.MULTILINE)
    return failed[1] if failed else places[0]


def _run(copy: Path, places: list[str], log: str) -> None:
    """The fast tests of these files of the copy, up to the first that fails."""
    os.setsid()
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    sys.dont_write_bytecode = True  # else a change within the same second might not be seen
    os.environ.update(PYTHONPATH=str(copy), OMP_NUM_THREADS="1")
    code = pytest.main(["-q", "-x", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist",
                        "--rootdir", str(copy), *places])  # fmt: skip
    sys.stdout.flush()
    os._exit(code)


def import_what_takes_long() -> None:
    """Once for all forks; every thread that a fork would lack is left out."""
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in WARM:
        importlib.import_module(name)


def seen_by(mutant: Mutant, copy: Path, tests: tuple[list[Path], ...]) -> str:
    """The file of tests that sees the mutant; "" where none does."""
    file = copy / mutant.file
    source = file.read_bytes()
    for ring in tests:
        file.write_bytes(mutant.applied(source))
        try:
            seen = failing(copy, ring)
        finally:
            file.write_bytes(source)
        if seen and not (seen == "time" and failing(copy, ring) == "time"):
            return seen
    return ""


def sample(paths: list[str], count: int, seed: str) -> list[Mutant]:
    """`count` mutants of the files at these paths, drawn with equal probability."""
    files = {
        file
        for path in paths
        for place in ROOT.glob(path)
        for file in ([place] if place.is_file() else place.rglob("*.py"))
    }
    every = [
        m for file in sorted(files) for m in mutants(file.relative_to(ROOT), file.read_bytes())
    ]
    print(f"{len(every)} mutants of {len(files)} files; seed {seed}", flush=True)
    return random.Random(seed).sample(every, min(count, len(every)))


def main() -> None:
    """Try a sample, and print what survived."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", default=str(datetime.date.today()))
    parser.add_argument("paths", nargs="*", metavar="PATH", default=FROM)
    given = parser.parse_args()
    chosen = sample(list(given.paths), given.count, given.seed)
    import_what_takes_long()
    survivors, begun, sound = [], time.monotonic(), {"time"}
    with tempfile.TemporaryDirectory() as folder:
        copy = copy_of(ROOT, Path(folder))
        compileall.compile_dir(copy, quiet=2)
        for number, mutant in enumerate(chosen, 1):
            seen = seen_by(mutant, copy, rings(mutant.file))
            if not seen:
                survivors.append(mutant)
                print(f"survived {mutant}", flush=True)
            elif seen not in sound and failing(copy, [ROOT / seen]) == seen:
                sys.exit(f"{seen} fails without any change")
            sound.add(seen)
            took = f"{time.monotonic() - begun:.0f} s"
            print(f"{number}/{len(chosen)}, {took}: {mutant.file}: {seen}", file=sys.stderr)
    from nnflow import share  # no fork may have it from here

    value, low, high = share(len(survivors), len(chosen), 0.95)
    print(f"{len(survivors)} of {len(chosen)} survived: {value:.0%} ({low:.0%} to {high:.0%})")


if __name__ == "__main__":
    main()
