"""Measured times: timings.json of a study, outside of the datasets, which are bit-identical
wherever they are made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.timing import machine

FILE = "timings.json"


def read_timings(folder: Path) -> dict[str, dict[str, Any]]:
    """{analysis: {machine, commit, packages, measured}} of a study's folder; empty where nothing
    was measured. Raises UserError where the file is damaged."""
    file = folder / FILE
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file}: not readable: {error}; delete it and run again") from None


def write_timings(
    folder: Path, analysis: str, measured: list[dict[str, Any]], provenance: dict[str, Any]
) -> None:
    """Put what an analysis measured in the place of what it measured before."""
    before = read_timings(folder)
    others = {name: entry for name, entry in before.items() if name != analysis}
    if measured:
        told = {key: provenance.get(key, "") for key in ("commit", "packages")}
        others[analysis] = {"machine": machine(), **told, "measured": measured}
    if others != before:
        store.write_text(folder / FILE, json.dumps(others, indent=1, sort_keys=True) + "\n")
