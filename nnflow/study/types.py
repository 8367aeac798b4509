"""Studies: one question, one YAML file in config/studies/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

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
from nnflow.study.vary import Grid, Numbers

OBJECTIVE = "objective"
"""What an analysis or a figure that evaluates the loss names among its needs."""
STAGE_DATASETS = (
    "initialization", "training", "critical_points", "certificates", "spectra", "summary",
)  # fmt: skip


class Stop(Settings):
    """When a run ends. The rules are looked at every `check_every` steps."""

    gradient_norm: PositiveFloat | None = 1e-8
    """Converged when the norm of the gradient falls below this."""
    norm: Literal["frobenius", "neuron"] = "frobenius"
    """Norm of the gradient: of all weights, or the largest of any neuron (matrix row)."""
    basin: bool = False
    """Converged as soon as the run is provably inside the basin of a minimum. Needs a
    model with a third-derivative bound and an optimizer that contracts there."""
    loss: PositiveFloat | None = None
    """Converged when the loss falls below this: decided, as it can no longer rise."""
    steps: PositiveInt = 100_000
    """Step limit."""
    diverged_above: PositiveFloat = 1e4
    """Diverged when a neuron's norm exceeds this, or the loss is not finite."""
    halvings: NonNegativeInt = 0
    """How often a diverged run starts again from its first weights with half the step."""
    check_every: PositiveInt = 25
    """Steps between two looks at the rules; the resolution of `steps` in the results."""


class Trace(Settings):
    """What is recorded along a trajectory, at log-spaced steps."""

    points_per_decade: PositiveInt = 10
    """Recorded steps per factor of ten."""
    weights: PositiveInt | None = None
    """Steps per factor of ten at which the weights of every run are kept; null: they are not."""


class Ends(Settings):
    """How many eigenvalues are computed at each end of a spectrum."""

    lowest: NonNegativeInt = 0
    """Of the lowest ones."""
    highest: NonNegativeInt = 0
    """Of the highest ones."""

    @model_validator(mode="after")
    def _some(self) -> Ends:
        if self.lowest + self.highest == 0:
            raise ValueError("lowest or highest must be positive")
        return self


class Classify(Settings):
    """How ends of runs are judged."""

    polish: Literal["newton", "none"] = "newton"
    """Move each end onto the critical point beside it first, by damped Newton steps within the
    range of the Hessian; above `dense_up_to` weights they are solved for matrix-free."""
    polish_radius: PositiveFloat = 1.0
    """Polishing that moves a run farther than this is undone."""
    critical_below: PositiveFloat = 1e-9
    """A point is critical when its gradient norm is below this, and its curvature backs it.
    Polished points reach 1e-13; the largest drift that 1e-9 allows at eigenvalue λ is 1e-9/λ."""
    zero_below: PositiveFloat = 1e-7
    """An eigenvalue counts as zero below this fraction of the largest magnitude, or where the
    gradient leaves its sign in doubt. Errors of float64 Hessians are near 1e-13 of it;
    `zero_range` records which other values would judge alike."""
    global_within: PositiveFloat = 1e-6
    """A point is global when its loss exceeds the model's infimum by less than this."""
    family_within: PositiveFloat = 1e-6
    """Two points are of one family when their invariants differ by less than this."""
    kinks_within: PositiveFloat = 1e-9
    """Kinks of the loss count at a point when they pass it at a distance of at most this, where
    the model says which. Descent with a fixed rate does not come to rest at a kink: its runs end
    about as far from it as a step is long."""
    dense_up_to: PositiveInt = 1000
    """Most weights for which Hessians are formed; above, they are used matrix-free."""
    extreme_eigenvalues: PositiveInt = 4
    """How many eigenvalues at each end of the spectrum are computed matrix-free."""
    eigenvalues: Ends | None = None
    """The same for each end apart; `{highest: 5}` asks for the upper end alone. null: as
    `extreme_eigenvalues` says."""

    @property
    def ends(self) -> tuple[int, int]:
        """How many of the lowest and of the highest eigenvalues are computed matrix-free."""
        if self.eigenvalues is None:
            return self.extreme_eigenvalues, self.extreme_eigenvalues
        return self.eigenvalues.lowest, self.eigenvalues.highest


class Quadrature(Settings):
    """Stochastic Lanczos quadrature: a density from products of the Hessian with vectors."""

    steps: PositiveInt = 80
    """Lanczos steps of each probe: nodes of its density. As many vectors are kept in memory."""
    probes: PositiveInt = 10
    """Random vectors; the density is the mean over them."""
    seed: NonNegativeInt = 0
    """Of the random vectors, which are the same for all runs."""


class Spectrum(Settings):
    """Which Hessian spectra are computed."""

    at: Literal["families", "runs", "trace"] = "families"
    """At one point of each family, at the end of every run, or at the weights that `trace.weights`
    keeps along the trajectories."""
    most: PositiveInt = 20
    """At most so many families (the most frequent ones) or runs per configuration: the first ones
    or, where settings vary, some at equal distances."""
    density: Literal["exact"] | Quadrature | None = None
    """A spectral density beside the eigenvalues: `exact` from all of them; `{steps: 80, probes:
    10}` by stochastic Lanczos quadrature, for Hessians of any size; null: none."""
    compare_dense_up_to: PositiveInt = 2000
    """Up to so many weights, matrix-free eigenvalues are compared with the dense ones at
    the first run of each point."""


class Certify(Settings):
    """Which critical points are proved to be what they are."""

    kinds: list[Literal["minimum", "saddle", "maximum"]] = ["minimum", "saddle"]
    """Kinds of critical points, as classified."""
    most: PositiveInt = 3
    """At most so many families of each kind, the most frequent ones, per configuration; one run of
    each is certified."""
    global_minima: bool = False
    """Certify points of lowest loss, too."""
    radius: PositiveFloat | None = None
    """Half-width of the box around a run's end in which the critical point is proved to lie,
    alone; null: the smallest that serves, about 1e-12."""
    precision: Annotated[int, Field(ge=53, le=4096)] = 64
    """Bits of the ball arithmetic."""


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
