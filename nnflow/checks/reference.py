"""The reference of Python names and commands, made from signatures and docstrings."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Iterator
from types import MappingProxyType
from typing import Any

import typer

import nnflow
from nnflow.interfaces import KINDS, Plugin

ESCAPED = re.compile(r"([*<_|\[\]$])")
TYPE = re.compile(r" <[^>]*>")
REQUIRED = "[required]"
NO_TEXT = MappingProxyType(
    {
        "LANES": "How many float64 numbers a vector of a compiled function holds.",
        "torch": "The module `torch`, imported on first use.",
    }
)
"""What is said of names that have no docstring of their own."""


def exported() -> str:
    """Every name that nnflow exports, but for the base classes of plugins: Markdown."""
    names = [name for name in sorted(nnflow.__all__, key=str.lower) if not _is_kind(name)]
    return "\n".join(_entry(name, getattr(nnflow, name)) for name in names)


def kinds() -> str:
    """The hook, what every plugin has, and the base class of each kind."""
    from nnflow.interfaces.hookspecs import nnflow_register

    parts = [_entry("nnflow_register", nnflow_register)]
    parts += [_entry(cls.__name__, cls) for cls in (Plugin, *KINDS)]
    return "\n".join(parts)


def commands() -> str:
    """Every command with its arguments and options."""
    # by its name, as the script does: the command line lies above this room
    command = typer.main.get_command(pkgutil.resolve_name("nnflow.cli:app"))
    return "\n".join(_commands(command, typer.Context(command, info_name="nnflow")))


def _is_kind(name: str) -> bool:
    return getattr(nnflow, name) in KINDS


def _entry(name: str, thing: Any) -> str:
    """A head, the docstring, and of a class its fields and methods."""
    if name in NO_TEXT:
        return f"## {name}\n\n{NO_TEXT[name]}\n"
    call = "" if inspect.isclass(thing) else _signature(thing)
    parts = [f"## {name}\n", f"`{name}{call}`\n"] if call else [f"## {name}\n"]
    parts.append(prose(inspect.getdoc(thing) or ""))
    if inspect.isclass(thing):
        parts += _members(thing)
    return "\n".join(parts)


def _members(cls: type) -> Iterator[str]:
    """What a class itself defines and explains, in its order."""
    for name, member in vars(cls).items():
        if name.startswith("_"):
            continue
        plain = member.__func__ if isinstance(member, classmethod | staticmethod) else member
        if inspect.isfunction(plain) and (doc := inspect.getdoc(plain)):
            yield f"**`{name}{_signature(plain)}`**: {prose(doc)}"
        elif isinstance(plain, property) and (doc := inspect.getdoc(plain)):
            yield f"**`{name}`**: {prose(doc)}"


def _signature(function: Any) -> str:
    """As it is called: without `self`, types and defaults that are long."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return ""
    shown = [
        parameter.replace(annotation=parameter.empty, default=_shown(parameter.default))
        for name, parameter in signature.parameters.items()
        if name not in ("self", "cls")
    ]
    return str(signature.replace(parameters=shown, return_annotation=inspect.Signature.empty))


class _Function:
    """A default that is a function, whose own text differs from one Python to the next."""

    def __repr__(self) -> str:
        return "…"


def _shown(default: Any) -> Any:
    return _Function() if inspect.isfunction(default) else default


def prose(doc: str) -> str:
    """A docstring as Markdown: paragraphs in which signs stand for themselves; indented blocks are
    kept."""
    parts = []
    for block in re.split(r"\n\s*\n", doc.strip()):
        indented = all(line.startswith("    ") for line in block.splitlines())
        parts.append(block if indented else _escaped(" ".join(block.split())))
    return "\n\n".join(parts) + "\n"


def _escaped(text: str) -> str:
    """Signs of Markdown as themselves; what stands in backticks is kept."""
    parts = text.split("`")
    parts[::2] = [ESCAPED.sub(r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _commands(command: Any, context: typer.Context) -> Iterator[str]:
    """command: of the click that typer brings along."""
    for name, inner in sorted(getattr(command, "commands", {}).items()):
        yield from _commands(inner, typer.Context(inner, context, info_name=name))
    if hasattr(command, "commands"):
        return
    records = [one.get_help_record(context) for one in command.get_params(context)]
    told = [(TYPE.sub("", names), " ".join(text.split())) for names, text in filter(None, records)]
    told = [(names, text) for names, text in told if not names.startswith("--help")]
    words = [names if REQUIRED in text else f"[{names.replace('[', '').replace(']', '')}]"
             for names, text in told if not names.startswith("-")]  # fmt: skip
    if command.options_metavar != "[OPTIONS]":
        words.append(command.options_metavar)
    yield f"## {context.command_path}\n"
    yield f"`{' '.join([context.command_path, *words])}`\n"
    yield prose(command.help or "")
    for names, text in told:
        yield f"- `{names}`: {_escaped(text.removesuffix(REQUIRED).strip())}"
    yield ""
