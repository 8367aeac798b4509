"""Which eigenvalues of a Hessian the gradient leaves no doubt about.

From a point with gradient g and Hessian H, Newton's step s = H⁺g leads to the critical point beside
it, if there is one: by Kantorovich's theorem there is, within 2‖s‖ and with eigenvalues of the same
signs, where h = ‖H⁻¹‖·M‖s‖ ≤ ½ and M bounds how fast H changes. M‖s‖ is measured here, as the
largest change of an eigenvalue on that step; an eigenvalue λ counts as known where 4M‖s‖ ≤ |λ|,
that is h ≤ ¼. Where the loss has a degenerate direction of higher order, like x³ or x⁴, the
eigenvalue along it changes by half of itself or more on Newton's step, however close the point is:
h ≥ ½, and it is counted as zero. (Kantorovich & Akilov, Functional Analysis, 1982, ch. XVIII.)

This is an estimate, as M is measured on one step; stage certify proves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch

from nnflow.engine.critical import CRITICAL, OBSTACLES, critical_limit, small_unit
from nnflow.engine.kantorovich import curvature_needed, steeper
from nnflow.engine.minres import minres
from nnflow.engine.objective import Objective
from nnflow.engine.valleys import finite
from nnflow.study.stage_settings import Classify

ERROR = 1e-13
"""Error of a gradient's components, where the norm of the Hessian is not below critical.SMALL:
rounding. Polishing ends at this norm."""
SAFETY = 4.0
"""An eigenvalue is known where it is this many times as large as it changes: 1/h."""
REACH = 2.0
"""How far around a point a bound on third derivatives is to hold, in lengths ‖g‖/λ, which Newton's
step does not exceed: to the critical point."""
NEAR = 1e-2
"""A critical point with a degenerate direction lies within this length of Newton's step, or the run
has not come to it."""
EXPLAINED = 0.5
"""Newton's step lowers a gradient that the curvature explains to this fraction or less; to h/2,
that is ⅛, by theory."""
FORCING = 1e-2
"""Relative residual to which Newton's step is solved matrix-free."""
PRODUCTS = 200
"""Maximum number of products for it."""
ROUNDS = 3
"""Maximum number of times that directions in doubt are left out of the step."""


@dataclass(frozen=True)
class Probe:
    """Newton's step from each run's point, and what it met; (run,) each but `along`.

    along: the gradient's part along each eigenvector, at least its error, (run, mode).
    length: ‖s‖. change: the largest change of an eigenvalue, or where it leaves no doubt a bound of
    that. gradient: its norm after the step.
    """

    along: np.ndarray
    length: np.ndarray
    change: np.ndarray
    gradient: np.ndarray

    def take(self, rows: np.ndarray) -> Probe:
        """That of the given runs."""
        return Probe(*(getattr(self, each.name)[rows] for each in fields(self)))

    def replaced(self, rows: np.ndarray, others: Probe) -> Probe:
        """The same with others at the given runs."""
        parts = {each.name: getattr(self, each.name).copy() for each in fields(self)}
        for name, part in parts.items():
            part[rows] = getattr(others, name)
        return Probe(**parts)


def settled(
    objective: Objective,
    weights: torch.Tensor,
    hessian: torch.Tensor,
    gradient_norm: torch.Tensor,
    zero: torch.Tensor,
) -> torch.Tensor:
    """(run,) bool: does the point provably lie beside a minimum, with no eigenvalue in doubt? The
    model's bound on third derivatives takes the place of M, and a Cholesky factor that of
    eigenvectors and of a second Hessian.

    gradient_norm, zero: (run,), ‖g‖ and the size up to which an eigenvalue counts as zero.
    """
    none = torch.zeros(len(weights), dtype=torch.bool, device=weights.device)
    if len(weights) == 0 or objective.manifold is not None:  # the bound is that in all weights
        return none
    size = gradient_norm + ERROR * weights.shape[1] ** 0.5  # the error of all components
    needed = curvature_needed(objective, weights, size, 1 / SAFETY, REACH)
    return none if needed is None else steeper(hessian, needed.maximum(zero))


