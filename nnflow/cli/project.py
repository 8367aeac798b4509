"""The commands of a project: its studies, plugins, certificates and runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nnflow.base.errors import UserError
from nnflow.cli.options import DataFolder, Studies, app
from nnflow.workflow.project import require_project


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
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="NAME…", help="Plugins, or studies for all that they use."),
    ] = None,
    check: Annotated[bool, typer.Option("--check", help="Run each through its oracles.")] = False,
    data: DataFolder = None,
) -> None:
    """List the plugins, all or those named, and what is wrong with broken ones."""
    from rich.console import Console

    from nnflow.checks import plugin_report as checking
    from nnflow.workflow.config import data_folder, read_config

    require_project()
    console = Console(highlight=False)
    studies = Path("config/studies")
    chosen = checking.chosen(names, studies) if names else None
    if check:
        folder = data_folder(data, read_config())
        good = checking.check_plugins(console, studies, folder, chosen)
    else:
        good = checking.list_plugins(console, chosen)
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


new = typer.Typer(help="Start a plugin, a study or a package of your own.", no_args_is_help=True)
app.add_typer(new, name="new")
NewName = Annotated[str, typer.Argument(metavar="NAME", help="Its name in study files.")]


def _new_plugin_command(kind: str) -> None:
    article = "an" if kind[0] in "aio" else "a"

    @new.command(name=kind, help=f"Write {article} {kind} that works, and a study that runs it.")
    def command(name: NewName) -> None:
        from nnflow.checks.scaffold import new_plugin

        file = new_plugin(kind, name, Path())
        typer.echo(f"wrote {file} and config/studies/{name}.yaml; run it with:")
        typer.echo(f"    nnflow run {name}")


KINDS = (
    "model",
    "optimizer",
    "initializer",
    "dataset",
    "loss",
    "activation",
    "analysis",
    "figure",
)
"""Those of scaffold.FOLDERS, which would be imported at each start of the command line."""
for _kind in KINDS:
    _new_plugin_command(_kind)


@new.command(name="study")
def new_study(name: NewName) -> None:
    """Write a study that runs, to be changed."""
    from nnflow.checks.scaffold import new_study as write

    typer.echo(f"wrote {write(name, Path())}; run it with:")
    typer.echo(f"    nnflow run {name}")


@new.command(name="package")
def new_package(name: NewName) -> None:
    """Write a package of plugins that pip installs and nnflow finds."""
    from nnflow.checks.scaffold import new_package as write

    for file in write(name, Path()):
        typer.echo(f"wrote {file}")
    typer.echo(f"install it with:\n    pip install -e {name}")


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
    options_metavar="[STUDY]... [--scale SCALE] [--set KEY=VALUE --as NAME]"
    " [ARGUMENTS OF SNAKEMAKE]",
)
def run(arguments: Annotated[list[str] | None, typer.Argument(hidden=True)] = None) -> None:
    """Run the workflow, or go on with one that was stopped, whatever stopped it.

    Without a study: those of config/config.yaml. `--scale paper` has the published sizes.
    `--set optimizer.rate=0.05 --as NAME` derives a study from the one that is named, and runs it.
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
