"""analyze: a study's datasets condensed into one."""

from __future__ import annotations

from nnflow.job import Job
from nnflow.results import dataset_path


def analyze(job: Job, analysis: str) -> None:
    """Compute one analysis; writes analyses/ANALYSIS.nc."""
    dataset = job.study.outline.analyses[analysis].compute(job.read)
    job.write(dataset_path(job.folder, analysis), {"": dataset}, analysis.replace("_", " "))
