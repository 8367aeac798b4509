"""What every plugin must do, whatever it stands for: closed forms against automatic
differentiation against finite differences, batches against single runs, twice the same.

Each check is a function that yields `Finding`s; an exception in it is a failure.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from nnflow.base.compiled import LANES, Compiled, load_row, store_row
from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective, automatic_gradient, automatic_hessian, flatten
from nnflow.interfaces import Activation, Descent, Initializer, Loss, Model, Optimizer
from nnflow.interfaces.constraints import Ball
from nnflow.interfaces.model import Shapes, size

RUNS = 4
"""Runs in each check."""
STEP = 1e-6
"""Step of central differences: small, as a kink within it would spoil them. Their rounding
error is then near 1e-10 of the function's value."""
AGAINST_DIFFERENCES = 1e-6
"""Largest relative error allowed against central differences."""
AGAINST_AUTOMATIC = 1e-8
"""Largest relative error allowed between a closed form and automatic differentiation, which
may itself lose digits, as at arccos."""
ROUNDING = 1e-11
"""Largest relative difference that the grouping of runs may make, or another closed form of one
number."""
DENSE_WEIGHTS = 300
"""Most weights for which whole Hessians are compared; above, products with vectors are."""
DIRECTIONS = 3
"""Directions in which finite differences are taken."""


@dataclass(frozen=True)
class Finding:
    """What one check of a plugin found. passed: None: could not be tried."""

    check: str
    passed: bool | None
    detail: str = ""


Findings = Iterator[Finding]


def _normal(*shape: int, draw: int = 0) -> torch.Tensor:
    """The same standard normal numbers every time."""
    runs, rest = shape[0], math.prod(shape[1:])
    drawn = Streams(0, "check", np.arange(runs), "check").normal(rest, draw)
    return torch.as_tensor(drawn).reshape(shape)


def _error(found: torch.Tensor, expected: torch.Tensor, scale: float = 1.0) -> float:
    """Largest difference, relative to the larger of `scale` and the expected values."""
    if found.shape != expected.shape:
        return math.inf
    size = max(scale, float(expected.abs().max())) if expected.numel() else scale
    error = float((found - expected).abs().max()) / size if found.numel() else 0.0
    return math.inf if math.isnan(error) else error


def _close(check: str, error: float, allowed: float) -> Finding:
    return Finding(check, error <= allowed, f"relative error {error:.1e}")


def same(check: str, found: torch.Tensor, expected: torch.Tensor) -> Finding:
    """Bit-identical, or the difference; larger ones than rounding's are failures."""
    if found.shape == expected.shape and torch.equal(found, expected):
        return Finding(check, True)
    error = _error(found, expected)
    return Finding(check, error <= ROUNDING, f"not bit-identical: differs by {error:.1e}")


def _shaped(check: str, found: torch.Tensor, shape: tuple[int, ...]) -> Finding:
    if tuple(found.shape) != shape:
        return Finding(check, False, f"shape {tuple(found.shape)}, not {shape}")
    if found.dtype != torch.float64:
        return Finding(check, False, f"{found.dtype}, not torch.float64")
    return Finding(check, bool(found.isfinite().all()), "finite, float64")


# Models


def check_model(model: Model, data: dict[str, torch.Tensor]) -> Findings:
    """Shapes, derivatives and symmetries at random normal weights."""
    streams = Streams(0, "check", np.arange(RUNS), "check")
    own = model.initial(streams) if model.buffers() else {}
    buffers = {name: torch.as_tensor(own[name]) for name in model.buffers()}
    objective = Objective(model, data, streams, buffers=buffers)
    weights = model_weights(model)
    if model.constraints() is not None:
        weights = model.constraints().project(weights)
    before = weights.clone()
    loss, gradient = objective.loss(weights), objective.gradient(weights)
    yield _shaped("loss: shape", loss, (RUNS,))
    yield _shaped("gradient: shape", gradient, tuple(weights.shape))
    yield from _model_twice(objective, weights, loss, gradient)
    yield from _model_gradient(objective, weights, loss, gradient)
    yield from _model_descent(objective, weights)
    yield from _model_hessian(objective, weights, gradient)
    yield from _model_bound(objective, weights)
    yield from _model_symmetry(objective, weights, loss)
    yield from _model_order(objective, weights, loss)
    yield from _model_plane(objective, weights)
    yield from _model_composed(objective, weights, loss)
    yield from _model_parts(objective, weights, loss)
    yield from _model_set(model, weights)
    yield Finding("arguments are left as they are", torch.equal(weights, before))


