"""Settings that a plugin lets vary from run to run: each run must be that of a fixed setting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from pydantic import ValidationError

from nnflow.base.streams import Streams
from nnflow.checks.contract_tests import (
    DENSE_WEIGHTS,
    RUNS,
    Finding,
    Findings,
    model_weights,
    optimizer_problem,
    optimizer_steps,
    same,
)
from nnflow.engine.objective import Objective
from nnflow.interfaces import Initializer, Model, Optimizer, Plugin
from nnflow.interfaces.model import Data, Shapes, size

FACTORS = np.array([1.0, 0.75, 0.5, 0.25])
"""What the setting is multiplied by, one factor for each run."""

Results = dict[str, torch.Tensor]


def check_varied_optimizer(optimizer: Optimizer) -> Findings:
    """A few steps of all runs, each with its own number."""
    objective, weights = optimizer_problem(optimizer)

    def results(plugin: Optimizer, runs: np.ndarray) -> Results:
        moved, state, _ = optimizer_steps(objective.take(runs), plugin, weights[runs])
        return {"weights": moved, **state}

    yield from _each(optimizer, lambda numbers: torch.as_tensor(numbers)[:, None], results)


def check_varied_initializer(initializer: Initializer, shapes: Shapes, label: str) -> Findings:
    """The first weights of all runs, each with its own number."""
    streams = Streams(0, label, np.arange(RUNS), "initialize")

    def results(plugin: Initializer, runs: np.ndarray) -> Results:
        drawn = plugin.draw(shapes, streams.take(runs))
        return {name: torch.as_tensor(values) for name, values in drawn.items()}

    yield from _each(initializer, lambda numbers: numbers[:, None], results)


def check_varied_model(model: Model, data: Data) -> Findings:
    """The loss of all runs, each with its own number, and its derivatives."""
    streams = Streams(0, "check", np.arange(RUNS), "check")
    weights = model_weights(model)

    def results(plugin: Model, runs: np.ndarray) -> Results:
        varied = {
            name: value
            for name in plugin.varies
            if isinstance(value := getattr(plugin, name), torch.Tensor)
        }
        objective, at = Objective(plugin, data, streams.take(runs), varied=varied), weights[runs]
        radius = torch.full_like(at[:, 0], 1e-3)
        found = {
            "loss": objective.loss(at),
            "gradient": objective.gradient(at),
            "hessian": objective.hessian(at) if size(plugin) <= DENSE_WEIGHTS else None,
            "product": objective.hessian_vector(at)(torch.ones_like(at)),
            "smooth": objective.smooth(at),
            "third_derivative_bound": plugin.third_derivative_bound(objective.named(at), radius),
            "invariants": plugin.invariants(objective.named(at)),
            **plugin.observables(objective.named(at), data),
        }
        return {name: value for name, value in found.items() if value is not None}

    yield from _each(model, torch.as_tensor, results)


def _each(
    plugin: Plugin,
    laid: Callable[[np.ndarray], np.ndarray | torch.Tensor],
    results: Callable[[Plugin, np.ndarray], Results],
) -> Findings:
    """Each setting in turn. laid: how the numbers of all runs, (run,), are given to the plugin.
    results: of a plugin for some runs, tensors (run, …) by name."""
    for setting in plugin.varies:
        if setting not in type(plugin).model_fields:
            yield Finding(f"varies: {setting}", False, "there is no such setting")
            continue
        numbers = _numbers(plugin, setting)
        if numbers is None:
            yield Finding(f"varies: {setting}", None, "no numbers for it were found")
            continue
        together = results(plugin.with_values({setting: laid(numbers)}), np.arange(len(numbers)))
        alone = [
            results(plugin.with_values({setting: float(number)}), np.array([run]))
            for run, number in enumerate(numbers)
        ]
        for name, values in together.items():
            yield same(
                f"varies: {setting}: {name}", values, torch.cat([each[name] for each in alone])
            )


def _numbers(plugin: Plugin, setting: str) -> np.ndarray | None:
    """A number for each run that the plugin takes for the setting; None where none is known."""
    given = {name: getattr(plugin, name) for name in type(plugin).model_fields}
    for most in (given[setting], 1.0, 0.1):
        if not isinstance(most, int | float) or not most:
            continue
        try:
            for number in most * FACTORS:
                type(plugin).model_validate({**given, setting: float(number)})
        except ValidationError:
            continue
        return most * FACTORS
    return None
