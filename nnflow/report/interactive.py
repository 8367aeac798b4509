"""What a reader may play with: datasets that say so, as JSON for the page's scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.report.boxes import boxes
from nnflow.report.members import members
from nnflow.report.terrain import terrain
from nnflow.study.types import Study

MARK = "interactive"
"""The attribute of a dataset that is shown so; its value is one of `KINDS`."""
KINDS: dict[str, tuple[Callable[[Study, xr.Dataset], Any], frozenset[str]]] = {
    "descent": (terrain, frozenset({"first", "second", "loss"})),
    "families": (
        members,
        frozenset({"family", "width", "kind", "loss", "eigenvalue", "multiplicity",
                   "block_size", "own", "between", "block"}),
    ),
    "boxes": (boxes, frozenset({"low", "high"})),
}  # fmt: skip
"""What makes JSON of a dataset, and the variables that it must have."""


@dataclass(frozen=True)
class Interactive:
    """A dataset to play with: how, of which analysis, the study's configurations, and JSON."""

    kind: str
    analysis: str
    labels: tuple[str, ...]
    data: str


def interactives(study: Study, folder: Path) -> Iterator[Interactive]:
    """Of the analyses whose datasets are marked so. Raises UserError for a mark that is not known,
    and where a dataset lacks what its mark asks for."""
    labels = tuple(one.label for one in study.configurations)
    for name in study.settings.analyses:
        file = folder / "analyses" / f"{name}.nc"
        kind = store.attributes(file).get(MARK)
        if kind is None:
            continue
        if kind not in KINDS:
            raise UserError(
                f"{study.file}: analyses.{name}: interactive: the report knows no {kind!r}"
                f" (there are: {', '.join(KINDS)})"
            )
        shown, needed = KINDS[kind]
        dataset = store.read(file)[""]
        if missing := sorted(needed - set(dataset.variables)):
            raise UserError(
                f"{study.file}: analyses.{name}: interactive: {kind} needs the variable"
                f" {missing[0]!r}, which its dataset has not"
            )
        told = json.dumps(shown(study, dataset), separators=(",", ":"), ensure_ascii=False)
        # inside of <script> nothing may look like a tag
        yield Interactive(kind, name, labels, told.replace("<", "\\u003c"))
