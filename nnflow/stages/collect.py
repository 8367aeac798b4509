"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

import numpy as np

from nnflow.base.joining import Column, Piece, join, rows
from nnflow.engine.critical import KINDS
from nnflow.engine.families import families
from nnflow.stages.job import Job
from nnflow.study.types import Configuration

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""
INVARIANT = "invariant"


def collect(job: Job, dataset: str) -> None:
    """Join the batches of `training` or `critical_points`; writes DATASET.nc.

    No more is held in memory than what is cut into chunks, and what finds the families.
    """
    pieces = _pieces(job, dataset)
    added = _families(job, pieces) if dataset == "critical_points" else {}
    path = job.folder / f"{dataset}.nc"
    join(path, pieces, job.file_attributes(TITLES[dataset]), {INVARIANT}, added)


def _pieces(job: Job, dataset: str) -> dict[str, list[Piece]]:
    """Where the runs of each configuration are, by its label."""
    pieces: dict[str, list[Piece]] = {}
    for number, slices in enumerate(job.study.batches):
        path = job.batch_path(dataset, number)
        job.check(job.study.name, path)
        for one in slices:
            label = one.configuration.label
            group = label if len(slices) > 1 else ""
            pieces.setdefault(label, []).append(Piece(path, group, one.stop - one.start))
    return pieces


def _families(job: Job, pieces: dict[str, list[Piece]]) -> dict[str, dict[str, Column]]:
    """The column `family`, from the invariants, by label."""
    text = {"long_name": "family, by rising loss (-1: none)"}
    of = {configuration.label: configuration for configuration in job.study.configurations}
    found = rows(pieces, ("kind", "loss", INVARIANT))
    return {
        label: {"family": Column(family_numbers(of[label], **columns), text)}
        for label, columns in found
    }


def family_numbers(
    configuration: Configuration, kind: np.ndarray, loss: np.ndarray, invariant: np.ndarray
) -> np.ndarray:
    """Family of each run, (run,), by rising loss; -1 for those that are not critical.

    kind, loss: (run,). invariant: (run, number), of the model's symmetry.
    """
    reached = kind != KINDS.index("not_critical")
    isolated = np.isin(kind, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    within = configuration.settings.classify.family_within
    return families(np.where(reached, loss, np.nan), invariant, isolated, within)
