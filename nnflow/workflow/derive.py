"""A study derived from another one: some settings changed, under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from nnflow.base.errors import UserError
from nnflow.base.settings import check_name
from nnflow.base.store import write_text
from nnflow.base.strict_yaml import read_yaml
from nnflow.study.loading import STUDIES, load_study, study_file
from nnflow.study.sweep import SCALES
from nnflow.study.sweep import read_yaml as read_study

HEAD = "# Derived from {file} by: nnflow run {source} {settings} --as {name}\n"


def parsed(assignments: list[str]) -> dict[str, Any]:
    """{"optimizer.rate": 0.05} from ["optimizer.rate=0.05"]; values are read as in study files."""
    settings = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        if not equals or not key or not text:
            raise UserError(f"--set {assignment}: expected KEY=VALUE, such as optimizer.rate=0.05")
        try:
            settings[key] = read_yaml(text)
        except ValueError as error:
            raise UserError(f"--set {assignment}: {error}") from None
    return settings


def derive(source: str, settings: Mapping[str, Any], name: str, folder: Path = STUDIES) -> Path:
    """Write the study `name`: `source` with the settings, at both scales, and without its claims,
    as what was published does not speak of it. Returns the file.

    An existing derived study of this name is replaced, any other file is not. Raises UserError for
    a setting that the study sweeps, and for what does not make a valid study.
    """
    try:
        check_name(name)
        file = study_file(source, folder)
        raw = read_study(file)
    except ValueError as error:
        raise UserError(f"--as {name}: {error}") from None
    target = folder / f"{name}.yaml"
    words = " ".join(f"--set {key}={value}" for key, value in settings.items())
    head = HEAD.format(file=file, source=source, settings=words, name=name)
    before = target.read_text(encoding="utf-8") if target.exists() else head
    if not before.startswith("# Derived from "):
        raise UserError(f"{target}: exists, and is no derived study; choose another name")
    for part in (raw, *(raw.get("scales") or {}).values()):
        if part:
            part.pop("claims", None)
            _set_all(part, settings, every=part is raw, file=file)
    text = yaml.safe_dump(raw, sort_keys=False, allow_unicode=True, width=100)
    write_text(target, head + text)
    try:
        for scale in SCALES:
            load_study(target, scale)
    except UserError:
        target.unlink() if before == head else write_text(target, before)
        raise
    return target


def _set_all(part: dict[str, Any], settings: Mapping[str, Any], every: bool, file: Path) -> None:
    """Set the settings in one part of a study file; in the part of a scale only those that it
    names itself."""
    for key, value in settings.items():
        swept = part.get("sweep") or {}
        rows = [swept] if isinstance(swept, dict) else swept
        if any(key == other or other == key.split(".")[0] for row in rows for other in row):
            raise UserError(f"{file}: --set {key}: the study sweeps it; edit the study instead")
        *parents, last = key.split(".")
        inner: Any = part
        for parent in parents:
            if not every and parent not in inner:
                break
            if isinstance(inner.get(parent), str):
                inner[parent] = {"name": inner[parent]}
            inner = inner.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise UserError(f"{file}: --set {key}: {parent!r} has no keys of its own")
        else:
            if every or last in inner:
                inner[last] = value
