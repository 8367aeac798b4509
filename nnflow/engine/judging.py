"""What kind of critical point a run ended at: polished weights, and what their Hessians say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from nnflow.engine.clarke import ClarkeTest, clarke_test
from nnflow.engine.constrained import judge as judge_on_faces
from nnflow.engine.critical import (
    KINDS,
    OBSTACLES,
    UNDETERMINED,
    critical_limit,
    indefinite,
    index_bounds,
    inertia,
    inertia_of_ends,
    kinds,
    obstacle_of_unit,
    second_order,
    small_unit,
    zero_range,
)
from nnflow.engine.eigenvalues import ends_of_spectra
from nnflow.engine.factorization import inertia_of_shifted
from nnflow.engine.objective import Objective, numpy_product
from nnflow.engine.polished_ends import polished_ends
from nnflow.engine.resolution import Probe, dense_probe, doubts, free_probe, settled
from nnflow.engine.valleys import LANDMARKS, MARKS, WALKED, beside_valley, marks
from nnflow.study.stage_settings import Classify

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Ends:
    """Runs that are judged.

    weights: (run, weight). gradient_norm: (run,). smooth: (run,) bool; at a kink the Hessian says
    nothing about the way to it. tell: is told how far long computations are.
    """

    objective: Objective
    weights: torch.Tensor
    settings: Classify
    gradient_norm: np.ndarray
    smooth: np.ndarray
    tell: Tell

    def doubts(
        self,
        values: np.ndarray,
        norm: np.ndarray,
        probed: np.ndarray,
        probe: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Probe],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Obstacles and zero thresholds by eigenvalues (run, mode) and norms of Hessians (run,).
        probed: (run,) bool, runs whose eigenvalues may be in doubt."""
        gradient, settings = self.gradient_norm, self.settings
        obstacle, zero_below = doubts(values, norm, gradient, probed, settings, probe)
        in_unit = obstacle_of_unit(obstacle, gradient, norm, settings.critical_below)
        return np.where(self.smooth, in_unit, obstacle), zero_below


def judged(
    objective: Objective, start: torch.Tensor, settings: Classify, tell: Tell
) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """Weights after polishing, and the columns of runs whose weights and losses are finite.

    start: (run, weight). Columns are arrays (run, …).
    """
    model, dense = objective.model, start.shape[1] <= settings.dense_up_to
    weights = polished_ends(objective, start, settings, tell)
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
        columns |= judge(Ends(objective, weights, settings, columns["gradient_norm"], smooth, tell))
    columns["kind"] = kinds(columns.pop("second_order"), columns["obstacle"], smooth)
    columns |= _at_kinks(objective, weights, columns["kind"], settings)
    invariants = model.invariants(objective.named(weights))
    columns["invariant"] = (weights if invariants is None else invariants).cpu().numpy()
    columns["straight"] = np.zeros(len(weights), bool)
    columns["valley"] = np.full((len(weights), LANDMARKS, MARKS), np.nan)
    passed = columns["kind"] != KINDS.index("not_critical")
    columns["obstacle"] = np.where(passed, OBSTACLES.index("none"), columns["obstacle"])
    return weights, columns


def valley_columns(
    objective: Objective, weights: torch.Tensor, columns: dict[str, np.ndarray], settings: Classify
) -> dict[str, np.ndarray]:
    """What of the columns of `judged` tells which degenerate runs lie in one flat valley.

    Of runs in a straight one, the invariants are its shortest point; those in a curved one get the
    marks of the places in it that they walk to. Nothing where the model gives invariants, weights
    are constrained, or there are more of them than `classify.dense_up_to`.
    """
    bound = objective.constraints is not None or objective.manifold is not None
    rows = np.flatnonzero((columns["kind"] == KINDS.index("degenerate")) & (columns["nullity"] > 0))
    if bound or weights.shape[1] > settings.dense_up_to or len(rows) == 0:
        return {}
    if objective.model.invariants(objective.named(weights)) is not None:
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


def _dense(ends: Ends) -> dict[str, np.ndarray]:
    """Index, nullity and extreme eigenvalues from whole Hessians; of one that is not finite nothing
    is known."""
    hessian = ends.objective.hessian(ends.weights)
    lost = _lost(hessian)
    hessian[lost] = 0.0
    probed = _probed(ends, hessian)
    probed_values, vectors = torch.linalg.eigh(hessian[probed])
    values = hessian.new_empty(hessian.shape[:2])
    values[probed], values[~probed] = probed_values, torch.linalg.eigvalsh(hessian[~probed])
    place = torch.cumsum(probed, 0) - 1
    values = values.cpu().numpy()
    norm = np.abs(values[:, [0, -1]]).max(axis=1)

    def probe(rows: torch.Tensor, zero: torch.Tensor, error: torch.Tensor) -> Probe:
        part, at = ends.objective.take(rows.cpu().numpy()), place[rows]
        spectrum = probed_values[at], vectors[at]
        return dense_probe(part, ends.weights[rows], hessian[rows], spectrum, zero, error)

    obstacle, zero_below = ends.doubts(values, norm, probed.cpu().numpy(), probe)
    lost = lost.cpu().numpy()
    obstacle[lost] = OBSTACLES.index("not_finite")
    open_ = lost | (obstacle == OBSTACLES.index("underflow"))
    index, nullity = (np.where(open_, UNDETERMINED, count) for count in inertia(values, zero_below))
    known = np.where(lost[:, None], np.nan, values)
    return {
        **_by_signs(ends, values, zero_below, index, nullity),
        "zero_range": zero_range(known, zero_below),
        "min_eigenvalue": known[:, 0],
        "max_eigenvalue": known[:, -1],
        "obstacle": obstacle,
        "unit": small_unit(norm),
    }


