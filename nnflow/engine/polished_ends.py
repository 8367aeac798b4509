"""Ends of runs, moved onto the critical points beside them as a study's settings say."""

from __future__ import annotations

from collections.abc import Callable

import torch

from nnflow.engine.constrained import OnFace
from nnflow.engine.critical import small_unit
from nnflow.engine.eigenvalues import power_norm
from nnflow.engine.newton import Method
from nnflow.engine.objective import Objective
from nnflow.engine.polish import POLISHED, CautiousSteps, FreeSteps, polish
from nnflow.study.stage_settings import Classify


def polished_ends(
    objective: Objective, start: torch.Tensor, settings: Classify, tell: Callable[[str], None]
) -> torch.Tensor:
    """Weights after polishing, (run, weight), from start (run, weight): by Hessians up to
    `dense_up_to` weights, by their products above, along faces where weights are constrained."""
    if settings.polish == "none":
        return start
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
    return _in_its_unit(objective, start, moved, method, radius)


def _in_its_unit(
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
