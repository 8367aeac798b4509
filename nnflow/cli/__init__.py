"""The command line: `nnflow list | validate | plugins | new | profile | run`, and the stages."""

from __future__ import annotations

import functools
import sys
from typing import Any

import typer

from nnflow.base.errors import UserError
from nnflow.cli import project, results, stages  # noqa: F401 — they add their commands
from nnflow.cli.options import app


@functools.cache
def command() -> Any:
    """All commands with their options, ready to be called."""
    return typer.main.get_command(app)


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        command()(standalone_mode=True)
    except UserError as error:
        print(f"nnflow: {error}", file=sys.stderr)
        sys.exit(2)
