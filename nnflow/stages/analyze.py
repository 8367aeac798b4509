"""analyze: a study's datasets condensed into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from nnflow.base.errors import UserError
from nnflow.interfaces import Analysis
from nnflow.stages.faults import blaming, described
from nnflow.stages.job import Job
from nnflow.stages.reading import naming_files, with_readers
from nnflow.study.results import dataset_path, part_path
from nnflow.study.timings import write_timings


def analyze(job: Job, codes: Mapping[str, str]) -> None:
    """Compute analyses one after another, and before each those of its parts that are not there;
    writes analyses/ANALYSIS.nc of each, and timings.json of
    those that measured times.

    codes: hash of each analysis's code by its name, for the provenance of what is written.
    """
    for name, code in codes.items():
        plugin = job.study.settings.analyses[name]
        for number in range(plugin.parts(job.study)):
            if not _is_there(job, part_path(job.folder, name, number)):
                analyze_part(job, name, number, code)
        job.read.measured.clear()
        with blaming(job, [plugin]), naming_files(job, with_readers(job, plugin)):
            dataset = plugin.compute(job.read)
            _check(plugin, dataset, len(job.study.configurations))
        path = dataset_path(job.folder, name)
        job.with_code_hash(code).write(path, {"": dataset}, name.replace("_", " "))
        told = job.provenance.get("provenance", {})
        write_timings(job.folder, name, job.read.measured, told)
        job.reporter.line(f"analyzed {name}")


def analyze_part(job: Job, name: str, number: int, code: str) -> None:
    """Compute one part of an analysis; writes analyses/ANALYSIS/PART.nc."""
    plugin = job.study.settings.analyses[name]
    job.read.measured.clear()
    with blaming(job, [plugin]), naming_files(job, with_readers(job, plugin)):
        dataset = plugin.part(job.read, number)
    if not isinstance(dataset, xr.Dataset):
        kind = type(dataset).__name__
        raise UserError(f"{described(plugin)}: part {number} is no xarray.Dataset, but {kind}")
    if job.read.measured:
        raise UserError(f"{described(plugin)}: part {number} measures times; do it in compute")
    path = part_path(job.folder, name, number)
    title = f"{name.replace('_', ' ')}, part {number}"
    job.with_code_hash(code).write(path, {"": dataset}, title)
    job.reporter.line(f"analyzed {name}, part {number}")


def _is_there(job: Job, path: Path) -> bool:
    """Is there a file that belongs to the study as it is?"""
    try:
        job.check(job.study.name, path)
    except UserError:
        return False
    return path.exists()


def _check(plugin: Analysis, dataset: object, configurations: int) -> None:
    if not isinstance(dataset, xr.Dataset):
        kind = type(dataset).__name__
        raise UserError(f"{described(plugin)}: gave no xarray.Dataset, but {kind}")
    if dataset.sizes.get("configuration", configurations) != configurations:
        raise UserError(
            f"{described(plugin)}: gave {dataset.sizes['configuration']} rows along"
            " `configuration`;"
            f" the study has {configurations} configurations"
        )
    if plugin.columns:
        _check_columns(plugin, dataset)


def _check_columns(plugin: Analysis, dataset: xr.Dataset) -> None:
    """Raise UserError where the announced columns are not those that came."""
    given = {name for name, column in dataset.items() if column.dims == ("configuration",)}
    ends = {f"{name}_{end}" for name in plugin.columns for end in ("low", "high")}
    for name in sorted(set(plugin.columns) - given):
        raise UserError(f"{described(plugin)}: announces the column {name!r}, and gave none")
    for name in sorted(given - set(plugin.columns) - ends):
        raise UserError(f"{described(plugin)}: gave the column {name!r} unannounced")
