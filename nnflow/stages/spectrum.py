"""spectrum: Hessian eigenvalues at the critical points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import numpy as np
import torch
import xarray as xr

from nnflow.base.errors import UserError
from nnflow.engine import constrained, density
from nnflow.engine.eigenvalues import dense_eigenvalues, ends_of_spectra
from nnflow.engine.families import NO_FAMILY
from nnflow.engine.gauss_newton import MATRICES
from nnflow.engine.lanczos import probe
from nnflow.engine.objective import Objective, flatten, make_objective, numpy_product
from nnflow.engine.weights import (
    buffer_variables,
    from_flat,
    kept_to_flat,
    to_flat,
    with_buffers,
)
from nnflow.stages.faults import blaming
from nnflow.stages.finished import Finished
from nnflow.stages.job import Job, pick_device
from nnflow.study.stage_settings import Classify, Quadrature
from nnflow.study.types import Configuration, RunSlice


def spectrum(job: Job) -> None:
    """Eigenvalues with residuals, at one point of each family or at the end of every run;
    writes spectra.nc."""
    torch.set_num_threads(1)
    datasets = {}
    read = [job.folder / f"{name}.nc" for name in ("training", "critical_points")]
    finished = Finished(job.checkpoint("spectrum", 0, *read))
    with job.reporter.running() as reporter, finished.kept():
        total = len(job.study.configurations)
        for number, (configuration, critical) in enumerate(job.read.each("critical_points")):
            detail = f"configurations · {configuration.label}"

            def tell(text: str, number: int = number, detail: str = detail) -> None:
                if reporter.due:
                    reporter.update(number, total, f"{detail} · {text}")

            with blaming(
                job,
                (configuration.settings.model, configuration.settings.dataset),
                configuration.label,
            ):
                pieces = partial(_piece, finished, number)
                datasets[configuration.label] = _spectra(job, configuration, critical, pieces, tell)
            reporter.update(number + 1, total, detail)
        job.write(job.folder / "spectra.nc", datasets, "Hessian spectra")


Pieces = Callable[[str, Callable[[], xr.Dataset]], xr.Dataset]
"""Computes what is not there yet: by the name of a piece, and how to compute it."""
Tell = Callable[[str], None]


def _piece(
    finished: Finished, number: int, name: str, compute: Callable[[], xr.Dataset]
) -> xr.Dataset:
    """A piece of one configuration."""
    return finished.piece(f"{number} {name}", compute)


def _spectra(
    job: Job, configuration: Configuration, critical: xr.Dataset, pieces: Pieces, tell: Tell
) -> xr.Dataset:
    if configuration.settings.spectrum.at == "trace":
        return _along_trajectories(job, configuration, pieces, tell)
    return pieces("all", partial(_at_points, job, configuration, critical, pieces, tell))


def _at_points(
    job: Job, configuration: Configuration, critical: xr.Dataset, pieces: Pieces, tell: Tell
) -> xr.Dataset:
    settings = configuration.settings.spectrum
    axis = "family"
    rows, labels = _representatives(critical, settings.most)
    if settings.at == "families" and len(rows) == 0:
        job.reporter.note(
            f"{configuration.label}: no run reached a critical point, so the spectra are those at"
            " the ends of runs (as with spectrum.at: runs)"
        )
    if settings.at == "runs" or len(rows) == 0:
        axis, rows = "run", _chosen_runs(configuration)
        labels = critical["run"].values[rows]
    chosen = critical.isel(run=rows)
    model = configuration.settings.model
    device = pick_device(job.gpus)
    weights = to_flat(model, chosen, device)
    run_slice = RunSlice(configuration, 0, configuration.runs)
    objective = make_objective(job.study, run_slice, "spectrum", job.data, device).take(rows)
    objective = replace(with_buffers(objective, chosen, device), curvature=settings.curvature)
    if axis == "family" and len(rows):
        chosen_image = model.canonical(objective.named(weights))
        weights = flatten({name: chosen_image[name] for name in model.shapes()})
    variables = from_flat(model, weights, axis) | buffer_variables(objective, axis)
    if "eigenvalue" not in chosen:
        values, residuals = _dense(objective, weights, configuration.settings.classify)
        variables |= _eigenvalues((axis, "mode"), values, residuals, objective.curvature)
        if settings.density == "exact":
            variables |= density.variables((axis,), *density.exact(values))
        modes = np.arange(objective.dimension)
    else:
        ends = configuration.settings.classify.ends(objective.dimension)
        modes = _both_ends(*ends)
        found = chosen["eigenvalue"].values, chosen["residual"].values
        if settings.curvature != "hessian":  # classify found those of the Hessian
            found = _finite_ends(objective, weights, *ends)
        variables |= _compared(objective, weights, found, axis, settings.compare_dense_up_to, modes)
        if settings.density == "exact":
            raise UserError(
                "spectrum.density: exact takes whole Hessians; classify.dense_up_to must be at"
                f" least {objective.dimension}, or write {{steps: 80, probes: 10}}"
            )
    if isinstance(settings.density, Quadrature):
        found = _quadrature(objective, weights, settings.density, pieces, tell, "")
        variables |= density.variables((axis,), *found)
    for name in ("loss", "kind", "is_global"):
        variables[name] = ((axis,), chosen[name].values, chosen[name].attrs)
    if axis == "family":
        counts = [(critical["family"].values == label).sum() for label in labels]
        variables["count"] = ((axis,), np.array(counts, dtype=np.int64), {"long_name": "runs"})
    coordinates = {axis: (axis, labels, {"long_name": axis}), "mode": _numbered(modes)}
    return xr.Dataset(variables, coordinates)


def _along_trajectories(
    job: Job, configuration: Configuration, pieces: Pieces, tell: Tell
) -> xr.Dataset:
    """Eigenvalues at the kept weights of some runs, NaN after a run's end: all of them, or
    both ends where Hessians are not formed."""
    settings, device = configuration.settings, pick_device(job.gpus)
    rows = _chosen_runs(configuration)
    trained = job.read.at("training", configuration.label).isel(run=rows)
    weights = kept_to_flat(settings.model, trained, device)
    run_slice = RunSlice(configuration, 0, configuration.runs)
    objective = make_objective(job.study, run_slice, "spectrum", job.data, device).take(rows)
    curvature = settings.spectrum.curvature
    objective = replace(with_buffers(objective, trained, device), curvature=curvature)
    dense = weights.shape[2] <= settings.classify.dense_up_to
    ends = settings.classify.ends(objective.dimension)
    modes = np.arange(objective.dimension) if dense else _both_ends(*ends)
    values = np.full((*weights.shape[:2], len(modes)), np.nan)
    residuals = np.full_like(values, np.nan)
    quadrature, probes = settings.spectrum.density, []
    for step in range(weights.shape[1]):
        at = np.flatnonzero(torch.isfinite(weights[:, step]).all(dim=1).cpu().numpy())
        part, there = objective.take(at), weights[torch.as_tensor(at), step]
        solve = (
            partial(_dense, part, there, settings.classify)
            if dense
            else partial(ends_of_spectra, part, there, *ends, tell)
        )
        found = pieces(f"step {step}", lambda solve=solve: _plain(*solve()[:2]))
        values[at, step], residuals[at, step] = found["eigenvalue"], found["residual"]
        if isinstance(quadrature, Quadrature):
            here = weights[:, step]
            probes.append(_quadrature(objective, here, quadrature, pieces, tell, f"step {step} "))
    axes = ("run", "kept_step", "mode")
    coordinates = {
        **trained["run"].coords,
        "kept_step": trained["kept_step"],
        "mode": _numbered(modes),
    }
    variables = _eigenvalues(axes, values, residuals, curvature)
    if quadrature == "exact":
        variables |= density.variables(axes[:2], *density.exact(values))
    if probes:
        nodes, shares = (np.stack(part, axis=1) for part in zip(*probes, strict=True))
        variables |= density.variables(axes[:2], nodes, shares)
    return xr.Dataset(variables, coordinates)


def _plain(values: np.ndarray, residuals: np.ndarray) -> xr.Dataset:
    """What one kept step contributes."""
    axes = ("run", "mode")
    return xr.Dataset({"eigenvalue": (axes, values), "residual": (axes, residuals)})


def _chosen_runs(configuration: Configuration) -> np.ndarray:
    """The runs whose spectra are computed: the first ones, which are as good as any; where settings
    vary, runs at equal distances, from the first to the last setting."""
    runs, most = configuration.runs, configuration.settings.spectrum.most
    if not configuration.settings.vary:
        return np.arange(min(most, runs))
    return np.unique(np.linspace(0, runs - 1, min(most, runs)).round().astype(int))


def _dense(
    objective: Objective, weights: torch.Tensor, settings: Classify
) -> tuple[np.ndarray, np.ndarray]:
    """All eigenvalues and their residuals, (run, mode), NaN of runs that are not finite; with
    constraints those of the reduced Hessians, then NaN."""
    whole = np.full((2, len(weights), objective.dimension), np.nan)
    rows = np.flatnonzero(torch.isfinite(weights).all(dim=1).cpu().numpy())
    if len(rows) == 0:  # a model is not asked about no runs
        return whole[0], whole[1]
    part, at = objective.take(rows), weights[torch.as_tensor(rows)]
    if objective.constraints is not None:
        whole[:, rows] = constrained.spectra(part, at, settings.critical_below)
        return whole[0], whole[1]
    hessian = part.hessian(at)
    finite = torch.isfinite(hessian).all(dim=2).all(dim=1).cpu().numpy()
    whole[:, rows[finite]] = [
        found.cpu().numpy() for found in dense_eigenvalues(hessian[torch.as_tensor(finite)])
    ]
    return whole[0], whole[1]


def _quadrature(
    objective: Objective,
    weights: torch.Tensor,
    settings: Quadrature,
    pieces: Pieces,
    tell: Tell,
    where: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, (run, probe, node), of the densities by Lanczos, probe by probe, each a
    piece of its own; NaN and 0 of runs that are not finite. where: begins the pieces' names."""
    size = weights.shape[1]
    shape = (len(weights), settings.probes, min(settings.steps, size))
    nodes, shares = np.full(shape, np.nan), np.zeros(shape)
    rows = np.flatnonzero(torch.isfinite(weights).all(dim=1).cpu().numpy())
    for row in rows:
        one = objective.take(np.array([row])), weights[row : row + 1]
        product = cache(partial(numpy_product, *one))  # not before it is needed
        for number in range(settings.probes):

            def compute(number: int = number, product=product) -> xr.Dataset:
                found = probe(product(), size, settings.steps, settings.seed, number)
                return xr.Dataset(
                    {"node": ("step", found[0]), "weight": ("step", found[1])},
                )

            found = pieces(f"{where}density {row} {number}", compute)
            nodes[row, number], shares[row, number] = found["node"], found["weight"]
            tell(f"density: probe {number + 1} of {settings.probes} at point {row + 1}")
    return nodes, shares


