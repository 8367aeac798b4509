"""What every plugin is: typed settings under a registered name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import ValidationError, model_serializer, model_validator

from nnflow.base.errors import UserError
from nnflow.base.settings import Settings, explain


def look_up(kind: str, name: str) -> type[Plugin]:
    """The registered class. The registry, which knows all plugins, puts itself in this place."""
    raise UserError(f"{name!r} is not known: the plugins are not loaded")


class Plugin(Settings):
    """Base of models, initializers, optimizers, datasets, losses, activations, analyses
    and figures.

    A subclass lists its settings as annotated fields, each with a docstring below it.
    In a study file a plugin is written as a mapping with its `name` and its settings
    (`{name: normal, variance: 1}`), or as its bare name where the defaults serve.
    """

    kind: ClassVar[str] = ""
    """The kind of plugin, in the plural."""
    name: ClassVar[str] = ""
    """The registered name; set at registration."""
    varies: ClassVar[tuple[str, ...]] = ()
    """Settings that may differ from run to run (the key `vary` of a study). The methods of an
    optimizer or an initializer then see an array (run, 1) in place of the number, a model's (run,):
    a tensor, of an initializer a NumPy array."""
    modules: ClassVar[tuple[str, ...]] = ()
    """Modules that its code reaches in a way no import shows, or that lie in an installed package:
    jobs run again where they, or what they import of their own package, have changed."""

    @model_validator(mode="wrap")
    @classmethod
    def _resolve(cls, value: Any, handler: Any) -> Any:
        """Turn `{name: …, settings…}` or a bare name into the registered plugin."""
        if cls.kind == "" or "kind" not in cls.__dict__ or isinstance(value, Plugin):
            return handler(value)
        if isinstance(value, str):
            value = {"name": value}
        if not isinstance(value, dict) or not isinstance(value.get("name"), str):
            raise ValueError("expected a plugin's name, or a mapping with the key 'name'")
        try:
            found = look_up(cls.kind, value["name"])
        except UserError as error:
            raise ValueError(str(error)) from None
        settings = {key: item for key, item in value.items() if key != "name"}
        try:
            return found.model_validate(settings)
        except ValidationError as error:
            raise ValueError(f"{found.name}: {explain(error, found)}") from None

    def used_studies(self) -> tuple[str, ...]:
        """Names of studies whose results it reads; the study's key `uses` has to name them."""
        return ()

    def files(self, folder: Path) -> tuple[Path, ...]:
        """Files and folders whose content it reads (a table, a checkpoint): jobs run again where
        that has changed. A download whose hash the code knows needs no mention.

        A setting that is the path of a file, from the working folder or from `folder`, needs none
        either. folder: where datasets keep their files.
        """
        return ()

    def fixed_files(self, folder: Path) -> tuple[Path, ...]:
        """Files below `folder` whose content the code holds against a hash that it knows, such as
        downloads: they need not be there yet, and nothing is made again for them."""
        return ()

    def with_values(self, values: Mapping[str, Any]) -> Self:
        """A copy with other values of some settings, which are not checked: the arrays of those
        that vary. What the plugin has computed and kept is not carried over."""
        copy = self.model_copy(update=dict(values))
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy

    @model_serializer(mode="wrap")
    def _describe(self, handler: Any) -> dict[str, Any]:
        return {"name": self.name, **handler(self)}

    def plugins(self) -> Iterator[Plugin]:
        """This plugin and those among its settings, at any depth."""
        yield self
        yield from _inside(getattr(self, field) for field in type(self).model_fields)


def files_of(plugin: Plugin, folder: Path | None) -> tuple[Path, ...]:
    """The files and folders that a plugin names in `files`, and those that its settings name: texts
    that are the path of a file, from the working folder or from the data folder, and paths.

    folder: the data folder; None: there is none, and the plugin's `files` are left out.
    """
    named = () if folder is None else tuple(map(Path, plugin.files(folder)))
    places = [Path(), *([folder] if folder else [])]
    told = [
        place / text
        for text in _texts(getattr(plugin, field) for field in type(plugin).model_fields)
        for place in places
        if text != Path() and _is_there(place / text, folders=isinstance(text, Path))
    ]
    return (*named, *(file for file in told if file not in named))


def _texts(values: Iterable[Any]) -> Iterator[str | Path]:
    """The texts and paths among values, lists, mappings and settings, those of plugins apart."""
    for value in values:
        if isinstance(value, str | Path):
            yield value
        elif isinstance(value, Settings) and not isinstance(value, Plugin):
            yield from _texts(getattr(value, field) for field in type(value).model_fields)
        elif isinstance(value, list | tuple):
            yield from _texts(value)
        elif isinstance(value, dict):
            yield from _texts(value.values())


def _is_there(path: Path, folders: bool) -> bool:
    try:
        return path.is_file() or (folders and path.is_dir())
    except (OSError, ValueError):  # a text that can't be a path: too long, with a null
        return False


def _inside(values: Iterable[Any]) -> Iterator[Plugin]:
    """The plugins among values, lists, mappings and settings."""
    for value in values:
        if isinstance(value, Plugin):
            yield from value.plugins()
        elif isinstance(value, Settings):
            yield from _inside(getattr(value, field) for field in type(value).model_fields)
        elif isinstance(value, list | tuple):
            yield from _inside(value)
        elif isinstance(value, dict):
            yield from _inside(value.values())