def model_weights(model: Model) -> torch.Tensor:
    """Normal weights, matrices divided by the root of their inputs, (run, weight)."""
    parts = {
        name: _normal(RUNS, *shape, draw=i) / math.sqrt(shape[-1] if len(shape) > 1 else 1)
        for i, (name, shape) in enumerate(model.shapes().items())
    }
    return flatten(parts)


def _model_twice(objective, weights, loss, gradient) -> Findings:
    again = torch.equal(objective.loss(weights), loss)
    again &= torch.equal(objective.gradient(weights), gradient)
    yield Finding("determinism: loss and gradient", again)
    rows = [(objective.take(np.array([run])), weights[run : run + 1]) for run in range(RUNS)]
    yield same("batch against single runs: loss", torch.cat([o.loss(w) for o, w in rows]), loss)
    single = torch.cat([o.gradient(w) for o, w in rows])
    yield same("batch against single runs: gradient", single, gradient)


def _model_gradient(objective, weights, loss, gradient) -> Findings:
    model = objective.model
    function = _function(objective)
    closed = model.gradient(objective.named(weights), objective.data)
    compiled = objective.compiled_gradient(weights)
    if closed is not None or compiled is not None:
        automatic = automatic_gradient(function, weights)
    if closed is not None:
        error = _error(flatten(closed), automatic)
        yield _close("gradient: closed form against automatic", error, AGAINST_AUTOMATIC)
    if compiled is not None:
        error = _error(gradient, automatic)
        yield _close("gradient: compiled form against automatic", error, AGAINST_AUTOMATIC)
        plain = compiled.in_numpy(weights.numpy())
        told = f"differs by {_error(gradient, torch.from_numpy(plain)):.1e}"
        matched = np.array_equal(gradient.numpy(), plain)
        yield Finding("gradient: the form in NumPy has the bits of the compiled one", matched, told)
    errors = []
    for direction in _directions(weights):
        slope = (objective.loss(weights + STEP * direction)) - objective.loss(
            weights - STEP * direction
        )
        scale = 1 + float(gradient.norm(dim=1).max()) + float(loss.abs().max())
        errors.append(_error(slope / (2 * STEP), (gradient * direction).sum(1), scale))
    yield _close("gradient: against finite differences", max(errors), AGAINST_DIFFERENCES)


def _model_descent(objective, weights) -> Findings:
    """Many steps at once against one after another, with a rate and a momentum of each run."""
    rate = torch.linspace(0.01, 0.05, len(weights), dtype=weights.dtype)[:, None]
    momentum, velocity = 10 * rate, 0.1 * _normal(*weights.shape, draw=4)
    for what, descent in (
        ("plain", Descent(STEPS, rate)),
        ("momentum", Descent(STEPS, rate, velocity, momentum)),
        ("momentum ahead", Descent(STEPS, rate, velocity, momentum, ahead=True)),
        ("steps of each run", Descent(torch.arange(len(weights)) % (STEPS + 1), rate)),
    ):
        if (found := objective.descend(weights, descent)) is not None:
            expected = one_by_one(objective, weights, descent)
            matched = torch.equal(found.weights, expected[0]) and not found.left.any()
            if descent.velocity is not None:
                matched &= torch.equal(found.velocity, expected[1])
            yield Finding(f"many steps at once, {what}: the bits of single steps", matched)


