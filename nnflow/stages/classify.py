"""classify: what kind of critical point each run reached."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from nnflow.base import store
from nnflow.engine.clarke import ClarkeTest, clarke_test
from nnflow.engine.constrained import OnFace
from nnflow.engine.constrained import judge as judge_on_faces
from nnflow.engine.critical import (
    IS_GLOBAL,
    KINDS,
    UNDETERMINED,
    check_infimum,
    indefinite,
    inertia,
    is_global,
    kinds,
    second_order,
    zero_range,
)
from nnflow.engine.eigenvalues import ends_of_spectra
from nnflow.engine.objective import Objective, make_objective
from nnflow.engine.polish import polish
from nnflow.engine.weights import buffer_variables, from_flat, to_flat, with_buffers
from nnflow.interfaces.model import size
from nnflow.stages.faults import blaming
from nnflow.stages.job import Job, pick_device, run_coordinates
from nnflow.study.types import Classify, RunSlice

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
    with job.reporter.running() as reporter:
        for run_slice, ends in zip(slices, trained, strict=True):
            parts = []
            configured = run_slice.configuration.settings
            for rows in _groups(run_slice):
                with blaming(
                    job, (configured.model, configured.dataset), run_slice.configuration.label
                ):
                    parts.append(_classify_runs(job, run_slice, ends, rows))
                done += len(rows)
                reporter.update(done, total, f"runs classified · {run_slice.configuration.label}")
            datasets.append(xr.concat(parts, "run", data_vars="minimal", coords="minimal"))
    path = job.batch_path("critical_points", batch)
    job.write_slices(path, slices, datasets, "critical points")


def _groups(run_slice: RunSlice) -> list[np.ndarray]:
    """Row numbers of the runs that are classified together."""
    rows = np.arange(run_slice.stop - run_slice.start)
    length = max(1, HESSIAN_BYTES // (8 * size(run_slice.configuration.settings.model) ** 2))
    return np.split(rows, range(length, len(rows), length))


def _classify_runs(job: Job, run_slice: RunSlice, ends: xr.Dataset, rows: np.ndarray) -> xr.Dataset:
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
    weights, columns = _judged(objective.take(chosen), start, configured.classify)
    if finite.any() and not objective.varied:  # the infimum is that of the settings in the file
        runs = run_slice.start + rows[chosen]
        check_infimum(columns["loss"], model.infimum(), runs, model.name)
    columns = {name: _scattered(value, finite, name) for name, value in columns.items()}
    everywhere = last.clone()
    everywhere[torch.as_tensor(finite)] = weights[: finite.sum()]
    variables = from_flat(model, everywhere) | buffer_variables(objective)
    variables["invariant"] = (("run", "number"), columns.pop("invariant"))
    kind = columns.pop("kind")
    variables |= _described(columns)
    known = is_global(columns["loss"], model.infimum(), configured.classify.global_within)
    variables["kind"] = store.flags(kind, KINDS, long_name="kind of critical point")
    variables["is_global"] = store.flags(known, IS_GLOBAL, long_name="is the loss the infimum?")
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
    whole = np.full((len(finite), *values.shape[1:]), missing, dtype=values.dtype)
    whole[finite] = values[: finite.sum()]
    return whole


def _judged(
    objective: Objective, start: torch.Tensor, settings: Classify
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Weights after polishing, and the columns of runs whose weights and losses are finite."""
    model, dense = objective.model, start.shape[1] <= settings.dense_up_to
    weights = start
    if dense and settings.polish == "newton":
        weights = _polished(objective, start, settings.polish_radius)
    values = {
        "loss": objective.loss(weights),
        "gradient_norm": torch.linalg.vector_norm(objective.stationarity(weights), dim=1),
        "distance": torch.linalg.vector_norm(weights - start, dim=1),
    }
    columns = {name: value.cpu().numpy() for name, value in values.items()}
    if objective.constraints is not None:
        columns |= judge_on_faces(objective, weights, settings)
        columns["kkt_residual"] = columns["gradient_norm"]
    else:
        columns |= (_dense if dense else _matrix_free)(objective, weights, settings)
    smooth = objective.smooth(weights).cpu().numpy()
    columns["kind"] = kinds(columns.pop("second_order"), columns["gradient_norm"], smooth, settings)
    columns |= _at_kinks(objective, weights, columns["kind"], settings)
    invariants = model.invariants(objective.named(weights))
    columns["invariant"] = (weights if invariants is None else invariants).cpu().numpy()
    return weights, columns


