"""initialize: the first weights of every run."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import xarray as xr

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.samples import load_arrays
from nnflow.interfaces import Initializer, Plugin, Start
from nnflow.interfaces.model import weight_dimensions
from nnflow.stages.faults import blaming
from nnflow.stages.job import Job, run_coordinates
from nnflow.stages.reading import naming_files
from nnflow.study.types import Configuration, ConfigurationSettings
from nnflow.study.vary import RESERVED


def initialize(job: Job) -> None:
    """Draw the first weights of all runs of all configurations; writes initialization.nc."""
    datasets = {}
    for configuration in job.study.configurations:
        settings = configuration.settings
        with blaming(job, (settings.model, settings.initializer), configuration.label):
            _check_shapes(job, configuration)
            with naming_files(job, _readers(settings)):
                given = _drawn(job, configuration)
            drawn = {name: _array(values) for name, values in given.items()}
            axes = weight_dimensions(settings.model)
        variables = {}
        for name, shape in settings.model.shapes().items():
            _check(job, configuration, name, shape, drawn)
            attributes = {"long_name": f"first weight {name}"}
            variables[name] = (("run", *axes[name]), drawn[name].astype(np.float64), attributes)
        for name, shape in settings.model.buffers().items():
            _check(job, configuration, name, shape, drawn)
            attributes = {"long_name": f"buffer {name}"}
            variables[name] = (("run", *axes[name]), _number(drawn[name]), attributes)
        coordinates = run_coordinates(configuration, 0, configuration.runs)
        datasets[configuration.label] = xr.Dataset(variables, coordinates)
    job.write(job.folder / "initialization.nc", datasets, "first weights")


def _readers(settings: ConfigurationSettings) -> tuple[Plugin | None, ...]:
    """The plugins that may read files here; the dataset where first weights may depend on it."""
    plugins = (settings.model, settings.initializer)
    depends = type(settings.initializer).start is not Initializer.start
    return (*plugins, settings.dataset) if depends else plugins


def _drawn(job: Job, configuration: Configuration) -> dict[str, np.ndarray]:
    """First weights of all runs. Starts that several settings share are drawn once."""
    settings, grid = configuration.settings, configuration.grid
    runs = np.arange(configuration.runs)
    varied = grid.values("initializer", runs)
    starts = grid.start_of(runs) if varied else np.arange(settings.runs)
    streams = Streams(job.study.settings.seed, configuration.label, starts, "initialize")
    bound = {name: values[:, None] for name, values in varied.items()}
    initializer = settings.initializer.with_values(bound)
    drawn = initializer.start(
        Start(
            settings.model.shapes(),
            streams,
            settings.model,
            configuration.label,
            partial(_arrays, job, settings),
            {study.name: job.read.of(study.name) for study in job.study.used},
        )
    )
    drawn = _with_buffers(settings, streams, drawn)
    if varied or not grid.axes:
        return drawn
    return {name: np.asarray(values)[grid.start_of(runs)] for name, values in drawn.items()}


def _with_buffers(
    settings: ConfigurationSettings, streams: Streams, drawn: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """What was drawn, and the model's own buffers where the initializer gave none."""
    missing = [name for name in settings.model.buffers() if name not in drawn]
    own = settings.model.initial(streams) if missing else {}
    return {**drawn, **{name: own[name] for name in missing}}


def _number(values: np.ndarray) -> np.ndarray:
    """Whole numbers and truth values as int64, real ones as float64."""
    return values.astype(np.float64 if values.dtype.kind == "f" else np.int64)


def _arrays(job: Job, settings: ConfigurationSettings) -> dict[str, np.ndarray]:
    """The arrays of the configuration's dataset; {} where it has none."""
    return dict(load_arrays(settings.dataset, job.data)) if settings.dataset else {}


def _check_shapes(job: Job, configuration: Configuration) -> None:
    """Raise UserError where a model has no weights."""
    model = configuration.settings.model
    sizes = {name: math.prod(shape) for name, shape in model.shapes().items()}
    if not sizes or 0 in sizes.values():
        empty = ", ".join(repr(name) for name, size in sizes.items() if size == 0)
        what = f"the weight {empty} has no entries" if empty else "has no weights"
        raise UserError(f"{job.study.file}: model: {model.name!r}: {what}")


def _array(values: object) -> np.ndarray:
    """First weights as an array; a masked value is missing, and so not finite."""
    if type(values).__module__.partition(".")[0] == "torch":
        values = values.detach().cpu().numpy()
    if isinstance(values, np.ma.MaskedArray):
        return values.astype(np.float64).filled(np.nan)
    return np.asarray(values)


def _check(
    job: Job,
    configuration: Configuration,
    name: str,
    shape: tuple[int, ...],
    drawn: dict[str, np.ndarray],
) -> None:
    """Raise UserError where a weight is not what it has to be."""
    study, settings = job.study, configuration.settings
    if name in RESERVED or name.startswith(("trace_", "kept_")):
        raise UserError(
            f"{study.file}: model: {settings.model.name!r} calls a weight {name!r}, a"
            " name that the datasets use for something else; rename it"
        )
    if "/" in name:
        raise UserError(
            f"{study.file}: model: {settings.model.name!r} calls a weight {name!r}; netCDF has no"
            " slash in names; rename it"
        )
    if name in configuration.grid.dimensions():
        raise UserError(
            f"{study.file}: vary: {settings.model.name!r} calls a weight {name!r}, which here is"
            " the name of a setting that varies, or of the starts; rename the weight"
        )
    whose = f"{study.file}: {configuration.label}: initializer {settings.initializer.name!r}"
    expected = (configuration.runs, *shape)
    if name not in drawn or drawn[name].shape != expected:
        got = drawn[name].shape if name in drawn else "nothing"
        raise UserError(f"{whose} gave {got} for the weight {name!r}, not {expected}")
    if not np.isfinite(drawn[name]).all():
        raise UserError(f"{whose} gave the weight {name!r} values that are not finite")
