"""The ensemble engine: many runs trained as one batch.

All runs advance in lockstep, finished ones leave, and the rest is cut into chunks that
fit the processor's cache. What a run computes does not depend on its companions.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from nnflow.base.compiled import LANES
from nnflow.engine.basin import basin_margin
from nnflow.engine.objective import Objective
from nnflow.engine.outcome import RUNNING, STATUS, STOPPED_BY, Outcome, Position, with_settings
from nnflow.interfaces.optimizer import Optimizer, State
from nnflow.study.stage_settings import Stop, Trace

CHUNK_WEIGHTS = 2**15
"""Weights advanced together on a CPU: a quarter of a megabyte, so that a step's half-dozen
intermediate arrays stay in the cache of one core."""
CHUNK_WITH_SAMPLES = 2**17
"""The same where the loss is a mean over samples: what a step computes from them leaves the cache
anyway, and fewer calls serve more runs. Measured by benchmarks/ensembles.py: a step of `sgd` on
digits takes .6 to .85 of the time that it takes with 2¹⁵ (docs/results/speed.md)."""
CHUNK_BYTES = 64 * 2**20
"""Memory that the data would take if each run of the longer chunk had a copy of its own: what a
network computes from its data is a few times as much."""

STEPS_TOGETHER = 1000
"""Most steps between two looks of Python's at signals: half a second at k = n = 20."""

BASIN_TRIGGER = 1e-3
"""The basin test, which costs a Hessian and its factor, is first tried on a run when B‖∇L‖ falls
below this; it holds where B‖∇L‖ < 4/9 λ², and λ = 0.047 is already steep."""
BASIN_RETRY = 0.6
"""The test is tried again when B‖∇L‖ has fallen by the margin that the last one found missing,
but at least by this factor."""
BASIN_EVERY = 200
"""Steps between two rounds of basin tests, up to `BASIN_ROUNDS` times as many steps; then twice as
many, and so on: to ask whom to test takes as long as a step of a hundred runs."""
BASIN_ROUNDS = 100
BASIN_BYTES = 8 * 2**20
"""Memory for the Hessians of the runs that are tested together: more would leave the cache."""

Progress = Callable[[int, int, float, float], None]


def trace_steps(limit: int, per_decade: int | None) -> np.ndarray:
    """0, 1, … and then log-spaced steps up to `limit`, and `limit` itself; none for None."""
    if per_decade is None:
        return np.empty(0, dtype=np.int64)
    if limit == 0:
        return np.zeros(1, dtype=np.int64)
    decades = np.log10(limit) if limit > 1 else 0
    exponents = np.arange(np.floor(decades * per_decade) + 1)
    steps = np.round(10 ** (exponents / per_decade)).astype(np.int64)
    return np.unique(np.concatenate([[0], steps, [limit]]))


def train(
    objective: Objective,
    optimizer: Optimizer,
    initial: torch.Tensor,
    stop: Stop,
    trace: Trace,
    progress: Progress = lambda finished, step, lowest, highest: None,
    save: Callable[[Position], None] = lambda position: None,
    resumed: Position | None = None,
    varied: dict[str, torch.Tensor] | None = None,
) -> Outcome:
    """Train all runs until each has ended.

    initial: (run, weight) first weights, which are retracted onto the model's manifold, or
    projected onto its convex set.
    progress(finished runs, step, lowest and highest loss of the running ones) and save(position)
    are called at every look at the stop rules.
    varied: settings of the optimizer that differ from run to run, (run, 1) each.
    resumed: a position that `save` was given earlier, to resume from, bit-identically.
    """
    initial, varied = objective.retract(initial), varied or {}
    if resumed is None:
        traced = trace_steps(stop.steps, trace.points_per_decade)
        outcome = Outcome.empty(initial, traced, trace_steps(stop.steps, trace.weights))
        rows = np.arange(len(initial))
        resumed = Position.at_start(optimizer, initial, outcome, rows, BASIN_TRIGGER, varied)
    position = resumed
    while True:
        _descend(objective, optimizer, position, stop, progress, save)
        outcome, halvings = position.outcome, position.halvings + 1
        rows = np.flatnonzero(outcome.status == STATUS.index("diverged"))
        if len(rows) == 0 or halvings > stop.halvings:
            return outcome
        position = Position.at_start(
            optimizer, initial, outcome, rows, BASIN_TRIGGER, varied, halvings
        )


