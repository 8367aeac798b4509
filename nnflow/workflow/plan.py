"""What the workflow has to do: which studies, which files, and what each job depends on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial, wraps
from pathlib import Path
from typing import Any, TypeVar

from nnflow.base.compiled import Compiled
from nnflow.base.errors import UserError
from nnflow.base.settings import check_name
from nnflow.interfaces import Initializer, Plugin
from nnflow.interfaces.plugin import files_of
from nnflow.study.loading import STUDIES, chosen_files, load_study
from nnflow.study.results import dataset_path, part_path
from nnflow.study.types import OBJECTIVE, ConfigurationSettings, Study, StudySettings
from nnflow.workflow.config import CONFIG, checked_config, data_folder, read_config
from nnflow.workflow.fingerprint import code_files, code_hash, content_hash, installed_packages
from nnflow.workflow.resources import Request, planned_size, resources_for

T = TypeVar("T")

LANDSCAPE = "nnflow.engine.landscape"
"""What evaluates the loss in analyses and figures."""
UNSEEN = {
    *("netCDF4", "xarray", "h5py", "h5netcdf", "tables", "zarr", "safetensors", "pyarrow"),
    *("polars", "duckdb", "cv2", "torchvision", "imageio"),
}
"""Packages that open files without Python's `open`."""
NO_DATA_FOLDER = "no folder for data: set NNFLOW_DATA, as there is no home folder"

SETTINGS: dict[str, tuple[str, ...]] = {
    "initialize": ("seed", "model", "initializer", "runs", "vary"),
    "train": (
        "seed",
        "batch",
        "model",
        "dataset",
        "optimizer",
        "runs",
        "vary",
        "precision",
        "stop",
        "trace",
    ),
    "classify": ("seed", "batch", "model", "dataset", "runs", "vary", "classify"),
    "collect": ("batch", "runs", "vary", "classify"),
    "certify": ("model", "certify"),
    "spectrum": ("seed", "model", "dataset", "runs", "vary", "classify", "spectrum"),
    "analyze": ("seed", "analyses"),
    "summarize": ("analyses", "claims"),
    "draw": ("figures",),
    "report": (
        "title",
        "question",
        "description",
        "source",
        "figures",
        "headline_figure",
        "findings",
        "claims",
    ),
}
"""The parts of a study that a stage reads itself; the rest reaches it through its inputs."""

PLUGINS: dict[str, tuple[str, ...]] = {
    "initialize": ("model", "initializer"),
    "train": ("model", "dataset", "optimizer"),
    "classify": ("model", "dataset"),
    "certify": ("model",),
    "spectrum": ("model", "dataset"),
    "analyze": ("analyses",),
    "draw": ("figures",),
}
"""The plugins whose code a stage runs."""


def _once(method: Callable[..., T]) -> cached_property[Callable[..., T]]:
    """The method, worked out once for each of its arguments: all batches of a study ask the same.
    Kept by the plan itself, as files may have changed for an equal one."""
    return cached_property(wraps(method)(lambda self: cache(partial(method, self))))


