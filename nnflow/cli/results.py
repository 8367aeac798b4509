"""The commands that read results: what there is, what it says, and how it differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nnflow.base.errors import UserError
from nnflow.cli.options import (
    RESULTS,
    Configured,
    DataFolder,
    Log,
    ResultsFolder,
    Scale,
    StudyName,
    app,
)
from nnflow.workflow.project import require_project

if TYPE_CHECKING:
    from nnflow.study.types import Study
    from nnflow.workflow.plan import Plan


@app.command(name="list")
def list_studies(results: ResultsFolder = RESULTS) -> None:
    """List the studies: at each scale their sizes, and what there is of their results."""
    from nnflow.study.loading import known_studies
    from nnflow.study.sweep import SCALES
    from nnflow.workflow.plan import Plan

    require_project()
    mistakes = 0
    for name in known_studies():
        plans = [Plan((name,), scale, results) for scale in SCALES]
        try:
            lines = [f"{p.scale}: {_size(p.loaded[name])}, {_state(p, name)}" for p in plans]
        except UserError as error:
            mistakes += 1
            typer.echo(f"nnflow: {error}", err=True)
            continue
        typer.echo(f"{name:24} {plans[0].loaded[name].settings.title}")
        for line in lines:
            typer.echo(f"{'':24} {line}")
    if mistakes:
        raise typer.Exit(2)


def _size(study: Study) -> str:
    configurations = _count(len(study.configurations), "configuration")
    if not study.trains:
        return f"{configurations}, no training"
    return f"{configurations}, {_count(sum(c.runs for c in study.configurations), 'run')}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _state(plan: Plan, study: str) -> str:
    """What there is of a study's results, when the last was written, how long its jobs took."""
    from nnflow.workflow.state import duration, state

    found = state(plan, study)
    when = f" {found.written:%Y-%m-%d %H:%M}" if found.written else ""
    return found.word + when + (f" ({duration(found.seconds)})" if found.seconds else "")


@app.command()
def why(study: StudyName, scale: Scale = "quick", results: ResultsFolder = RESULTS) -> None:
    """Say what of a study would be made again, and because of which setting or code."""
    from nnflow.workflow.freshness import why as reasons
    from nnflow.workflow.plan import Plan

    lines = reasons(Plan((study,), scale, results), study)
    for line in lines or [f"{study}: everything is up to date"]:
        typer.echo(line)


@app.command()
def report(
    studies: Configured = None,
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
    log: Log = None,
    unfinished: Annotated[bool, typer.Option(help="Leave out studies without results.")] = False,
    alone: Annotated[
        bool, typer.Option(help="Leave out studies that are finished, but not named.")
    ] = False,
) -> None:
    """Write the report and the table of all claims."""
    from nnflow.base.progress import Reporter
    from nnflow.stages import report as stage

    plan = _plan(studies, scale, results)
    if unfinished:
        if page := stage.report_unfinished(plan):
            Reporter("report", log).line(f"wrote {page}")
        return
    said = stage.report(plan, alone)
    Reporter("report", log).line(f"{said}; wrote {results / scale / 'report.html'}")


def _plan(studies: list[str] | None, scale: str, results: Path) -> Plan:
    """Of these studies, or of those of config.yaml."""
    from nnflow.workflow.config import read_config
    from nnflow.workflow.plan import Plan

    names = tuple(studies or Plan.from_config(read_config()).studies)
    return Plan(names, scale, results)


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


@app.command(name="open")
def open_report(scale: Scale = "quick", results: ResultsFolder = RESULTS) -> None:
    """Open the report in the browser, and say where it lies."""
    import webbrowser

    page = results / scale / "report.html"
    if not page.exists():
        raise UserError(f"{page}: missing; run the workflow to make it")
    typer.echo(page)
    webbrowser.open(page.absolute().as_uri())


@app.command()
def diff(
    first: Annotated[Path, typer.Argument(metavar="A", help="results/quick, or a study in it.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="The folder beside it.")],
) -> None:
    """Compare two folders of results: settings, versions, every number, verdicts; exit status 1
    where a number or a verdict differs."""
    from nnflow.stages.compare import compare, counted, results_differ

    found = compare(first, second)
    for study, lines in found.items():
        for line in lines:
            typer.echo(f"{study}: {line}")
    typer.echo(counted(found))
    if any(results_differ(lines) for lines in found.values()):
        raise typer.Exit(1)


@app.command()
def publish(
    studies: Configured = None,
    to: Annotated[Path, typer.Option(metavar="PATH", help="A new folder, or a file .zip.")] = Path(
        "crate.zip"
    ),
    license: Annotated[str, typer.Option(help="Address of the results' license.")] = "",
    scale: Scale = "quick",
    results: ResultsFolder = RESULTS,
) -> None:
    """Write finished results as an RO-Crate, which archives read, with the workflow that made
    them and its environment."""
    from nnflow.stages import publish as stage

    count = stage.publish(_plan(studies, scale, results), to, license or stage.LICENSE)
    typer.echo(f"wrote {count} files to {to}")


@app.command()
def verify(
    crate: Annotated[Path, typer.Argument(metavar="CRATE", help="What `publish` wrote.")],
    run: Annotated[
        bool, typer.Option("--run", help="Make all results again, and compare.")
    ] = False,
    cores: Annotated[str, typer.Option(help="For --run.")] = "all",
) -> None:
    """Check a published crate: files against their sums, proofs and verdicts once more; exit status
    1 where one fails. This runs the crate's own plugins."""
    from nnflow.stages import verify as stage

    good = True
    with stage.opened(crate) as folder:
        for passed, line in stage.checks(folder, cores if run else None):
            good &= passed
            typer.echo(f"{'✓' if passed else '✗'} {line}")
    if not good:
        raise typer.Exit(1)
