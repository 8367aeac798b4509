"""classify: what kind of critical point each run reached."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
import xarray as xr

from nnflow.base import store
from nnflow.engine.critical import (
    IS_GLOBAL,
    KINDS,
    OBSTACLES,
    UNDETERMINED,
    check_infimum,
    is_global,
)
from nnflow.engine.judging import Tell, judged, valley_columns
from nnflow.engine.objective import make_objective
from nnflow.engine.weights import buffer_variables, from_flat, to_flat, with_buffers
from nnflow.interfaces.model import size
from nnflow.stages.faults import blaming
from nnflow.stages.finished import Finished
from nnflow.stages.job import Job, pick_device, run_coordinates
from nnflow.study.types import RunSlice


def _unheard(text: str) -> None:
    """Progress that nobody asked for."""


HESSIAN_BYTES = 16 * 2**20
"""Memory for the Hessians of the runs that are classified together; more would be slower, as
it no longer fits the cache."""


def classify(job: Job, batch: int) -> None:
    """Polish and classify the ends of one batch; writes batches/critical_points-BATCH.nc."""
    torch.set_num_threads(1)
    slices = job.study.batches[batch]
    trained = job.read_slices(job.batch_path("training", batch), slices)
    total = sum(run_slice.stop - run_slice.start for run_slice in slices)
    done = 0
    datasets = []
    path = job.batch_path("training", batch)
    finished = Finished(job.checkpoint("classify", batch, path))
    with job.reporter.running() as reporter, finished.kept():
        for number, (run_slice, ends) in enumerate(zip(slices, trained, strict=True)):
            parts = []
            configured = run_slice.configuration.settings
            detail = f"runs classified · {run_slice.configuration.label}"
            for rows in _groups(run_slice):

                def tell(text: str, done: int = done, detail: str = detail) -> None:
                    if reporter.due:
                        reporter.update(done, total, f"{detail} · {text}")

                with blaming(
                    job, (configured.model, configured.dataset), run_slice.configuration.label
                ):
                    compute = partial(_classify_runs, job, run_slice, ends, rows, tell)
                    parts.append(finished.piece(f"{number} {rows[0]}", compute))
                done += len(rows)
                reporter.update(done, total, detail)
            datasets.append(xr.concat(parts, "run", data_vars="minimal", coords="minimal"))
        path = job.batch_path("critical_points", batch)
        job.write_slices(path, slices, datasets, "critical points")


def _groups(run_slice: RunSlice) -> list[np.ndarray]:
    """Row numbers of the runs that are classified together."""
    rows = np.arange(run_slice.stop - run_slice.start)
    length = max(1, HESSIAN_BYTES // (8 * size(run_slice.configuration.settings.model) ** 2))
    return np.split(rows, range(length, len(rows), length))


def _classify_runs(
    job: Job, run_slice: RunSlice, ends: xr.Dataset, rows: np.ndarray, tell: Tell = _unheard
) -> xr.Dataset:
    """The columns of the given rows. Runs that are not finite have nothing to be known: their
    numbers are NaN and their counts −1."""
    configured = run_slice.configuration.settings
    model = configured.model
    device = pick_device(job.gpus)
    objective = make_objective(job.study, run_slice, "classify", job.data, device).take(rows)
    objective = with_buffers(objective, ends.isel(run=rows), device)
    last = to_flat(model, ends.isel(run=rows), device)
    finite = (torch.isfinite(last).all(dim=1) & torch.isfinite(objective.loss(last))).cpu().numpy()
    # of a group without finite runs one is judged elsewhere, for the columns' shapes
    chosen = np.flatnonzero(finite) if finite.any() else np.array([0])
    start = last[chosen] if finite.any() else objective.retract(torch.ones_like(last[:1]))
    part = objective.take(chosen)
    weights, columns = judged(part, start, configured.classify, tell)
    if run_slice.configuration.runs > 1:  # one alone need not walk to be told from others
        columns |= valley_columns(part, weights, columns, configured.classify)
    if finite.any() and not objective.varied:  # the infimum is that of the settings in the file
        runs = run_slice.start + rows[chosen]
        check_infimum(columns["loss"], model.infimum(), runs, model.name)
    columns = {name: _scattered(value, finite, name) for name, value in columns.items()}
    everywhere = last.clone()
    everywhere[torch.as_tensor(finite)] = weights[: finite.sum()]
    variables = from_flat(model, everywhere) | buffer_variables(objective)
    variables["invariant"] = (("run", "number"), columns.pop("invariant"))
    variables["straight"] = ("run", columns.pop("straight").astype(np.int8))
    variables["valley"] = (("run", "landmark", "mark"), columns.pop("valley"))
    kind, obstacle, unit = (columns.pop(name) for name in ("kind", "obstacle", "unit"))
    variables |= _described(columns)
    within = configured.classify.global_within
    known = is_global(columns["loss"], model.infimum(), within, unit)
    variables["kind"] = store.flags(kind, KINDS, long_name="kind of critical point")
    variables["is_global"] = store.flags(known, IS_GLOBAL, long_name="is the loss the infimum?")
    reasons = "what keeps the end from being a critical point"
    variables["obstacle"] = store.flags(obstacle, OBSTACLES, long_name=reasons)
    return xr.Dataset(
        variables,
        run_coordinates(
            run_slice.configuration, run_slice.start + rows[0], run_slice.start + rows[-1] + 1
        ),
    )


def _scattered(values: np.ndarray, finite: np.ndarray, name: str) -> np.ndarray:
    """Values of the finite runs among all runs (run, …)."""
    missing = np.nan if values.dtype.kind == "f" else UNDETERMINED
    if name == "kind":
        missing = KINDS.index("not_critical")
    if name == "obstacle":
        missing = OBSTACLES.index("not_finite")
    whole = np.full((len(finite), *values.shape[1:]), missing, dtype=values.dtype)
    whole[finite] = values[: finite.sum()]
    return whole


def _described(values: dict[str, np.ndarray]) -> dict[str, tuple]:
    names = {
        "loss": "loss at the critical point",
        "gradient_norm": "Frobenius norm of the gradient",
        "distance": "distance moved by polishing",
        "index": "negative eigenvalues of the Hessian (-1: not determined)",
        "index_least": "least index left open",
        "index_most": "largest index left open (0 by Lanczos alone: with probability 1 - 1e-6)",
        "nullity": "zero eigenvalues of the Hessian (-1: not determined)",
        "min_eigenvalue": "lowest eigenvalue of the Hessian",
        "max_eigenvalue": "highest eigenvalue of the Hessian",
        "zero_range": "relative zero thresholds that give the same kind",
        "eigenvalue": "lowest and highest eigenvalues of the Hessian",
        "residual": "norm of Hv - lambda v",
        "kkt_residual": "length of W - P(W - gradient), with the projection P",
        "active": "active constraints, equations apart (-1: not determined)",
        "least_multiplier": "lowest multiplier of the active constraints",
        "clarke_residual": "norm of the shortest generalized gradient",
        "steepest_descent": "steepest fall of the loss per length, to first order",
        "cells": "smooth pieces that meet there (0: not tested, -1: not known)",
    }
    second = {"zero_range": "bound"}
    return {
        name: (("run", second.get(name, "mode"))[: value.ndim], value, {"long_name": names[name]})
        for name, value in values.items()
    }
