"""Whole studies in one process."""

import csv
import importlib
from pathlib import Path

from nnflow.base.progress import Reporter
from nnflow.interfaces.registry import registry
from nnflow.stages.analyze import analyze
from nnflow.stages.certify import certify
from nnflow.stages.classify import classify
from nnflow.stages.collect import collect
from nnflow.stages.draw import draw
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.stages.spectrum import spectrum
from nnflow.stages.summarize import summarize
from nnflow.stages.train import train

AGREE = {"reproduced", "not_contradicted", "proved"}
"""The verdicts of agreement."""
PLUGINS = Path(__file__).parents[2] / "plugins"


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
    """{claim[configuration]: verdict}; {claim: verdict} in a study of one configuration."""
    with (job.folder / "claims.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    one = len(job.study.configurations) == 1
    return {
        row["claim"] if one else f"{row['claim']}[{row['configuration']}]": row["verdict"]
        for row in rows
    }


def module(name):
    """A module of plugins/ that is no figure, by the name of its file."""
    registry()  # which makes plugins/ a package
    (file,) = (f for f in PLUGINS.rglob(f"{name}.py") if f.parent.name != "figures")
    place = file.relative_to(PLUGINS).with_suffix("")
    return importlib.import_module(".".join(("nnflow_plugins", *place.parts)))
