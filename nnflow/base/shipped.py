"""What comes with nnflow beside its own code: plugins, studies, rules, profiles."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def shipped() -> Path:
    """The folder that holds plugins/, config/, workflow/ and the Snakefile that come with nnflow:
    inside the installed package, or the repository that nnflow runs from."""
    inside = _PACKAGE / "shipped"
    return inside if inside.is_dir() else _PACKAGE.parent
