"""diff: in what two folders of results differ: settings, versions, numbers, verdicts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.notation import number
from nnflow.report.rows import measured, read_rows
from nnflow.study.claims import Row
from nnflow.workflow.freshness import changes
from nnflow.workflow.plan import SETTINGS

PROSE = {"configurations", "label", "claims", "description", *SETTINGS["report"]}
"""What of the settings no number comes from; the configurations are compared one by one."""


ASPECTS = ("numbers", "verdicts", "settings, versions and code")
"""What is counted apart: the first two are results, the third says how they were made."""
MADE = ("settings: ", "packages: ", "code: ")
"""How the lines begin that tell how results were made."""


def aspects(line: str) -> tuple[str, ...]:
    """Which of the `ASPECTS` a line of `compare` is about; of a study that only one folder has,
    all."""
    numbers, verdicts, made = ASPECTS
    if line.startswith(MADE):
        return (made,)
    if line.startswith("claim "):
        return (verdicts,)
    return ASPECTS if line.startswith("only in ") else (numbers,)


def counted(found: dict[str, list[str]]) -> str:
    """One line: in how many of the studies each aspect is the same."""
    differing = {
        name: {aspect for line in lines for aspect in aspects(line)}
        for name, lines in found.items()
    }
    same = (
        f"{aspect} in {sum(aspect not in told for told in differing.values())}"
        for aspect in ASPECTS
    )
    studies = "study" if len(found) == 1 else "studies"
    return f"of {len(found)} {studies} the same: {'; '.join(same)} (numbers: to the last bit)"


def results_differ(lines: list[str]) -> bool:
    """Does a number or a verdict differ, and not only how the results were made?"""
    return any(aspects(line) != ASPECTS[2:] for line in lines)


def compare(first: Path, second: Path) -> dict[str, list[str]]:
    """{study: in what its results differ, one line for each difference; empty where every number is
    the same to the last bit}.

    first, second: results/<scale>, or one study's folder. Raises UserError where a folder holds no
    results, or a file is damaged.
    """
    one, other = _studies(first), _studies(second)
    if first.name != second.name and len(one) == len(other) == 1:  # a study and one derived from it
        ((name, folder),) = one.items()
        return {name: list(_of_study(folder, *other.values()))}
    names = sorted({*one, *other})
    return {
        name: list(_of_study(one[name], other[name]))
        if name in one and name in other
        else [f"only in {first if name in one else second}"]
        for name in names
    }


def _studies(folder: Path) -> dict[str, Path]:
    """The folders with datasets: this one where it is a study's, or those in it."""
    if any(folder.glob("*.nc")) or any(folder.glob("analyses/*.nc")):
        return {folder.name: folder}
    found = {each.name: each for each in sorted(folder.glob("*")) if any(each.rglob("*.nc"))}
    if not found:
        raise UserError(f"{folder}: no results here; expected results/quick, or a study's folder")
    return found


def _of_study(first: Path, second: Path) -> Iterator[str]:
    yield from _of_provenance(_provenance(first), _provenance(second))
    names = sorted({*_datasets(first), *_datasets(second)})
    for name in names:
        files = (first / name, second / name)
        if here := [file.parent for file in files if not file.exists()]:
            yield f"{name}: missing in {here[0]}"
        elif files[0].read_bytes() != files[1].read_bytes():
            yield from _of_datasets(name, *map(store.read, files))
    yield from _of_claims(*map(_rows, (first, second)))


def _datasets(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in store.without_batches(folder)]


def _provenance(folder: Path) -> dict[str, Any]:
    """Of the summary, or of the first dataset where there is none."""
    file = next(iter([*folder.glob("summary.nc"), *sorted(folder.rglob("*.nc"))]))
    return json.loads(store.attributes(file).get("provenance", "{}"))


def _of_provenance(first: dict[str, Any], second: dict[str, Any]) -> Iterator[str]:
    """The settings, versions and code that differ, each once."""
    settings = [told.get("settings", {}) for told in (first, second)]
    parts = {key for told in settings for key in told}
    parts |= {key for told in settings for each in told.get("configurations", []) for key in each}
    for text in changes(*settings, parts - PROSE):
        yield f"settings: {text}"
    packages = [told.get("packages", {}) for told in (first, second)]
    for text in changes(*packages, {*packages[0], *packages[1]}):
        yield f"packages: {text}"
    for stage in sorted({*first.get("codes", {}), *second.get("codes", {})}):
        if first.get("codes", {}).get(stage) != second.get("codes", {}).get(stage):
            yield f"code: {stage}"


def _of_datasets(
    name: str, first: dict[str, xr.Dataset], second: dict[str, xr.Dataset]
) -> Iterator[str]:
    for label in [*first, *(label for label in second if label not in first)]:
        place = f"{name}: {label}: " if label else f"{name}: "
        if label not in first or label not in second:
            yield f"{place}only in the {'first' if label in first else 'second'}"
            continue
        one, other = first[label].variables, second[label].variables
        for variable in sorted({*one, *other}, key=str):
            if variable not in one or variable not in other:
                yield f"{place}{variable}: only in the {'first' if variable in one else 'second'}"
            elif told := _of_values(one[variable].values, other[variable].values):
                yield f"{place}{variable}: {told}"


def _of_values(first: np.ndarray, second: np.ndarray) -> str:
    """In what two arrays differ; "" where nothing does."""
    if first.shape != second.shape or first.dtype != second.dtype:
        kinds = (f"{array.dtype} {array.shape}" for array in (first, second))
        return " → ".join(kinds)
    numbers = first.dtype.kind in "iufc"
    same = (first == second) | ((first != first) & (second != second))  # NaN beside NaN
    if same.all():
        return ""
    told = f"{np.count_nonzero(~same)} of {same.size} values differ"
    if not numbers:
        return told
    gap = np.abs(first.astype(float) - second.astype(float))[~same]
    gap = gap[np.isfinite(gap)]
    size = np.abs(np.concatenate([first.ravel(), second.ravel()]).astype(float))
    size = size[np.isfinite(size)]
    if not len(gap):
        return told
    return f"{told}, by at most {number(gap.max(), 2)} where the largest is {number(size.max(), 2)}"


def _rows(folder: Path) -> dict[tuple[str, str], Row]:
    file = folder / "claims.csv"
    rows = read_rows(file) if file.exists() else []
    return {(row["claim"], row["configuration"]): row for row in rows}


def _of_claims(
    first: dict[tuple[str, str], Row], second: dict[tuple[str, str], Row]
) -> Iterator[str]:
    """The claims whose verdict or number differs, or that only one has."""
    for key in {**first, **second}:
        claim = f"claim {key[0]}" + (f" at {key[1]}" if key[1] else "")
        if key not in first or key not in second:
            yield f"{claim}: only in the {'first' if key in first else 'second'}"
            continue
        before, after = (f"{row['verdict'].replace('_', ' ')} ({measured(row)})"
                         for row in (first[key], second[key]))  # fmt: skip
        if before != after:
            yield f"{claim}: {before} → {after}"
