"""summarize: the table of a study, and its claims."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages.job import Job
from nnflow.study.claims import described, to_csv
from nnflow.study.totals import sentence, statements, totals
from nnflow.study.verdicts import judge


def summarize(job: Job) -> None:
    """Gather the columns over `configuration` of all analyses; writes summary.nc and claims.csv."""
    study = job.study
    columns: dict[str, xr.Variable] = {}
    for name in study.settings.analyses:
        for column, variable in job.read[name].data_vars.items():
            if variable.dims == ("configuration",):
                columns[column] = variable.variable
    labels = np.array([configuration.label for configuration in study.configurations], dtype=str)
    summary = xr.Dataset(
        columns, {"configuration": ("configuration", labels, {"long_name": "configuration"})}
    )
    for claim in study.settings.claims:
        counted = claim.trials or claim.published_runs
        for column in (claim.value, *([claim.runs_column] if counted else [])):
            if column not in summary:
                raise UserError(
                    f"{study.file}: claims.{claim.claim}: no analysis gives the column {column!r}"
                    f" (there are: {', '.join(sorted(columns)) or 'none'})"
                )
    job.write(job.folder / "summary.nc", {"": summary}, "summary")
    rows = judge(study.name, study.settings.claims, summary)
    store.write_text(job.folder / "claims.csv", to_csv(rows))
    if rows:
        job.reporter.line(sentence(totals(statements(rows, {}))))
    for row in rows:
        if row["verdict"] == "differs":
            job.reporter.note(f"differs: {described(row)}")
