"""report: one page with every table, figure and claim, and the table of all claims."""

from __future__ import annotations

import base64
import csv
import inspect
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import numpy as np
import xarray as xr

import nnflow
from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.notation import number, span, with_interval
from nnflow.study.claims import COLUMNS, KINDS, VERDICTS, described, to_csv
from nnflow.study.results import dataset_path
from nnflow.study.timings import read_timings
from nnflow.study.totals import counted_as, expected_false, sentence, statements, totals
from nnflow.study.types import Study
from nnflow.workflow.fingerprint import git_commit, package_versions
from nnflow.workflow.freshness import check_fresh
from nnflow.workflow.plan import Plan

TEMPLATE = "report.html.j2"
UNFINISHED = "unfinished.html"
LISTED = 8
"""Most values of a swept setting that are listed one by one."""
INCH = 0.0254
"""Metres."""
MEASURED = ("name", "median", "low", "high", "repeats", "calls")
"""What every measured time has; the rest is what it was measured at."""
WORDS = {verdict: verdict.replace("_", " ") for verdict in VERDICTS}
MARKS = {
    "reproduced": "✓", "proved": "∎", "not_contradicted": "~", "undecided": "?", "differs": "≠",
    "corrected": "↻", "not_measured": "–",
}  # fmt: skip
"""Verdicts in one sign, so that none is told by colour alone."""


def report(plan: Plan) -> str:
    """Write results/<scale>/report.html and results/<scale>/claims.csv. Returns the totals of the
    claims in words.

    The page holds its figures and its style, and needs nothing else to be read. The same
    results give the same bytes. Raises UserError where a file is missing or damaged.
    """
    folder = plan.results / plan.scale
    sections = [_section(plan, plan.loaded[name], folder) for name in plan.studies]
    page = _page(plan, sections)
    rows = [row for section in sections for row in section["rows"]]
    store.write_text(folder / "claims.csv", to_csv(rows))
    store.write_text(folder / "report.html", page)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return sentence(_totals(sections)) or "no claims"


def print_claims(plan: Plan, every: bool) -> int:
    """Print the totals of the plan's studies and the claims that differ or are undecided, or every
    claim that was measured. Returns how many differ."""
    folder = plan.results / plan.scale
    rows, names = [], {}
    for study in (plan.loaded[name] for name in plan.studies):
        rows += _read_claims(folder / study.name / "claims.csv")
        names |= counted_as(study.name, study.settings.claims)
    for row in rows:
        if row["verdict"] in ("differs", "undecided") or every:
            print(f"{MARKS[row['verdict']]} {row['study']}: {described(row)}")
    print(sentence(totals(statements(rows, names))) or "no claims")
    return sum(row["verdict"] == "differs" for row in rows)


def report_unfinished(plan: Plan) -> Path | None:
    """Write results/<scale>/unfinished.html, and return its path: the report of the studies
    whose results are there, which names the others; None, and no page, where none is missing. For
    a workflow in which a job failed: an earlier report.html says nothing of that, and is removed;
    the next whole report removes this page."""
    folder = plan.results / plan.scale
    sections, missing = [], {}
    for study in (plan.loaded[name] for name in plan.studies):
        try:
            sections.append(_section(plan, study, folder))
        except UserError as error:
            missing[study.name] = str(error)
    if not missing:
        return None
    store.write_text(folder / UNFINISHED, _page(plan, sections, missing))
    (folder / "report.html").unlink(missing_ok=True)
    return folder / UNFINISHED


def _others(plan: Plan) -> list[str]:
    """The studies whose results lie beside those of the plan."""
    found = (file.parent.name for file in (plan.results / plan.scale).glob("*/summary.nc"))
    return sorted(set(found) - set(plan.studies))


def _page(
    plan: Plan, sections: list[dict[str, Any]], missing: Mapping[str, str] = MappingProxyType({})
) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        scale=plan.scale,
        others=_others(plan),
        version=nnflow.__version__,
        commit=git_commit(),
        packages=package_versions(),
        sections=sections,
        missing=missing,
        totals=_totals(sections),
        expected=expected_false(row for section in sections for row in section["rows"]),
        differing=[
            c for section in sections for c in section["claims"] if c["verdict"] == "differs"
        ],
        kinds=KINDS,
        order=VERDICTS,
        words=WORDS,
        marks=MARKS,
    )


def _section(plan: Plan, study: Study, folder: Path) -> dict[str, Any]:
    """What the template needs to know about a study."""
    here = folder / study.name
    check_fresh(plan, study.name, dataset_path(here, "summary"))
    summary = store.read(dataset_path(here, "summary"))[""]
    rows = _read_claims(here / "claims.csv")
    settings, timings = study.settings, read_timings(here)
    return {
        "name": study.name,
        "title": settings.title,
        "description": settings.description,
        "source": settings.source,
        "settings": _settings(study),
        "configurations": [configuration.label for configuration in study.configurations],
        "runs": _runs(study),
        "tables": _tables(_columns(study, summary, rows)),
        "figures": [_figure(here, name, plugin) for name, plugin in settings.figures.items()],
        "timings": [_timing(name, e) for name, e in timings.items() if name in settings.analyses],
        "rows": rows,
        "names": counted_as(study.name, settings.claims),
        "claims": [_claim(row) for row in rows],
        "counts": Counter(v for _, v in statements(rows, {}).values()),
    }


