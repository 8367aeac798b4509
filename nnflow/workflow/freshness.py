"""Does a file of results belong to the study as it is now?

Every dataset carries the settings and the code hashes that it was made with. Snakemake compares
those of the files that it made itself; a file of a stage that was run by hand, or that was copied
here, is compared by this module.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.workflow.plan import Plan

BEFORE: dict[str, tuple[str, ...]] = {
    "initialize": (),
    "train": ("initialize",),
    "classify": ("initialize", "train"),
    "collect": ("initialize", "train", "classify"),
    "certify": ("initialize", "train", "classify", "collect"),
    "spectrum": ("initialize", "train", "classify", "collect"),
}
"""The stages that each stage's numbers come from; those of analyses follow from what they need."""
MADE_BY = {
    "initialization": "initialize",
    "training": "collect",
    "critical_points": "collect",
    "certificates": "certify",
    "spectra": "spectrum",
    "summary": "summarize",
}
"""The stage that writes a dataset; an analysis is written by `analyze`."""
SHOWN = 3
"""Most changed settings that a message names."""


def upstream(plan: Plan, stage: str, study: str) -> tuple[str, ...]:
    """The stages that the numbers of a stage come from. The analyses of a study share one job, so
    they come from what any of them needs; so do the summary, the figures and the report. Where ends
    are not judged, nothing comes from `classify`."""
    loaded = plan.loaded[study]
    if stage in BEFORE:
        found = set(BEFORE[stage])
    else:
        needed = {need for plugin in loaded.settings.analyses.values() for need in plugin.needs}
        makers = {MADE_BY[need] for need in needed if need in MADE_BY} - {"summarize"}
        found = {other for maker in makers for other in (*BEFORE[maker], maker)}
    if not loaded.judges:
        found.discard("classify")
    return tuple(other for other in BEFORE if other in found)


def codes(plan: Plan, stage: str, study: str) -> dict[str, str]:
    """{stage: code hash} of a stage and of those that its numbers come from."""
    return {other: plan.code(other, study) for other in _behind(plan, stage, study)}


def read_files(plan: Plan, stage: str, study: str) -> dict[str, dict[str, str]]:
    """{stage: {file: hash of its content}} of what their plugins read, for the same stages."""
    return {other: plan.files(other, study) for other in _behind(plan, stage, study)}


def _behind(plan: Plan, stage: str, study: str) -> tuple[str, ...]:
    own = (stage,) if stage in BEFORE else ()
    return (*upstream(plan, stage, study), *own)


def stage_of(file: Path) -> str:
    """The stage that wrote a dataset of a study."""
    if file.parent.name == "batches":
        return {"training": "train", "critical_points": "classify"}[file.stem.split("-")[0]]
    return "analyze" if _analysis_of(file) else MADE_BY[file.stem]


def _analysis_of(file: Path) -> str:
    """The analysis whose dataset, or a part of whose, a file holds; "" where it holds none."""
    if file.parent.name == "analyses":
        return file.stem
    return file.parent.name if file.parent.parent.name == "analyses" else ""


def differences(plan: Plan, study: str, file: Path) -> list[str]:
    """What of the settings and the code that a file was made with has changed since; empty where it
    belongs to the study as it is. A file without provenance is taken as it is."""
    told = json.loads(store.attributes(file).get("provenance", "{}"))
    if "codes" not in told:
        return []
    stage = stage_of(file)
    parts = {
        part
        for other in (*upstream(plan, stage, study), stage)
        for part in plan.parts(other, study)
    } - {"claims"}
    old, new = told["settings"], plan.all_settings(study)
    if stage == "analyze":
        parts.discard("analyses")
        old, new = (
            {**each, "analysis": each.get("analyses", {}).get(_analysis_of(file))}
            for each in (old, new)
        )
        parts.add("analysis")
    changed = list(_changes(old, new, parts))
    changed += [
        f"the code of {other}"
        for other, code in codes(plan, stage, study).items()
        if told["codes"].get(other) != code
    ]
    read = read_files(plan, stage, study)
    changed += [text for other in read for text in _edited(told, other, read[other])]
    return list(dict.fromkeys(changed))