def _representatives(critical: xr.Dataset, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Row of one run of each of the most frequent families, and the families' numbers."""
    family = critical["family"].values
    labels, first, counts = np.unique(family, return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    order = np.sort(order[labels[order] != NO_FAMILY][:most])
    return first[order], labels[order]


def _both_ends(lowest: int, highest: int) -> np.ndarray:
    """Numbers of the lowest eigenvalues, from 0, and of the highest, up to −1."""
    return np.concatenate([np.arange(lowest), np.arange(-highest, 0)])


def _numbered(modes: np.ndarray) -> tuple:
    """The coordinate `mode`."""
    return "mode", modes, {"long_name": "number of the eigenvalue, from below"}


def _eigenvalues(
    axes: tuple[str, ...], values: np.ndarray, residuals: np.ndarray, curvature: str
) -> dict[str, tuple]:
    return {
        "eigenvalue": (axes, values, {"long_name": f"eigenvalue of the {MATRICES[curvature]}"}),
        "residual": (axes, residuals, {"long_name": "norm of Hv - lambda v"}),
    }


def _compared(
    objective: Objective,
    weights: torch.Tensor,
    found: tuple[np.ndarray, np.ndarray],
    axis: str,
    compare_up_to: int,
    modes: np.ndarray,
) -> dict[str, tuple]:
    """The ends of the spectra as they were found; the first beside the dense matrix's."""
    values, residuals = found
    dense = np.full_like(values, np.nan)
    rows = np.flatnonzero(torch.isfinite(weights).all(dim=1).cpu().numpy())[:1]
    if len(rows) and weights.shape[1] <= compare_up_to:
        hessian = objective.take(rows).hessian(weights[torch.as_tensor(rows)])[0]
        if torch.isfinite(hessian).all():
            dense[rows] = torch.linalg.eigvalsh(hessian)[torch.as_tensor(modes)].cpu().numpy()
    attributes = {"long_name": "the same eigenvalue from the dense matrix, where compared"}
    return _eigenvalues((axis, "mode"), values, residuals, objective.curvature) | {
        "dense_eigenvalue": ((axis, "mode"), dense, attributes)
    }


def _finite_ends(
    objective: Objective, weights: torch.Tensor, lowest: int, highest: int
) -> tuple[np.ndarray, np.ndarray]:
    """Both ends and their residuals, (run, mode); NaN of runs that are not finite."""
    whole = np.full((2, len(weights), lowest + highest), np.nan)
    rows = np.flatnonzero(torch.isfinite(weights).all(dim=1).cpu().numpy())
    if len(rows):
        part = objective.take(rows), weights[torch.as_tensor(rows)]
        whole[:, rows] = ends_of_spectra(*part, lowest, highest)[:2]
    return whole[0], whole[1]
