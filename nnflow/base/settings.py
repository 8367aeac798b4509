"""Typed settings: what a YAML file may say, and a one-line reason where it errs."""

from __future__ import annotations

import ast
import difflib
import inspect
import itertools
import re
import textwrap
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

NAME = re.compile(r"[a-z][a-z0-9_]*")
"""Names of plugins, studies, analyses and figures."""

EXACT = 2.0**53
"""From here on not every whole number is a float."""


class Settings(BaseModel):
    """Immutable settings; an unknown key is an error, never ignored."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        validate_default=True,
        # a job uses a few of the plugins' hundred classes
        defer_build=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _true_is_no_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant; pydantic takes them for 1 and 0."""
        if isinstance(value, bool) and not _takes_booleans(cls.model_fields[info.field_name]):
            raise ValueError(f"expected a number or a text, not {str(value).lower()}")
        return value


def _takes_booleans(field: FieldInfo) -> bool:
    annotation = str(field.annotation)
    return "bool" in annotation or "Any" in annotation


def meanings(settings: type[Settings]) -> dict[str, str]:
    """What each setting means: the docstring below its field, "" where there is none.

    Read from the source when asked for. pydantic can do the same for every class as it is
    made, but that took half a second of every job.
    """
    found = dict.fromkeys(settings.model_fields, "")
    for cls in reversed(settings.__mro__):
        if issubclass(cls, Settings):
            found |= {key: text for key, text in _docstrings(cls) if key in found}
    return found


def _docstrings(cls: type) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    for field, below in itertools.pairwise(definition.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        value = below.value if isinstance(below, ast.Expr) else None
        documented = isinstance(value, ast.Constant) and isinstance(value.value, str)
        yield field.target.id, inspect.cleandoc(value.value) if documented else ""


def first_problem(error: ValidationError) -> dict[str, Any]:
    """The first complaint; an unknown key comes before a missing one, as misspelling a key
    gives both."""
    return min(error.errors(), key=lambda one: one["type"] != "extra_forbidden")


def explain(error: ValidationError, kind: type[BaseModel] | None = None) -> str:
    """The first complaint of a validation error as "key: reason", on one line."""
    problem = first_problem(error)
    key = ".".join(str(part) for part in problem["loc"]) or "(top level)"
    more = len(error.errors()) - 1
    return f"{key}: {_reason(problem, kind)}" + (f" (and {more} more)" if more else "")


def _reason(problem: dict[str, Any], kind: type[BaseModel] | None) -> str:
    if problem["type"] == "extra_forbidden":
        fields = kind.model_fields.items() if kind else ()
        known = sorted(field.alias or name for name, field in fields)
        return f"unknown key{suggest(str(problem['loc'][-1]), known)}"
    if problem["type"] == "missing":
        return "this key is missing"
    reason = problem["msg"].removeprefix("Value error, ").replace("\n", " ")
    given = problem.get("input")
    shown = isinstance(given, str | int | float | bool) and problem["type"] != "value_error"
    return f"{reason} (got {given!r})" if shown else reason


def one_spelling(value: Any) -> Any:
    """A value of a YAML file with each number spelled in one way, whole ones without a point, so
    that 1 and 1.0 are one setting."""
    if isinstance(value, dict):
        return {key: one_spelling(item) for key, item in value.items()}
    if isinstance(value, list):
        return [one_spelling(item) for item in value]
    whole = isinstance(value, float) and value.is_integer() and abs(value) < EXACT
    return int(value) if whole else value


def check_name(name: str) -> None:
    """Raise ValueError unless the name suits files, groups and commands."""
    if not NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is not a valid name (lower-case letters, digits and _, a letter first)"
        )


def suggest(name: str, known: list[str]) -> str:
    """ " (did you mean 'x'?)", or what there is, where nothing comes near."""
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (there are: {', '.join(known)})" if known else ""
