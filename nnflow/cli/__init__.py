"""The command line: `nnflow list | validate | plugins | new | profile | run`, and the stages."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any

import typer

from nnflow.base.errors import UserError
from nnflow.cli import project, results, stages  # noqa: F401 — they add their commands
from nnflow.cli.options import app


@cache
def command() -> Callable[..., Any]:
    """What reads the command line, made once for all jobs that are forked from a process."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        command()(standalone_mode=True)
    except UserError as error:
        print(f"nnflow: {error}", file=sys.stderr)
        sys.exit(2)
