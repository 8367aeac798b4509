"""The page: its first screen, the gallery, the studies, the claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import jinja2
from markupsafe import Markup

import nnflow
from nnflow.base.statistics import CONFIDENCE
from nnflow.report import rows
from nnflow.report.rows import Statement
from nnflow.report.sections import Section
from nnflow.report.subjects import subject, subjects
from nnflow.report.typeset import typeset
from nnflow.study.claims import KINDS, VERDICTS
from nnflow.study.totals import WORST_FIRST, expected_false, statements, totals
from nnflow.workflow.fingerprint import git_commit, package_versions
from nnflow.workflow.plan import Plan
from nnflow.workflow.state import duration

TEMPLATE = "page.html.j2"
SCRIPTS = ("page.js", "descend.js", "drawing.js", "members.js", "boxes.js")
"""In the order in which they stand in the page."""
CARDS = 6
"""Findings on the first screen."""
WORDS = {verdict: verdict.replace("_", " ") for verdict in VERDICTS}
KIND_WORDS = {
    "number": "printed numbers", "statement": "printed statements", "bound": "printed bounds",
    "cross_check": "cross-checks of ours",
}  # fmt: skip
MARKS = {
    "reproduced": "✓", "proved": "∎", "not_contradicted": "~", "undecided": "?", "differs": "≠",
    "corrected": "↻", "not_measured": "–",
}  # fmt: skip
"""Verdicts in one sign, so that none is told by colour alone."""
MEANINGS = {
    "reproduced": "the measured interval holds what is stated, and nothing half or twice as large",
    "proved": "a certificate proves it, in ball arithmetic or by a decision procedure",
    "not_contradicted": "every attempt agrees; trying can't prove a statement",
    "undecided": "the interval holds both what agrees and what refutes: too few runs to tell",
    "differs": "the measured interval excludes what is stated",
    "corrected": "what is printed is wrong, and it is known what holds instead",
    "not_measured": "this scale has no run to measure it on",
}


@dataclass(frozen=True)
class Group:
    """The studies of one subject: its head, and the name of the one that speaks for it."""

    title: str
    first: str
    sections: tuple[Section, ...]


def page(
    plan: Plan, sections: Sequence[Section], missing: Mapping[str, str] = MappingProxyType({})
) -> str:
    """The report as HTML.

    missing: {study: reason} of the studies that have no results.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"typeset": typeset, "duration": duration, "trusted": Markup}
    groups = _groups(sections)
    ordered = [section for group in groups for section in group.sections]
    hero = next((section for section in sections if section.headline), None)
    commit = git_commit()
    return environment.get_template(TEMPLATE).render(
        scale=plan.scale,
        others=_others(plan, sections),
        version=nnflow.__version__,
        commit=commit[:12] + ("+" if commit.endswith("+") else ""),
        packages=package_versions(),
        groups=groups,
        sections=ordered,
        hero=hero,
        cards=_cards(groups, hero),
        missing=missing,
        totals=counts(sections),
        corrected=[one for section in ordered for one in rows.corrected(section.statements)],
        differing=[one for section in ordered for one in section.statements
                   if one.verdict == "differs"],
        listed=_worst_first(ordered),
        expected=expected_false(row for section in sections for row in section.rows),
        confidence=f"{CONFIDENCE:.0%}".replace("%", " %"),
        seconds=sum(section.provenance.seconds or 0 for section in sections),
        runs=sum(section.runs for section in sections),
        kinds=KIND_WORDS,
        order=VERDICTS,
        words=WORDS,
        marks=MARKS,
        meanings=MEANINGS,
        rows=rows,
        style=_part("page.css"),
        script=Markup().join(map(_part, SCRIPTS)),
    )  # fmt: skip


def _part(name: str) -> Markup:
    """A file that lies beside this module, as it is."""
    return Markup((Path(__file__).parent / name).read_text(encoding="utf-8"))


def counts(sections: Iterable[Section]) -> dict[str, Counter[str]]:
    """{kind: {verdict: statements}} over all studies, each statement once."""
    sections = list(sections)
    found = [row for section in sections for row in section.rows]
    names = {key: name for section in sections for key, name in section.names.items()}
    return {kind: totals(statements(found, names))[kind] for kind in KINDS}


def _groups(sections: Sequence[Section]) -> list[Group]:
    """The studies by subject, in the order in which they are named."""
    known = subjects()
    found: dict[str, list[Section]] = {}
    for section in sections:
        found.setdefault(section.subject, []).append(section)
    chosen = {name: subject(name, known) for name in found}
    return [
        Group(chosen[name].title, chosen[name].first, tuple(some)) for name, some in found.items()
    ]


def _cards(groups: Iterable[Group], hero: Section | None) -> list[tuple[Group, Section]]:
    """A study that speaks for each subject that has one to speak for it: that one, or where it is
    not here, the first that found something. The hero speaks already."""
    cards = []
    for group in groups:
        found = [one for one in group.sections if one.findings and one is not hero]
        found.sort(key=lambda one: one.name != group.first)
        cards += [(group, one) for one in found[:1] if group.first]
    return cards[:CARDS]


def _worst_first(sections: Iterable[Section]) -> list[Statement]:
    """All statements; first what differs and what is corrected, then study by study."""
    found = [one for section in sections for one in section.statements]
    urgent = ("differs", "corrected", "undecided")
    return sorted(
        found,
        key=lambda one: (
            WORST_FIRST.index(one.verdict) if one.verdict in urgent else len(WORST_FIRST)
        ),
    )


def _others(plan: Plan, sections: Iterable[Section]) -> list[str]:
    """The studies whose results lie beside those of the page."""
    found = (file.parent.name for file in (plan.results / plan.scale).glob("*/summary.nc"))
    return sorted({*found} - {*plan.studies} - {section.name for section in sections})