def dense_probe(
    objective: Objective,
    weights: torch.Tensor,
    hessian: torch.Tensor,
    spectrum: tuple[torch.Tensor, torch.Tensor],
    zero: torch.Tensor,
    error: torch.Tensor,
) -> Probe:
    """The probe from whole spectra.

    hessian: (run, mode, mode). spectrum: its eigenvalues (run, mode) and vectors (run, mode, mode).
    zero, error: (run, 1), size up to which an eigenvalue counts as zero, and the gradient's error.
    No eigenvalue changes by more than the Hessian does in Frobenius' norm (Weyl); the spectrum of
    the other Hessian is computed only where this leaves a doubt.
    """
    values, vectors = spectrum
    gradient = objective.to_tangent(weights, objective.gradient(weights))
    along = (vectors.mT @ gradient[..., None]).squeeze(-1)
    parts = _newton(along, values, zero, error)
    step = objective.from_tangent(weights, (vectors @ parts[..., None]).squeeze(-1))
    there = objective.retract(weights - step)
    moved = finite(objective.hessian(there))
    change = torch.linalg.vector_norm(moved - hessian, dim=(1, 2))
    probe = _probe(objective, there, along, error, step, change)
    _, doubt = _doubts(values.abs().cpu().numpy(), zero.cpu().numpy(), probe)
    rows = torch.as_tensor(np.flatnonzero(doubt), device=values.device)
    if len(rows):
        change[rows] = _changes(torch.linalg.eigvalsh(moved[rows]), values[rows])
    return replace(probe, change=change.cpu().numpy())


def free_probe(
    objective: Objective,
    weights: torch.Tensor,
    values: torch.Tensor,
    vectors: torch.Tensor,
    zero: torch.Tensor,
    error: torch.Tensor,
) -> Probe:
    """The probe from known eigenpairs: values (run, mode), NaN where one is missing, and vectors
    (run, weight, mode). The rest of the step is solved for, and the change is that of the known
    eigenvalues, by their Rayleigh quotients."""
    known = torch.isfinite(values)
    vectors = torch.where(known[:, None], vectors, 0.0)
    values = torch.where(known, values, 0.0)
    gradient = objective.gradient(weights)
    along = (vectors.mT @ gradient[..., None]).squeeze(-1)
    rest = gradient - (vectors @ along[..., None]).squeeze(-1)
    others, _ = minres(objective.hessian_vector(weights), rest, FORCING, PRODUCTS)
    parts = _newton(along, values, zero, error)
    step = others + (vectors @ parts[..., None]).squeeze(-1)
    there = weights - step
    product = objective.hessian_vector(there)
    moved = torch.stack(
        [(v * product(v.contiguous())).sum(dim=1) for v in vectors.unbind(dim=2)], dim=1
    )
    return _probe(objective, there, along, error, step, _changes(moved, values))


def doubtful_below(
    values: np.ndarray, zero: np.ndarray, probe: Callable[[np.ndarray, np.ndarray], Probe]
) -> tuple[np.ndarray, Probe]:
    """Size up to which eigenvalues are not known to differ from zero, (run,), 0 where all that
    exceed `zero` (run, 1) are; and the first probe.

    values: (run, mode), NaN where one is missing. probe: of the given rows, with their zero. First
    the directions are found in which Newton's step alone changes the eigenvalues too much; they
    count as zero, and the probe is repeated without them, as what it meets there says nothing about
    the others. Then an eigenvalue is known where it is `SAFETY` times as large as the eigenvalues
    change on the step along it, along all larger ones, and along what no eigenvector explains.
    """
    size = np.nan_to_num(np.abs(values), nan=0.0)
    rows, raised = np.arange(len(values)), zero.copy()
    first = last = probe(rows, raised)
    for _ in range(ROUNDS):
        own, _ = _doubts(size[rows], raised[rows], last.take(rows))
        rows = rows[own > raised[rows, 0]]
        if len(rows) == 0:
            break
        raised[rows, 0] = own[own > 0]
        last = last.replaced(rows, probe(rows, raised[rows]))
    _, all_in_all = _doubts(size, raised, last)
    raised = np.maximum(raised[:, 0], all_in_all)
    return np.where(raised > zero[:, 0], raised, 0), first


