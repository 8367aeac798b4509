"""classify: what kind of critical point each run reached."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

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
    OBSTACLES,
    UNDETERMINED,
    check_infimum,
    critical_limit,
    indefinite,
    inertia,
    inertia_of_ends,
    is_global,
    kinds,
    second_order,
    small_unit,
    zero_range,
)
from nnflow.engine.eigenvalues import ends_of_spectra, power_norm
from nnflow.engine.newton import Method
from nnflow.engine.objective import Objective, make_objective
from nnflow.engine.polish import POLISHED, CautiousSteps, FreeSteps, polish
from nnflow.engine.resolution import Probe, dense_probe, doubts, free_probe
from nnflow.engine.valleys import LANDMARKS, MARKS, WALKED, beside_valley, marks
from nnflow.engine.weights import buffer_variables, from_flat, to_flat, with_buffers
from nnflow.interfaces.model import size
from nnflow.stages.faults import blaming
from nnflow.stages.finished import Finished
from nnflow.stages.job import Job, pick_device, run_coordinates
from nnflow.study.types import Classify, RunSlice

Tell = Callable[[str], None]


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
    weights, columns = _judged(objective.take(chosen), start, configured.classify, tell)
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


def _judged(
    objective: Objective, start: torch.Tensor, settings: Classify, tell: Tell
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Weights after polishing, and the columns of runs whose weights and losses are finite."""
    model, dense = objective.model, start.shape[1] <= settings.dense_up_to
    weights = start
    if settings.polish == "newton":
        weights = _polished(objective, start, settings, tell)
    values = {
        "loss": objective.loss(weights),
        "gradient_norm": torch.linalg.vector_norm(objective.stationarity(weights), dim=1),
        "distance": torch.linalg.vector_norm(weights - start, dim=1),
    }
    columns = {name: value.cpu().numpy() for name, value in values.items()}
    smooth = objective.smooth(weights).cpu().numpy()
    if objective.constraints is not None:
        columns |= judge_on_faces(objective, weights, settings, columns["gradient_norm"], smooth)
        columns["kkt_residual"] = columns["gradient_norm"]
    else:
        judge = _dense if dense else _matrix_free
        columns |= judge(objective, weights, settings, columns["gradient_norm"], smooth, tell)
    columns["kind"] = kinds(columns.pop("second_order"), columns["obstacle"], smooth)
    columns |= _at_kinks(objective, weights, columns["kind"], settings)
    invariants = model.invariants(objective.named(weights))
    columns["invariant"] = (weights if invariants is None else invariants).cpu().numpy()
    columns["straight"] = np.zeros(len(weights), bool)
    columns["valley"] = np.full((len(weights), LANDMARKS, MARKS), np.nan)
    if invariants is None and dense and objective.manifold is None:
        columns |= _valleys(objective, weights, columns, settings)
    passed = columns["kind"] != KINDS.index("not_critical")
    columns["obstacle"] = np.where(passed, OBSTACLES.index("none"), columns["obstacle"])
    return weights, columns


def _valleys(
    objective: Objective, weights: torch.Tensor, columns: dict[str, np.ndarray], settings: Classify
) -> dict[str, np.ndarray]:
    """Of degenerate runs in a straight flat valley, the invariants are its shortest point; those in
    a curved one get the marks of the places in it that they walk to."""
    rows = np.flatnonzero((columns["kind"] == KINDS.index("degenerate")) & (columns["nullity"] > 0))
    if objective.constraints is not None or len(rows) == 0:
        return {}
    part, at = objective.take(rows), torch.as_tensor(rows)
    values, vectors = torch.linalg.eigh(part.hessian(weights[at]))
    # the eigenvalues that were counted as zero are the smallest ones
    order = values.abs().argsort(dim=1).argsort(dim=1)
    flat = order < torch.as_tensor(columns["nullity"][rows])[:, None]
    norm = values.abs().amax(dim=1, keepdim=True)
    zero = torch.where(flat, values.abs(), 0.0).amax(dim=1, keepdim=True)
    zero = zero.maximum(settings.zero_below * norm)
    limit = critical_limit(settings.critical_below, norm.squeeze(1).cpu().numpy())
    shortest, straight = beside_valley(
        part, weights[at], vectors, flat, zero, torch.as_tensor(limit).to(weights)
    )
    chosen = straight.cpu().numpy()
    invariant, found = columns["invariant"].copy(), columns["straight"].copy()
    invariant[rows[chosen]] = shortest.cpu().numpy()[chosen]
    found[rows] = chosen
    valley, curved = columns["valley"].copy(), rows[~chosen]
    if len(curved) and weights.shape[1] <= WALKED:
        below = torch.as_tensor(limit[~chosen]).to(weights)
        walkers, starts = objective.take(curved), weights[torch.as_tensor(curved)]
        valley[curved] = marks(walkers, starts, columns["nullity"][curved], below)
    return {"invariant": invariant, "straight": found, "valley": valley}