def one_by_one(objective: Objective, weights: torch.Tensor, descent: Descent):
    """Weights and velocity after the steps of a descent, taken one after another."""
    velocity = descent.velocity
    for step in range(int(torch.as_tensor(descent.steps).max())):
        if velocity is None:
            moved = weights - descent.rate * objective.gradient(weights)
            taken = torch.as_tensor(step < descent.steps).expand(len(weights))
            weights = torch.where(taken[:, None], moved, weights)
            continue
        drift = descent.momentum * velocity
        at = weights - drift if descent.ahead else weights
        velocity = drift + descent.rate * objective.gradient(at)
        weights = weights - velocity
    return weights, velocity


def _model_hessian(objective, weights, gradient) -> Findings:
    model = objective.model
    dense = size(model) <= DENSE_WEIGHTS
    closed = model.hessian(objective.named(weights), objective.data) if dense else None
    if closed is not None:
        automatic = automatic_hessian(_function(objective), weights)
        yield _close(
            "Hessian: closed form against automatic",
            _error(closed, automatic),
            # the second derivative loses digits twice
            100 * AGAINST_AUTOMATIC,
        )
        yield _close("Hessian: symmetric", _error(closed.mT, closed), AGAINST_AUTOMATIC)
    if dense:
        hessian = objective.hessian(weights)
        yield _shaped("Hessian: shape", hessian, (RUNS, size(model), size(model)))

        def product(vectors):
            return (hessian @ vectors[..., None]).squeeze(-1)
    else:
        product = objective.hessian_vector(weights)
    errors = []
    for direction in _directions(weights):
        moved = objective.gradient(weights + STEP * direction)
        moved = moved - objective.gradient(weights - STEP * direction)
        scale = 1 + float(gradient.norm(dim=1).max())
        errors.append(_error(moved / (2 * STEP), product(direction), scale))
    yield _close("Hessian: against finite differences", max(errors), AGAINST_DIFFERENCES)


def _model_bound(objective, weights) -> Findings:
    model = objective.model
    radius = torch.full((RUNS,), 1e-3, dtype=weights.dtype)
    bound = model.third_derivative_bound(objective.named(weights), radius)
    if bound is None or size(model) > DENSE_WEIGHTS:
        return
    moved = weights + radius[:, None] * _directions(weights)[0]
    change = objective.hessian(moved) - objective.hessian(weights)
    norm = torch.linalg.matrix_norm(change, ord=2)
    held = bool((norm <= bound * radius * (1 + 1e-6)).all())
    yield Finding("third-derivative bound holds", held)


def _model_symmetry(objective, weights, loss) -> Findings:
    model = objective.model
    named = objective.named(weights)
    image = model.canonical(named)
    canonical = flatten({name: image[name] for name in model.shapes()})
    if tuple(canonical.shape) != tuple(weights.shape):
        yield Finding("canonical form: shape", False, f"{tuple(canonical.shape)}")
        return
    error = _error(objective.loss(canonical), loss)
    yield _close("canonical form: the same loss", error, AGAINST_AUTOMATIC)
    numbers = model.invariants(named)
    if numbers is None:
        return
    yield _shaped("invariants: shape", numbers, (RUNS, numbers.shape[-1]))
    error = _error(model.invariants(objective.named(canonical)), numbers)
    yield _close("invariants: the same at the canonical form", error, AGAINST_AUTOMATIC)


def _model_order(objective, weights, loss) -> Findings:
    model = objective.model
    shapes = {**model.shapes(), **model.buffers()}
    lengths = {
        axis: length
        for name, axes in model.dimensions().items()
        for axis, length in zip(axes, shapes[name], strict=True)
    }
    for axis in model.interchangeable():
        if axis not in lengths:
            yield Finding(f"interchangeable: {axis} is an axis of a weight", False)
            continue
        moved = model.permuted(objective.named(weights), {axis: turned(lengths[axis])})
        with torch.no_grad():
            error = _error(model.loss(moved, objective.data), loss)
        yield _close(f"interchangeable: the same loss, {axis}", error, ROUNDING)


def turned(length: int) -> np.ndarray:
    """An order in which every entry has another place, if there are two."""
    return np.roll(np.arange(length), 1)


