"""Which code a stage of a study depends on, as a hash.

Snakemake re-runs a job when its parameters change. This hash is one of them: it covers
the stage's module, all that it imports from nnflow, and the files of the plugins that
the study uses in that stage with their neighbours, and nothing else. Modules that only
read settings are left out: the settings themselves are parameters of the job.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import nnflow
from nnflow.interfaces import Plugin
from nnflow.interfaces.registry import PACKAGE

ROOTS = ("nnflow", PACKAGE)
READING_SETTINGS = {
    "nnflow.study",
    "nnflow.study.loading",
    "nnflow.study.study_checks",
    "nnflow.study.types",
    "nnflow.study.sweep",
    "nnflow.interfaces.registry",
    "nnflow.interfaces.hookspecs",
}
PACKAGES = (
    "numpy", "scipy", "torch", "xarray", "netCDF4", "snakemake", "pydantic", "python-flint",
)  # fmt: skip
_HOME = Path(nnflow.__file__).parent


def code_hash(stage: str, plugins: Iterable[Plugin], modules: Iterable[str] = ()) -> str:
    """Hash of the code behind `nnflow.stages.<stage>`, the plugins' classes and further modules."""
    files = code_files(stage, plugins, modules)
    digest = hashlib.sha256()
    for module in sorted(files):
        digest.update(module.encode() + b"\0" + _content(files[module]))
    return digest.hexdigest()[:16]


def code_files(
    stage: str, plugins: Iterable[Plugin], modules: Iterable[str] = ()
) -> dict[str, Path]:
    """The files that `code_hash` covers, by module; a stage's templates among them."""
    files: dict[str, Path] = {}
    classes = (type(plugin).__module__ for plugin in plugins)
    waiting = [f"nnflow.stages.{stage}", *classes, *modules]
    while waiting:
        module = waiting.pop()
        if module in files or module in READING_SETTINGS:
            continue
        if (file := _file(module)) is not None:
            files[module] = file
            waiting.extend(_imports(module, file))
    for template in (_HOME / "stages").glob(f"{stage}.*"):
        files.setdefault(f"nnflow.stages.{template.name.removesuffix('.py')}", template)
    return files


@cache
def _content(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _file(module: str) -> Path | None:
    """The source of a module; nothing is imported, as planning is to stay fast."""
    top, *parts = module.split(".")
    if top == "nnflow":
        return _source(_HOME.joinpath(*parts))
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    folders = getattr(sys.modules.get(top), "__path__", ()) if top.startswith(PACKAGE) else ()
    found = (_source(Path(folder, *parts)) for folder in folders)
    return next((file for file in found if file is not None), None)


def _source(place: Path) -> Path | None:
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _imports(module: str, file: Path) -> frozenset[str]:
    """The modules of nnflow and of plugins that a module names in an import, wherever it stands,
    except those for type checking only."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for node in _walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            base = importlib.util.resolve_name(base, package) if node.level else base
            names = [alias.name for alias in node.names]
            if base == "nnflow":
                found.update(_home(name) for name in names)
            else:
                found.update({base, *(f"{base}.{name}" for name in names)})
    return frozenset(name for name in found if name.startswith(ROOTS))


def _home(name: str) -> str:
    """The module that `from nnflow import name` gives, or that defines it."""
    if _file(f"nnflow.{name}") is not None:
        return f"nnflow.{name}"
    item = getattr(nnflow, name, None)
    return getattr(item, "__module__", None) or type(item).__module__


def _walk(node: ast.AST) -> Iterable[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            children = child.orelse
        else:
            children = [child]
        for item in children:
            yield item
            yield from _walk(item)


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that results may depend on."""
    return {name: importlib.metadata.version(name) for name in PACKAGES}


@cache
def git_commit() -> str:
    """The commit of the working folder, with "+" if files differ from it; "" outside git."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return described.stdout.strip() if described.returncode == 0 else ""