def _lost(hessian: torch.Tensor) -> torch.Tensor:
    """(run,) bool: which Hessians are not finite?"""
    # a sum takes a tenth of the time, but may overflow where no entry has
    lost = ~torch.isfinite(hessian.sum(dim=(1, 2)))
    lost[lost.clone()] = ~torch.isfinite(hessian[lost]).all(dim=2).all(dim=1)
    return lost


def _probed(ends: Ends, hessian: torch.Tensor) -> torch.Tensor:
    """(run,) bool: all runs whose eigenvalues may be in doubt, for which eigenvectors are needed,
    are among them."""
    norm = torch.linalg.vector_norm(hessian, dim=(1, 2))  # no less but for rounding
    limit = critical_limit(ends.settings.critical_below, 2 * norm.cpu().numpy())
    critical = torch.as_tensor((ends.gradient_norm < limit) & ends.smooth, device=hessian.device)
    rows = torch.nonzero(critical).squeeze(1)
    part, gradient = ends.objective.take(rows.cpu().numpy()), torch.as_tensor(ends.gradient_norm)
    sizes = gradient.to(norm)[rows], (ends.settings.zero_below * norm)[rows]
    probed = critical.clone()
    probed[rows] = ~settled(part, ends.weights[rows], hessian[rows], *sizes)
    return probed


def _matrix_free(ends: Ends) -> dict[str, np.ndarray]:
    """The same from the ends of the spectra, run by run; what the ends leave open is
    undetermined."""
    objective, weights = ends.objective, ends.weights
    low, high = ends.settings.ends(objective.dimension)
    values, residuals, vectors, floor = ends_of_spectra(
        objective, weights, low, high, ends.tell, ends.settings.lanczos_steps
    )
    lowest, highest = values[:, :low], values[:, low:]
    norm = np.fmax.reduce(np.abs(values), axis=1)
    known, along = torch.as_tensor(values).to(weights), torch.as_tensor(vectors).to(weights)

    def probe(rows: torch.Tensor, zero: torch.Tensor, error: torch.Tensor) -> Probe:
        part = objective.take(rows.cpu().numpy())
        return free_probe(part, weights[rows], known[rows], along[rows], zero, error)

    obstacle, zero_below = ends.doubts(values, norm, ends.smooth, probe)
    zero = zero_below * norm[:, None]
    index, nullity = inertia_of_ends(lowest, highest, zero, residuals, objective.dimension)
    open_ = obstacle == OBSTACLES.index("underflow")
    bounds = index_bounds(values, zero, floor, objective.dimension)
    _close(ends, bounds, zero[:, 0], obstacle)
    least, most = bounds.values()
    index = np.where(least == most, least, index)
    index = np.where(open_ | (index < least) | (index > most), UNDETERMINED, index)
    nullity = np.where(open_, UNDETERMINED, nullity)
    missing = np.full(len(values), np.nan)
    return {
        **_by_signs(ends, values, zero_below, index, nullity),
        "min_eigenvalue": lowest[:, 0] if low else missing,
        "max_eigenvalue": highest[:, -1] if high else missing,
        "eigenvalue": values,
        "residual": residuals,
        **bounds,
        "obstacle": obstacle,
        "unit": small_unit(norm),
    }


def _close(
    ends: Ends, bounds: dict[str, np.ndarray], zero: np.ndarray, obstacle: np.ndarray
) -> None:
    """Bring `index_least` and `index_most`, (run,), together by factorizations of the Hessian,
    where they leave the index of a critical point open. zero: (run,): up to it an eigenvalue is
    zero.

    Of H + zero/2 at least as many eigenvalues are negative as of H are below −zero, and of H +
    3zero/2 at most as many, if the error of a factorization is at most zero/2.
    """
    least, most = bounds["index_least"], bounds["index_most"]
    size = ends.objective.dimension
    if size > ends.settings.factorize_up_to:
        return
    critical = ends.smooth & (obstacle == OBSTACLES.index("none")) & (zero > 0)
    for run in np.flatnonzero(critical & (least < most)):
        part = ends.objective.take(np.array([run]))
        product = numpy_product(part, ends.weights[run : run + 1])
        above = inertia_of_shifted(product, size, zero[run] / 2, ends.tell)
        if above.error <= zero[run] / 2:
            most[run] = min(most[run], above.negative)
        if least[run] < most[run]:
            below = inertia_of_shifted(product, size, 3 * zero[run] / 2, ends.tell)
            if below.error <= zero[run] / 2:
                least[run] = max(least[run], below.negative)


def _by_signs(
    ends: Ends, values: np.ndarray, zero_below: np.ndarray, index: np.ndarray, nullity: np.ndarray
) -> dict[str, np.ndarray]:
    """What signs of eigenvalues say; values: (run, mode)."""
    signs = indefinite(values, zero_below)
    return {
        "second_order": second_order(signs, index, nullity, ends.objective.dimension),
        "index": index,
        "nullity": nullity,
        "zero_range": zero_range(values, zero_below),
    }
