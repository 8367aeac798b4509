"""config/config.yaml: which studies, at which scale, and where results and data lie."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnflow.base.errors import UserError
from nnflow.base.settings import suggest
from nnflow.base.strict_yaml import read_yaml_file
from nnflow.study.sweep import SCALES

CONFIG = Path("config/config.yaml")
KEYS = ("studies", "scale", "results", "data", "checkpoint")


@dataclass(frozen=True)
class Config:
    """What config.yaml says, checked."""

    studies: tuple[str, ...]
    scale: str
    results: Path
    data: Path | None


def checked_config(config: Mapping[str, Any]) -> Config:
    """From config/config.yaml as Snakemake has read it. Raises UserError for what errs."""
    for key in config:
        if key not in KEYS:
            raise UserError(f"{CONFIG}: {key}: unknown key{suggest(key, list(KEYS))}")
    scale = config.get("scale", "quick")
    if scale not in SCALES:
        raise UserError(f"{CONFIG}: scale: unknown scale {scale!r} (there are: quick, paper)")
    named = config.get("studies", [])
    studies = named.split(",") if isinstance(named, str) else named
    if not isinstance(studies, list) or not studies:
        raise UserError(
            f"{CONFIG}: studies: expected a list of names; or name them, as in `nnflow run STUDY`"
        )
    checked_interval(config.get("checkpoint", 1))
    results = _checked_results(config.get("results", "results"))
    _check_writable(results)
    data = data_folder(None, config)
    return Config(tuple(dict.fromkeys(studies)), scale, results, data)


def _checked_results(named: Any) -> Path:
    """The results folder; a name that Snakemake would read as a pattern is refused."""
    if not isinstance(named, str) or not named:
        raise UserError(f"{CONFIG}: results: expected a folder (got {named!r})")
    if set("{}") & set(named) or not named.isprintable():
        raise UserError(
            f"{CONFIG}: results: {named!r} has braces or control characters, which Snakemake"
            " can't have in a path; rename the folder"
        )
    if Path(named) == Path():
        raise UserError(
            f"{CONFIG}: results: {named!r} is the project's own folder; name a folder in it, such"
            " as results"
        )
    try:
        return Path(named).expanduser()
    except RuntimeError:
        raise UserError(f"{CONFIG}: results: there is no home folder for ~") from None


def checked_interval(value: Any) -> float:
    """Seconds between two checkpoints, as a number above 0."""
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UserError(f"{CONFIG}: checkpoint: expected seconds, more than 0 (got {value!r})")
    return seconds


def _check_writable(results: Path) -> None:
    nearest = next(folder for folder in (results, *results.absolute().parents) if folder.exists())
    if not nearest.is_dir():
        raise UserError(f"{results}: the results folder can't be written: {nearest} is a file")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"{results}: the results folder can't be written: {reason}") from None


def read_config(file: Path = CONFIG) -> dict[str, Any]:
    """config/config.yaml; empty where there is none."""
    try:
        found = read_yaml_file(file) or {}
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    if not isinstance(found, dict):
        raise UserError(f"{file}: expected keys and values")
    return found


def checkpoint_interval(config: Mapping[str, Any]) -> float:
    """Seconds between two checkpoints: NNFLOW_CHECKPOINT, the key `checkpoint`, or 300: what a kill
    may cost. Studies of quick scale write none."""
    return checked_interval(os.environ.get("NNFLOW_CHECKPOINT", config.get("checkpoint", 300.0)))


def data_folder(option: Path | None, config: Mapping[str, Any]) -> Path | None:
    """Where datasets keep files: the option, NNFLOW_DATA, the key `data`, or the user's cache; the
    folder may not exist yet. None where there is no home folder to have a cache in."""
    if named := option or os.environ.get("NNFLOW_DATA") or config.get("data"):
        return Path(named).expanduser()
    import pooch

    try:
        return Path(pooch.os_cache("nnflow"))
    except RuntimeError:
        return None
