"""initialize: the first weights of every run."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.errors import UserError
from nnflow.faults import blaming
from nnflow.interfaces.model import weight_dimensions
from nnflow.job import Job, run_coordinate
from nnflow.streams import Streams

RESERVED = {
    "run", "loss", "gradient_norm", "steps", "restarts", "status", "stopped_by", "trace_step",
    "distance", "kind", "index", "nullity", "min_eigenvalue", "max_eigenvalue", "zero_range",
    "is_global", "family", "eigenvalue", "residual", "dense_eigenvalue", "count", "mode",
    "invariant",
}  # fmt: skip
"""Names that the datasets give to other things than weights."""


def initialize(job: Job) -> None:
    """Draw the first weights of all runs of all points; writes initialization.nc."""
    study = job.study
    datasets = {}
    for point in study.points:
        experiment = point.experiment
        streams = Streams(study.outline.seed, point.label, np.arange(experiment.runs), "initialize")
        with blaming(job, (experiment.model, experiment.initializer), point.label):
            shapes = experiment.model.shapes()
            drawn = experiment.initializer.draw(shapes, streams)
            axes = weight_dimensions(experiment.model)
        variables = {}
        for name, shape in shapes.items():
            if name in RESERVED or name.startswith("trace_"):
                raise UserError(
                    f"{study.file}: model: {experiment.model.name!r} calls a weight {name!r}, a"
                    " name that the datasets use for something else; rename it"
                )
            if name not in drawn or drawn[name].shape != (experiment.runs, *shape):
                got = drawn[name].shape if name in drawn else "nothing"
                raise UserError(
                    f"{study.file}: {point.label}: initializer {experiment.initializer.name!r} gave"
                    f" {got} for the weight {name!r}, not {(experiment.runs, *shape)}"
                )
            if not np.isfinite(drawn[name]).all():
                raise UserError(
                    f"{study.file}: {point.label}: initializer {experiment.initializer.name!r}"
                    f" gave the weight {name!r} values that are not finite"
                )
            attributes = {"long_name": f"first weight {name}"}
            variables[name] = (("run", *axes[name]), drawn[name].astype(np.float64), attributes)
        datasets[point.label] = xr.Dataset(variables, run_coordinate(0, experiment.runs))
    job.write(job.folder / "initialization.nc", datasets, "first weights")
