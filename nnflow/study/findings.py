"""Findings: sentences of a study file whose numbers come from the summary, so that the prose is
never out of step with them.

A sentence holds fields in braces. `{share}` is the column of that name: its number and interval, or
the range over the configurations where they differ; `{share[k=6,n=6]}` is one configuration's,
`{share.max}` the largest (`min`, `first`, `last` and `sum` likewise). A format of Python's may
follow: `{share[k=6,n=6]:.0%}`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from string import Formatter
from typing import TYPE_CHECKING, Any

from nnflow.base.notation import MINUS, between, number, signed, with_interval

if TYPE_CHECKING:
    import xarray as xr

FIELD = re.compile(r"(?P<column>[A-Za-z_]\w*)(?:\[(?P<label>[^\[\]]+)\]|\.(?P<pick>[a-z]+))?")
PICKS: dict[str, Callable[[list[float]], int]] = {
    "first": lambda values: 0,
    "last": lambda values: len(values) - 1,
    "min": lambda values: values.index(min(values)),
    "max": lambda values: values.index(max(values)),
}
"""Which configuration `{column.WORD}` is about; `sum` is about all of them."""


@dataclass(frozen=True)
class Field:
    """One pair of braces: a column; the label of a configuration or how to choose one, where they
    are given; and a format."""

    column: str
    label: str = ""
    pick: str = ""
    spec: str = ""


def parsed(text: str) -> Iterator[tuple[str, Field | None]]:
    """(literal text, the field that follows it, or None at the end). Raises ValueError for braces
    that are no field."""
    for literal, name, spec, conversion in Formatter().parse(text):
        if name is None:
            yield literal, None
            continue
        found = FIELD.fullmatch(name)
        pick = found["pick"] if found else None
        if not found or conversion or (pick and pick not in (*PICKS, "sum")):
            raise ValueError(
                f"{{{name}}}: expected {{column}}, {{column[configuration]}} or {{column.max}}"
                f" (there are: {', '.join((*PICKS, 'sum'))})"
            )
        try:
            format(1.0, spec or "")
        except ValueError:
            raise ValueError(f"{{{name}:{spec}}}: {spec!r} is no format of a number") from None
        yield literal, Field(found["column"], found["label"] or "", pick or "", spec or "")


def fields(text: str) -> list[Field]:
    """The fields of a sentence."""
    return [field for _, field in parsed(text) if field is not None]


def filled(text: str, summary: xr.Dataset) -> str | None:
    """The sentence with its numbers; None where one of them was not measured at this scale.

    summary: columns over `configuration`. Raises KeyError where there is no such column.
    """
    parts = []
    for literal, field in parsed(text):
        shown = "" if field is None else _shown(field, summary)
        if shown is None:
            return None
        parts.append(literal + shown)
    return "".join(parts)


def _shown(field: Field, summary: xr.Dataset) -> str | None:
    """A field's text; None where nothing was measured."""
    labels = [str(label) for label in summary["configuration"].values]
    if field.column not in summary:
        raise KeyError(field.column)
    values = summary[field.column].values
    if field.label:
        return _at(field, summary, labels.index(field.label)) if field.label in labels else None
    if values.dtype.kind not in "iufb":
        return ", ".join(dict.fromkeys(map(str, values)))
    measured = [i for i, value in enumerate(values) if not math.isnan(value)]
    if not measured:
        return None
    known = [values[i].item() for i in measured]
    if field.pick == "sum":
        return _number(sum(known), field.spec)
    if field.pick:
        return _at(field, summary, measured[PICKS[field.pick](known)])
    if len(set(known)) == 1:
        return _at(field, summary, measured[0])
    return between(*(_number(end(known), field.spec) for end in (min, max)))


def _at(field: Field, summary: xr.Dataset, place: int) -> str | None:
    """A column at one configuration, with the interval where there is one."""
    value = summary[field.column].values[place].item()
    if isinstance(value, str | bool):
        return {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
    if math.isnan(value):
        return None
    low, high = (
        float(summary[name].values[place]) if name in summary else value
        for name in (f"{field.column}_low", f"{field.column}_high")
    )
    if math.isnan(low) or math.isnan(high) or not low < high:
        return _number(value, field.spec)
    if not field.spec:
        return with_interval(float(value), low, high)
    text, *ends = (_number(one, field.spec) for one in (value, low, high))
    if ends == [text, text]:  # narrower than the digits that are shown
        return text
    if ends[0].endswith("%") and MINUS not in "".join(ends):
        ends[0] = ends[0].removesuffix("%")
    return f"{text} ({between(*ends)})"


def _number(value: Any, spec: str) -> str:
    if spec.endswith(",") and float(value).is_integer():
        value = int(value)
    if not spec:
        return signed(str(value)) if isinstance(value, int) else number(value, 3)
    return signed(format(value, spec))
