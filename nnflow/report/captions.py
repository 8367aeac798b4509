"""What Snakemake's own report, `snakemake --report`, tells of a study.

Its captions (workflow/report/*.rst) see nothing of the rules but their `config`. So the rules lay a
`Captions` there, which reads a study's results only when a caption asks: planning is not slowed.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nnflow.study.results import dataset_path
from nnflow.workflow.plan import Plan

TITLE = "{http://www.w3.org/2000/svg}title"
_MARKUP = re.compile(r"([\\*`|_])")


@dataclass(frozen=True)
class Told:
    """A study in words, each safe in reStructuredText. verdicts: how many of its statements have
    each."""

    title: str
    question: str
    description: str
    source: str
    findings: tuple[str, ...]
    verdicts: Mapping[str, int]


class Captions:
    """The studies of a plan in words, by name."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __getitem__(self, study: str) -> Told:
        from nnflow.base import store
        from nnflow.report.rows import read_rows, statements
        from nnflow.report.sections import filled_findings

        loaded, folder = self._plan.loaded[study], self._plan.results / self._plan.scale / study
        chosen = loaded.settings
        summary = store.read(dataset_path(folder, "summary"))[""]
        found = statements(study, chosen.claims, read_rows(folder / "claims.csv"))
        return Told(
            *map(plain, (chosen.title, chosen.question, chosen.description, chosen.source)),
            tuple(plain(one.text) for one in filled_findings(loaded, summary)),
            Counter(one.verdict.replace("_", " ") for one in found),
        )

    def subject(self, study: str) -> str:
        """The head under which a study stands."""
        from nnflow.report.sections import subject_of
        from nnflow.report.subjects import subject

        return subject(subject_of(self._plan.loaded[study]), self._subjects).title

    def title(self, study: str) -> str:
        """Of a study."""
        return self._plan.loaded[study].settings.title

    @cached_property
    def _subjects(self) -> dict:
        from nnflow.report.subjects import subjects

        return subjects()


def plain(text: str) -> str:
    """Text in which reStructuredText sees no markup."""
    return _MARKUP.sub(r"\\\1", " ".join(text.split()))


def figure_title(svg: str) -> str:
    """What a figure says above itself; its name where it says nothing."""
    title = ET.parse(svg).getroot().findtext(TITLE)
    return title or Path(svg).stem.replace("_", " ")
