"""The command line: `nnflow list | validate | plugins | new | profile | run`, and the stages."""

from __future__ import annotations

import functools
import inspect
import sys
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nnflow.base.errors import UserError
from nnflow.workflow.project import require_project

if TYPE_CHECKING:
    from nnflow.stages.job import Job
    from nnflow.study.types import Study
    from nnflow.workflow.plan import Plan

app = typer.Typer(
    help="What gradient descent finds on the loss landscapes of neural networks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

StudyName = Annotated[str, typer.Argument(metavar="STUDY", help="A study of config/studies/.")]
Scale = Annotated[str, typer.Option(help="quick, or paper: the published sizes.")]
ResultsFolder = Annotated[Path, typer.Option("--results", help="Where results are kept.")]
DataFolder = Annotated[Path | None, typer.Option("--data", help="Where datasets keep files.")]
Log = Annotated[Path | None, typer.Option(help="A file that gets each line of progress.")]
Gpus = Annotated[int, typer.Option(help="GPUs that the job was given; 0: work on the CPU.")]
Batch = Annotated[int | None, typer.Option(help="The batch; all, and then collect, if left out.")]
AnalysisNames = Annotated[
    list[str] | None, typer.Argument(metavar="[ANALYSIS]...", help="Analyses; all if left out.")
]
Part = Annotated[int | None, typer.Option(help="A part of an analysis that has parts.", min=0)]
FigureNames = Annotated[
    list[str] | None, typer.Option("--figure", help="A figure (repeatable); all if left out.")
]
Formats = Annotated[
    list[str] | None, typer.Option("--format", help="pdf, svg or png (repeatable); svg and png.")
]
Studies = Annotated[list[str] | None, typer.Argument(help="Studies; all if left out.")]
Configured = Annotated[
    list[str] | None, typer.Argument(help="Studies; those of config.yaml if left out.")
]
RESULTS = Path("results")
STAGE_OPTIONS = (
    ("scale", Scale, "quick"),
    ("results", ResultsFolder, RESULTS),
    ("data", DataFolder, None),
    ("log", Log, None),
    ("gpus", Gpus, 0),
)
"""The options of every stage: name, type, default."""


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"nnflow: {error}", file=sys.stderr)
        sys.exit(2)


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
        from nnflow.stages.opening import open_job

        options = {key: given.pop(key, default) for key, _, default in STAGE_OPTIONS}
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


@app.command()
def report(
    studies: Configured = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    log: Log = None,
    unfinished: Annotated[bool, typer.Option(help="Leave out studies without results.")] = False,
) -> None:
    """Write the report and the table of all claims."""
    from nnflow.base.progress import Reporter
    from nnflow.stages import report as stage

    plan = _plan(studies, scale, results)
    if unfinished:
        if page := stage.report_unfinished(plan):
            Reporter("report", log).line(f"wrote {page}")
        return
    said = stage.report(plan)
    Reporter("report", log).line(f"{said}; wrote {results / scale / 'report.html'}")


def _plan(studies: list[str] | None, scale: str, results: Path) -> Plan:
    """Of these studies, or of those of config.yaml."""
    from nnflow.workflow.config import read_config
    from nnflow.workflow.plan import Plan

    names = tuple(studies or Plan.from_config(read_config()).studies)
    return Plan(names, scale, results)


@app.command(name="list")
def list_studies() -> None:
    """List the studies: configurations and runs at each scale."""
    from nnflow.study.loading import known_studies, load_study
    from nnflow.study.sweep import SCALES

    require_project()
    mistakes = 0
    for file in known_studies().values():
        try:
            found = {scale: load_study(file, scale) for scale in SCALES}
        except UserError as error:
            mistakes += 1
            typer.echo(f"nnflow: {error}", err=True)
            continue
        sizes = (f"{scale}: {_size(study)}" for scale, study in found.items())
        typer.echo(f"{file.stem:24} {found['quick'].settings.title}\n{'':24} {' · '.join(sizes)}")
    if mistakes:
        raise typer.Exit(2)


def _size(study: Study) -> str:
    if not study.trains:
        return f"{len(study.configurations)} configurations, no training"
    runs = sum(configuration.runs for configuration in study.configurations)
    return f"{len(study.configurations)} configurations, {runs} runs"


@app.command()
def validate(studies: Studies = None) -> None:
    """Check study files: every key, plugin and setting, at both scales."""
    from nnflow.study.loading import load_study, study_file, study_files
    from nnflow.study.sweep import SCALES

    if not studies:
        require_project()
    mistakes = 0
    for name in studies or study_files():
        try:
            file = Path(name) if name.endswith((".yaml", ".yml")) else study_file(name)
            for scale in SCALES:
                load_study(file, scale)
            typer.echo(f"{file}: valid")
        except UserError as error:
            mistakes += 1
            typer.echo(f"nnflow: {error}", err=True)
    if mistakes:
        raise typer.Exit(2)


