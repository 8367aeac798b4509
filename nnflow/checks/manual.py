"""The manual: config/README.md and docs/reference/, whose tables are made from docstrings.

    python -m nnflow.checks.manual

fills the parts of these pages that stand between <!-- table NAME --> and <!-- end -->, and leaves
the rest as it is.
"""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic.fields import FieldInfo

from nnflow.base.settings import Settings, meanings
from nnflow.checks import reference
from nnflow.checks.plugin_report import outline
from nnflow.interfaces import KINDS, Plugin
from nnflow.interfaces.registry import registry
from nnflow.study.claims import Claim, Correction
from nnflow.study.stage_settings import Certify, Classify, Ends, Quadrature, Spectrum, Stop, Trace
from nnflow.study.types import ConfigurationSettings, StudySettings
from nnflow.study.vary import Range

REFERENCE = Path("docs/reference")
TABLES: dict[str, type[Settings]] = {
    "study": StudySettings,
    "configuration": ConfigurationSettings,
    "range": Range,
    "stop": Stop,
    "trace": Trace,
    "classify": Classify,
    "eigenvalues": Ends,
    "spectrum": Spectrum,
    "quadrature": Quadrature,
    "certify": Certify,
    "claim": Claim,
    "correction": Correction,
}
"""Settings by the name of their table."""
HEAD = ("| key | value | default | meaning |", "|---|---|---|---|")
_PART = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_SENTENCE = re.compile(r"(?<=\.) (?=[A-Z])")
_BOUNDS = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
_WORDS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def pages() -> list[Path]:
    """The files that have tables."""
    return [Path("config/README.md"), *sorted(REFERENCE.glob("*.md"))]


def refreshed(text: str) -> str:
    """A page with all of its tables made anew. Raises KeyError for an unknown table."""
    return _PART.sub(lambda part: f"{part[1]}\n{_table(part[2])}\n{part[3]}", text)


def _table(name: str) -> str:
    return LISTS[name]() if name in LISTS else keys(TABLES[name])


def keys(settings: type[Settings], base: type[Settings] = Settings) -> str:
    """A Markdown table of the keys of some settings but for those of `base`: values, default
    and meaning. "" where there are none."""
    rows, texts = [], meanings(settings)
    for key, field in settings.model_fields.items():
        if key in base.model_fields:
            continue
        meaning = texts[key]
        if not meaning and _holds_keys(field.annotation):
            meaning = outline(field.annotation)
        values = _described(field.annotation, field.metadata)
        cells = (f"`{field.alias or key}`", values, _default(field), meaning)
        rows.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    return "\n".join([*HEAD, *rows, ""]) if rows else ""


def plugins(kind: type[Plugin]) -> str:
    """The plugins of a kind that come with nnflow, each with its settings."""
    found, parts = registry(), []
    if kind.model_fields:
        parts += [f"Each of them has, beside its own keys:\n\n{keys(kind)}"]
    for name, plugin in sorted(found.plugins[kind.kind].items()):
        file = Path(found.source(plugin))
        if file.is_relative_to(Path("plugins").resolve()):
            place = file.relative_to(Path.cwd()).as_posix()
            parts.append(f"## {name}\n")
            parts.append(f"[`{name}`](../../{place}): {_said(plugin)}\n")
            parts += [keys(plugin, kind)] if keys(plugin, kind) else []
    return "\n".join(parts)


def _said(plugin: type[Plugin]) -> str:
    """The first sentence of a plugin's docstring, and what it needs or allows."""
    said = [_escaped(_SENTENCE.split(outline(plugin))[0])]
    # a setting may decide what is needed; there is no tuple then
    if isinstance(needs := getattr(plugin, "needs", None), tuple) and needs:
        said.append(f"Needs {_listed([f'`{name}`' for name in needs], 'and')}.")
    if plugin.varies:
        said.append(f"May vary: {', '.join(f'`{setting}`' for setting in plugin.varies)}.")
    if getattr(plugin, "is_gradient_descent", False):
        said.append("The stop rules `basin` and `loss` may be used with it.")
    return " ".join(said)


def _described(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """What may be written for a type: `number > 0 or null`."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inner, *more = arguments
        return _described(inner, [*more, *metadata])
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_described(argument) for argument in arguments)
    if origin is Literal:
        return _listed([f"`{argument}`" for argument in arguments], "or")
    if origin is list:
        return f"list of: {_described(arguments[0])}"
    if origin is tuple:
        return f"[{', '.join(_described(argument) for argument in arguments)}]"
    if origin is dict or annotation is dict:
        inner = _described(arguments[1]) if arguments else "values"
        return f"mapping of names to: {inner}"
    if annotation is None or annotation is type(None):
        return "null"
    if isinstance(annotation, type) and issubclass(annotation, Plugin):
        return f"plugin ({annotation.kind})"
    if _holds_keys(annotation):
        return "keys of its own"
    return _WORDS.get(annotation, "value") + _bounds(metadata)


def _holds_keys(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Settings)


def _bounds(metadata: Iterable[Any]) -> str:
    """The constraints of a number as text: " > 0, ≤ 1"."""
    flat = [one for item in metadata for one in getattr(item, "metadata", (item,))]
    found = [
        f" {sign} {getattr(one, name):g}"
        for one in flat
        for name, sign in _BOUNDS.items()
        if hasattr(one, name)
    ]
    return ",".join(found)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, Settings):
        return "its defaults"
    if default == "":
        return "empty"
    if isinstance(default, float):
        return f"`{default:g}`"
    if isinstance(default, tuple):
        default = list(default)
    text = yaml.safe_dump(default, default_flow_style=True, allow_unicode=True)
    return f"`{text.splitlines()[0]}`"


def _listed(items: list[str], word: str) -> str:
    *most, last = items
    return f"{', '.join(most)} {word} {last}" if most else last


def _cell(text: str) -> str:
    """Text for one cell of a Markdown table."""
    return _escaped(" ".join(text.split())).replace("|", "\\|")


def _escaped(text: str) -> str:
    """Text whose signs Markdown leaves alone; what stands in backticks is kept."""
    parts = text.split("`")
    parts[::2] = [re.sub(r"([*<_])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


LISTS: dict[str, Callable[[], str]] = {
    **{kind.kind: partial(plugins, kind) for kind in KINDS},
    "api": reference.exported,
    "kinds": reference.kinds,
    "commands": reference.commands,
}
"""What makes the tables that are no settings."""


if __name__ == "__main__":
    from nnflow.base.store import write_text

    for file in pages():
        write_text(file, refreshed(file.read_text(encoding="utf-8")))
