"""Finding plugins: files in plugins/, in further folders, and installed packages.

A broken file or a name taken twice is recorded as a problem and refused; every other
plugin goes on working. The first folder's files are imported as modules of the package
`nnflow_plugins`, the second's of `nnflow_plugins_1` and so on, so that a file may import
its neighbours (`from ._angles import turn`). Files and folders whose names begin with an
underscore hold such shared code.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Callable, Iterable
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

import pluggy

from nnflow import hookspecs
from nnflow.errors import UserError
from nnflow.interfaces import KINDS, Plugin
from nnflow.settings import check_name, suggest

PACKAGE = "nnflow_plugins"
GROUP = "nnflow"
FOLDERS_VARIABLE = "NNFLOW_PLUGINS"
_CLASSES = {kind.kind: kind for kind in KINDS}


def plugin_folders() -> list[Path]:
    """./plugins, and the folders that the environment variable NNFLOW_PLUGINS lists."""
    further = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    folders = [Path("plugins"), *(Path(folder) for folder in further if folder)]
    return list(dict.fromkeys(folder.resolve() for folder in folders if folder.is_dir()))


class Registry:
    """All plugins by kind and name, and what is wrong with the rest.

    plugins: {kind: {name: class}}. sources: {class: the file or package it came from}.
    problems: {source: reason}.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.plugins: dict[str, dict[str, type[Plugin]]] = {kind: {} for kind in _CLASSES}
        self.sources: dict[type[Plugin], str] = {}
        self.problems: dict[str, str] = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._namesakes: dict[tuple[str, str], list[str]] = {}
        self._manager = pluggy.PluginManager("nnflow")
        self._manager.add_hookspecs(hookspecs)
        for package, folder in _open_packages(folders).items():
            for file in sorted(folder.glob("*/*.py")):
                if not file.name.startswith("_") and not file.parent.name.startswith("_"):
                    self._load(str(file), partial(_import, package, file))
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            self._load(f"{entry.value} (installed as {entry.name})", entry.load)

    def get(self, kind: str, name: str) -> type[Plugin]:
        """The plugin of that kind and name; UserError if there is none."""
        if name in self.plugins[kind]:
            return self.plugins[kind][name]
        if (kind, name) in self._refused:
            raise UserError(self._refused[kind, name])
        singular = _CLASSES[kind].__name__.lower()
        broken = next(
            (s for s in self.problems if Path(s).stem == name and f"{os.sep}{kind}{os.sep}" in s),
            None,
        )
        if broken:
            raise UserError(f"{singular} {name!r} can't be used: {broken}: {self.problems[broken]}")
        raise UserError(f"unknown {singular} {name!r}{suggest(name, sorted(self.plugins[kind]))}")

    def source(self, plugin: type[Plugin]) -> str:
        """The file or package that a plugin's class came from."""
        return self.sources[plugin]

    def _load(self, source: str, load: Callable[[], types.ModuleType]) -> None:
        found: list[tuple[str, str, type[Plugin]]] = []
        try:
            module = load()
            self._manager.register(module, name=source)
            self._manager.check_pending()
            for kind in _CLASSES:
                hook = getattr(self._manager.hook, f"nnflow_register_{kind}")
                for implementation in hook.get_hookimpls():
                    if implementation.plugin is module:
                        implementation.function(
                            lambda name, cls, kind=kind: found.append((kind, name, cls))
                        )
            if not found:
                raise UserError(
                    "registers nothing: no function nnflow_register_… has the mark @nnflow.hookimpl"
                )
            _check(found)
        except (Exception, SystemExit) as error:
            if self._manager.has_plugin(source):
                self._manager.unregister(name=source)
            self.problems[source] = _describe(error)
            return
        for kind, name, cls in found:
            self._add(source, kind, name, cls)

    def _add(self, source: str, kind: str, name: str, cls: type[Plugin]) -> None:
        taken = self.plugins[kind].pop(name, None)
        if taken is None and (kind, name) not in self._refused:
            cls.name = name
            self.plugins[kind][name] = cls
            self.sources[cls] = source
            return
        if taken is not None:
            self._namesakes[kind, name] = [self.sources[taken]]
        sources = self._namesakes[kind, name]
        sources.append(source)
        reason = f"two {kind} are named {name!r}: {' and '.join(sources)}; rename one"
        self._refused[kind, name] = reason
        self.problems[source] = reason


def _check(found: list[tuple[str, str, type[Plugin]]]) -> None:
    """Raise UserError where a file registers what can't be used."""
    names: dict[type[Plugin], str] = {}
    for kind, name, cls in found:
        if not (isinstance(cls, type) and issubclass(cls, _CLASSES[kind])):
            raise UserError(f"{name!r} is not a {_CLASSES[kind].__name__}")
        try:
            check_name(name)
        except ValueError as error:
            raise UserError(str(error)) from None
        if cls in names:
            raise UserError(
                f"{names[cls]!r} and {name!r} are one class; give each name a class of its own"
            )
        names[cls] = name


def _open_packages(folders: Iterable[Path]) -> dict[str, Path]:
    """Make each folder a package; folders by the packages' names."""
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]
    opened = {f"{PACKAGE}_{i}" if i else PACKAGE: folder for i, folder in enumerate(folders)}
    for name, folder in opened.items():
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package
    importlib.invalidate_caches()
    return opened


def _import(package: str, file: Path) -> types.ModuleType:
    name = f"{package}.{file.parent.name}.{file.stem}"
    if name in sys.modules and Path(sys.modules[name].__file__ or "") == file:
        return sys.modules[name]
    importlib.import_module(f"{package}.{file.parent.name}")
    spec = importlib.util.spec_from_file_location(name, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _describe(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"syntax error in line {error.lineno}: {error.msg}"
    text = " ".join(str(error).split())
    return text if isinstance(error, UserError) else f"{type(error).__name__}: {text}"


@cache
def registry() -> Registry:
    """The plugins of this process."""
    return Registry(plugin_folders())