def _model_plane(objective, weights) -> Findings:
    parts = [objective.named(part[None]) for part in weights[:3]]
    with torch.no_grad():
        known = objective.model.on_plane(*parts, objective.data)
        if known is None:
            return
        x, y = _normal(2, RUNS).unbind(0)
        found = known(x, y)
    center, first, second = weights[:3]
    expected = objective.loss(center + torch.outer(x, first) + torch.outer(y, second))
    yield _close("on a plane: the loss", _error(found, expected), ROUNDING)


def _model_composed(objective, weights, loss) -> Findings:
    named = objective.named(weights)
    with torch.no_grad():
        composed = objective.model.composed(named, objective.data)
        if composed is None:
            return
        found = composed.price(composed.outputs, named)
    yield _close("composed: price(outputs, weights) is the loss", _error(found, loss), ROUNDING)


def _model_parts(objective, weights, loss) -> Findings:
    model = objective.model
    smooth = objective.smooth(weights)
    fits = tuple(smooth.shape) == (RUNS,) and smooth.dtype == torch.bool
    yield Finding("smooth at random weights", fits and bool(smooth.all()))
    infimum = model.infimum()
    if infimum is not None:
        yield Finding("loss at or above the infimum", bool((loss >= infimum - 1e-12).all()))
    shapes = model.shapes()
    named = model.dimensions()
    fits = all(name in shapes and len(axes) == len(shapes[name]) for name, axes in named.items())
    yield Finding("dimensions fit the shapes", fits)
    with torch.no_grad():
        observed = model.observables(objective.named(weights), objective.data)
    if observed:
        wrong = [name for name, value in observed.items() if value.shape[:1] != (RUNS,)]
        yield Finding("observables: run is the first axis", not wrong, ", ".join(wrong))


def _model_set(model, weights) -> Findings:
    held = model.constraints()
    if held is None:
        return
    far = 10 * _normal(*weights.shape, draw=2000)
    nearest = held.project(far)
    yield _shaped("constraints: shape of the projection", nearest, tuple(weights.shape))
    yield _close("constraints: projected twice", _error(held.project(nearest), nearest), ROUNDING)
    # the plane through the nearest point parts the set from what was projected
    products = (far - nearest) @ (weights - nearest).mT
    scale = float(far.square().sum(1).max())
    yield Finding("constraints: nearest points", bool((products.diag() <= ROUNDING * scale).all()))
    lengths = torch.linalg.vector_norm(held.normals(nearest), dim=2)[held.active(nearest)]
    yield Finding("constraints: normals of length 1", bool((lengths - 1).abs().lt(1e-12).all()))


def _function(objective: Objective) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda weights: objective.model.loss(objective.named(weights), objective.data)


def _directions(weights: torch.Tensor) -> list[torch.Tensor]:
    drawn = [_normal(*weights.shape, draw=1000 + i) for i in range(DIRECTIONS)]
    return [direction / direction.norm(dim=1, keepdim=True) for direction in drawn]


# Optimizers


class LeastSquares(Model):
    """L(w) = mean over samples of ½(w·x − t)²: what optimizers are tried on."""

    def shapes(self) -> Shapes:
        return {"w": (1, 3)}

    def loss(self, weights: Any, data: Any) -> torch.Tensor:
        outputs = data["inputs"] @ weights["w"].mT
        return (outputs.squeeze(-1) - data["targets"]).square().mean(-1) / 2


SAMPLES = 512
STEPS = 6


def optimizer_problem(optimizer: Optimizer) -> tuple[Objective, torch.Tensor]:
    """Least squares, in a ball where the optimizer keeps constraints, and first weights."""
    data = {"inputs": _normal(SAMPLES, 3, draw=1), "targets": _normal(SAMPLES, 1)[:, 0]}
    streams = Streams(0, "check", np.arange(RUNS), "train")
    held = Ball((0.0, 0.0, 0.0), 1.0) if optimizer.keeps_constraints else None
    objective = Objective(LeastSquares(), data, streams, None, held)
    return objective, objective.retract(_normal(RUNS, 3, draw=2))


