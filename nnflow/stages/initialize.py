"""initialize: the first weights of every run."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.interfaces.model import weight_dimensions
from nnflow.stages.faults import blaming
from nnflow.stages.job import Job, run_coordinate

RESERVED = {
    "run", "loss", "gradient_norm", "steps", "restarts", "status", "stopped_by", "trace_step",
    "distance", "kind", "index", "nullity", "min_eigenvalue", "max_eigenvalue", "zero_range",
    "is_global", "family", "eigenvalue", "residual", "dense_eigenvalue", "count", "mode",
    "invariant",
}  # fmt: skip
"""Names that the datasets give to other things than weights."""


def initialize(job: Job) -> None:
    """Draw the first weights of all runs of all configurations; writes initialization.nc."""
    study = job.study
    datasets = {}
    for configuration in study.configurations:
        settings = configuration.settings
        streams = Streams(
            study.settings.seed, configuration.label, np.arange(settings.runs), "initialize"
        )
        with blaming(job, (settings.model, settings.initializer), configuration.label):
            shapes = settings.model.shapes()
            drawn = settings.initializer.draw(shapes, streams)
            axes = weight_dimensions(settings.model)
        variables = {}
        for name, shape in shapes.items():
            if name in RESERVED or name.startswith("trace_"):
                raise UserError(
                    f"{study.file}: model: {settings.model.name!r} calls a weight {name!r}, a"
                    " name that the datasets use for something else; rename it"
                )
            if name not in drawn or drawn[name].shape != (settings.runs, *shape):
                got = drawn[name].shape if name in drawn else "nothing"
                raise UserError(
                    f"{study.file}: {configuration.label}: initializer"
                    f" {settings.initializer.name!r} gave {got} for the weight"
                    f" {name!r}, not {(settings.runs, *shape)}"
                )
            if not np.isfinite(drawn[name]).all():
                raise UserError(
                    f"{study.file}: {configuration.label}: initializer"
                    f" {settings.initializer.name!r} gave the weight {name!r} values"
                    " that are not finite"
                )
            attributes = {"long_name": f"first weight {name}"}
            variables[name] = (("run", *axes[name]), drawn[name].astype(np.float64), attributes)
        datasets[configuration.label] = xr.Dataset(variables, run_coordinate(0, settings.runs))
    job.write(job.folder / "initialization.nc", datasets, "first weights")
