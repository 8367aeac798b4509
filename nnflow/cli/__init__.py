"""The command line: `nnflow list | validate | plugins | new | profile | run`, and the stages."""

from __future__ import annotations

import sys

from nnflow.base.errors import UserError
from nnflow.cli import project, results, stages  # noqa: F401 — they add their commands
from nnflow.cli.options import app


def main() -> None:
    """Run the command line; a user's mistake is one line and exit status 2."""
    try:
        app(standalone_mode=True)
    except UserError as error:
        print(f"nnflow: {error}", file=sys.stderr)
        sys.exit(2)
