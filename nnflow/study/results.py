"""A study's results, as analyses and figures read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.base.timing import timed
from nnflow.study.timings import read_timings
from nnflow.study.types import STAGE_DATASETS, Configuration, Study

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


class Results:
    """The datasets of a study, read when first asked for.

    folder: results/<scale>/<study>. reporter: of the job that reads them, if one does.
    landscape: makes the loss of a configuration, for `objective`. check: raises UserError where a
    file does not belong to the study as it is.
    """

    def __init__(
        self,
        study: Study,
        folder: Path,
        reporter: Reporter | None = None,
        landscape: Callable[[Study, Configuration, int | None], Any] | None = None,
        check: Callable[[str, Path], None] = lambda study, file: None,
    ) -> None:
        self.study = study
        self._check = check
        self.folder = folder
        self._reporter = reporter
        self._landscape = landscape
        self._read: dict[str, dict[str, xr.Dataset]] = {}
        self.measured: list[dict[str, Any]] = []

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """The study's configurations, in order."""
        return self.study.configurations

    @property
    def tree(self) -> xr.DataTree:
        """All datasets of the study, /DATASET/CONFIGURATION, read when they are asked for."""
        return store.tree(self.folder)

    def each(self, name: str) -> Iterator[tuple[Configuration, xr.Dataset]]:
        """(configuration, dataset) for a stage's dataset: initialization, training,
        critical_points, certificates or spectra."""
        for configuration in self.configurations:
            yield configuration, self._dataset(name, configuration)

    def at(self, name: str, label: str) -> xr.Dataset:
        """A stage's dataset at the configuration with this label. Raises UserError where the study
        has none of that label."""
        return self._dataset(name, self.configuration(label))

    def configuration(self, label: str) -> Configuration:
        """The configuration with this label. Raises UserError where the study has none."""
        for configuration in self.configurations:
            if configuration.label == label:
                return configuration
        known = ", ".join(configuration.label for configuration in self.configurations)
        raise UserError(f"{self.study.file}: no configuration {label!r} (there are: {known})")

    def __getitem__(self, name: str) -> xr.Dataset:
        """The dataset of an analysis, or `summary`."""
        return self._datasets(name)[""]

    def parts(self, analysis: Any) -> list[xr.Dataset]:
        """The parts of an analysis of the study, in order."""
        named = self.study.settings.analyses.items()
        name = next(name for name, plugin in named if plugin is analysis)
        paths = [part_path(self.folder, name, i) for i in range(analysis.parts(self.study))]
        for path in paths:
            self._check(self.study.name, path)
        return [store.read(path)[""] for path in paths]

    def of(self, name: str) -> Results:
        """The results of a study that this one uses. Raises UserError where it uses none of that
        name."""
        for study in self.study.used:
            if study.name == name:
                folder = self.folder.parent / name
                return Results(study, folder, self._reporter, self._landscape, self._check)
        raise UserError(f"{self.study.file}: uses: the study {name!r} is not named there")

    def varied(self, name: str, label: str = "all") -> xr.Dataset:
        """A dataset over runs as maps: in place of `run`, one axis for each setting that varies and
        `start` for the runs of each, `loss(rate, momentum, start)`. A view, not a copy."""
        dataset = self.at(name, label)
        grid = self.configuration(label).grid
        if dataset.sizes.get("run") != grid.runs:
            raise UserError(f"{self.study.file}: {name} does not have all runs at {label}")
        axes = grid.dimensions()
        maps = {
            key: (
                (*axes, *variable.dims[1:]),
                variable.values.reshape(*grid.shape, *variable.shape[1:]),
                variable.attrs,
            )
            for key, variable in dataset.data_vars.items()
            if variable.dims[:1] == ("run",)
        }
        rest = {key: c for key, c in dataset.coords.items() if "run" not in c.dims}
        named = {key: (key, numbers, text) for key, (numbers, text) in axes.items()}
        return xr.Dataset(maps, {**named, **rest}, dataset.attrs)

    def objective(self, configuration: Configuration | str, run: int | None = None) -> Any:
        """The loss of a configuration, which may be named by its label, with its data, and its
        derivatives, as a function of many weights at once: an `engine.landscape.Landscape`. run:
        where settings of the model vary, or it has buffers, the run whose loss is meant."""
        if self._landscape is None:
            raise UserError("these results were opened without a way to the model")
        named = isinstance(configuration, str)
        chosen = self.configuration(configuration) if named else configuration
        first = partial(self.at, "initialization", chosen.label)
        return self._landscape(self.study, chosen, run, first)

    def frame(self, name: str) -> pd.DataFrame:
        """A stage's dataset as a table: one row per run (or family, or certificate), with the swept
        parameters as first columns, plugins and categories by name. What has further axes is left
        out."""
        import pandas as pd

        parts = []
        for configuration, dataset in self.each(name):
            axis = next(iter(dataset.dims))
            columns = {
                key: _decoded(variable)
                for key, variable in dataset.variables.items()
                if variable.dims == (axis,)
            }
            swept = {key: [_shown(value)] for key, value in configuration.parameters.items()}
            repeated = {key: value * dataset.sizes[axis] for key, value in swept.items()}
            parts.append(pd.DataFrame({**repeated, **columns}))
        return pd.concat(parts, ignore_index=True)

    def last(self, variable: str, label: str) -> np.ndarray:
        """The last recorded value of `trace_VARIABLE` of each run, (run, …)."""
        values = self.at("training", label)[f"trace_{variable}"].values
        recorded = np.isfinite(values.reshape(*values.shape[:2], -1)).all(axis=2)
        final = values.shape[1] - 1 - recorded[:, ::-1].argmax(axis=1)
        return values[np.arange(len(values)), final]

    def measure(
        self, name: str, function: Callable[[], T], repeats: int = 7, **numbers: float | str
    ) -> T:
        """Measure how long a function of no arguments takes; what it gives.

        The times go into timings.json and the report, and not to the caller: what an analysis
        computes is the same on every machine. numbers: what the function was measured at, such as
        `weights=1000`. Raises ValueError below three repeats.
        """
        value, row = timed(function, repeats)
        self.measured.append({"name": name, **numbers, **row})
        return value

    def timings(self, analysis: str) -> pd.DataFrame:
        """What an analysis measured, for figures: one row for each call of `measure`, with name,
        numbers, and median, low and high in seconds for one call; empty where it measured nothing.
        """
        import pandas as pd

        return pd.DataFrame(read_timings(self.folder).get(analysis, {}).get("measured", []))

    def progress(self, done: int, total: int, detail: str = "") -> None:
        """Show that `done` of `total` parts of a long computation are finished. May be called
        often: at most one line every few seconds is written."""
        if self._reporter is not None:
            self._reporter.update(done, total, detail)

    def _dataset(self, name: str, configuration: Configuration) -> xr.Dataset:
        several = len(self.configurations) > 1
        return self._datasets(name)[configuration.label if several else ""]

    def _datasets(self, name: str) -> dict[str, xr.Dataset]:
        if name not in self._read:
            path = dataset_path(self.folder, name)
            found = store.read(path)
            self._check(self.study.name, path)
            self._read[name] = found
        return self._read[name]


def _shown(value: Any) -> int | float | str:
    """A swept value in a table; a plugin with its settings by its name, as in labels."""
    if isinstance(value, dict):
        value = value.get("name", value)
    return value if isinstance(value, int | float | str) else str(value)


def _decoded(variable: xr.Variable) -> np.ndarray:
    """The values; categories by their names."""
    if "flag_meanings" not in variable.attrs:
        return variable.values
    names = np.array(variable.attrs["flag_meanings"].split())
    return names[variable.values]


def dataset_path(folder: Path, name: str) -> Path:
    """Where a study keeps the dataset of a stage or an analysis."""
    inside = folder if name in STAGE_DATASETS else folder / "analyses"
    return inside / f"{name}.nc"


def part_path(folder: Path, analysis: str, number: int) -> Path:
    """Where a study keeps one part of an analysis."""
    return folder / "analyses" / analysis / f"{number}.nc"
