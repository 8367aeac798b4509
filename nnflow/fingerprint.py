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
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import nnflow
from nnflow.interfaces import Plugin
from nnflow.registry import PACKAGE

ROOTS = ("nnflow", PACKAGE)
READING_SETTINGS = {"nnflow.study", "nnflow.claims", "nnflow.registry", "nnflow.hookspecs"}
PACKAGES = ("numpy", "scipy", "torch", "xarray", "netCDF4", "snakemake", "pydantic")


def code_hash(stage: str, plugins: Iterable[Plugin]) -> str:
    """Hash of the code behind `nnflow.stages.<stage>` and the plugins' classes."""
    modules = {f"nnflow.stages.{stage}"}
    modules |= {type(plugin).__module__ for plugin in plugins}
    files: dict[str, Path] = {}
    waiting = sorted(modules)
    while waiting:
        module = waiting.pop()
        if module in files or module in READING_SETTINGS:
            continue
        if (file := _file(module)) is not None:
            files[module] = file
            waiting.extend(sorted(_imports(module, file)))
    digest = hashlib.sha256()
    for module in sorted(files):
        digest.update(module.encode() + b"\0" + _content(files[module]))
    return digest.hexdigest()[:16]


@cache
def _content(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _file(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None


@cache
def _imports(module: str, file: Path) -> frozenset[str]:
    """The modules under ROOTS that a module names in an import, wherever it stands,
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
    return frozenset(name for name in found if name.split(".")[0] in ROOTS)


def _home(name: str) -> str:
    """The module that defines what `from nnflow import name` gives."""
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
