"""Opening a job: a stage's study with its folders, provenance, progress and checks.

Only the command line imports this: what is here is no part of what a stage computes, so it must
not be part of the hash of a stage's code.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import nnflow
from nnflow.base.checkpoint import key
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.stages.job import Job
from nnflow.study.results import Results
from nnflow.study.types import Configuration, RunSlice, Study
from nnflow.workflow.config import checkpoint_interval, data_folder, read_config
from nnflow.workflow.fingerprint import git_commit, package_versions
from nnflow.workflow.freshness import check_fresh, codes, read_files
from nnflow.workflow.plan import Plan
from nnflow.workflow.runner import join_run

if TYPE_CHECKING:
    import xarray as xr

    from nnflow.engine.landscape import Landscape

READING = ("initialize", "train")
"""Stages whose plugins may read files of the user's."""


def open_job(
    stage: str,
    study: str,
    scale: str = "quick",
    results: Path = Path("results"),
    data: Path | None = None,
    log: Path | None = None,
    gpus: int = 0,
    detail: str = "",
) -> Job:
    """The job of a stage in the working folder.

    data: where datasets keep their files; None: what the environment or config.yaml says. log: a
    file that gets each line of progress. detail: which part of the stage, for the log.
    """
    join_run()
    config = read_config()
    folder = data_folder(data, config)
    plan = Plan((study,), scale, results, data=folder)
    loaded, code = plan.loaded[study], plan.code(stage, study)
    depends = plan.depends(stage, study)
    provenance = {
        "settings": plan.all_settings(study),
        "seed": loaded.settings.seed,
        "code": code,
        "codes": codes(plan, stage, study),
        "files": read_files(plan, stage, study),
        "packages": package_versions(),
        "commit": git_commit(),
    }
    reporter = Reporter(f"{stage} {study}{detail}", log)
    if stage in READING:
        for name, used in plan.opening_unseen(stage, study).items():
            reporter.note(
                f"{name!r} uses {', '.join(used)}, which opens files unseen, and names none in its"
                " method `files`: a change of one makes nothing again"
            )
    return Job(
        loaded,
        results,
        folder,
        gpus,
        {
            "study": study,
            "scale": scale,
            **_origin(stage, loaded),
            "provenance": provenance,
        },
        reporter,
        key(plan.settings(stage, study), depends, sorted(package_versions().items())),
        checkpoint_interval(config),
        partial(landscape_of, folder),
        partial(check_fresh, plan),
    )


def _origin(stage: str, study: Study) -> dict[str, str]:
    """CF's attributes on where a dataset comes from: the same whenever and wherever it is made."""
    by = f"nnflow {nnflow.__version__}"
    told = {
        "source": f"{by}: computed from the study {study.name}",
        "history": f"{by}: stage {stage} of the study {study.name} at {study.scale} scale;"
        " settings, code and versions are in the attribute provenance",
    }
    references = " ".join(study.settings.source.split())
    return {**told, "references": references} if references else told


def open_results(
    study: str, scale: str = "quick", results: Path | str = "results", data: Path | None = None
) -> Results:
    """The results of a study of the project in the working folder, outside of any job:
    `nnflow.open("himmelblau").frame("critical_points")`. Raises UserError where a file that is read
    is missing, or was made with other settings."""
    data = data_folder(data, read_config())
    plan = Plan((study,), scale, Path(results), data=data)
    landscape = partial(landscape_of, data)
    folder = plan.results / scale / study
    return Results(plan.loaded[study], folder, None, landscape, partial(check_fresh, plan))


def landscape_of(
    data: Path | None,
    study: Study,
    configuration: Configuration,
    run: int | None = None,
    first: Callable[[], xr.Dataset] | None = None,
) -> Landscape:
    """The loss of a configuration with its data, on the CPU. data: where datasets keep files.
    run: where settings of the model vary, or it has buffers, the run whose loss is meant. first:
    gives the dataset that has the buffers."""
    from nnflow.engine.landscape import Landscape
    from nnflow.engine.objective import make_objective
    from nnflow.engine.weights import with_buffers

    if configuration.settings.model is None:
        raise UserError(f"{study.file}: the study names no model, so there is no loss")
    if run is None and configuration.grid.values("model", np.arange(1)):
        raise UserError(
            f"{study.file}: vary: the model's settings differ from run to run, so there is no one"
            f" loss at {configuration.label}; ask for that of one run: objective(…, run=0)"
        )
    one = RunSlice(configuration, run or 0, (run or 0) + 1)
    objective = make_objective(study, one, "analyze", data, "cpu")
    if configuration.settings.model.buffers() and first is not None:
        if run is None and configuration.runs > 1:
            raise UserError(
                f"{study.file}: the model has buffers, which differ from run to run, so there is no"
                f" one loss at {configuration.label}; ask for that of one run: objective(…, run=0)"
            )
        objective = with_buffers(objective, first().isel(run=[run or 0]), "cpu")
    return Landscape(objective)
