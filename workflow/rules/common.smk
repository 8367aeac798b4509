import os
import shlex
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from nnflow.base.errors import UserError
from nnflow.report.captions import Captions, figure_title
from nnflow.workflow.garbage import look_for_garbage_rarely
from nnflow.workflow.plan import Plan
from nnflow.workflow.rounds import ask_sizes_once, plan_rounds_once
from nnflow.workflow.runner import end_jobs_with_this_process
from nnflow.workflow.signatures import read_signatures_once
from nnflow.workflow.warm import LAUNCHER, offer_warm_start

# Snakemake reads it only after a job has run, and then advises about permissions.
here = Path(str(workflow.current_basedir))
if here.is_dir() and not (here / "../../environment.yml").exists():
    raise WorkflowError(
        f"{(here / '../../environment.yml').resolve()}: missing; the rules name it as their"
        " environment: copy it from nnflow, too"
    )

end_jobs_with_this_process()
look_for_garbage_rarely()
plan_rounds_once()
ask_sizes_once()
read_signatures_once()
try:
    PLAN = Plan.from_config(config)
except UserError as error:
    raise WorkflowError(str(error)) from None

CAPTIONS = Captions(PLAN)
# Captions of Snakemake's report see `config` alone of the rules. It is copied, as that of a module is
# the user's own.
config = {**config, "told": CAPTIONS}

RESULTS = PLAN.results
STUDY = f"{RESULTS}/{{scale}}/{{study}}"
# Not the path itself: Snakemake runs everything again where a rule's command has changed, and where
# Python lies changes no result.
os.environ["NNFLOW_PYTHON"] = sys.executable
os.environ["NNFLOW_LAUNCHER"] = str(LAUNCHER)
offer_warm_start(os.environ, workflow)
NNFLOW = '"$NNFLOW_PYTHON" -IS "$NNFLOW_LAUNCHER"'
FOLDER = f"--results {shlex.quote(str(RESULTS))} --log {{log:q}}"
OPTIONS = f"--scale {{wildcards.scale}} {FOLDER}"
if "data" in config:
    os.environ.setdefault("NNFLOW_DATA", str(config["data"]))
if "checkpoint" in config:
    os.environ.setdefault("NNFLOW_CHECKPOINT", str(config["checkpoint"]))


envvars:
    "NNFLOW_PYTHON",
    "NNFLOW_LAUNCHER",


wildcard_constraints:
    scale=PLAN.scale,
    study="|".join(PLAN.all_studies),
    batch=r"\d+",
    part=r"\d+",
    analysis=r"\w+",


# On a cluster, where a job costs half a minute of waiting, the short jobs of a study that
# follow one another share one: `gather` is collect and spectrum, `finish` is analyze, summarize
# and draw; the report is made where Snakemake runs. Training is never grouped: the memory and
# the GPUs of grouped jobs add up.
MANY = 200
"""Batches beyond which collect and spectrum are jobs of their own."""


def gather(wildcards):
    """The group of collect and spectrum; none where batches are many: whenever one of them ends,
    Snakemake looks through all that a grouped job waits for, a time that grows with their square.
    """
    many = len(PLAN.batches(wildcards.study)) > MANY
    return None if many else f"gather_{wildcards.study}"


localrules:
    all,
    report,


def settings(stage):
    """What a job of the stage depends on besides files and code."""
    return lambda wildcards: PLAN.settings(stage, wildcards.study)


def code(stage):
    """Hashes of the code that a job of the stage runs and of the files that its plugins read."""
    return lambda wildcards: PLAN.depends(stage, wildcards.study)


def memory(stage, study=None):
    """Megabytes for a job of the stage, more at each attempt."""
    return lambda wildcards, attempt: PLAN.resources_for(
        stage, study or wildcards.study
    ).memory(attempt)


def runtime(stage, study=None):
    """Minutes for a job of the stage, more at each attempt."""
    return lambda wildcards, attempt: PLAN.resources_for(
        stage, study or wildcards.study
    ).runtime(attempt)


def batches(dataset):
    """The parts of a dataset that a study's batches carry."""
    return lambda wildcards: [
        f"{RESULTS}/{wildcards.scale}/{wildcards.study}/batches/{dataset}-{batch}.nc"
        for batch in PLAN.batches(wildcards.study)
    ]


def of_study(name):
    """A file of every study of the workflow."""
    return [f"{RESULTS}/{PLAN.scale}/{study}/{name}" for study in PLAN.studies]
