"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.flags import flag_mask
from nnflow.base.joining import Column, Piece, Sources, join, rows
from nnflow.engine.critical import KINDS, SENSITIVE, one_kind, sensitive, small_unit
from nnflow.engine.families import JOINED, NO_FAMILY, beside, families, split_valleys
from nnflow.stages.job import Job
from nnflow.study.types import Configuration

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""
JUDGED = (
    "kind", "loss", "index", "nullity", "zero_range", "obstacle", "straight", "invariant",
    "min_eigenvalue", "max_eigenvalue", "valley",
)  # fmt: skip
"""What families are found from."""
GONE = ("invariant", "straight", "valley")
"""What is of no use afterwards."""
REASONS = {
    "gradient": "with a gradient that is not below classify.critical_below",
    "curvature": "with a gradient too large for their curvature",
    "not_finite": "not finite",
    "underflow": "with a Hessian too small for float64 (below 1e-140; scale the loss)",
}
"""What keeps runs from being critical, in words."""
SHOWN = 5
"""Maximum number of families that are named."""


def collect(job: Job, dataset: str) -> None:
    """Join the batches of `training` or `critical_points`; writes DATASET.nc.

    No more is held in memory than what is cut into chunks, and what finds the families.
    """
    with Sources() as sources:
        pieces = _pieces(job, dataset, sources)
        added = dict(_families(job, pieces, sources)) if dataset == "critical_points" else {}
        if dataset == "training":
            _tell_diverged(job, pieces, sources)
        path = job.folder / f"{dataset}.nc"
        join(path, pieces, job.file_attributes(TITLES[dataset]), GONE, added, sources)


def _pieces(job: Job, dataset: str, sources: Sources) -> dict[str, list[Piece]]:
    """Where the runs of each configuration are, by its label."""
    pieces: dict[str, list[Piece]] = {}
    for number, slices in enumerate(job.study.batches):
        path = job.batch_path(dataset, number)
        sources.open(path)
        job.check(job.study.name, path)
        for one in slices:
            label = one.configuration.label
            group = label if len(slices) > 1 else ""
            pieces.setdefault(label, []).append(Piece(path, group, one.stop - one.start))
    return pieces


def _tell_diverged(job: Job, pieces: dict[str, list[Piece]], sources: Sources) -> None:
    for label, found in rows(pieces, ("status",), sources):
        diverged = flag_mask(_dataset(found)["status"], "diverged")
        if diverged.any():
            job.reporter.note(f"{label}: {diverged.sum()} of {len(diverged)} runs diverged")


def _families(
    job: Job, pieces: dict[str, list[Piece]], sources: Sources
) -> Iterator[tuple[str, dict[str, Column]]]:
    """The columns that depend on families, by label; and lines that say what is to be known."""
    of = {configuration.label: configuration for configuration in job.study.configurations}
    for label, found in rows(pieces, JUDGED, sources):
        judged = _with_families(of[label], _dataset(found))
        for line in _sentences(label, judged):
            job.reporter.note(line)
        yield (
            label,
            {
                name: Column(judged[name].values, judged[name].attrs)
                for name in ("index", "nullity", "kind", "family", "joined", "sensitive")
            },
        )


def _dataset(columns: dict[str, Column]) -> xr.Dataset:
    """Columns as they were read."""
    axes = {
        "zero_range": ("run", "bound"),
        "invariant": ("run", "number"),
        "valley": ("run", "landmark", "mark"),
    }
    return xr.Dataset(
        {name: (axes.get(name, ("run",)), c.values, c.attributes) for name, c in columns.items()}
    )


def _with_families(configuration: Configuration, critical: xr.Dataset) -> xr.Dataset:
    """The dataset with `family`, `joined` and `sensitive`, without what gave them; a family has one
    kind."""
    kind, settings = critical["kind"], configuration.settings.classify
    reached = ~flag_mask(kind, "not_critical")
    loss = np.where(reached, critical["loss"].values, np.nan)
    invariant, within = critical["invariant"].values, settings.family_within
    isolated = np.isin(kind.values, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    degenerate = flag_mask(kind, "degenerate")
    isolated &= ~beside(loss, invariant, isolated, degenerate, within)
    apart = isolated | (critical["straight"].values == 1)
    norm = np.fmax(*(np.abs(critical[f"{end}_eigenvalue"].values) for end in ("min", "max")))
    level = within * np.where(degenerate & ~np.isnan(norm), small_unit(norm), 1)
    number = families(loss, invariant, apart, within, level)
    number, joined = split_valleys(number, critical["valley"].values, ~apart, within)
    counts = [critical[name].values for name in ("index", "nullity")]
    one, (index, nullity), split = one_kind(number, kind.values, counts)
    doubt = sensitive(critical["zero_range"].values, settings.zero_below)
    doubt[split] = SENSITIVE.index("yes")
    for family in np.unique(number[(doubt == SENSITIVE.index("yes")) & (number != NO_FAMILY)]):
        doubt[number == family] = SENSITIVE.index("yes")
    attributes = {"long_name": "family, by rising loss (-1: none)"}
    question = (
        "would a zero threshold ten times as large or small judge a run of the family otherwise?"
    )
    ways = "is a path within the valley known between all runs of the family?"
    return critical.drop_vars(list(GONE)).assign(
        kind=("run", one, kind.attrs),
        index=("run", index, critical["index"].attrs),
        nullity=("run", nullity, critical["nullity"].attrs),
        family=("run", number, attributes),
        joined=store.flags(joined, JOINED, long_name=ways),
        sensitive=store.flags(doubt, SENSITIVE, long_name=question),
    )


def _sentences(label: str, critical: xr.Dataset) -> list[str]:
    """What a user should know of the runs of one configuration: how many are not critical, and why,
    and which families depend on a threshold or may be several."""
    lines = []
    lost = flag_mask(critical["kind"], "not_critical")
    if lost.any():
        reasons = [
            f"{count} {REASONS[name]}"
            for name in REASONS
            if (count := int((flag_mask(critical["obstacle"], name) & lost).sum()))
        ]
        lines.append(
            f"{label}: {lost.sum()} of {len(lost)} runs are not critical: {', '.join(reasons)}"
        )
    for flag, value, words in (
        ("sensitive", "yes", "families that depend on classify.zero_below"),
        ("joined", "no", "families that may be several valleys of one loss"),
    ):
        marked = np.unique(critical["family"].values[flag_mask(critical[flag], value)])
        marked = marked[marked != NO_FAMILY]
        if len(marked):
            shown = ", ".join(map(str, marked[:SHOWN])) + (" …" if len(marked) > SHOWN else "")
            lines.append(f"{label}: {words}: {shown}")
    return lines
