"""The command line itself, and the arguments that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
