"""collect: the batches of training and of classification joined into the study's datasets."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import xarray as xr

from nnflow.base.flags import flag_mask
from nnflow.engine.critical import KINDS
from nnflow.engine.families import families
from nnflow.stages.job import Job
from nnflow.study.types import Configuration

TITLES = {"training": "ends of training", "critical_points": "critical points"}
"""The datasets that are made batch by batch, with their titles."""


def collect(job: Job, dataset: str) -> None:
    """Join the batches of `training` or `critical_points`; writes DATASET.nc."""
    parts: dict[str, list[xr.Dataset]] = defaultdict(list)
    for number, slices in enumerate(job.study.batches):
        found = job.read_slices(job.batch_path(dataset, number), slices)
        for run_slice, part in zip(slices, found, strict=True):
            parts[run_slice.configuration.label].append(part)
    joined = {
        configuration.label: xr.concat(
            parts[configuration.label], "run", data_vars="minimal", coords="minimal"
        )
        for configuration in job.study.configurations
    }
    if dataset == "critical_points":
        joined = {p.label: _with_families(p, joined[p.label]) for p in job.study.configurations}
    job.write(job.folder / f"{dataset}.nc", joined, TITLES[dataset])


def _with_families(configuration: Configuration, critical: xr.Dataset) -> xr.Dataset:
    """The dataset with `family`, without the invariants that gave it."""
    kind = critical["kind"]
    reached = ~flag_mask(kind, "not_critical")
    isolated = np.isin(kind.values, [KINDS.index(k) for k in ("minimum", "saddle", "maximum")])
    number = families(
        np.where(reached, critical["loss"].values, np.nan),
        critical["invariant"].values,
        isolated,
        configuration.settings.classify.family_within,
    )
    attributes = {"long_name": "family, by rising loss (-1: none)"}
    return critical.drop_vars("invariant").assign(family=("run", number, attributes))
