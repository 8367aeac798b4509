"""Studies: one question, one YAML file in config/studies/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, NonNegativeInt, PositiveInt

from nnflow.base.settings import Settings, check_name, one_spelling
from nnflow.interfaces import (
    Analysis,
    Dataset,
    Figure,
    Initializer,
    Model,
    Optimizer,
    Plugin,
)
from nnflow.study.claims import Claim
from nnflow.study.stage_settings import Certify, Classify, Spectrum, Stop, Trace
from nnflow.study.vary import Grid, Numbers

OBJECTIVE = "objective"
"""What an analysis or a figure that evaluates the loss names among its needs."""
STAGE_DATASETS = (
    "initialization", "training", "critical_points", "certificates", "spectra", "summary",
)  # fmt: skip


class ConfigurationSettings(Settings):
    """All settings of one configuration."""

    model: Model | None = None
    """The loss landscape."""
    dataset: Dataset | None = None
    """The samples the model learns from; none for a population loss."""
    initializer: Initializer | None = None
    """The law of the first weights."""
    optimizer: Optimizer | None = None
    """The rule that moves the weights."""
    runs: PositiveInt = 100
    """Runs per configuration; with `vary`, of each of its settings."""
    vary: dict[str, Numbers] = {}
    """Numbers of optimizer, initializer or model that differ from run to run: by dotted key, a list
    or a range `{from, to, count, spacing}`; several keys make a grid."""
    precision: Literal["float64", "float32"] = "float64"
    """Numbers that runs are trained in. float32 is for accelerators, and refused where a stop
    rule can't be reached in it; classification and spectra are always in float64."""
    stop: Stop = Stop()
    trace: Trace = Trace()
    classify: Classify = Classify()
    spectrum: Spectrum = Spectrum()
    certify: Certify | None = None
    """Which critical points get certificates; null: none. Needs a model that gives an
    enclosure."""


def _named(value: Any) -> Any:
    """`{id: null}` and `{id: {settings}}` name the plugin `id`."""
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, str):
                raise ValueError("expected a list of names, or a mapping from names to settings")
            if value.count(item) > 1:
                raise ValueError(f"{item!r} stands twice")
        value = dict.fromkeys(value)
    if not isinstance(value, dict):
        return value
    for key in value:
        check_name(str(key))
    return {
        key: {"name": key, **(item or {})} if isinstance(item, dict | None) else item
        for key, item in value.items()
    }


class StudySettings(Settings):
    """The settings that a study has once, whatever its configurations."""

    title: str
    """One line, the heading of its section in the report."""
    question: str = ""
    """What is asked, in one sentence."""
    description: str = ""
    """A paragraph for the report: how it is studied."""
    source: str = ""
    """The published text that is studied."""
    seed: NonNegativeInt = 0
    """Seed of all random streams."""
    uses: list[str] = []
    """Studies whose results this one starts from or compares with; they run first, at the same
    scale."""
    batch: PositiveInt = 1000
    """Most runs that one job carries."""
    judge: bool = True
    """Judge the ends of runs: kinds of critical points, families and Hessian spectra. false: they
    are left as they are, for a study of other things, whose analyses then read `training`."""
    analyses: Annotated[dict[str, Analysis], BeforeValidator(_named)] = {}
    """Analyses by the name of their dataset."""
    figures: Annotated[dict[str, Figure], BeforeValidator(_named)] = {}
    """Figures by the name of their file."""
    headline_figure: str = ""
    """The figure that the report shows first; empty: the first of `figures`."""
    findings: list[str] = []
    """What came out, in one or two sentences each: the answer in plain words. Numbers are columns
    of the summary in braces, `{share[k=6,n=6]:.0%}`, and come with their intervals."""
    claims: list[Claim] = []
    """Published statements that the results are held against."""


@dataclass(frozen=True)
class Configuration:
    """One combination of a study's swept parameters."""

    label: str
    parameters: dict[str, Any]
    settings: ConfigurationSettings

    @cached_property
    def grid(self) -> Grid:
        """The settings that differ from run to run; without any, the runs alone."""
        return Grid(self.settings.vary, self.settings.runs)

    @property
    def runs(self) -> int:
        """All runs: those of every varied setting."""
        return self.grid.runs

    @property
    def experiment(self) -> ConfigurationSettings:
        """What `settings` was called in version 0.1."""
        return self.settings


@dataclass(frozen=True)
class RunSlice:
    """Runs start … stop−1 of one configuration."""

    configuration: Configuration
    start: int
    stop: int


@dataclass(frozen=True)
class Study:
    """A study at one scale."""

    name: str
    file: str
    scale: str
    settings: StudySettings
    configurations: tuple[Configuration, ...]
    used: tuple[Study, ...] = ()

    @property
    def points(self) -> tuple[Configuration, ...]:
        """What `configurations` were called in version 0.1."""
        return self.configurations

    @property
    def trains(self) -> bool:
        """Does the study train networks, or does it begin at analyze?"""
        return self.configurations[0].settings.model is not None

    @property
    def judges(self) -> bool:
        """Are the ends of its runs judged?"""
        return self.trains and self.settings.judge

    @property
    def certifies(self) -> bool:
        """Does the study prove anything?"""
        return self.configurations[0].settings.certify is not None

    @cached_property
    def batches(self) -> tuple[tuple[RunSlice, ...], ...]:
        """The runs of all configurations in order, cut into batches of at most `batch` runs."""
        batches: list[list[RunSlice]] = [[]]
        room = self.settings.batch
        for configuration in self.configurations:
            start = 0
            while start < configuration.runs:
                if room == 0:
                    batches.append([])
                    room = self.settings.batch
                stop = min(configuration.runs, start + room)
                batches[-1].append(RunSlice(configuration, start, stop))
                room -= stop - start
                start = stop
        return tuple(tuple(batch) for batch in batches)

    @property
    def analyses_in_order(self) -> list[str]:
        """The names of the analyses, each after those that it needs."""
        known = self.settings.analyses
        needed = {name: [n for n in known[name].needs if n in known] for name in known}
        return list(TopologicalSorter(needed).static_order())

    def plugins(self, *parts: str) -> Iterator[Plugin]:
        """The plugins in the given parts (model, optimizer, analyses, …) of the study."""
        for part in parts:
            if part in StudySettings.model_fields:
                for plugin in getattr(self.settings, part).values():
                    yield from plugin.plugins()
            else:
                for configuration in self.configurations:
                    plugin = getattr(configuration.settings, part)
                    if isinstance(plugin, Plugin):
                        yield from plugin.plugins()

    def settings_json(self, *parts: str) -> str:
        """The given parts of the settings as canonical JSON."""
        once = {p: _plain(self.settings, p) for p in parts if p in StudySettings.model_fields}
        configurations = [
            {
                "label": configuration.label,
                **{
                    part: _plain(configuration.settings, part)
                    for part in parts
                    if part in ConfigurationSettings.model_fields
                },
            }
            for configuration in self.configurations
        ]
        return json.dumps({**once, "configurations": configurations}, sort_keys=True)


def _plain(settings: Settings, part: str) -> Any:
    # as_any: a plugin with the settings of its own class, which the field's type lacks
    dumped = settings.model_dump(mode="json", include={part}, serialize_as_any=True)
    return one_spelling(dumped[part])
