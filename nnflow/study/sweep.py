"""From a study file's text to the settings of each of its configurations, before they are typed.

Everything here raises ValueError with "key: reason"; the caller adds the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nnflow.base.settings import one_spelling, suggest
from nnflow.base.strict_yaml import read_yaml_file

SCALES = ("quick", "paper")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+=,-]+")


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds."""
    try:
        raw = read_yaml_file(file)
    except FileNotFoundError:
        known = sorted(other.stem for other in file.parent.glob("*.yaml"))
        raise ValueError(f"no such study{suggest(file.stem, known)}") from None
    if not isinstance(raw, dict):
        raise ValueError("expected keys and values")
    return raw


def with_scale(raw: dict[str, Any], scale: str) -> dict[str, Any]:
    """The settings at one scale: the key `scales` taken out, its part laid over the rest."""
    rest = dict(raw)
    scales = rest.pop("scales", None) or {}
    if not isinstance(scales, dict):
        raise ValueError(f"scales: expected a mapping with the keys {' and '.join(SCALES)}")
    for name, part in scales.items():
        if name not in SCALES:
            raise ValueError(f"scales.{name}: unknown scale{suggest(str(name), list(SCALES))}")
        if not isinstance(part, dict | None):
            raise ValueError(f"scales.{name}: expected keys and values")
    return _merged(rest, scales.get(scale) or {})


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """`base` with the keys of `over`; nested mappings are merged, except sweeps."""
    merged = dict(base)
    for key, value in over.items():
        nested = isinstance(value, dict) and isinstance(base.get(key), dict) and key != "sweep"
        merged[key] = _merged(base[key], value) if nested else value
    return merged


def combinations(sweep: Any) -> list[dict[str, Any]]:
    """The swept parameters of each configuration: a mapping of lists is a grid, its last key
    running fastest; a list of mappings lists the configurations."""
    if isinstance(sweep, dict):
        _check_keys(sweep)
        for key, values in sweep.items():
            if not isinstance(values, list) or not values:
                raise ValueError(f"sweep.{key}: expected a list of values")
        return [
            dict(zip(sweep, values, strict=True)) for values in itertools.product(*sweep.values())
        ]
    if isinstance(sweep, list) and sweep and all(isinstance(item, dict) for item in sweep):
        _check_keys(itertools.chain(*sweep))
        return sweep
    raise ValueError("sweep: expected a mapping of lists, or a list of mappings")


def _check_keys(keys: Iterable[Any]) -> None:
    for key in keys:
        if not isinstance(key, str):
            raise ValueError(f"sweep.{key}: unknown key")


def set_key(settings: dict[str, Any], key: str, value: Any) -> None:
    """Set the dotted `key`, such as `model.k`, in nested settings."""
    *parents, last = key.split(".")
    for part in parents:
        settings = settings.setdefault(part, {})
        if not isinstance(settings, dict):
            raise ValueError(f"sweep.{key}: {part!r} has no keys of its own; write it as a mapping")
    settings[last] = value


def short(key: str, parameters: dict[str, Any]) -> str:
    """The last part of a dotted key, or the whole where that would be ambiguous."""
    last = key.rsplit(".", 1)[-1]
    others = [other.rsplit(".", 1)[-1] for other in parameters if other != key]
    return key if last in others or last == "name" else last


def label(parameters: dict[str, Any]) -> str:
    """A configuration's name, `k=6,n=6`, from letters that paths and netCDF groups bear; 1 and
    1.0 are one number. A plugin with its settings is called by its name alone:
    `optimizer=newton`; other mappings by all they say: `settings=width-8`. What varies within a
    configuration does not name it."""

    def text(value: Any) -> str:
        if isinstance(value, list):
            return "-".join(text(item) for item in value)
        if isinstance(value, dict) and "name" in value:
            return text(value["name"])
        if isinstance(value, dict):
            return "-".join(f"{key}-{text(item)}" for key, item in value.items())
        return _UNSAFE.sub("-", str(one_spelling(value)))

    named = {key: value for key, value in parameters.items() if key != "vary"}
    pairs = (f"{short(key, named)}={text(value)}" for key, value in named.items())
    return ",".join(pairs) or "all"
