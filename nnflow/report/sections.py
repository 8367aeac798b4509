"""What the page tells about one study."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.notation import with_interval
from nnflow.report import settings as words
from nnflow.report.interactive import Interactive, interactives
from nnflow.report.pictures import Picture, picture
from nnflow.report.provenance import Provenance, provenance
from nnflow.report.rows import Statement, read_rows, statements
from nnflow.report.tables import Table, tables
from nnflow.study.claims import Row
from nnflow.study.findings import fields, filled
from nnflow.study.results import dataset_path
from nnflow.study.timings import read_timings
from nnflow.study.totals import WORST_FIRST, counted_as
from nnflow.study.types import Study
from nnflow.workflow.freshness import check_fresh
from nnflow.workflow.plan import Plan

COMPARED = 8
"""Most statements that a study's page lists; the others are with all claims."""
MEASURED = ("name", "median", "low", "high", "repeats", "calls")
"""What every measured time has; the rest is what it was measured at."""


@dataclass(frozen=True)
class Finding:
    """A sentence with this run's numbers, and the statements about these numbers that the run
    contradicts: the words around the numbers were written before it."""

    text: str
    contradicted: tuple[Statement, ...]


@dataclass(frozen=True)
class Section:
    """A study with its results."""

    study: Study
    subject: str
    findings: tuple[Finding, ...]
    statements: tuple[Statement, ...]
    rows: tuple[Row, ...]
    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]
    interactives: tuple[Interactive, ...]
    timings: tuple[dict[str, Any], ...]
    provenance: Provenance

    @property
    def name(self) -> str:
        """Of the study."""
        return self.study.name

    @property
    def headline(self) -> Picture | None:
        """The figure that is shown first."""
        chosen = self.study.settings.headline_figure
        found = [one for one in self.pictures if one.name == chosen]
        return next(iter([*found, *self.pictures]), None)

    @property
    def others(self) -> list[Picture]:
        """All figures but the headline."""
        return [one for one in self.pictures if one is not self.headline]

    @property
    def printed(self) -> list[Statement]:
        """What others state, the worst verdict first, and what was not measured last."""
        found = [one for one in self.statements if one.kind != "cross_check"]
        return sorted(found, key=lambda one: WORST_FIRST.index(one.verdict))

    @property
    def compared(self) -> list[Statement]:
        """What the page lists of it."""
        return [one for one in self.printed if one.verdict != "not_measured"][:COMPARED]

    @property
    def checks(self) -> list[Statement]:
        """Our own cross-checks that were measured."""
        found = [one for one in self.statements if one.kind == "cross_check"]
        return [one for one in found if one.verdict != "not_measured"]

    @property
    def corrected(self) -> list[Statement]:
        """What is printed wrong."""
        return [one for one in self.statements if one.corrections]

    @cached_property
    def counts(self) -> Counter[str]:
        """{verdict: statements of others}."""
        return Counter(one.verdict for one in self.printed)

    @property
    def names(self) -> dict[tuple[str, str], str]:
        """Under which names claims are counted once."""
        return counted_as(self.name, self.study.settings.claims)

    @property
    def settings(self) -> list[tuple[str, str]]:
        """(what, how) of what was done."""
        return words.settings(self.study)

    @property
    def runs(self) -> int:
        """Networks trained."""
        return words.runs(self.study)


def section(plan: Plan, study: Study, folder: Path) -> Section:
    """A study with its results. Raises UserError where a file is missing, damaged or stale."""
    here = folder / study.name
    summary = store.read(dataset_path(here, "summary"))[""]
    check_fresh(plan, study.name, dataset_path(here, "summary"))
    rows = read_rows(here / "claims.csv")
    chosen, times = study.settings, read_timings(here)
    stated = tuple(statements(study.name, chosen.claims, rows))
    return Section(
        study,
        subject_of(study),
        tuple(filled_findings(study, summary, stated)),
        stated,
        tuple(rows),
        tuple(tables(summary)),
        tuple(picture(here, name, plugin) for name, plugin in chosen.figures.items()),
        tuple(interactives(study, here)),
        tuple(_timing(name, entry) for name, entry in times.items() if name in chosen.analyses),
        provenance(here),
    )


def subject_of(study: Study) -> str:
    """The folder of the study's file below config/studies/; "" where it lies there itself."""
    parent = Path(study.file).parent
    return parent.name if parent.parent.name == "studies" else ""


def filled_findings(
    study: Study, summary: xr.Dataset, stated: Iterable[Statement] = ()
) -> Iterator[Finding]:
    """The findings that this scale has numbers for."""
    for position, text in enumerate(study.settings.findings):
        try:
            said = filled(text, summary)
        except KeyError as error:
            there = ", ".join(sorted(map(str, summary.data_vars))) or "none"
            raise UserError(
                f"{study.file}: findings.{position}: no analysis gives the column {error}"
                f" (there are: {there})"
            ) from None
        except ValueError as error:
            raise UserError(f"{study.file}: findings.{position}: {error}") from None
        if said is not None:
            yield Finding(said, tuple(_contradicted(text, stated)))


def _contradicted(text: str, stated: Iterable[Statement]) -> Iterator[Statement]:
    """The statements that differ at a number of a sentence."""
    numbers = [(field.column, field.label) for field in fields(text)]
    for statement in stated:
        differing = [case for case in statement.cases if case["verdict"] == "differs"]
        places = {(case["column"], at) for case in differing for at in (case["configuration"], "")}
        if places.intersection(numbers):
            yield statement


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
                "at": ", ".join(
                    f"{key} {words.value(one)}" for key, one in row.items() if key not in MEASURED
                ),
                "seconds": with_interval(row["median"], row["low"], row["high"]),
                "repeats": f"{row['repeats']} × {row['calls']}",
            }
            for row in entry["measured"]
        ],
    }