def _edited(told: dict[str, Any], stage: str, now: dict[str, str]) -> Iterator[str]:
    """The files that a stage reads whose content is another one than it was. They are compared by
    content, as a folder may have moved; one that is not here can't be compared."""
    before = set(told.get("files", {}).get(stage, {}).values())
    for file, content in now.items():
        if content and content not in before:
            yield f"the content of {file}"


def check_fresh(plan: Plan, study: str, file: Path) -> None:
    """Raise UserError where a file was made with other settings or other code."""
    if file.exists() and (changed := differences(plan, study, file)):
        more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
        raise UserError(
            f"{file}: made with other settings or code ({'; '.join(changed[:SHOWN])}{more});"
            f" `nnflow {stage_of(file)} {study}` or `nnflow run` makes it again"
        )


def files(plan: Plan, study: str) -> Iterator[Path]:
    """The datasets of a study, in the order in which they are made."""
    folder = plan.results / plan.scale / study
    if plan.loaded[study].trains:
        yield folder / "initialization.nc"
        judged = ("critical_points",) if plan.loaded[study].judges else ()
        for name in ("training", *judged):
            yield from (folder / "batches" / f"{name}-{i}.nc" for i in plan.batches(study))
    yield from (Path(f) for f in plan.datasets(study) if Path(f).stem != "initialization")
    yield from map(Path, (*plan.part_files(study), *plan.analysis_files(study)))
    yield folder / "summary.nc"


def why(plan: Plan, study: str) -> list[str]:
    """Two lines at most: which datasets of a study are missing, and which have to be made again and
    because of what. The first of them, in the order in which they are made, stands for the rest."""
    folder = plan.results / plan.scale / study
    found: dict[str, list[str]] = {"missing": [], "old": []}
    reasons: list[str] = []
    for file in files(plan, study):
        name = str(file.relative_to(folder))
        if not file.exists():
            found["missing"].append(name)
        elif changed := differences(plan, study, file):
            found["old"].append(name)
            reasons += changed
    told = {"missing": "missing", "old": "; ".join(dict.fromkeys(reasons))}
    return [f"{_and_more(names)}: {told[what]}" for what, names in found.items() if names]


def _and_more(names: list[str]) -> str:
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def discard_stale(plan: Plan) -> None:
    """Remove the files of the plan's studies that were made with other settings or code, each with
    a line that says why, so that Snakemake makes them again whether or not it made them itself."""
    for study in plan.all_studies:
        for file in files(plan, study):
            if file.exists() and (changed := differences(plan, study, file)):
                file.unlink()
                reasons = "; ".join(changed[:SHOWN])
                print(f"nnflow: {file}: made again ({reasons})", file=sys.stderr)


def _changes(old: dict[str, Any], new: dict[str, Any], parts: set[str]) -> Iterator[str]:
    """The settings that differ: "optimizer.rate 0.1 → 0.05"; of all configurations alike, once."""
    before, after = _flat(old, parts), _flat(new, parts)
    told = set()
    for key in sorted({*before, *after}):
        if before.get(key) == after.get(key):
            continue
        label, _, name = key.rpartition("|")
        text = f"{name} {before.get(key, 'unset')} → {after.get(key, 'unset')}"
        if label and (key in before) != (key in after):
            text = f"configuration {label} {'is new' if key in after else 'is gone'}"
        if text not in told:
            told.add(text)
            yield text


def _flat(settings: dict[str, Any], parts: set[str]) -> dict[str, Any]:
    """{"part.key": value}, and {"label|part.key": value} of each configuration."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if key in parts:
            _flatten(key, value, found)
    for configuration in settings.get("configurations", []):
        for key, value in configuration.items():
            if key in parts:
                _flatten(f"{configuration['label']}|{key}", value, found)
    return found


def _flatten(key: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict) and value:
        for inner, part in value.items():
            _flatten(f"{key}.{inner}", part, found)
    else:
        found[key] = value
