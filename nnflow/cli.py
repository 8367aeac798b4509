"""The command line: `nnflow list | validate | plugins | new | profile | run`, and the stages."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnflow.base.errors import UserError

if TYPE_CHECKING:
    from nnflow.study.types import Study

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
Studies = Annotated[list[str] | None, typer.Argument(help="Studies; all if left out.")]
Configured = Annotated[
    list[str] | None, typer.Argument(help="Studies; those of config.yaml if left out.")
]
RESULTS = Path("results")


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"nnflow: {error}", file=sys.stderr)
        sys.exit(2)


def _job(
    stage: str,
    study: str,
    scale: str,
    results: Path,
    data: Path | None,
    log: Path | None,
    gpus: int = 0,
    detail: str = "",
):
    from nnflow.base.checkpoint import key
    from nnflow.base.progress import Reporter
    from nnflow.stages.job import Job
    from nnflow.workflow.fingerprint import git_commit, package_versions
    from nnflow.workflow.plan import Plan, read_config
    from nnflow.workflow.runner import join_run

    join_run()
    plan = Plan((study,), scale, results)
    loaded = plan.loaded[study]
    provenance = {
        "study": study,
        "scale": scale,
        "provenance": {
            "settings": plan.all_settings(study),
            "seed": loaded.settings.seed,
            "code": plan.code(stage, study),
            "packages": package_versions(),
            "commit": git_commit(),
        },
    }
    title = f"{stage} {study}{detail}"
    config = read_config()
    folder = data_folder(data, config)
    depends = key(
        plan.settings(stage, study),
        provenance["provenance"]["code"],
        sorted(package_versions().items()),
    )
    reporter = Reporter(title, log)
    every = checkpoint_interval(config)
    return Job(loaded, results, folder, gpus, provenance, reporter, depends, every)


def checkpoint_interval(config: dict) -> float:
    """Seconds between two checkpoints: NNFLOW_CHECKPOINT, the key `checkpoint`, or 300."""
    from nnflow.stages.job import CHECKPOINT_EVERY
    from nnflow.workflow.plan import checked_interval

    return checked_interval(
        os.environ.get("NNFLOW_CHECKPOINT", config.get("checkpoint", CHECKPOINT_EVERY))
    )


def data_folder(option: Path | None, config: dict) -> Path:
    """Where datasets keep files: the option, NNFLOW_DATA, the key `data`, or the cache."""
    import pooch

    named = option or os.environ.get("NNFLOW_DATA") or config.get("data")
    return Path(named) if named else Path(pooch.os_cache("nnflow"))


@app.command()
def initialize(
    study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS, log: Log = None
) -> None:
    """Draw the first weights of all runs."""
    from nnflow.stages.initialize import initialize as stage

    stage(_job("initialize", study, scale, results, None, log))


@app.command()
def train(
    study: StudyName,
    batch: Batch = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    data: DataFolder = None,
    log: Log = None,
    gpus: Gpus = 0,
) -> None:
    """Train the runs of a batch."""
    from nnflow.stages.train import train as stage

    job = _job("train", study, scale, results, data, log, gpus, detail=_part(batch))
    _each_batch(job, batch, "training", lambda number: stage(job, number))


@app.command()
def classify(
    study: StudyName,
    batch: Batch = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    data: DataFolder = None,
    log: Log = None,
    gpus: Gpus = 0,
) -> None:
    """Find out what kind of critical point each run of a batch reached."""
    from nnflow.stages.classify import classify as stage

    job = _job("classify", study, scale, results, data, log, gpus, detail=_part(batch))
    _each_batch(job, batch, "critical_points", lambda number: stage(job, number))


def _part(batch: int | None) -> str:
    return "" if batch is None else f" batch {batch}"


def _each_batch(job, batch: int | None, dataset: str, work: Callable[[int], None]) -> None:
    from nnflow.stages.collect import collect as join

    count = len(job.study.batches)
    if batch is not None and not 0 <= batch < count:
        raise UserError(f"{job.study.name}: there is no batch {batch} (there are 0 to {count - 1})")
    for number in range(count) if batch is None else [batch]:
        work(number)
    if batch is None:
        join(job, dataset)


@app.command()
def collect(
    study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS, log: Log = None
) -> None:
    """Join the batches of training and classification into the study's datasets."""
    from nnflow.stages.collect import TITLES
    from nnflow.stages.collect import collect as stage

    job = _job("collect", study, scale, results, None, log)
    for dataset in TITLES:
        stage(job, dataset)


