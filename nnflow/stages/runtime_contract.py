"""Checks shapes and dtypes of what a stage relies on, on a few runs before any time is spent."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from nnflow.base.errors import UserError
from nnflow.engine.objective import Objective
from nnflow.engine.outcome import with_settings
from nnflow.interfaces.optimizer import Optimizer
from nnflow.stages.faults import described

TAKEN = ("loss", "gradient_norm", "step")
"""Names of what every trace has."""
FEW = 2
"""Runs that are tried: with one, a forgotten axis would not show."""


def check_training(
    objective: Objective,
    optimizer: Optimizer,
    weights: torch.Tensor,
    varied: dict[str, torch.Tensor] | None = None,
) -> None:
    """Raise UserError where the model or the optimizer gives another shape or type than it
    has to. weights: (run, weight). varied: settings of the optimizer that differ from run to run,
    (run, 1) each. Values are not judged: a run may diverge."""
    few = objective.take(np.arange(min(FEW, len(weights))))
    at = weights[:FEW]
    runs = tuple(at.shape[:1])
    model = objective.model
    _check(model, "loss", few.loss(at), runs, at.dtype)
    _check(model, "gradient", few.gradient(at), tuple(at.shape), at.dtype)
    with torch.no_grad():
        observed = model.observables(few.named(at), few.data)
    for name, values in observed.items():
        if name in TAKEN or "/" in name:
            raise UserError(
                f"{described(model)}: an observable may not be called {name!r}: the traces use that"
                " name, or netCDF has no slash in names; rename it"
            )
        _check(model, f"observable {name!r}", values, (*runs, *values.shape[1:]))
    optimizer = with_settings(optimizer, {name: v[:FEW] for name, v in (varied or {}).items()})
    state = optimizer.start(at, torch.ones_like(at[:, 0]))
    moved, after = optimizer.step(few, at, state)
    _check(optimizer, "weights", moved, tuple(at.shape), at.dtype)
    if state.keys() != after.keys():
        raise UserError(f"{described(optimizer)}: a step gives another state than `start`")
    for name, values in after.items():
        _check(optimizer, f"state {name!r}", values, (*runs, *values.shape[1:]))


def _check(
    plugin: Any, what: str, given: Any, shape: tuple[int, ...], real: torch.dtype | None = None
) -> None:
    if not isinstance(given, torch.Tensor):
        raise UserError(f"{described(plugin)}: {what}: no tensor, but {type(given).__name__}")
    if real and given.dtype != real:
        raise UserError(
            f"{described(plugin)}: {what}: {given.dtype} where the weights are {real}"
            " (the study's `precision`)"
        )
    if tuple(given.shape) != shape:
        raise UserError(
            f"{described(plugin)}: {what}: shape {tuple(given.shape)} for {shape[0]} runs,"
            f" not {shape}"
        )
