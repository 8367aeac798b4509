"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import xarray as xr

from nnflow.critical import KINDS
from nnflow.families import families
from nnflow.flags import flag_mask
from nnflow.job import Job
from nnflow.study import Point

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""


def collect(job: Job, dataset: str) -> None:
    """Join the batches of `training` or `critical_points`; writes DATASET.nc."""
    parts: dict[str, list[xr.Dataset]] = defaultdict(list)
    for number, pieces in enumerate(job.study.batches):
        found = job.read_pieces(job.batch_path(dataset, number), pieces)
        for piece, part in zip(pieces, found, strict=True):
            parts[piece.point.label].append(part)
    joined = {
        point.label: xr.concat(parts[point.label], "run", data_vars="minimal", coords="minimal")
        for point in job.study.points
    }
    if dataset == "critical_points":
        joined = {p.label: _with_families(p, joined[p.label]) for p in job.study.points}
    job.write(job.folder / f"{dataset}.nc", joined, TITLES[dataset])


def _with_families(point: Point, ends: xr.Dataset) -> xr.Dataset:
    """The dataset with `family`, without the invariants that gave it."""
    kind = ends["kind"]
    critical = ~flag_mask(kind, "not_critical")
    isolated = np.isin(kind.values, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    number = families(
        np.where(critical, ends["loss"].values, np.nan),
        ends["invariant"].values,
        isolated,
        point.experiment.classify.family_within,
    )
    attributes = {"long_name": "family, by rising loss (-1: none)"}
    return ends.drop_vars("invariant").assign(family=("run", number, attributes))