@app.command(name="plugins")
def list_plugins(
    check: Annotated[bool, typer.Option("--check", help="Run each through its oracles.")] = False,
    data: DataFolder = None,
) -> None:
    """List the plugins, and what is wrong with broken ones."""
    from rich.console import Console

    from nnflow.checks import plugin_report as checking
    from nnflow.workflow.config import data_folder, read_config

    require_project()
    console = Console(highlight=False)
    if check:
        folder = data_folder(data, read_config())
        good = checking.check_plugins(console, Path("config/studies"), folder)
    else:
        good = checking.list_plugins(console)
    if not good:
        raise typer.Exit(2)


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A new or an empty folder.")],
) -> None:
    """Start a project: a folder with a Snakefile, config/ and plugins/."""
    from nnflow.workflow.project import new_project

    for file in new_project(folder):
        typer.echo(f"wrote {file}")
    typer.echo(f"run it with:\n    cd {folder} && nnflow run")


@app.command()
def why(study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS) -> None:
    """Say what of a study would be made again, and because of which setting or code."""
    from nnflow.workflow.freshness import why as reasons
    from nnflow.workflow.plan import Plan

    lines = reasons(Plan((study,), scale, results), study)
    for line in lines or [f"{study}: everything is up to date"]:
        typer.echo(line)


@app.command()
def export(
    study: StudyName,
    to: Annotated[Path, typer.Option(metavar="FOLDER", help="Where the files go.")] = Path(
        "export"
    ),
    at: Annotated[str, typer.Option(help="critical_points, training or initialization.")] = (
        "critical_points"
    ),
    form: Annotated[str, typer.Option("--format", help="pt or npz.")] = "pt",
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    data: DataFolder = None,
) -> None:
    """Write the weights of a study's runs as state_dicts of PyTorch, or as arrays of NumPy."""
    from nnflow.stages.export import export as stage
    from nnflow.stages.opening import open_results

    count = stage(open_results(study, scale, results, data), to / study, at, form)
    typer.echo(f"wrote {count} files to {to / study}")


@app.command()
def claims(
    studies: Configured = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    every: Annotated[bool, typer.Option("--all", help="Also those that agree.")] = False,
    strict: Annotated[bool, typer.Option(help="Exit with 1 where a claim differs.")] = False,
) -> None:
    """Print the verdicts on claims: totals by kind, and what differs or is undecided."""
    from nnflow.stages.report import print_claims

    differing = print_claims(_plan(studies, scale, results), every)
    if strict and differing:
        raise typer.Exit(1)


new = typer.Typer(help="Start a plugin of your own.", no_args_is_help=True)
app.add_typer(new, name="new")


@new.command(name="model")
def new_model(name: Annotated[str, typer.Argument(help="Its name in study files.")]) -> None:
    """Write a model of two weights that works, and a study that runs it."""
    from nnflow.checks.scaffold import new_model as write

    file = write(name, Path())
    typer.echo(f"wrote {file} and config/studies/{name}.yaml; run it with:")
    typer.echo(f"    nnflow run {name}")


certificate = typer.Typer(help="Certificates that a study has written.", no_args_is_help=True)
app.add_typer(certificate, name="certificate")


@certificate.command(name="check")
def check_certificates(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file certificates.nc.")],
) -> None:
    """Prove every certificate of a file again; exit status 1 where one is refused."""
    from nnflow.proofs.certificates import check_file

    refused = False
    for outcome in check_file(file):
        refused |= outcome.proved is False
        word = {True: "proved", False: "REFUSED", None: "no claim"}[outcome.proved]
        typer.echo(f"{outcome.name}: {word}: {outcome.text}")
    if refused:
        raise typer.Exit(1)


profile = typer.Typer(help="Profiles for Snakemake.", no_args_is_help=True)
app.add_typer(profile, name="profile")


@profile.command(name="install")
def install(
    name: Annotated[str, typer.Argument(help="A profile of workflow/profiles/.")],
    force: Annotated[bool, typer.Option("--force", help="Replace files that differ.")] = False,
) -> None:
    """Copy a profile to where `snakemake --profile NAME` finds it."""
    from nnflow.workflow.profiles import install_profile

    typer.echo(f"installed {install_profile(name, force=force)}")


@app.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    options_metavar="[STUDY]... [--set KEY=VALUE --as NAME] [ARGUMENTS OF SNAKEMAKE]",
)
def run(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
    """Run the workflow, or go on with one that was stopped, whatever stopped it.

    Without a study: those of config/config.yaml. `--set optimizer.rate=0.05 --as NAME` derives a
    study from the one that is named, and runs it.
    """
    from nnflow.workflow.arguments import config_of, for_snakemake
    from nnflow.workflow.freshness import discard_stale
    from nnflow.workflow.plan import Plan
    from nnflow.workflow.runner import run as start

    require_project()
    passed = for_snakemake(arguments or [])
    if not {"-n", "--dry-run", "--dryrun", "-d", "--directory"} & set(passed):
        discard_stale(Plan.from_config(config_of(passed)))
    raise typer.Exit(start(passed))