def _polished(
    objective: Objective, start: torch.Tensor, settings: Classify, tell: Tell
) -> torch.Tensor:
    radius = settings.polish_radius
    if objective.constraints is not None:
        # a critical point along a face may be none of the set: the loss may fall on the way off it
        moved = polish(OnFace(objective), start, radius, tell=tell)
        before, after = (
            torch.linalg.vector_norm(objective.stationarity(at), dim=1) for at in (start, moved)
        )
        return torch.where((after < before)[:, None], moved, start)
    dense = start.shape[1] <= settings.dense_up_to
    method = CautiousSteps() if dense else FreeSteps()
    moved = polish(objective, start, radius, method, tell=tell)
    return _polished_in_its_unit(objective, start, moved, method, radius)


def _polished_in_its_unit(
    objective: Objective, start: torch.Tensor, moved: torch.Tensor, method: Method, radius: float
) -> torch.Tensor:
    """Runs whose loss is of a small unit, polished until the gradient is small in that, too."""
    unit = torch.as_tensor(small_unit(_norms(objective, moved, method).cpu().numpy())).to(moved)
    gradient = torch.linalg.vector_norm(objective.gradient(moved), dim=1)
    rows = torch.nonzero((unit < 1) & (gradient > POLISHED * unit)).squeeze(1)
    if len(rows) == 0:
        return moved
    part = objective.take(rows.cpu().numpy())
    again = polish(part, moved[rows], radius, method, POLISHED * unit[rows])
    near = torch.linalg.vector_norm(again - start[rows], dim=1) <= radius
    return moved.index_put((rows,), torch.where(near[:, None], again, moved[rows]))


def _norms(objective: Objective, weights: torch.Tensor, method: Method) -> torch.Tensor:
    """The norms of the Hessians, (run,): of a matrix by all of its entries, without it from below
    by the power method."""
    if isinstance(method, CautiousSteps):
        return torch.linalg.matrix_norm(objective.hessian(weights))
    return power_norm(objective.hessian_vector(weights), weights)


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
    objective: Objective,
    weights: torch.Tensor,
    settings: Classify,
    gradient_norm: np.ndarray,
    smooth: np.ndarray,
    tell: Tell,
) -> dict[str, np.ndarray]:
    """Index, nullity and extreme eigenvalues from whole Hessians; of one that is not finite nothing
    is known."""
    hessian = objective.hessian(weights)
    lost = ~torch.isfinite(hessian).all(dim=2).all(dim=1)
    hessian = torch.where(lost[:, None, None], 0.0, hessian)
    values = torch.linalg.eigvalsh(hessian).cpu().numpy()
    norm = np.abs(values[:, [0, -1]]).max(axis=1)

    def probe(rows: torch.Tensor, zero: torch.Tensor, error: torch.Tensor) -> Probe:
        part = objective.take(rows.cpu().numpy())
        return dense_probe(part, weights[rows], *torch.linalg.eigh(hessian[rows]), zero, error)

    obstacle, zero_below = doubts(values, norm, gradient_norm, smooth, settings, probe)
    lost = lost.cpu().numpy()
    obstacle[lost] = OBSTACLES.index("not_finite")
    index, nullity = (np.where(lost, UNDETERMINED, count) for count in inertia(values, zero_below))
    signs = indefinite(values, zero_below)
    values = np.where(lost[:, None], np.nan, values)
    return {
        "second_order": second_order(signs, index, nullity, objective.dimension),
        "index": index,
        "nullity": nullity,
        "min_eigenvalue": values[:, 0],
        "max_eigenvalue": values[:, -1],
        "zero_range": zero_range(values, zero_below),
        "obstacle": obstacle,
        "unit": small_unit(norm),
    }


def _matrix_free(
    objective: Objective,
    weights: torch.Tensor,
    settings: Classify,
    gradient_norm: np.ndarray,
    smooth: np.ndarray,
    tell: Tell,
) -> dict[str, np.ndarray]:
    """The same from the ends of the spectra, run by run; what the ends leave open is
    undetermined."""
    low, high = settings.ends
    values, residuals, vectors = ends_of_spectra(objective, weights, low, high, tell)
    lowest, highest = values[:, :low], values[:, low:]
    norm = np.fmax.reduce(np.abs(values), axis=1)
    known, along = torch.as_tensor(values).to(weights), torch.as_tensor(vectors).to(weights)

    def probe(rows: torch.Tensor, zero: torch.Tensor, error: torch.Tensor) -> Probe:
        part = objective.take(rows.cpu().numpy())
        return free_probe(part, weights[rows], known[rows], along[rows], zero, error)

    obstacle, zero_below = doubts(values, norm, gradient_norm, smooth, settings, probe)
    zero = zero_below * norm[:, None]
    index, nullity = inertia_of_ends(lowest, highest, zero, residuals, objective.dimension)
    missing = np.full(len(values), np.nan)
    return {
        "second_order": second_order(
            indefinite(values, zero_below), index, nullity, objective.dimension
        ),
        "index": index,
        "nullity": nullity,
        "min_eigenvalue": lowest[:, 0] if low else missing,
        "max_eigenvalue": highest[:, -1] if high else missing,
        "zero_range": zero_range(values, zero_below),
        "eigenvalue": values,
        "residual": residuals,
        "obstacle": obstacle,
        "unit": small_unit(norm),
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
