"""summarize: the table of a study, and its claims."""

from __future__ import annotations

import numpy as np
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages.job import Job
from nnflow.study.claims import described, to_csv
from nnflow.study.totals import counted_as, sentence, statements, totals
from nnflow.study.verdicts import judge


def summarize(job: Job) -> None:
    """Gather the columns over `configuration` of all analyses; writes summary.nc and claims.csv.

    Raises UserError where two analyses give one column with different values.
    """
    study = job.study
    columns: dict[str, xr.Variable] = {}
    of: dict[str, str] = {}
    for name in study.settings.analyses:
        for column, variable in job.read[name].data_vars.items():
            if variable.dims != ("configuration",):
                continue
            if not columns.setdefault(column, variable.variable).equals(variable.variable):
                raise UserError(
                    f"{study.file}: analyses: {of[column]!r} and {name!r} both give the column"
                    f" {column!r}, with different values; a claim would not know which is meant"
                )
            of.setdefault(column, name)
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
    for row in rows:
        if row["verdict"] == "differs":
            job.reporter.note(f"differs: {described(row)}")
    # the last line, which `nnflow run` shows
    names = counted_as(study.name, study.settings.claims)
    job.reporter.line(sentence(totals(statements(rows, names))) or "no claims")
