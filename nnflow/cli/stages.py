"""A command for each stage of a study."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nnflow.base.errors import UserError
from nnflow.cli.options import (
    RESULTS,
    AnalysisNames,
    Batch,
    DataFolder,
    FigureNames,
    Formats,
    Gpus,
    Log,
    Part,
    ResultsFolder,
    Scale,
    StudyName,
    app,
)

if TYPE_CHECKING:
    from nnflow.stages.job import Job

STAGE_OPTIONS = (
    ("scale", Scale, "quick"),
    ("results", ResultsFolder, RESULTS),
    ("data", DataFolder, None),
    ("log", Log, None),
    ("gpus", Gpus, 0),
)
"""The options of every stage: name, type, default."""

Options = Callable[..., None]


def stage_command(function: Options) -> Options:
    """A command for a stage: STUDY and further arguments of its own, and the options of all stages.

    The function gets `open_job(detail="")`, which opens the stage's job, before its own arguments.
    """
    name = function.__name__
    types = typing.get_type_hints(function, include_extras=True)
    own = [
        parameter.replace(annotation=types[parameter.name])
        for parameter in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for key, kind, default in STAGE_OPTIONS
    ]
    study = inspect.Parameter(
        "study", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=StudyName
    )

    @functools.wraps(function)
    def command(study: str, **given: Any) -> None:
        from nnflow.base.progress import told_in
        from nnflow.stages.opening import open_job

        options = {key: given.pop(key, default) for key, _, default in STAGE_OPTIONS}
        with told_in(options["log"]):
            function(functools.partial(open_job, name, study, **options), **given)

    keyword = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    command.__signature__ = inspect.Signature([study, *keyword, *shared])
    command.__annotations__ = {p.name: p.annotation for p in [study, *keyword, *shared]}
    return app.command(name=name)(command)


@stage_command
def initialize(open_job) -> None:
    """Draw the first weights of all runs."""
    from nnflow.stages.initialize import initialize as stage

    stage(open_job())


@stage_command
def train(open_job, batch: Batch = None) -> None:
    """Train the runs of a batch."""
    from nnflow.stages.train import train as stage

    _each_batch(open_job(detail=_part(batch)), batch, "training", stage)


@stage_command
def classify(open_job, batch: Batch = None) -> None:
    """Find out what kind of critical point each run of a batch reached."""
    from nnflow.stages.classify import classify as stage

    _each_batch(open_job(detail=_part(batch)), batch, "critical_points", stage)


def _part(batch: int | None) -> str:
    return "" if batch is None else f" batch {batch}"


def _each_batch(
    job: Job, batch: int | None, dataset: str, stage: Callable[[Job, int], None]
) -> None:
    from nnflow.stages.collect import collect as join
    from nnflow.stages.opening import open_job

    count = len(job.study.batches)
    if batch is not None and not 0 <= batch < count:
        raise UserError(f"{job.study.name}: there is no batch {batch} (there are 0 to {count - 1})")
    for number in range(count) if batch is None else [batch]:
        stage(job, number)
    if batch is None:
        # a stage of its own: what it writes says so
        opened = open_job("collect", job.study.name, job.study.scale, job.results, job.data)
        join(replace(opened, reporter=job.reporter), dataset)


@stage_command
def collect(open_job) -> None:
    """Join the batches of training and classification into the study's datasets."""
    from nnflow.stages.collect import TITLES
    from nnflow.stages.collect import collect as stage

    job = open_job()
    for dataset in TITLES:
        if dataset == "training" or job.study.judges:
            stage(job, dataset)


@stage_command
def certify(open_job) -> None:
    """Prove what kind of critical point the runs reached."""
    from nnflow.stages.certify import certify as stage

    job = open_job()
    if not job.study.certifies:
        raise UserError(f"{job.study.name}: this study asks for no certificates (key certify)")
    stage(job)


@stage_command
def spectrum(open_job) -> None:
    """Compute Hessian spectra at the critical points."""
    from nnflow.stages.spectrum import spectrum as stage

    stage(open_job())


@stage_command
def analyze(open_job, analyses: AnalysisNames = None, part: Part = None) -> None:
    """Condense a study's datasets, each analysis into one."""
    from nnflow.stages.analyze import analyze as stage
    from nnflow.stages.analyze import analyze_part
    from nnflow.workflow.fingerprint import code_hash

    job = open_job(detail="" if part is None else f" part {part}")
    known = job.study.analyses_in_order
    for name in analyses or []:
        if name not in known:
            raise UserError(
                f"{job.study.name}: no analysis {name!r} (there are: {', '.join(known)})"
            )
    chosen = [name for name in known if not analyses or name in analyses]
    plugins = job.study.settings.analyses
    codes = {name: code_hash("analyze", plugins[name].plugins()) for name in chosen}
    if part is None:
        stage(job, codes)
        return
    if len(chosen) != 1:
        raise UserError(f"{job.study.name}: --part is one of an analysis: name the analysis")
    if part >= (count := plugins[chosen[0]].parts(job.study)):
        raise UserError(f"{job.study.name}: {chosen[0]} has no part {part} (it has {count} parts)")
    analyze_part(job, chosen[0], part, codes[chosen[0]])


@stage_command
def summarize(open_job) -> None:
    """Gather a study's table, and judge its claims."""
    from nnflow.stages.summarize import summarize as stage

    stage(open_job())


@stage_command
def draw(open_job, figure: FigureNames = None, form: Formats = None) -> None:
    """Draw a study's figures."""
    from nnflow.stages.draw import draw as stage

    stage(open_job(), figure or None, form or None)