@app.command()
def certify(
    study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS, log: Log = None
) -> None:
    """Prove what kind of critical point the runs reached."""
    from nnflow.stages.certify import certify as stage

    job = _job("certify", study, scale, results, None, log)
    if not job.study.certifies:
        raise UserError(f"{study}: this study asks for no certificates (key certify)")
    stage(job)


@app.command()
def spectrum(
    study: StudyName,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    data: DataFolder = None,
    log: Log = None,
    gpus: Gpus = 0,
) -> None:
    """Compute Hessian spectra at the critical points."""
    from nnflow.stages.spectrum import spectrum as stage

    stage(_job("spectrum", study, scale, results, data, log, gpus))


@app.command()
def analyze(
    study: StudyName,
    analyses: AnalysisNames = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    data: DataFolder = None,
    log: Log = None,
) -> None:
    """Condense a study's datasets, each analysis into one."""
    from nnflow.stages.analyze import analyze as stage
    from nnflow.workflow.fingerprint import code_hash

    job = _job("analyze", study, scale, results, data, log)
    known = job.study.analyses_in_order
    for name in analyses or []:
        if name not in known:
            raise UserError(f"{study}: no analysis {name!r} (there are: {', '.join(known)})")
    chosen = [name for name in known if not analyses or name in analyses]
    plugins = job.study.settings.analyses
    stage(job, {name: code_hash("analyze", plugins[name].plugins()) for name in chosen})


@app.command()
def summarize(
    study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS, log: Log = None
) -> None:
    """Gather a study's table, and judge its claims."""
    from nnflow.stages.summarize import summarize as stage

    stage(_job("summarize", study, scale, results, None, log))


@app.command()
def draw(
    study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS, log: Log = None
) -> None:
    """Draw a study's figures."""
    from nnflow.stages.draw import draw as stage

    stage(_job("draw", study, scale, results, None, log))


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
    from nnflow.workflow.plan import Plan, read_config

    names = tuple(studies or Plan.from_config(read_config()).studies)
    plan = Plan(names, scale, results)
    if unfinished:
        if page := stage.report_unfinished(plan):
            Reporter("report", log).line(f"wrote {page}")
        return
    stage.report(plan)
    Reporter("report", log).line(f"wrote {results / scale / 'report.html'}")


@app.command(name="list")
def list_studies() -> None:
    """List the studies: configurations and runs at each scale."""
    from nnflow.study.loading import load_study, study_files
    from nnflow.study.sweep import SCALES

    mistakes = 0
    for file in study_files().values():
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

    mistakes = 0
    for name in studies or study_files():
        try:
            file = study_file(name)
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
    from nnflow.workflow.plan import read_config

    console = Console(highlight=False)
    if check:
        folder = data_folder(data, read_config())
        good = checking.check_plugins(console, Path("config/studies"), folder)
    else:
        good = checking.list_plugins(console)
    if not good:
        raise typer.Exit(2)


new = typer.Typer(help="Start a plugin of your own.", no_args_is_help=True)
app.add_typer(new, name="new")


@new.command(name="model")
def new_model(name: Annotated[str, typer.Argument(help="Its name in study files.")]) -> None:
    """Write a model of two weights that works, and a study that runs it."""
    from nnflow.checks.scaffold import new_model as write

    file = write(name, Path())
    typer.echo(f"wrote {file} and config/studies/{name}.yaml; run it with:")
    typer.echo(f"    snakemake --cores 2 --config studies={name}")


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
    options_metavar="[ARGUMENTS OF SNAKEMAKE]",
)
def run(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
    """Run the workflow, or go on with one that was stopped, whatever stopped it."""
    from nnflow.workflow.runner import run as start

    raise typer.Exit(start(arguments or []))
