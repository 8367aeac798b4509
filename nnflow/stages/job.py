"""What every stage is given: a study, where its files are, and how to report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter

if TYPE_CHECKING:
    from nnflow.base.checkpoint import Checkpoint
    from nnflow.study.results import Results
    from nnflow.study.types import Configuration, RunSlice, Study

CHECKPOINT_EVERY = 300.0
"""Seconds between two checkpoints: what a kill may cost. Studies of quick scale write none."""


@dataclass(frozen=True)
class Job:
    """One job of a stage.

    results: the folder results/. data: where datasets keep their files. gpus: how many
    GPUs the job was given. provenance: attributes for what it writes. depends: a hash of the
    settings, code and packages that its numbers depend on. checkpoint_every: in seconds.
    landscape, check: what `Results` needs.
    """

    study: Study
    results: Path
    data: Path
    gpus: int
    provenance: dict[str, Any]
    reporter: Reporter
    depends: str = ""
    checkpoint_every: float = CHECKPOINT_EVERY
    landscape: Callable[[Study, Configuration, int | None], Any] | None = None
    check: Callable[[str, Path], None] = lambda study, file: None

    @property
    def folder(self) -> Path:
        """results/<scale>/<study>."""
        return self.results / self.study.scale / self.study.name

    @cached_property
    def read(self) -> Results:
        """The study's datasets."""
        from nnflow.study.results import Results

        return Results(self.study, self.folder, self.reporter, self.landscape, self.check)

    def batch_path(self, dataset: str, batch: int) -> Path:
        """Where the part of a dataset that one batch carries is kept."""
        return self.folder / "batches" / f"{dataset}-{batch}.nc"

    def checkpoint(self, stage: str, batch: int, *inputs: Path) -> Checkpoint:
        """Where the job of a batch keeps how far it is; at a path of its own for other
        settings, code, inputs or devices, as those give other bits."""
        from nnflow.base.checkpoint import Checkpoint, key

        read = [store.digest(path) for path in inputs if path.exists()]
        name = f"{stage}-{batch}-{key(self.depends, self.gpus, *read)}.nc"
        path = self.folder / "checkpoints" / name
        return Checkpoint(path, self.checkpoint_every, partial(self.reporter.line, terminal=False))

    def with_code_hash(self, code: str) -> Job:
        """The same job, writing provenance with this hash of the code."""
        told = {**self.provenance.get("provenance", {}), "code": code}
        return replace(self, provenance={**self.provenance, "provenance": told})

    def write(self, path: Path, datasets: dict[str, xr.Dataset], title: str) -> None:
        """Write datasets by configuration label, with provenance."""
        store.write(path, datasets, self.file_attributes(title))

    def file_attributes(self, title: str) -> dict[str, Any]:
        """Attributes of a file that the job writes: its title and provenance."""
        return {"title": f"{self.study.settings.title}: {title}", **self.provenance}

    def write_slices(
        self, path: Path, slices: tuple[RunSlice, ...], datasets: list[xr.Dataset], title: str
    ) -> None:
        """Write the datasets of a batch's slices, one group each."""
        self.write(
            path,
            {
                run_slice.configuration.label: d
                for run_slice, d in zip(slices, datasets, strict=True)
            },
            title,
        )

    def read_slices(self, path: Path, slices: tuple[RunSlice, ...]) -> list[xr.Dataset]:
        """The datasets of a batch's slices, in order."""
        found = store.read(path)
        self.check(self.study.name, path)
        if len(slices) == 1:
            return list(found.values())
        return [found[run_slice.configuration.label] for run_slice in slices]


def run_coordinates(
    configuration: Configuration, start: int, stop: int
) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
    """The coordinate `run`, and the settings that differ from run to run."""
    runs = np.arange(start, stop)
    text = {"long_name": "number of the run in its configuration"}
    return {"run": ("run", runs, text), **configuration.grid.coordinates(runs)}


def pick_device(gpus: int) -> str:
    """ "cuda" for a job that was given a GPU, else "cpu"; UserError where there is none."""
    if gpus == 0:
        return "cpu"
    import torch

    if not torch.cuda.is_available():
        raise UserError("this job was given a GPU (gpu=1), but torch finds no CUDA device here")
    return "cuda"