@dataclass(frozen=True)
class Plan:
    """The studies of a workflow.

    studies: names of files in `folder`. scale: quick or paper. results: where results go. data:
    where datasets keep their files; None: as the environment or config.yaml says.
    Raises UserError where the configuration or a study errs.
    """

    studies: tuple[str, ...]
    scale: str = "quick"
    results: Path = Path("results")
    folder: Path = STUDIES
    data: Path | None = None

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Plan:
        """From config/config.yaml as Snakemake has read it."""
        checked = checked_config(config)
        plan = cls(checked.studies, checked.scale, checked.results, data=checked.data)
        # every mistake in a study is reported before any job starts
        for study in plan.loaded:
            plan.check_files(study)
        return plan

    @cached_property
    def loaded(self) -> dict[str, Study]:
        """The studies by name."""
        for name in self.studies:
            try:
                check_name(str(name))
            except ValueError as error:
                raise UserError(f"{CONFIG}: studies: {error}") from None
        found: dict[str, Study] = {}
        for file in chosen_files(self.studies, self.folder):
            _add(load_study(file, self.scale), found)
        return found

    @cached_property
    def all_studies(self) -> tuple[str, ...]:
        """The studies, and those that they use."""
        return tuple(self.loaded)

    def batches(self, study: str) -> range:
        """The numbers of a study's batches."""
        return range(len(self.loaded[study].batches))

    def size(self, study: str, batch: int) -> int:
        """Runs times weights of a batch, as far as they are known. The largest are trained first:
        one that began last would keep one core busy while the others are idle."""
        slices = self.loaded[study].batches[batch]
        return sum(
            (run_slice.stop - run_slice.start) * planned_size(run_slice.configuration.settings)
            for run_slice in slices
        )

    def needs(self, study: str, part: str, key: str) -> list[str]:
        """The files that an analysis or a figure reads."""
        folder = self.results / self.scale / study
        plugin = getattr(self.loaded[study].settings, part)[key]
        return [str(dataset_path(folder, need)) for need in plugin.needs if need != OBJECTIVE]

    def used_files(self, study: str) -> list[str]:
        """The files of the studies that a study uses."""
        return [
            file
            for used in self.loaded[study].used
            for file in (*self.datasets(used.name), *self.analysis_files(used.name))
        ]

    def pattern(self, judged: bool) -> str:
        """A regular expression of the studies whose ends are judged, or are not."""
        names = [name for name, study in self.loaded.items() if study.settings.judge == judged]
        return "|".join(names) or "(?!)"

    def datasets(self, study: str) -> list[str]:
        """The datasets of a study's stages; none where it does not train."""
        loaded = self.loaded[study]
        names = []
        if loaded.trains:
            names += ["initialization", "training"]
        if loaded.judges:
            names += ["critical_points", "spectra"]
        if loaded.certifies:
            names += ["certificates"]
        folder = self.results / self.scale / study
        return [str(dataset_path(folder, name)) for name in names]

    def figures(self, study: str) -> list[str]:
        """The files that drawing a study writes."""
        folder = self.results / self.scale / study
        places = ("figures/{}.svg", "figures/{}.png", "inline/{}.txt")
        names = self.loaded[study].settings.figures
        return [str(folder / place.format(name)) for name in names for place in places]

    def figure_inputs(self, study: str) -> list[str]:
        """The files that a study's figures read."""
        read = self._all_needs(study, "figures", self.loaded[study].settings.figures)
        return [*read, *self.used_files(study)]

    def analyses(self, study: str) -> list[str]:
        """The names of a study's analyses, each after those that it needs."""
        return self.loaded[study].analyses_in_order

    def analysis_files(self, study: str) -> list[str]:
        """The files that a study's analyses write."""
        folder = self.results / self.scale / study
        return [str(dataset_path(folder, name)) for name in self.analyses(study)]

    def part_files(self, study: str) -> list[str]:
        """The files of the parts of a study's analyses."""
        folder = self.results / self.scale / study
        loaded = self.loaded[study]
        return [
            str(part_path(folder, name, number))
            for name in self.analyses(study)
            for number in range(loaded.settings.analyses[name].parts(loaded))
        ]

    def part_inputs(self, study: str, analysis: str) -> list[str]:
        """The files that a part of an analysis reads."""
        return [*self.needs(study, "analyses", analysis), *self.used_files(study)]

    def analysis_inputs(self, study: str) -> list[str]:
        """The files that a study's analyses read, but for those that they write."""
        written = self.analysis_files(study)
        read = self._all_needs(study, "analyses", self.analyses(study))
        read = [file for file in read if file not in written]
        return [*read, *self.part_files(study), *self.used_files(study)]

    def _all_needs(self, study: str, part: str, names: Iterable[str]) -> list[str]:
        return list(dict.fromkeys(file for n in names for file in self.needs(study, part, n)))

    @_once
    def settings(self, stage: str, study: str) -> str:
        """What a job of the stage depends on besides files and code, as JSON."""
        return self.loaded[study].settings_json(*self.parts(stage, study))

    def parts(self, stage: str, study: str) -> tuple[str, ...]:
        """The parts of a study that a stage reads itself."""
        return (*SETTINGS[stage], *self._read_by_starts(stage, study))

    def _read_by_starts(self, stage: str, study: str) -> tuple[str, ...]:
        """The dataset, where first weights may depend on it."""
        if stage != "initialize":
            return ()
        plugins = self.loaded[study].plugins("initializer")
        initializers = (plugin for plugin in plugins if isinstance(plugin, Initializer))
        depends = any(type(plugin).start is not Initializer.start for plugin in initializers)
        return ("dataset",) if depends else ()

    @_once
    def part_settings(self, study: str, analysis: str) -> str:
        """What a part of an analysis depends on besides files and code, as JSON."""
        told = json.loads(self.settings("analyze", study))
        return json.dumps({**told, "analyses": told["analyses"][analysis]}, sort_keys=True)

    @_once
    def part_depends(self, study: str, analysis: str) -> str:
        """What a part of an analysis depends on besides settings and files of nnflow: the code of
        this analysis, and what that reads."""
        loaded = self.loaded[study]
        plugin = loaded.settings.analyses[analysis]
        plugins, modules = list(plugin.plugins()), ()
        if OBJECTIVE in plugin.needs:
            plugins += loaded.plugins("model", "dataset")
            modules = (LANDSCAPE,)
        read = [content_hash(file) for one in plugins for file in self._named(one)]
        return " ".join([code_hash("analyze", plugins, modules), *read])

    @_once
    def resources_for(self, stage: str, study: str) -> Request:
        """What a job of the stage asks a scheduler for."""
        return resources_for(self.loaded[study], stage)

    @_once
    def all_settings(self, study: str) -> dict[str, Any]:
        """The study's full settings."""
        parts = (*StudySettings.model_fields, *ConfigurationSettings.model_fields)
        return json.loads(self.loaded[study].settings_json(*parts))

    @_once
    def code(self, stage: str, study: str) -> str:
        """Hash of the code that a job of the stage runs."""
        landscape = stage in ("analyze", "draw") and self._evaluates(study, *PLUGINS[stage])
        modules = (LANDSCAPE,) if landscape else ()
        return code_hash(stage, self._plugins(stage, study), modules)

    def compiles(self, stage: str, study: str) -> bool:
        """Does a job of the stage use plugins with functions that are compiled on first use?"""
        files = code_files(stage, self._plugins(stage, study))
        # nnflow itself hands some on, to whom imports them
        modules = (name for name in files if name.split(".")[0] != "nnflow" and name in sys.modules)
        loaded = (vars(sys.modules[name]) for name in modules)
        return any(isinstance(part, Compiled) for names in loaded for part in names.values())

    def _plugins(self, stage: str, study: str) -> list[Plugin]:
        """The plugins whose code a job of the stage runs."""
        parts = (*PLUGINS.get(stage, ()), *self._read_by_starts(stage, study))
        if stage in ("analyze", "draw") and self._evaluates(study, *parts):
            parts = (*parts, "model", "dataset")
        return list(self.loaded[study].plugins(*parts))

    @_once
    def files(self, stage: str, study: str) -> dict[str, str]:
        """{file: hash of its content} of what the plugins of a stage read; "" where there is
        none."""
        named = (self._named(plugin) for plugin in self._plugins(stage, study))
        return {str(file): content_hash(file) for files in named for file in files}

    @cached_property
    def _data_folder(self) -> Path | None:
        return self.data or data_folder(None, read_config())

    def _named(self, plugin: Plugin) -> tuple[Path, ...]:
        """The files that a plugin, or one of its settings, names."""
        folder = self._data_folder
        if folder is None and type(plugin).files is not Plugin.files:
            raise UserError(f"{plugin.name!r}: {NO_DATA_FOLDER}")
        return files_of(plugin, folder)

    def check_files(self, study: str) -> None:
        """Raise UserError where a plugin reads a file that is not there."""
        for stage in PLUGINS:
            for plugin in self._plugins(stage, study):
                for file in self._named(plugin):
                    if not file.exists():
                        raise UserError(
                            f"{self.loaded[study].file}: {plugin.name!r} reads {file}, which is"
                            " missing"
                        )

    def opening_unseen(self, stage: str, study: str) -> dict[str, list[str]]:
        """The plugins of a stage that name no file and use packages which open files in a way that
        nothing sees, by name, with those packages."""
        found = {}
        for plugin in self._plugins(stage, study):
            used = UNSEEN & installed_packages(plugin)
            if used and not plugin.fixed_files(self.data or Path()) and not self._named(plugin):
                found[plugin.name] = sorted(used)
        return found

    def depends(self, stage: str, study: str) -> str:
        """What a job of the stage depends on besides settings and files of nnflow: the hashes of
        its code and of the files that its plugins read. Where those lie does not matter."""
        return " ".join([self.code(stage, study), *self.files(stage, study).values()])

    def _evaluates(self, study: str, part: str) -> bool:
        """Does an analysis or a figure evaluate the loss itself?"""
        plugins = getattr(self.loaded[study].settings, part).values()
        return any(OBJECTIVE in plugin.needs for plugin in plugins)


def _add(study: Study, found: dict[str, Study]) -> None:
    """Add a study after those that it uses."""
    for used in study.used:
        _add(used, found)
    found.setdefault(study.name, study)
