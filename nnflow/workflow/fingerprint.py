"""Which code and which files a stage of a study depends on, as hashes.

Snakemake re-runs a job when its parameters change. These hashes are among them: that of the code
covers the stage's module, all that it imports from nnflow, and the files of the plugins that
the study uses in that stage with their neighbours and what they import of the user's own code,
which is all that lies neither in Python's library nor in an installed package. Modules that only
read settings are left out: the settings themselves are parameters of the job.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from importlib.machinery import PathFinder
from pathlib import Path

import nnflow
from nnflow.base.errors import UserError
from nnflow.interfaces import Plugin
from nnflow.interfaces.registry import PACKAGE
from nnflow.workflow.imports import statements

READING_SETTINGS = {
    "nnflow.study",
    "nnflow.study.findings",
    "nnflow.study.loading",
    "nnflow.study.study_checks",
    "nnflow.study.stage_settings",
    "nnflow.study.types",
    "nnflow.study.sweep",
    "nnflow.interfaces.registry",
    "nnflow.interfaces.hookspecs",
}
PACKAGES = (
    "numpy", "scipy", "torch", "xarray", "netCDF4", "snakemake", "pydantic", "python-flint",
    "numba",
)  # fmt: skip
TEMPLATES = {".j2", ".css", ".js"}
"""Endings of what a page is made from."""
INSTALLED = {"site-packages", "dist-packages"}
"""Folders of installed packages."""
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
    """The files that `code_hash` covers, by module; the templates beside them among them. Raises
    UserError where a plugin names a module that is not found."""
    return dict(_files_behind(_named(stage, plugins, modules)))


def _named(stage: str, plugins: Iterable[Plugin], modules: Iterable[str]) -> frozenset[str]:
    """The modules that are named, from which the others follow."""
    named = {f"nnflow.stages.{stage}", *modules}
    for plugin in plugins:
        for module in plugin.modules:
            if _file(module) is None:
                raise UserError(f"{plugin.name!r}: modules: no module {module!r} is found")
        named |= {type(plugin).__module__, *plugin.modules}
    return frozenset(named)


@cache
def _files_behind(named: frozenset[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    waiting = list(named)
    # what a plugin names counts with its own package, wherever that is installed
    followed = {module.partition(".")[0] for module in named}
    while waiting:
        module = waiting.pop()
        if module in files or module in READING_SETTINGS:
            continue
        top = module.partition(".")[0]
        if top not in followed and not is_own(top):
            continue
        if (file := _file(module)) is not None:
            files[module] = file
            waiting.extend(_imports(module, file))
            if not top.startswith(("nnflow", PACKAGE)):  # importing it runs the packages around it
                waiting.extend(filter(None, [module.rpartition(".")[0]]))
    for folder in {file.parent for file in files.values() if file.is_relative_to(_HOME)}:
        for beside in (file for file in folder.iterdir() if file.suffix in TEMPLATES):
            files[str(beside.relative_to(_HOME))] = beside
    return files


def installed_packages(plugin: Plugin) -> set[str]:
    """The packages that are no code of the user's and that the plugin's code imports."""
    files = code_files("initialize", [plugin])
    own = {module: file for module, file in files.items() if not module.startswith("nnflow.")}
    named = {name.partition(".")[0] for module in own for name in _imports(module, own[module])}
    return {top for top in named if top and not is_own(top)}


def content_hash(file: Path) -> str:
    """Hash of a file's content, or of all files below a folder with their names in it; "" where
    there is none, or where it can't be read."""
    try:
        if not file.is_dir():
            with file.open("rb") as opened:
                return hashlib.file_digest(opened, "sha256").hexdigest()[:16]
        digest = hashlib.sha256()
        for inner in sorted(path for path in file.rglob("*") if path.is_file()):
            digest.update(f"{inner.relative_to(file).as_posix()} {content_hash(inner)}\n".encode())
        return digest.hexdigest()[:16]
    except OSError:
        return ""


@cache
def is_own(top: str) -> bool:
    """Is it code of the user's: neither of Python's library nor of an installed package?"""
    if top in sys.stdlib_module_names:
        return False
    if top == "nnflow" or top.startswith(PACKAGE):
        return True
    file = _file(top)
    return file is not None and not INSTALLED & set(file.parts)


@cache
def _content(file: Path) -> bytes:
    return hashlib.sha256(file.read_bytes()).digest()


@cache
def _file(module: str) -> Path | None:
    """The file of a module; nothing is imported, as planning is to stay fast."""
    top, *parts = module.split(".")
    if top == "nnflow":
        return _source(_HOME.joinpath(*parts))
    loaded = getattr(sys.modules.get(module), "__file__", None)
    if loaded is not None:
        return Path(loaded)
    if top.startswith(PACKAGE):
        folders = getattr(sys.modules.get(top), "__path__", ())
        found = (_source(Path(folder, *parts)) for folder in folders)
        return next((file for file in found if file is not None), None)
    return _found(top, parts)


def _found(top: str, parts: list[str]) -> Path | None:
    """The file of a module that is not loaded, where a job would find it: `python -m nnflow` looks
    in the working folder first, whichever program plans the job."""
    try:
        spec = PathFinder.find_spec(top, [os.getcwd()]) or importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if not parts:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    places = spec.submodule_search_locations or ()
    sources = (_source(Path(folder, *parts)) for folder in places)
    return next((file for file in sources if file is not None), None)


def _source(place: Path) -> Path | None:
    files = (place / "__init__.py", place.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


@cache
def _imports(module: str, file: Path) -> frozenset[str]:
    """The modules that a module names in an import, wherever it stands, except those for type
    checking only."""
    if file.suffix != ".py":
        return frozenset()
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()
    for name, names in statements(file):
        base = importlib.util.resolve_name(name, package) if name.startswith(".") else name
        if not names:
            found.add(base)
        elif base == "nnflow":
            found.update(_home(each) for each in names)
        else:
            found.update({base, *(f"{base}.{each}" for each in names)})
    return frozenset(found)


def _home(name: str) -> str:
    """The module that `from nnflow import name` gives, or that defines it."""
    if _file(f"nnflow.{name}") is not None:
        return f"nnflow.{name}"
    item = getattr(nnflow, name, None)
    return getattr(item, "__module__", None) or type(item).__module__


@cache
def package_versions() -> dict[str, str]:
    """Versions of the packages that results may depend on; what compiles may be missing."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


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
