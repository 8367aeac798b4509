"""From a study file to a Study, with every mistake named by file and key."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeVar, get_args

from pydantic import ValidationError

from nnflow.base.errors import UserError
from nnflow.base.settings import Settings, check_name, explain, first_problem, suggest
from nnflow.base.shipped import shipped
from nnflow.study.findings import fields
from nnflow.study.study_checks import check_whole
from nnflow.study.sweep import SCALES, combinations, label, read_yaml, set_key, short, with_scale
from nnflow.study.types import Configuration, ConfigurationSettings, Study, StudySettings
from nnflow.study.vary import with_varied

STUDIES = Path("config/studies")
"""Where study files lie, in folders by subject or directly."""

FOLDERS = ("logs", "benchmarks")
"""Folders beside those of the studies."""

SHORT = {"scales", "sweep", "start"}
"""Keys of study files that stand for others."""
LONGEST_LABEL = 250
"""Bytes of a configuration's label, which names a group of the netCDF files."""

S = TypeVar("S", bound=Settings)


def study_files(folder: Path = STUDIES) -> dict[str, Path]:
    """All study files below the folder, by name. Raises UserError where two have one name."""
    files: dict[str, Path] = {}
    for file in sorted(folder.rglob("*.yaml")):
        if file.stem in files:
            raise UserError(f"{file}: {files[file.stem]} has the same name; rename one")
        files[file.stem] = file
    return dict(sorted(files.items()))


def built_in_studies() -> dict[str, Path]:
    """The study files that come with nnflow, by name."""
    return study_files(shipped() / STUDIES)


def known_studies(folder: Path = STUDIES) -> dict[str, Path]:
    """The study files below the folder and those that come with nnflow, by name; of two of one name
    the former counts."""
    return {**built_in_studies(), **study_files(folder)}


def study_file(name: str, folder: Path = STUDIES) -> Path:
    """The file of the study of that name. Raises UserError where there is none."""
    return chosen_files([name], folder)[0]


def chosen_files(names: Sequence[str], folder: Path = STUDIES) -> list[Path]:
    """The files of the studies of these names. Raises UserError where there is none of a name."""
    files = known_studies(folder)
    for name in names:
        if name not in files:
            raise UserError(f"{folder / name}.yaml: no such study{suggest(name, sorted(files))}")
    return [files[name] for name in names]


def load_study(file: Path, scale: str = "quick", users: tuple[str, ...] = ()) -> Study:
    """Read and validate a study file, and those of the studies that it uses.

    users: the studies on whose behalf it is read. Raises UserError naming file, key and reason.
    """
    name = file.stem
    try:
        check_name(name)
        if name in FOLDERS:
            raise ValueError(f"the results have a folder {name!r} of their own; rename the study")
        if scale not in SCALES:
            raise ValueError(f"scale: unknown scale{suggest(scale, list(SCALES))}")
        whole = _without_empty(read_yaml(file))
        raw = with_scale(whole, scale)
        sweep = raw.pop("sweep", {})
        own = set(StudySettings.model_fields)
        once = {key: raw.pop(key) for key in list(raw) if key in own}
        _check_keys(raw)
        settings = _validate(StudySettings, once)
        configurations = tuple(_configurations(raw, sweep))
        used = tuple(_used(other, file, scale, (*users, name)) for other in settings.uses)
        study = Study(name, str(file), scale, settings, configurations, used)
        check_whole(study)
        _check_labels(study, whole)
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    return study


def _without_empty(whole: dict[str, Any]) -> dict[str, Any]:
    """A study file without the sections whose keys are all commented out, at both scales."""
    empty = [key for key, value in whole.items() if value is None and key in _sections()]
    kept = {key: value for key, value in whole.items() if key not in empty}
    if isinstance(scales := kept.get("scales"), dict):
        kept["scales"] = {
            scale: _without_empty(part) if isinstance(part, dict) else part
            for scale, part in scales.items()
        }
    return kept


@cache
def _sections() -> set[str]:
    """The keys that hold keys or lists and may be left out."""
    fields = {**StudySettings.model_fields, **ConfigurationSettings.model_fields}
    found = {
        key for key, field in fields.items() if isinstance(field.default, Settings | dict | list)
    }
    return {*found, "sweep"}