def _descend(
    objective: Objective,
    optimizer: Optimizer,
    at: Position,
    stop: Stop,
    progress: Progress,
    save: Callable[[Position], None],
) -> None:
    """Train the running rows to their ends, which are written into the outcome."""
    outcome = at.outcome
    place_of = {int(step): place for place, step in enumerate(outcome.trace_step)}
    kept_at = {int(step): place for place, step in enumerate(outcome.kept_step)}
    unread = _unread(stop, place_of, kept_at)
    running = objective.take(at.rows)
    for station in _stations(stop, np.union1d(outcome.trace_step, outcome.kept_step)):
        if station <= at.step:
            continue
        steps = station - max(at.step, 0)
        _advance(running, optimizer, at, steps)
        at.step = station
        if station in unread:
            _keep(outcome, optimizer, at, kept_at[station])
            save(at)
            continue
        look = _look(running, at.weights, at.state, stop, at.next_test, station)
        if station in place_of:
            _record(running, outcome, at.rows, place_of[station], at.weights, look)
        if station in kept_at:
            _keep(outcome, optimizer, at, kept_at[station])
        ended = look.stopped_by != RUNNING
        if ended.any():
            gone = at.weights[_rows(ended)]
            _finish(outcome, at.rows[ended], gone, look.take(ended), station)
            at.select(~ended)
            running = objective.take(at.rows)
            look = look.take(~ended)
        if len(at.rows) == 0:
            break
        progress(len(outcome.status) - len(at.rows), station, look.loss.min(), look.loss.max())
        save(at)
    progress(len(outcome.status), at.step, np.nan, np.nan)


def _unread(stop: Stop, traced: Collection[int], kept: Collection[int]) -> set[int]:
    """The steps at which weights are kept and nothing else is asked: no rule could end a run before
    its limit, unless it has diverged, and a look costs a loss and a gradient over all samples."""
    if stop.gradient_norm is not None or stop.loss is not None or stop.basin:
        return set()
    due = (step for step in kept if step % stop.check_every and step != stop.steps)
    return set(due).difference(traced)


def _stations(stop: Stop, traced: np.ndarray) -> Iterator[int]:
    """The steps at which the runs are checked, one after another: a limit of 10¹² costs nothing."""
    further = sorted({*map(int, traced), stop.steps})
    merged = heapq.merge(range(0, stop.steps, stop.check_every), further)
    return (station for station, _ in itertools.groupby(merged))


def _rows(mask: np.ndarray) -> torch.Tensor:
    return torch.as_tensor(np.flatnonzero(mask))


