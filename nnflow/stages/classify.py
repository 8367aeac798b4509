"""classify: what kind of critical point each run reached."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from nnflow.base import store
from nnflow.engine.critical import (
    IS_GLOBAL,
    KINDS,
    UNDETERMINED,
    indefinite,
    inertia,
    is_global,
    kinds,
    zero_range,
)
from nnflow.engine.eigenvalues import extreme_eigenvalues
from nnflow.engine.objective import Objective, make_objective, numpy_product
from nnflow.engine.polish import polish
from nnflow.engine.weights import from_flat, to_flat
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
    configured = run_slice.configuration.settings
    settings, model = configured.classify, configured.model
    device = pick_device(job.gpus)
    objective = make_objective(job.study, run_slice, "classify", job.data, device).take(rows)
    last = to_flat(model, ends.isel(run=rows), device)
    dense = last.shape[1] <= settings.dense_up_to
    finite = torch.isfinite(last).all(dim=1) & torch.isfinite(objective.loss(last))
    # runs that are not finite are blanked below; until then something finite stands for them
    anything = 0.0 if objective.manifold is None else objective.retract(torch.ones_like(last))
    weights = torch.where(finite[:, None], last, anything)
    if dense and settings.polish == "newton":
        weights = polish(objective, weights, settings.polish_radius)
    judged = (_dense if dense else _matrix_free)(objective, weights, settings)
    gradient_norm = torch.linalg.vector_norm(objective.gradient(weights), dim=1)
    loss = objective.loss(weights)
    values = {
        "loss": loss,
        "gradient_norm": gradient_norm,
        "distance": torch.linalg.vector_norm(
            weights - torch.where(finite[:, None], last, 0), dim=1
        ),
    }
    values = {name: value.cpu().numpy() for name, value in values.items()} | judged
    kind = kinds(
        values.pop("both_signs"),
        values["index"],
        values["nullity"],
        objective.dimension,
        values["gradient_norm"],
        objective.smooth(weights).cpu().numpy(),
        settings,
    )
    kind[~finite.cpu().numpy()] = KINDS.index("not_critical")
    for name, value in values.items():
        if value.dtype.kind == "f":
            values[name] = np.where(
                finite.cpu().numpy().reshape(-1, *[1] * (value.ndim - 1)), value, np.nan
            )
    # after the losses of runs that are not finite are gone: they are those of W = 0
    known = is_global(values["loss"], model.infimum(), settings.global_within)
    variables = from_flat(model, torch.where(finite[:, None], weights, last))
    invariants = model.invariants(objective.named(weights))
    invariants = weights if invariants is None else invariants
    variables["invariant"] = (("run", "number"), invariants.cpu().numpy())
    variables |= _described(values)
    variables["kind"] = store.flags(kind, KINDS, long_name="kind of critical point")
    variables["is_global"] = store.flags(known, IS_GLOBAL, long_name="is the loss the infimum?")
    return xr.Dataset(
        variables,
        run_coordinates(
            run_slice.configuration, run_slice.start + rows[0], run_slice.start + rows[-1] + 1
        ),
    )


def _dense(
    objective: Objective, weights: torch.Tensor, settings: Classify
) -> dict[str, np.ndarray]:
    """Index, nullity and extreme eigenvalues from whole Hessians."""
    values = torch.linalg.eigvalsh(objective.hessian(weights)).cpu().numpy()
    index, nullity = inertia(values, settings.zero_below)
    return {
        "both_signs": indefinite(values, settings.zero_below),
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
    found = [
        extreme_eigenvalues(
            numpy_product(objective.take(np.array([row])), weights[row : row + 1]),
            weights.shape[1],
            settings.extreme_eigenvalues,
        )
        for row in range(len(weights))
    ]
    lowest = np.stack([ends.lowest for ends in found])
    highest = np.stack([ends.highest for ends in found])
    values = np.concatenate([lowest, highest], axis=1)
    index, nullity = inertia(values, settings.zero_below)
    scale = settings.zero_below * np.nanmax(np.abs(values), axis=1)
    determined = lowest[:, -1] > scale
    return {
        "both_signs": indefinite(values, settings.zero_below),
        "index": np.where(determined, index, UNDETERMINED),
        "nullity": np.where(determined, nullity, UNDETERMINED),
        "min_eigenvalue": lowest[:, 0],
        "max_eigenvalue": highest[:, -1],
        "zero_range": zero_range(values, settings.zero_below),
        "eigenvalue": values,
        "residual": np.stack(
            [np.concatenate([ends.lowest_residual, ends.highest_residual]) for ends in found]
        ),
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
    }
    second = {"zero_range": "bound"}
    return {
        name: (("run", second.get(name, "mode"))[: value.ndim], value, {"long_name": names[name]})
        for name, value in values.items()
    }
