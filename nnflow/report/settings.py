"""The settings of a study, said in words."""

from __future__ import annotations

from typing import Any

from nnflow.base.notation import number
from nnflow.study.types import Study

LISTED = 8
"""Most values of a swept setting that are listed one by one."""
PARTS = ("model", "dataset", "initializer", "optimizer", "stop")


def runs(study: Study) -> int:
    """All runs of a study; 0 where it trains none."""
    return sum(one.runs for one in study.configurations) if study.trains else 0


def settings(study: Study) -> list[tuple[str, str]]:
    """(what, how) of the settings that say what was done."""
    each = [configuration.settings for configuration in study.configurations]
    shown = []
    if study.trains:
        for part in PARTS:
            given = [getattr(one, part) for one in each]
            dumped = [one.model_dump(mode="json") for one in given if one is not None]
            if dumped:
                shown.append(("stop rule" if part == "stop" else part, _described(dumped)))
        text = _values([one.runs for one in each])
        if len(each) > 1:
            text = f"{text} per configuration, {runs(study)} in all"
        shown.append(("runs", text))
    shown.append(("seed", str(study.settings.seed)))
    return shown


def _described(dumped: list[dict[str, Any]]) -> str:
    """A plugin's name and settings over all configurations: "normal: variance 1, per fan_in"."""
    keys = dict.fromkeys(key for dump in dumped for key in dump)
    values = {key: [dump[key] for dump in dumped if key in dump] for key in keys}
    name = _values(values.pop("name")) if "name" in values else ""
    parts = [
        f"{key.replace('_', ' ')} {_values(some)}"
        for key, some in values.items()
        if any(value not in (None, False) for value in some)
    ]
    return ": ".join(part for part in (name, ", ".join(parts)) if part)


def _values(values: list[Any]) -> str:
    """The different values, or how many there are."""
    texts = list(dict.fromkeys(value(one) for one in values))
    if len(texts) == 1:
        return texts[0]
    if len(texts) > LISTED:
        return f"{texts[0]} … {texts[-1]} ({len(texts)} values)"
    return f"{{{', '.join(texts)}}}"


def value(one: Any) -> str:
    """A value of a setting as text."""
    if isinstance(one, dict):
        return _described([one])
    if isinstance(one, (list, tuple)):
        return f"[{', '.join(value(item) for item in one)}]"
    if one is None or isinstance(one, bool):
        return {None: "none", True: "yes", False: "no"}[one]
    if isinstance(one, float):
        return number(one)
    return str(one).replace("-", "−", isinstance(one, int))
