"""A study's results, as analyses and figures read them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import xarray as xr

from nnflow.base import store
from nnflow.base.progress import Reporter
from nnflow.study.types import STAGE_DATASETS, Configuration, Study


class Results:
    """The datasets of a study, read when first asked for.

    folder: results/<scale>/<study>. reporter: of the job that reads them, if one does.
    """

    def __init__(self, study: Study, folder: Path, reporter: Reporter | None = None) -> None:
        self.study = study
        self.folder = folder
        self._reporter = reporter
        self._read: dict[str, dict[str, xr.Dataset]] = {}

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        """The study's configurations, in order."""
        return self.study.configurations

    def each(self, name: str) -> Iterator[tuple[Configuration, xr.Dataset]]:
        """(configuration, dataset) for a stage's dataset: initialization, training,
        critical_points, certificates or spectra."""
        datasets = self._datasets(name)
        for configuration in self.configurations:
            yield (
                configuration,
                datasets[configuration.label] if len(self.configurations) > 1 else datasets[""],
            )

    def at(self, name: str, label: str) -> xr.Dataset:
        """A stage's dataset at the configuration with this label."""
        return next(
            dataset for configuration, dataset in self.each(name) if configuration.label == label
        )

    def __getitem__(self, name: str) -> xr.Dataset:
        """The dataset of an analysis, or `summary`."""
        return self._datasets(name)[""]

    def progress(self, done: int, total: int, detail: str = "") -> None:
        """Show that `done` of `total` parts of a long computation are finished. May be called
        often: at most one line every few seconds is written."""
        if self._reporter is not None:
            self._reporter.update(done, total, detail)

    def _datasets(self, name: str) -> dict[str, xr.Dataset]:
        if name not in self._read:
            self._read[name] = store.read(dataset_path(self.folder, name))
        return self._read[name]


def dataset_path(folder: Path, name: str) -> Path:
    """Where a study keeps the dataset of a stage or an analysis."""
    inside = folder if name in STAGE_DATASETS else folder / "analyses"
    return inside / f"{name}.nc"