def _chunks(objective: Objective, weights: torch.Tensor) -> list[slice]:
    """Slices of the runs that a processor advances fastest; all of them at once on an
    accelerator."""
    runs, size = weights.shape
    if weights.device.type != "cpu":
        return [slice(0, runs)]
    length = max(1, CHUNK_WEIGHTS // size)
    data = 8 * sum(array.numel() for array in objective.data.values())
    if data:
        length = max(length, min(CHUNK_WITH_SAMPLES // size, CHUNK_BYTES // data))
    elif length > LANES:
        length -= length % LANES  # no vector of a compiled gradient is left half empty
    return [slice(start, min(start + length, runs)) for start in range(0, runs, length)]


def _parts(objective: Objective, weights: torch.Tensor) -> list[tuple[Objective, slice]]:
    """The chunks, each with its objective."""
    chunks = _chunks(objective, weights)
    if len(chunks) == 1:
        return [(objective, chunks[0])]
    return [(objective.take(np.arange(chunk.start, chunk.stop)), chunk) for chunk in chunks]


def _advance(objective: Objective, optimizer: Optimizer, at: Position, steps: int) -> None:
    """`steps` steps of all runs, chunk by chunk."""
    if steps == 0:
        return
    moved, memories = [], []
    for part, chunk in _parts(objective, at.weights):
        weights, memory = at.weights[chunk], {name: v[chunk] for name, v in at.state.items()}
        mover = with_settings(optimizer, {name: v[chunk] for name, v in at.varied.items()})
        for begun in range(0, steps, STEPS_TOGETHER):
            count = min(STEPS_TOGETHER, steps - begun)
            weights, memory = mover.steps(part, weights, memory, count)
        moved.append(weights)
        memories.append(memory)
    at.weights = torch.cat(moved)
    at.state = {name: torch.cat([memory[name] for memory in memories]) for name in at.state}


@dataclass
class _Look:
    """What the stop rules saw; arrays over the running runs."""

    loss: np.ndarray
    gradient_norm: np.ndarray
    stopped_by: np.ndarray

    def take(self, mask: np.ndarray) -> _Look:
        return _Look(self.loss[mask], self.gradient_norm[mask], self.stopped_by[mask])


def _look(
    objective: Objective,
    weights: torch.Tensor,
    state: State,
    stop: Stop,
    next_test: np.ndarray,
    step: int,
) -> _Look:
    """Loss and gradient norm, and which rule ends which run. next_test: (run,) the steepness
    below which the basin test is made, updated."""
    parts = [(part, weights[chunk]) for part, chunk in _parts(objective, weights)]
    gradient = torch.cat([part.stationarity(some) for part, some in parts])
    losses = torch.cat([part.loss(some) for part, some in parts])
    measure = objective.neuron_norms if stop.norm == "neuron" else _frobenius
    loss, norm = losses.cpu().numpy(), measure(gradient).cpu().numpy()
    reach = objective.neuron_norms(weights).cpu().numpy()
    stopped_by = np.full(len(weights), RUNNING, dtype=np.int8)

    def end(mask: np.ndarray, rule: str) -> None:
        stopped_by[mask & (stopped_by == RUNNING)] = STOPPED_BY.index(rule)

    with np.errstate(invalid="ignore"):
        end(~(np.isfinite(loss) & np.isfinite(norm) & (reach <= stop.diverged_above)), "divergence")
        if stop.gradient_norm is not None:
            end(norm < stop.gradient_norm, "gradient_norm")
        if stop.loss is not None:
            end(loss < stop.loss, "loss")
    if stop.basin and step % _basin_every(step) < stop.check_every:
        steepness = _steepness(objective, weights, gradient)
        tested = np.flatnonzero((stopped_by == RUNNING) & (steepness < next_test))
        margin = _basin_margins(objective, weights, state["rate"], tested)
        next_test[tested] = steepness[tested] * np.fmin(margin, BASIN_RETRY)
        end(np.isin(np.arange(len(weights)), tested[margin >= 1]), "basin")
    if step >= stop.steps:
        end(np.ones(len(weights), dtype=bool), "steps")
    return _Look(loss, norm, stopped_by)


def _basin_every(step: int) -> int:
    """Steps between two rounds of basin tests."""
    return BASIN_EVERY * 2 ** (step // (BASIN_EVERY * BASIN_ROUNDS)).bit_length()


def _frobenius(vectors: torch.Tensor) -> torch.Tensor:
    return torch.linalg.vector_norm(vectors, dim=1)


def _steepness(objective: Objective, weights: torch.Tensor, gradient: torch.Tensor) -> np.ndarray:
    """B‖∇L‖, (run,), with the third-derivative bound B at the run itself."""
    here = torch.zeros(len(weights), dtype=weights.dtype, device=weights.device)
    bound = objective.model.third_derivative_bound(objective.named(weights), here)
    return (bound * _frobenius(gradient)).cpu().numpy()


def _basin_margins(
    objective: Objective, weights: torch.Tensor, rate: torch.Tensor, rows: np.ndarray
) -> np.ndarray:
    """The basin test on the given runs, a few Hessians at a time."""
    if len(rows) == 0:
        return np.empty(0)
    length = max(1, BASIN_BYTES // (8 * weights.shape[1] ** 2))
    margins = [
        basin_margin(objective.take(some), weights[at], rate[at].squeeze(1)).cpu().numpy()
        for some in np.split(rows, range(length, len(rows), length))
        for at in [torch.as_tensor(some, device=weights.device)]
    ]
    return np.concatenate(margins)


def _keep(outcome: Outcome, optimizer: Optimizer, at: Position, place: int) -> None:
    """Keep the weights at a place among the kept steps, and the optimizer's preconditioner."""
    if place == 0:
        outcome.kept[at.rows] = np.nan
    outcome.kept[at.rows, place] = at.weights.detach().cpu().numpy()
    found = with_settings(optimizer, at.varied).preconditioner(at.state)
    if found is None:
        return
    if outcome.preconditioner.size == 0:
        outcome.preconditioner = np.full_like(outcome.kept, np.nan)
    if place == 0:
        outcome.preconditioner[at.rows] = np.nan
    outcome.preconditioner[at.rows, place] = found.detach().cpu().numpy()


def _record(
    objective: Objective,
    outcome: Outcome,
    rows: np.ndarray,
    place: int,
    weights: torch.Tensor,
    look: _Look,
) -> None:
    """Write loss, gradient norm and the model's observables into the trace."""
    with torch.no_grad():
        observed = objective.model.observables(objective.named(weights), objective.data)
    values = {"loss": look.loss, "gradient_norm": look.gradient_norm}
    values |= {name: value.cpu().numpy() for name, value in observed.items()}
    for name, value in values.items():
        if name not in outcome.trace:
            shape = (len(outcome.status), len(outcome.trace_step), *value.shape[1:])
            outcome.trace[name] = np.full(shape, np.nan)
        if place == 0:
            outcome.trace[name][rows] = np.nan
        outcome.trace[name][rows, place] = value


def _finish(
    outcome: Outcome, rows: np.ndarray, weights: torch.Tensor, look: _Look, step: int
) -> None:
    ends = {"steps": "step_limit", "divergence": "diverged"}
    status_of = np.array([STATUS.index(ends.get(rule, "converged")) for rule in STOPPED_BY])
    outcome.weights[torch.as_tensor(rows)] = weights
    outcome.loss[rows] = look.loss
    outcome.gradient_norm[rows] = look.gradient_norm
    outcome.stopped_by[rows] = look.stopped_by
    outcome.status[rows] = status_of[look.stopped_by]
    outcome.steps[rows] = step