def check_optimizer(optimizer: Optimizer) -> Findings:
    """A few steps on least squares: pure, repeatable, and blind to the batch."""
    objective, weights = optimizer_problem(optimizer)
    held = objective.constraints
    moved, state, kept = optimizer_steps(objective, optimizer, weights)
    yield _shaped("step: shape", moved, tuple(weights.shape))
    if held is not None:
        away = _error(held.project(moved), moved)
        yield Finding("constraints are kept", away <= ROUNDING, f"{away:.1e} outside")
    yield Finding("step: arguments are left as they are", kept)
    wrong = [name for name, value in state.items() if value.shape[:1] != (RUNS,)]
    yield Finding("state: run is the first axis", not wrong, ", ".join(wrong))
    yield Finding(
        "determinism", torch.equal(optimizer_steps(objective, optimizer, weights)[0], moved)
    )
    first = optimizer.start(weights, torch.ones(len(weights), dtype=weights.dtype))
    together = optimizer.steps(objective, weights, first, STEPS)[0]
    yield Finding("many steps at once: the bits of single steps", torch.equal(together, moved))
    halves = [np.arange(0, RUNS // 2), np.arange(RUNS // 2, RUNS)]
    parts = [optimizer_steps(objective.take(rows), optimizer, weights[rows])[0] for rows in halves]
    yield same("batch against its halves", torch.cat(parts), moved)


def optimizer_steps(objective: Objective, optimizer: Optimizer, weights: torch.Tensor):
    """Weights and state after a few steps, and whether no step changed its arguments."""
    state = optimizer.start(weights, torch.ones(len(weights), dtype=weights.dtype))
    kept = True
    for _ in range(STEPS):
        before = {"weights": weights.clone(), **{k: v.clone() for k, v in state.items()}}
        given = {"weights": weights, **state}
        weights, state = optimizer.step(objective, weights, dict(state))
        kept &= all(torch.equal(given[name], value) for name, value in before.items())
    return weights, state, kept


# Initializers, activations, losses


def check_initializer(initializer: Initializer, shapes: Shapes, label: str) -> Findings:
    """Shape and type; a run's weights depend on its own number only."""
    streams = Streams(0, label, np.arange(6), "initialize")
    drawn = initializer.draw(shapes, streams)
    yield Finding("names are those of the shapes", set(drawn) == set(shapes))
    for name, shape in shapes.items():
        yield _shaped(f"{name}: shape", torch.as_tensor(drawn[name]), (6, *shape))
    again = initializer.draw(shapes, streams)
    parts = [
        initializer.draw(shapes, streams.take(rows)) for rows in (np.arange(2), np.arange(2, 6))
    ]
    for check, other in (
        ("determinism", again),
        ("batch against its parts", {n: np.concatenate([p[n] for p in parts]) for n in shapes}),
    ):
        yield Finding(check, all(np.array_equal(drawn[name], other[name]) for name in shapes))


def check_activation(activation: Activation) -> Findings:
    """Finite; slopes against finite differences; no kink where none is admitted."""
    fine = torch.linspace(-6, 6, 100_001, dtype=torch.float64)
    # no kink at a whole or half number lies within a step of these
    places = fine[::97][(fine[::97] * 2 % 1 - 0.5).abs() < 0.49]
    places = places[: len(places) // 2 * 2]
    yield _shaped("values: shape", activation(places.reshape(2, -1)), (2, len(places) // 2))
    slope = automatic_gradient(activation, places)
    differences = (activation(places + STEP) - activation(places - STEP)) / (2 * STEP)
    error = _error(slope, differences)
    yield _close("slope: against finite differences", error, AGAINST_DIFFERENCES)
    error = _error(activation.derivative(places, activation(places)), slope)
    yield _close("derivative: against automatic", error, ROUNDING)
    if activation.lanes is not None:
        yield from _activation_lanes(activation, places)
    if activation.smooth:
        jump = float(automatic_gradient(activation, fine).diff().abs().max())
        yield Finding("smooth: no kink", jump < 1e-2, f"largest change of slope {jump:.1e}")


def _activation_lanes(activation, places) -> Findings:
    lanes, t = activation.lanes, places.numpy()
    value = lanes.value(t, lanes.parameter)
    error = _error(torch.as_tensor(value), activation(places))
    yield _close("lanes: value against σ", error, ROUNDING)
    slope = torch.as_tensor(lanes.slope(t, value, lanes.parameter)).expand(places.shape)
    error = _error(slope, activation.derivative(places, activation(places)))
    yield _close("lanes: slope against σ'", error, ROUNDING)
    rows = t[: len(t) // LANES * LANES].reshape(-1, LANES)
    found = np.empty((2 * len(rows), LANES))
    parts = {"value": lanes.value, "slope": lanes.slope}
    Compiled(_activated, _activated_in_numpy(lanes), parts)(rows, found, float(lanes.parameter))
    expected = np.empty_like(found)
    _activated_in_numpy(lanes)(rows, expected, float(lanes.parameter))
    matched = np.array_equal(found, expected)
    yield Finding("lanes: the form in NumPy has the bits of the compiled one", matched)


def _activated(rows, found, parameter):
    for row in range(len(rows)):
        t = load_row(rows, row)
        activated = value(t, parameter)  # noqa: F821
        store_row(found, 2 * row, activated)
        store_row(found, 2 * row + 1, slope(t, activated, parameter))  # noqa: F821


def _activated_in_numpy(lanes):
    def activate(rows, found, parameter):
        found[::2] = lanes.value(rows, parameter)
        found[1::2] = lanes.slope(rows, found[::2], parameter)

    return activate


def check_loss(loss: Loss) -> Findings:
    """For classes, real targets or both: shape, and gradient against finite differences."""
    outputs = _normal(2, 5, 3)
    kinds = {"classes": torch.arange(5) % 3, "real targets": _normal(5, 3, draw=1)}
    errors = {}
    for kind, targets in kinds.items():
        try:
            loss(outputs, targets)
        except Exception as error:
            errors[kind] = error
            continue
        yield from _loss_with(loss, kind, outputs, targets)
    if len(errors) == len(kinds):
        raise next(iter(errors.values()))


def _loss_with(loss, kind, outputs, targets) -> Findings:
    yield _shaped(f"{kind}: shape", loss(outputs, targets), (2, 5))
    gradient = automatic_gradient(lambda values: loss(values, targets), outputs)
    direction = _normal(2, 5, 3, draw=2)
    slope = loss(outputs + STEP * direction, targets) - loss(outputs - STEP * direction, targets)
    error = _error(slope / (2 * STEP), (gradient * direction).sum(-1))
    yield _close(f"{kind}: gradient against finite differences", error, AGAINST_DIFFERENCES)
    error = _error(loss.slope(outputs, targets), gradient)
    yield _close(f"{kind}: slope against automatic", error, ROUNDING)
    error = _error(loss.curvature(outputs, targets), Loss.curvature(loss, outputs, targets))
    yield _close(f"{kind}: curvature against automatic", error, 100 * AGAINST_AUTOMATIC)
    if loss.lanes is not None:
        yield from _loss_lanes(loss, kind, targets)


def _loss_lanes(loss, kind, targets) -> Findings:
    """Of twice LANES samples, compiled and in NumPy."""
    lanes, targets = loss.lanes, targets[torch.arange(2 * LANES) % len(targets)]
    outputs = _normal(2 * LANES, 3, draw=3)
    goals = targets.numpy()
    if not targets.dtype.is_floating_point:
        other, own = lanes.classes
        goals = np.where(goals[:, None] == np.arange(3), own, other)
    goals = goals.T.reshape(3, 2, LANES).astype(np.float64)
    in_numpy = outputs.numpy().T.reshape(3, 2, LANES).copy()
    found = in_numpy.reshape(6, LANES).copy()
    lanes.slope(found, goals.reshape(6, LANES), 2, float(lanes.parameter))
    error = _error(torch.from_numpy(found.reshape(3, -1).T), loss.slope(outputs, targets))
    yield _close(f"{kind}: lanes: slope against that of ℓ", error, ROUNDING)
    in_numpy = in_numpy[None]
    lanes.slope.plain(in_numpy, goals[None], 2, float(lanes.parameter))
    matched = np.array_equal(in_numpy.reshape(found.shape), found)
    yield Finding(f"{kind}: lanes: the form in NumPy has the bits of the compiled one", matched)
