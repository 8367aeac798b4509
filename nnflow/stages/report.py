"""report: one page with the answer, figures and claims of every study, and the table of all
claims."""

from __future__ import annotations

from pathlib import Path

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.report.page import MARKS, counts, page
from nnflow.report.rows import read_rows
from nnflow.report.sections import section
from nnflow.study.claims import described, to_csv
from nnflow.study.totals import counted_as, sentence, statements, totals
from nnflow.workflow.plan import Plan

UNFINISHED = "unfinished.html"


def report(plan: Plan) -> str:
    """Write results/<scale>/report.html and results/<scale>/claims.csv. Returns the totals of the
    claims in words.

    The page holds its figures, style and script, and needs nothing else to be read. The same
    results give the same bytes. Raises UserError where a file is missing or damaged.
    """
    folder = plan.results / plan.scale
    sections = [section(plan, plan.loaded[name], folder) for name in plan.studies]
    text = page(plan, sections)
    rows = [row for one in sections for row in one.rows]
    store.write_text(folder / "claims.csv", to_csv(rows))
    store.write_text(folder / "report.html", text)
    (folder / UNFINISHED).unlink(missing_ok=True)
    return sentence(counts(sections)) or "no claims"


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
