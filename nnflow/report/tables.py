"""The summary of a study as tables that are never wider than the page."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from nnflow.base.notation import number, span, with_interval
from nnflow.report.rows import SMALL

WIDEST = 5
"""Most columns of numbers in a table: with intervals, what a page of 50 rem holds."""


@dataclass(frozen=True)
class Column:
    """A quantity of the summary: its name, units and meaning, and its text at each
    configuration."""

    head: str
    units: str
    meaning: str
    cells: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """What a table shows: the corner, its heads, and rows of a head and cells. A head is (text,
    units, meaning)."""

    corner: str
    heads: Sequence[tuple[str, str, str]]
    rows: Sequence[tuple[tuple[str, str, str], Sequence[str]]] = field(default=())


def tables(summary: xr.Dataset) -> list[Table]:
    """All columns of a summary. Configurations are rows where there are more of them than columns;
    what would be too wide is cut into several tables, one above the other."""
    labels = [(str(label), "", "") for label in summary["configuration"].values]
    found = columns(summary)
    heads = [(one.head, one.units, one.meaning) for one in found]
    if not found:
        return []
    if len(labels) <= len(found):
        body = [one.cells for one in found]
        return _cut("", labels, list(zip(heads, body, strict=True)))
    turned = list(zip(*(one.cells for one in found), strict=True))
    return _cut("configuration", heads, list(zip(labels, turned, strict=True)))


def _cut(corner: str, heads: list[Any], rows: list[Any]) -> list[Table]:
    """Tables of at most WIDEST columns each, as equal in width as can be."""
    count = -(-len(heads) // WIDEST)
    edges = [round(i * len(heads) / count) for i in range(count + 1)]
    return [
        Table(corner, heads[a:b], [(head, cells[a:b]) for head, cells in rows])
        for a, b in itertools.pairwise(edges)
    ]


def columns(summary: xr.Dataset) -> list[Column]:
    """The columns; the ends of an interval stand with its number, or alone as a range."""
    found = []
    for name in map(str, summary.data_vars):
        if summary[name].dims != ("configuration",):
            continue
        base, _, end = name.rpartition("_")
        if end in ("low", "high") and base in summary:
            continue
        if end in ("low", "high") and all(f"{base}_{e}" in summary for e in ("low", "high")):
            found += [_range(summary, base)] if end == "low" else []
            continue
        found.append(_measured(summary, name))
    return found


def _column(head: str, values: xr.DataArray, cells: Iterable[str]) -> Column:
    units = values.attrs.get("units", "")
    shown = "" if units == "1" else units
    return Column(head.replace("_", " "), shown, _meaning(values), tuple(cells))


def _meaning(values: xr.DataArray) -> str:
    """What is said of a column; "" where its file has but the name in words."""
    said = values.attrs.get("long_name", "")
    return "" if said == str(values.name).replace("_", " ") else said


def _measured(summary: xr.Dataset, name: str) -> Column:
    values = summary[name]
    if values.dtype.kind not in "iufb":
        return _column(name, values, [str(value) for value in values.values])
    if values.dtype.kind in "iub":
        return _column(name, values, [_whole(value) for value in values.values])
    if f"{name}_low" not in summary or f"{name}_high" not in summary:
        return _column(name, values, [_bare(float(value)) for value in values.values])
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    triples = zip(values.values, low.values, high.values, strict=True)
    return _column(name, values, [with_interval(*map(float, triple)) for triple in triples])


def _range(summary: xr.Dataset, name: str) -> Column:
    """One column for NAME_low and NAME_high, where there is no NAME."""
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    pairs = zip(low.values, high.values, strict=True)
    column = _column(name, low, [span(float(a), float(b)) for a, b in pairs])
    both = [_meaning(values) for values in (low, high)]
    meaning = " to ".join(dict.fromkeys(filter(None, both)))
    return Column(column.head, column.units, meaning, column.cells)


def _bare(value: float) -> str:
    """A number without an interval: of residuals and gaps, only the size matters."""
    return number(value, 3) if abs(value) < SMALL else number(value)


def _whole(value: Any) -> str:
    if isinstance(value, np.bool_):
        return "yes" if value else "no"
    return str(value).replace("-", "−")
