"""analyze: a study's datasets condensed into one."""

from __future__ import annotations

import xarray as xr

from nnflow.errors import UserError
from nnflow.faults import blaming, described
from nnflow.interfaces import Analysis
from nnflow.job import Job
from nnflow.results import dataset_path


def analyze(job: Job, analysis: str) -> None:
    """Compute one analysis; writes analyses/ANALYSIS.nc."""
    plugin = job.study.outline.analyses[analysis]
    with blaming(job, [plugin]):
        dataset = plugin.compute(job.read)
        _check(plugin, dataset, len(job.study.points))
    job.write(dataset_path(job.folder, analysis), {"": dataset}, analysis.replace("_", " "))


def _check(plugin: Analysis, dataset: object, points: int) -> None:
    if not isinstance(dataset, xr.Dataset):
        kind = type(dataset).__name__
        raise UserError(f"{described(plugin)}: gave no xarray.Dataset, but {kind}")
    if dataset.sizes.get("point", points) != points:
        raise UserError(
            f"{described(plugin)}: gave {dataset.sizes['point']} rows along `point`;"
            f" the study has {points} points"
        )