def _totals(sections: Iterable[Mapping[str, Any]]) -> dict[str, Counter[str]]:
    """{kind: {verdict: statements}} over all studies, each statement once."""
    rows = [row for section in sections for row in section["rows"]]
    names = {key: name for section in sections for key, name in section["names"].items()}
    return totals(statements(rows, names))


def _timing(analysis: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """A table of measured times: the median and the quartiles of each, on which machine."""
    here = entry["machine"]
    return {
        "analysis": analysis,
        "machine": f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB,"
        f" {here['system']}, Python {here['python']}",
        "commit": entry["commit"],
        "rows": [
            {
                "name": row["name"],
                "at": ", ".join(f"{k} {_value(v)}" for k, v in row.items() if k not in MEASURED),
                "seconds": with_interval(row["median"], row["low"], row["high"]),
                "repeats": f"{row['repeats']} × {row['calls']}",
            }
            for row in entry["measured"]
        ],
    }


def _runs(study: Study) -> int:
    return sum(configuration.runs for configuration in study.configurations) if study.trains else 0


# Claims


def _read_claims(file: Path) -> list[dict[str, Any]]:
    """The rows of a study's claims.csv; numbers that are missing are NaN."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            rows: list[dict[str, Any]] = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
        for row in rows:
            row |= {
                key: float(row[key] or "nan") for key in ("published", "measured", "low", "high")
            }
            if row["verdict"] not in VERDICTS:
                raise ValueError(f"{row['claim']}: unknown verdict {row['verdict']!r}")
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run the workflow to make it") from None
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{file}: not a table of claims: {error}; delete it and run again"
        ) from None
    return rows


def _claim(row: dict[str, Any]) -> dict[str, str]:
    keys = ("claim", "study", "kind", "configuration", "statement", "source", "verdict", "note")
    sign = {"=": "", "trend": ""}.get(row["comparison"], f"{row['comparison']} ")
    return {
        **{key: row[key].removeprefix("'") for key in keys},
        "published": row["comparison"]
        if sign == "" and row["comparison"] != "="
        else sign + number(row["published"]),
        "measured": with_interval(row["measured"], row["low"], row["high"]),
    }


# The summary table


def _columns(study: Study, summary: xr.Dataset, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns of the summary, each with those that hold published numbers beside it."""
    columns = []
    for name in (
        str(name) for name, values in summary.data_vars.items() if values.dims == ("configuration",)
    ):
        base, _, end = name.rpartition("_")
        ends = [f"{base}_low", f"{base}_high"]
        if end in ("low", "high") and base in summary:
            continue
        if name in ends and all(other in summary for other in ends):
            columns += [_range(summary, base)] if end == "low" else []
            continue
        columns.append(_measured(summary, name))
        columns += _published(study, summary, name, rows)
    return columns


def _tables(columns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The columns that have published numbers beside them, and all others.

    A table with more columns than configurations is turned, so that it fits a page.
    """
    beside = {i + d for i, column in enumerate(columns) if column["published"] for d in (-1, 0)}
    # the number of runs says how much the others weigh
    beside |= {i for i, column in enumerate(columns) if beside and column["head"] == "runs"}
    first = [column for i, column in enumerate(columns) if i in beside]
    rest = [column for i, column in enumerate(columns) if i not in beside]
    return [
        {"title": title, "columns": some, "turned": len(some) > len(some[0]["cells"]) and turnable}
        for title, some, turnable in (
            ("Measured and published", first, False),
            ("Further results" if first else "Results", rest, True),
        )
        if some
    ]


def _column(head: str, values: xr.DataArray, cells: Iterable[str]) -> dict[str, Any]:
    units = values.attrs.get("units", "")
    return {
        "head": head.replace("_", " "),
        "units": "" if units == "1" else units,
        "meaning": values.attrs.get("long_name", ""),
        "published": False,
        "cells": [{"text": text, "verdict": "", "note": ""} for text in cells],
    }


def _measured(summary: xr.Dataset, name: str) -> dict[str, Any]:
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


def _range(summary: xr.Dataset, name: str) -> dict[str, Any]:
    """One column for NAME_low and NAME_high, where there is no NAME."""
    low, high = summary[f"{name}_low"], summary[f"{name}_high"]
    pairs = zip(low.values, high.values, strict=True)
    column = _column(name, low, [span(float(a), float(b)) for a, b in pairs])
    both = [values.attrs.get("long_name", "") for values in (low, high)]
    return {**column, "meaning": " to ".join(dict.fromkeys(filter(None, both)))}


def _bare(value: float) -> str:
    """A number without an interval: of residuals and gaps, only the size matters."""
    return number(value, 3) if abs(value) < 1e-4 else number(value)


def _whole(value: Any) -> str:
    if isinstance(value, np.bool_):
        return "yes" if value else "no"
    return str(value).replace("-", "−")


def _published(
    study: Study, summary: xr.Dataset, name: str, rows: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """What claims hold against the column `name`: one column, or more where several claims are
    about one configuration."""
    labels = [str(label) for label in summary["configuration"].values]
    columns: list[dict[str, Any]] = []
    for claim in study.settings.claims:
        found = {row["configuration"]: row for row in rows if row["claim"] == claim.claim}
        here = found.keys() & set(labels)
        if claim.value != name or claim.comparison == "trend" or not here:
            continue
        head = "published" if claim.basis == "printed" else claim.basis
        column = next(
            (c for c in columns if c["head"] == head and not here & c["rows"].keys()), None
        )
        if column is None:
            column = {"head": head, "rows": {}, "sources": []}
            columns.append(column)
        column["rows"] |= {label: found[label] for label in here}
        column["sources"].append(claim.source)
    return [
        {
            "head": column["head"],
            "units": "",
            "meaning": f"{name.replace('_', ' ')}: {'; '.join(dict.fromkeys(column['sources']))}",
            "published": True,
            "cells": [_published_cell(column["rows"].get(label)) for label in labels],
        }
        for column in columns
    ]


def _published_cell(row: dict[str, Any] | None) -> dict[str, str]:
    if row is None:
        return {"text": "", "verdict": "", "note": ""}
    shown = _claim(row)
    return {"text": shown["published"], "verdict": row["verdict"], "note": row["note"]}


# Figures


def _figure(folder: Path, name: str, plugin: Any) -> dict[str, Any]:
    files = {
        "image/svg+xml": folder / "figures" / f"{name}.svg",
        "image/png": folder / "figures" / f"{name}.png",
    }
    try:
        content = {kind: file.read_bytes() for kind, file in files.items()}
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}; run the workflow to make it"
        ) from None
    # the smaller one: a drawing of few lines is small as SVG, one of many as pixels
    kind = min(content, key=lambda kind: len(content[kind]))
    doc = inspect.getdoc(type(plugin)) or name.replace("_", " ")
    first = " ".join(doc.split("\n\n")[0].split())
    return {
        "name": name,
        "caption": plugin.caption or first,
        "image": f"data:{kind};base64,{base64.b64encode(content[kind]).decode()}",
        "width": _width(content["image/png"]),
        "link": f"{folder.name}/figures/{name}.svg",
    }


def _width(png: bytes) -> int | None:
    """The width that a picture is made for, in CSS pixels (1/96 inch); None if it is silent."""
    place = png.find(b"pHYs")
    if place < 0:
        return None
    pixels, per_metre = (int.from_bytes(png[at : at + 4], "big") for at in (16, place + 4))
    return round(96 * pixels / (per_metre * INCH)) if per_metre else None


# The settings table


def _settings(study: Study) -> list[tuple[str, str]]:
    """(what, how) of the settings that say what was done."""
    each = [configuration.settings for configuration in study.configurations]
    shown = []
    if study.trains:
        for part in ("model", "dataset", "initializer", "optimizer", "stop"):
            given = [getattr(settings, part) for settings in each]
            dumped = [one.model_dump(mode="json") for one in given if one is not None]
            if dumped:
                shown.append(("stop rule" if part == "stop" else part, _described(dumped)))
        runs = _values([settings.runs for settings in each])
        if len(each) > 1:
            runs = f"{runs} per configuration, {_runs(study)} in all"
        shown.append(("runs", runs))
    shown.append(("seed", str(study.settings.seed)))
    return shown


def _described(dumped: list[dict[str, Any]]) -> str:
    """A plugin's name and settings over all configurations: "normal: variance 1, per fan_in"."""
    keys = dict.fromkeys(key for dump in dumped for key in dump)
    values = {key: [dump[key] for dump in dumped if key in dump] for key in keys}
    name = _values(values.pop("name")) if "name" in values else ""
    parts = [
        f"{key.replace('_', ' ')} {_values(some)}"
        for key, some in values.items()
        if any(value not in (None, False) for value in some)
    ]
    return ": ".join(part for part in (name, ", ".join(parts)) if part)


def _values(values: list[Any]) -> str:
    """The different values, or how many there are."""
    texts = list(dict.fromkeys(_value(value) for value in values))
    if len(texts) == 1:
        return texts[0]
    if len(texts) > LISTED:
        return f"{texts[0]} … {texts[-1]} ({len(texts)} values)"
    return f"{{{', '.join(texts)}}}"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return _described([value])
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "none", True: "yes", False: "no"}[value]
    return (
        number(value)
        if isinstance(value, float)
        else str(value).replace("-", "−", isinstance(value, int))
    )
