"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.flags import flag_mask
from nnflow.base.joining import Column, Piece, Sources, join, rows, whole
from nnflow.engine.critical import (
    KINDS,
    SENSITIVE,
    UNDETERMINED,
    one_kind,
    sensitive,
    small_unit,
)
from nnflow.engine.families import JOINED, NO_FAMILY, beside, families, split_valleys
from nnflow.stages.job import Job
from nnflow.study.stage_settings import Classify
from nnflow.study.types import Configuration

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""
JUDGED = (
    "kind", "loss", "index", "nullity", "zero_range", "obstacle", "straight", "invariant",
    "min_eigenvalue", "max_eigenvalue", "valley",
)  # fmt: skip
"""What families are found from."""
COUNTS = ("index", "nullity")
"""What families may leave undetermined."""
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

    A few numbers of each run are held that find its family. All else goes through memory in pieces,
    and what families are found from lies in files without a name beside the result.
    """
    with Sources() as sources:
        pieces = _pieces(job, dataset, sources)
        path, attributes = job.folder / f"{dataset}.nc", job.file_attributes(TITLES[dataset])
        if dataset == "training":
            _tell_diverged(job, pieces, sources)
            join(path, pieces, attributes, sources=sources)
        else:
            join(path, pieces, attributes, GONE, partial(_families, job, pieces, sources), sources)


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
    for label, ordered in pieces.items():
        diverged = flag_mask(_held(whole(ordered, "status", sources)), "diverged")
        if diverged.any():
            job.reporter.note(f"{label}: {diverged.sum()} of {len(diverged)} runs diverged")


@contextmanager
def _families(
    job: Job, pieces: dict[str, list[Piece]], sources: Sources, label: str
) -> Iterator[dict[str, Column]]:
    """The columns of a configuration that depend on families; and lines that say what is to be
    known."""
    of = {configuration.label: configuration for configuration in job.study.configurations}
    with rows(pieces[label], JUDGED, sources, job.folder) as found, ExitStack() as files:
        judged, differ = _with_families(of[label], found)
        for line in _sentences(label, judged):
            job.reporter.note(line)
        columns = {
            name: Column(judged[name].values, judged[name].attrs)
            for name in ("kind", "family", "joined", "sensitive")
        }
        for name, where in differ.items():
            values = files.enter_context(found[name].values.replaced(where, UNDETERMINED))
            columns[name] = Column(values, found[name].attributes)
        yield columns


def _held(column: Column) -> xr.DataArray:
    """All values of a narrow column."""
    return xr.DataArray(column.values[:], dims="run", attrs=dict(column.attributes))


def _with_families(
    configuration: Configuration, found: Mapping[str, Column]
) -> tuple[xr.Dataset, dict[str, np.ndarray]]:
    """What is to be known of the runs: `kind`, of which a family has one, `obstacle`, `family`,
    `joined` and `sensitive`; and where `index` and `nullity` are undetermined as they differ
    within a family, (run,) bool.

    found: `JUDGED` of all runs, as `joining.rows` gives them.
    """
    kind, settings = _held(found["kind"]), configuration.settings.classify
    number, curved = _by_loss_and_invariants(kind, found, settings)
    number, joined = split_valleys(number, found["valley"].values, curved, settings.family_within)
    one, differ, split = one_kind(number, kind.values, [found[name].values for name in COUNTS])
    doubt = np.concatenate(
        [
            sensitive(bounds, settings.zero_below).astype(np.int8)
            for bounds in found["zero_range"].values.pieces()
        ]
    )
    doubt[split] = SENSITIVE.index("yes")
    hangs = np.unique(number[(doubt == SENSITIVE.index("yes")) & (number != NO_FAMILY)])
    doubt[np.isin(number, hangs)] = SENSITIVE.index("yes")
    attributes = {"long_name": "family, by rising loss (-1: none)"}
    question = (
        "would a zero threshold ten times as large or small judge a run of the family otherwise?"
    )
    ways = "is a path within the valley known between all runs of the family?"
    judged = xr.Dataset(
        {
            "kind": ("run", one, kind.attrs),
            "obstacle": _held(found["obstacle"]),
            "family": ("run", number, attributes),
            "joined": store.flags(joined, JOINED, long_name=ways),
            "sensitive": store.flags(doubt, SENSITIVE, long_name=question),
        }
    )
    return judged, dict(zip(COUNTS, differ, strict=True))


def _by_loss_and_invariants(
    kind: xr.DataArray, found: Mapping[str, Column], settings: Classify
) -> tuple[np.ndarray, np.ndarray]:
    """Families (run,), and which runs lie in curved valleys, (run,) bool.

    Runs are put in the order of their losses, so that those that are compared are neighbours on
    disk.
    """
    within, total = settings.family_within, len(kind)
    level = _levels(kind, found, within)
    loss = np.where(flag_mask(kind, "not_critical"), np.nan, found["loss"].values[:])
    order = np.argsort(loss, kind="stable")
    order = order[np.isfinite(loss[order])]
    loss, level, kind = loss[order], level[order], kind[order]
    isolated = np.isin(kind.values, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    degenerate = flag_mask(kind, "degenerate")
    straight = found["straight"].values[:][order] == 1
    with found["invariant"].values.in_order(order) as invariant:
        isolated &= ~beside(loss, invariant, isolated, degenerate, within)
        apart = isolated | straight
        some = families(loss, invariant, apart, within, level)
    number, curved = np.full(total, NO_FAMILY), np.zeros(total, bool)
    number[order], curved[order] = some, ~apart
    return number, curved


def _levels(kind: xr.DataArray, found: Mapping[str, Column], within: float) -> np.ndarray:
    """(run,): losses that differ by less are one."""
    level, start = np.full(len(kind), within), 0
    degenerate = flag_mask(kind, "degenerate")
    ends = (found[f"{end}_eigenvalue"].values.pieces() for end in ("min", "max"))
    for least, most in zip(*ends, strict=True):
        part = slice(start, start := start + len(least))
        norm = np.fmax(np.abs(least), np.abs(most))
        small = degenerate[part] & ~np.isnan(norm)
        level[part][small] *= small_unit(norm[small])
    return level


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