def _used(name: str, file: Path, scale: str, users: tuple[str, ...]) -> Study:
    """A study that another one uses."""
    if name in users:
        circle = " uses ".join([*users[users.index(name) :], name])
        raise ValueError(f"uses: a circle: {circle}")
    beside = {**known_studies(), **study_files(file.parent)}
    if name not in beside:
        raise ValueError(f"uses: no study {name!r}{suggest(name, sorted(beside))}")
    return load_study(beside[name], scale, users)


def _check_labels(study: Study, whole: dict[str, Any]) -> None:
    """Raise ValueError where a claim or a finding is about a configuration that no scale has."""
    known = {
        label(parameters)
        for scale in SCALES
        for parameters in combinations(with_scale(whole, scale).get("sweep", {}))
    }
    for claim in study.settings.claims:
        labels = [*claim.corrected, *claim.along]
        numbers = getattr(claim, claim.comparison)
        labels += numbers if isinstance(numbers, dict) else []
        for named in labels:
            if named not in known:
                raise ValueError(
                    f"claims.{claim.claim}: no configuration {named!r}"
                    f"{suggest(named, sorted(known))}"
                )
    for position, text in enumerate(study.settings.findings):
        for named in filter(None, (field.label for field in fields(text))):
            if named not in known:
                raise ValueError(
                    f"findings.{position}: no configuration {named!r}"
                    f"{suggest(named, sorted(known))}"
                )


def _configurations(raw: dict[str, Any], sweep: Any) -> Iterator[Configuration]:
    seen = set()
    for parameters in combinations(sweep):
        settings = deepcopy(raw)
        for key, value in parameters.items():
            if key.split(".")[0] in StudySettings.model_fields:
                raise ValueError(f"sweep.{key}: can't be swept, a study has it once")
            set_key(settings, key, value)
        settings = with_varied(_with_start(settings), parameters)
        named = label(parameters)
        if len(named.encode()) > LONGEST_LABEL:
            raise ValueError(
                f"sweep: the label {named[:40]}… is longer than {LONGEST_LABEL} bytes, the most"
                " that netCDF takes for a name; sweep fewer or shorter settings"
            )
        if named in seen:
            raise ValueError(f"sweep: the configuration {named!r} occurs twice")
        seen.add(named)
        shortened = {short(key, parameters): value for key, value in parameters.items()}
        yield Configuration(named, shortened, _counted(_validate(ConfigurationSettings, settings)))


def _with_start(raw: dict[str, Any]) -> dict[str, Any]:
    """Untyped settings of a configuration with the long form of `start: {from: FILES}`, and with
    the defaults of weights that are judged as they are, where no optimizer is named: they are not
    polished, and the spectra are those of the runs."""
    filled = dict(raw)
    if "start" in filled:
        start = filled.pop("start")
        if not isinstance(start, dict) or "from" not in start or not set(start) <= {"from", "key"}:
            raise ValueError("start: expected {from: FILES}, or {from: FILES, key: ENTRY}")
        if "initializer" in filled:
            raise ValueError("start: says where the weights are; leave out `initializer`")
        given = {"paths" if key == "from" else key: value for key, value in start.items()}
        filled["initializer"] = {"name": "checkpoint", **given}
    if filled.get("model") is not None and filled.get("optimizer") is None:
        for part, key, value in (("classify", "polish", "none"), ("spectrum", "at", "runs")):
            if isinstance(filled.get(part, {}), dict):
                filled[part] = {key: value, **filled.get(part, {})}
    return filled


def _counted(settings: ConfigurationSettings) -> ConfigurationSettings:
    """The settings with as many runs as the initializer has weights for, where none are named."""
    try:
        count = settings.initializer.count() if settings.initializer is not None else None
    except UserError as error:
        raise ValueError(str(error)) from None
    if count is None or "runs" in settings.model_fields_set:
        return settings
    return settings.model_copy(update={"runs": count})


def _check_keys(raw: dict[str, Any]) -> None:
    known = sorted({*StudySettings.model_fields, *ConfigurationSettings.model_fields, *SHORT})
    for key in raw:
        if key not in known:
            raise ValueError(f"{key}: unknown key{suggest(str(key), known)}")


def _validate(kind: type[S], raw: dict[str, Any]) -> S:
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        location = first_problem(error)["loc"]
        owner: Any = kind
        for part in location[:-1]:
            if isinstance(part, int):
                owner = next(iter(get_args(owner)), None)
                continue
            field = getattr(owner, "model_fields", {}).get(part)
            owner = field.annotation if field is not None else None
            if isinstance(owner, UnionType):  # X | None
                owner = get_args(owner)[0]
        raise ValueError(explain(error, owner if isinstance(owner, type) else None)) from None