def _doubts(size: np.ndarray, zero: np.ndarray, probe: Probe) -> tuple[np.ndarray, np.ndarray]:
    """Largest eigenvalue that is in doubt by the step along it alone, and by the step along it and
    all larger ones; (run,), 0 for none. size: (run, mode). zero: (run, 1)."""
    usable = size > zero
    distance = np.where(usable, probe.along / np.where(usable, size, 1), 0)
    rest = np.maximum(np.square(probe.length) - np.square(distance).sum(axis=1), 0)
    order = np.argsort(-size, axis=1, kind="stable")
    size, usable, distance = (
        np.take_along_axis(part, order, axis=1) for part in (size, usable, distance)
    )
    together = np.sqrt(np.cumsum(np.square(distance), axis=1) + rest[:, None])
    rate = np.where(probe.length > 0, probe.change / np.where(probe.length > 0, probe.length, 1), 0)
    doubts = (~(SAFETY * rate[:, None] * way <= size) & usable for way in (distance, together))
    return tuple(np.where(doubt, size, 0).max(axis=1, initial=0) for doubt in doubts)


def doubts(
    values: np.ndarray,
    norm: np.ndarray,
    gradient_norm: np.ndarray,
    probed: np.ndarray,
    settings: Classify,
    probe: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Probe],
) -> tuple[np.ndarray, np.ndarray]:
    """What keeps runs from being critical (run,), and the fraction of the largest eigenvalue up to
    which eigenvalues count as zero, (run, 1): `zero_below`, or more where a run's gradient leaves
    more of them in doubt.

    values: (run, mode). norm, gradient_norm: (run,). probed: (run,) bool: which runs are
    probed if their gradient is small. probe: of the given rows, with zero and error.
    """
    limit = critical_limit(settings.critical_below, norm)
    obstacle = np.where(gradient_norm < limit, 0, OBSTACLES.index("gradient"))
    zero_below = np.full((len(values), 1), settings.zero_below)
    rows = np.flatnonzero((obstacle == 0) & probed)
    if len(rows) == 0:
        return obstacle, zero_below
    error = ERROR * small_unit(norm)

    def of_rows(chosen: np.ndarray, zero: np.ndarray) -> Probe:
        at = rows[chosen]
        return probe(*(torch.as_tensor(part) for part in (at, zero, error[at, None])))

    doubtful, met = doubtful_below(values[rows], settings.zero_below * norm[rows, None], of_rows)
    below = critical_limit(CRITICAL, norm[rows])
    far = too_large(gradient_norm[rows], below, doubtful > 0, met)
    obstacle[rows[far]] = OBSTACLES.index("curvature")
    scale = np.where(norm[rows] > 0, norm[rows], 1)
    zero_below[rows, 0] = np.maximum(settings.zero_below, doubtful / scale)
    return obstacle, zero_below


def too_large(
    gradient_norm: np.ndarray, below: np.ndarray, doubtful: np.ndarray, probe: Probe
) -> np.ndarray:
    """(run,) bool: is the gradient too large for its curvature to belong to a critical point?

    It is where Newton's step does not lower a gradient above `below` (run,), or where eigenvalues
    are `doubtful` (run,) and the step is longer than `NEAR`.
    """
    unexplained = ~(probe.gradient <= EXPLAINED * gradient_norm) & (gradient_norm > below)
    return unexplained | (doubtful & ~(probe.length <= NEAR))


def _newton(
    along: torch.Tensor, values: torch.Tensor, zero: torch.Tensor, error: torch.Tensor
) -> torch.Tensor:
    """Newton's step in the eigenvectors' coordinates, (run, mode), within the range of H: its parts
    are at least what the gradient's error leaves open."""
    regular = values.abs() > zero
    length = torch.maximum(along.abs(), error) / torch.where(regular, values, 1.0)
    return torch.where(regular, torch.where(along < 0, -length, length), 0.0)


def _changes(there: torch.Tensor, here: torch.Tensor) -> torch.Tensor:
    return (there - here).abs().amax(dim=1)


def _probe(objective, there, along, error, step, change) -> Probe:
    after = torch.linalg.vector_norm(objective.gradient(there), dim=1)
    found = (along.abs().maximum(error), torch.linalg.vector_norm(step, dim=1), change, after)
    return Probe(*(part.cpu().numpy() for part in found))
