"""report: one page with the answer, figures and claims of every study, and the table of all
claims."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.report.page import MARKS, counts, page
from nnflow.report.rows import read_rows
from nnflow.report.sections import Section, section
from nnflow.study.claims import described, to_csv
from nnflow.study.loading import known_studies
from nnflow.study.totals import counted_as, sentence, statements, totals
from nnflow.workflow.plan import Plan
from nnflow.workflow.state import state

UNFINISHED = "unfinished.html"


def report(plan: Plan, alone: bool = False) -> str:
    """Write results/<scale>/report.html and results/<scale>/claims.csv. Returns the totals of the
    claims of the plan's studies in words.

    The other studies whose results in the folder are finished and current are in the page and in
    the table, too, so that a run of one study leaves the page of the others; unless `alone`. The
    page holds its figures, style and script, and needs nothing else to be read. The same
    results give the same bytes. Raises UserError where a file is missing or damaged.
    """
    folder = plan.results / plan.scale
    sections = [section(plan, plan.loaded[name], folder) for name in plan.studies]
    asked = list(sections)
    sections += [] if alone else _beside(plan, folder)
    text = page(plan, sections)
    rows = [row for one in sections for row in one.rows]
    store.write_text(folder / "claims.csv", to_csv(rows))
    store.write_text(folder / "report.html", text)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return sentence(counts(asked)) or "no claims"


def _beside(plan: Plan, folder: Path) -> Iterator[Section]:
    """The studies that the plan has not, and whose results here are finished and current."""
    known = known_studies(plan.folder)
    for name in sorted(
        {file.parent.name for file in folder.glob("*/summary.nc")} - {*plan.studies}
    ):
        if name not in known:
            continue
        try:
            other = replace(plan, studies=(name,))
            if state(other, name).word == "done":
                yield section(other, other.loaded[name], folder)
        except UserError:  # a mistake in a study that nobody asked for; the page names it
            continue


def print_claims(plan: Plan, every: bool) -> int:
    """Print the totals of the plan's studies and the claims that differ or are undecided, or every
    claim that was measured. Returns how many differ."""
    folder = plan.results / plan.scale
    rows, names = [], {}
    for study in (plan.loaded[name] for name in plan.studies):
        rows += read_rows(folder / study.name / "claims.csv")
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
            sections.append(section(plan, study, folder))
        except UserError as error:
            missing[study.name] = str(error)
    if not missing:
        return None
    store.write_text(folder / UNFINISHED, page(plan, sections, missing))
    (folder / "report.html").unlink(missing_ok=True)
    return folder / UNFINISHED
