"""summarize: the table of a study, and its claims."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow import store
from nnflow.claims import judge, to_csv
from nnflow.errors import UserError
from nnflow.job import Job


def summarize(job: Job) -> None:
    """Gather the columns over `point` of all analyses; writes summary.nc and claims.csv."""
    study = job.study
    columns: dict[str, xr.Variable] = {}
    for name in study.outline.analyses:
        for column, variable in job.read[name].data_vars.items():
            if variable.dims == ("point",):
                columns[column] = variable.variable
    labels = np.array([point.label for point in study.points], dtype=str)
    summary = xr.Dataset(columns, {"point": ("point", labels, {"long_name": "point"})})
    for claim in study.outline.claims:
        for column in (claim.value, *(["runs"] if claim.trials else [])):
            if column not in summary:
                raise UserError(
                    f"{study.file}: claims.{claim.claim}: no analysis gives the column {column!r}"
                    f" (there are: {', '.join(sorted(columns)) or 'none'})"
                )
    job.write(job.folder / "summary.nc", {"": summary}, "summary")
    rows = judge(study.name, study.outline.claims, summary)
    store.write_text(job.folder / "claims.csv", to_csv(rows))
