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
import warnings
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from importlib.metadata import entry_points
from pathlib import Path

import pluggy

from nnflow.base.errors import UserError
from nnflow.base.opened import opened
from nnflow.base.settings import check_name, suggest
from nnflow.base.shipped import shipped
from nnflow.interfaces import KINDS, Plugin, hookspecs, plugin

PACKAGE = "nnflow_plugins"
GROUP = "nnflow"
FOLDERS_VARIABLE = "NNFLOW_PLUGINS"
_CLASSES = {kind.kind: kind for kind in KINDS}


def plugin_folders() -> list[Path]:
    """The plugins that come with nnflow, ./plugins, and the folders that the environment variable
    NNFLOW_PLUGINS lists."""
    further = os.environ.get(FOLDERS_VARIABLE, "").split(os.pathsep)
    named = (Path(folder) for folder in further if folder)
    folders = [shipped() / "plugins", Path("plugins"), *named]
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
        self._opened: dict[str, set[str]] = {}
        self._refused: dict[tuple[str, str], str] = {}
        self._namesakes: dict[tuple[str, str], list[str]] = {}
        built_in: set[bytes] = set()
        for package, folder in _open_packages(folders).items():
            for file in plugin_files(folder):
                if file.read_bytes() in built_in:  # a copy, as in a copied project
                    continue
                if folder == shipped() / "plugins":
                    built_in.add(file.read_bytes())
                self._load(str(file), partial(_import, package, folder, file))
        for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
            self._load(f"{entry.value} (installed as {entry.name})", entry.load)

    def get(self, kind: str, name: str) -> type[Plugin]:
        """The plugin of that kind and name; UserError if there is none."""
        if name in self.plugins[kind]:
            return self.plugins[kind][name]
        if (kind, name) in self._refused:
            raise UserError(self._refused[kind, name])
        singular = _CLASSES[kind].__name__.lower()
        broken = next((source for source in self.problems if _stem(source) == name), None)
        if broken:
            raise UserError(f"{singular} {name!r} can't be used: {broken}: {self.problems[broken]}")
        near = suggest(name, sorted(self.plugins[kind]))
        count = len(self.problems)
        lost = f"; broken plugin files: {count}, `nnflow plugins` says why" if count else ""
        raise UserError(f"unknown {singular} {name!r}{near}{lost}")

    def source(self, plugin: type[Plugin]) -> str:
        """The file or package that a plugin's class came from."""
        return self.sources[plugin]

    def read_by(self, plugin: type[Plugin]) -> set[str]:
        """The files that were opened while a plugin's module was imported."""
        return self._opened.get(self.sources.get(plugin, ""), set())

    def _load(self, source: str, load: Callable[[], types.ModuleType]) -> None:
        try:
            with warnings.catch_warnings(), opened() as self._opened[source]:
                # pydantic's word on what _check_settings refuses
                warnings.filterwarnings("ignore", message="Field name .* shadows an attribute")
                found = _registered(load())
        except (Exception, SystemExit) as error:
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


def plugin_files(folder: Path) -> Iterator[Path]:
    """The plugin files below a folder, at any depth. A folder with an `__init__.py` is one plugin,
    a package; what begins with an underscore or a dot holds shared code."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(("_", ".")):
            continue
        if (entry / "__init__.py").is_file():
            yield entry / "__init__.py"
        elif entry.is_dir():
            yield from plugin_files(entry)
        elif entry.suffix == ".py":
            yield entry


class _Manager(pluggy.PluginManager):
    """pluggy's, which takes the eight hooks of version 0.1, `nnflow_register_models` and its like,
    for the one there is now."""

    def parse_hookimpl_opts(self, plugin: object, name: str) -> dict | None:
        options = super().parse_hookimpl_opts(plugin, name)
        if options and name.removeprefix("nnflow_register_") in _CLASSES:
            options["specname"] = "nnflow_register"
        return options


def _registered(module: types.ModuleType) -> list[tuple[str, str, type[Plugin]]]:
    """(kind, name, class) of each plugin that a module registers. Raises UserError where it
    registers nothing, or what can't be used."""
    manager = _Manager("nnflow")
    manager.add_hookspecs(hookspecs)
    manager.register(module)
    manager.check_pending()
    given: list[tuple[str, type[Plugin]]] = []
    manager.hook.nnflow_register(register=lambda name, cls: given.append((name, cls)))
    if not given:
        raise UserError(
            "registers nothing: no function nnflow_register has the mark @nnflow.hookimpl"
        )
    names: dict[type[Plugin], str] = {}
    for name, cls in given:
        try:
            check_name(name)
        except ValueError as error:
            raise UserError(str(error)) from None
        if cls in names:
            raise UserError(
                f"{names[cls]!r} and {name!r} are one class; give each name a class of its own"
            )
        names[cls] = name
    found = [(_kind(name, cls), name, cls) for name, cls in given]
    for kind, name, cls in found:
        _check_settings(_CLASSES[kind], name, cls)
    return found


def _kind(name: str, cls: object) -> str:
    for kind in KINDS:
        if isinstance(cls, type) and issubclass(cls, kind):
            return kind.kind
    known = ", ".join(kind.__name__ for kind in KINDS)
    raise UserError(f"{name!r} is of no kind of plugin; derive its class from one of: {known}")


def _check_settings(kind: type[Plugin], name: str, cls: type[Plugin]) -> None:
    """Raise UserError for a setting that hides what nnflow calls by its name."""
    for setting in cls.model_fields:
        if hasattr(kind, setting):
            raise UserError(
                f"{name!r}: the setting {setting!r} hides what every {kind.__name__} has by that"
                " name; rename it"
            )


def _stem(source: str) -> str:
    """The name that a file or a package of plugins goes by."""
    path = Path(source)
    return path.parent.name if path.name == "__init__.py" else path.stem


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


def _import(package: str, folder: Path, file: Path) -> types.ModuleType:
    parts = file.relative_to(folder).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    name = ".".join((package, *parts))
    if name in sys.modules and Path(sys.modules[name].__file__ or "") == file:
        return sys.modules[name]
    if not all(part.isidentifier() for part in parts):
        raise UserError("its path is no name of Python: letters, digits and _ alone")
    importlib.import_module(name.rpartition(".")[0])
    inner = [str(file.parent)] if file.name == "__init__.py" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=inner)
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


plugin.look_up = lambda kind, name: registry().get(kind, name)