def _polished(objective: Objective, start: torch.Tensor, radius: float) -> torch.Tensor:
    if objective.constraints is None:
        return polish(objective, start, radius)
    # a critical point along a face may be none of the set: the loss may fall on the way off it
    moved = polish(OnFace(objective), start, radius)
    before, after = (
        torch.linalg.vector_norm(objective.stationarity(at), dim=1) for at in (start, moved)
    )
    return torch.where((after < before)[:, None], moved, start)


def _at_kinks(
    objective: Objective, weights: torch.Tensor, kind: np.ndarray, settings: Classify
) -> dict[str, np.ndarray]:
    """Clarke's test at the runs whose kind is `nonsmooth`, and at those that are not critical but
    beside a kink: they are `nonsmooth` where they pass. At others NaN, and 0 cells. Nothing where
    the model gives no kinks."""
    tried = np.flatnonzero(np.isin(kind, [KINDS.index(k) for k in ("nonsmooth", "not_critical")]))
    rows = torch.as_tensor(tried if len(tried) else [0], device=weights.device)
    named = objective.take(rows.cpu().numpy()).named(weights[rows])
    with torch.no_grad():
        kinked = objective.model.kinks(named, objective.data, settings.kinks_within)
    if kinked is None:
        return {}
    kind, tests = kind.copy(), [ClarkeTest(np.nan, np.nan, 0)] * len(kind)
    for run, kinks_here in zip(tried, kinked, strict=False):
        stuck = kind[run] == KINDS.index("not_critical")
        if stuck and (kinks_here is None or len(kinks_here.normals) == 0):
            continue
        tests[run] = clarke_test(kinks_here)
        if tests[run].residual < settings.critical_below:
            kind[run] = KINDS.index("nonsmooth")
    return {
        "kind": kind,
        "clarke_residual": np.array([test.residual for test in tests]),
        "steepest_descent": np.array([test.descent for test in tests]),
        "cells": np.array([test.cells for test in tests]),
    }


def _dense(
    objective: Objective, weights: torch.Tensor, settings: Classify
) -> dict[str, np.ndarray]:
    """Index, nullity and extreme eigenvalues from whole Hessians."""
    values = torch.linalg.eigvalsh(objective.hessian(weights)).cpu().numpy()
    index, nullity = inertia(values, settings.zero_below)
    return {
        "second_order": second_order(
            indefinite(values, settings.zero_below), index, nullity, objective.dimension
        ),
        "index": index,
        "nullity": nullity,
        "min_eigenvalue": values[:, 0],
        "max_eigenvalue": values[:, -1],
        "zero_range": zero_range(values, settings.zero_below),
    }


def _matrix_free(
    objective: Objective, weights: torch.Tensor, settings: Classify
) -> dict[str, np.ndarray]:
    """The same from the ends of the spectra, run by run; what the ends leave open is
    undetermined."""
    count = settings.extreme_eigenvalues
    values, residuals = ends_of_spectra(objective, weights, count)
    lowest, highest = values[:, :count], values[:, count:]
    index, nullity = inertia(values, settings.zero_below)
    scale = settings.zero_below * np.nanmax(np.abs(values), axis=1)
    determined = lowest[:, -1] > scale
    maximal = highest[:, -1] < -scale  # where the highest is negative, all are
    index = np.where(determined, index, np.where(maximal, objective.dimension, UNDETERMINED))
    nullity = np.where(determined, nullity, np.where(maximal, 0, UNDETERMINED))
    return {
        "second_order": second_order(
            indefinite(values, settings.zero_below), index, nullity, objective.dimension
        ),
        "index": index,
        "nullity": nullity,
        "min_eigenvalue": lowest[:, 0],
        "max_eigenvalue": highest[:, -1],
        "zero_range": zero_range(values, settings.zero_below),
        "eigenvalue": values,
        "residual": residuals,
    }


def _described(values: dict[str, np.ndarray]) -> dict[str, tuple]:
    names = {
        "loss": "loss at the critical point",
        "gradient_norm": "Frobenius norm of the gradient",
        "distance": "distance moved by polishing",
        "index": "negative eigenvalues of the Hessian (-1: not determined)",
        "nullity": "zero eigenvalues of the Hessian (-1: not determined)",
        "min_eigenvalue": "lowest eigenvalue of the Hessian",
        "max_eigenvalue": "highest eigenvalue of the Hessian",
        "zero_range": "relative zero thresholds that judge alike",
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
