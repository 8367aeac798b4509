"""Whole studies in one process."""

import csv

from nnflow.job import Job
from nnflow.progress import Reporter
from nnflow.stages.analyze import analyze
from nnflow.stages.certify import certify
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw
from nnflow.stages.initialize import initialize
from nnflow.stages.spectrum import spectrum
from nnflow.stages.summarize import summarize
from nnflow.stages.train import train


def complete(study, folder, gpus=0):
    """All stages of a study but the report; the job, which reads the results."""
    job = Job(study, folder / "results", folder / "data", gpus, {}, Reporter("test", None))
    if study.trains:
        initialize(job)
        for stage, dataset in ((train, "training"), (classify, "critical_points")):
            for batch in range(len(study.batches)):
                stage(job, batch)
            collect(job, dataset)
        if study.certifies:
            certify(job)
        spectrum(job)
    analyze(job, dict.fromkeys(study.analyses_in_order, ""))
    summarize(job)
    draw(job)
    return job


def verdicts(job):
    """{claim: verdict}."""
    with (job.folder / "claims.csv").open(encoding="utf-8") as file:
        return {row["claim"]: row["verdict"] for row in csv.DictReader(file)}
