"""Training an ensemble, beside its peers, in one process on one thread.

    python benchmarks/training.py [--runs 1000] [--whole-way]
    python benchmarks/training.py --rows all | 10,10 17,18 …

Prints the time of one gradient-descent step of 1000 runs of `relu_teacher_student` at
k = n = 6, 10 and 20, what a step of few runs costs, and, with --whole-way, the time from first
weights to classified points at k = n = 10. With --rows it prints instead what rows of
`spurious_minima` cost at paper scale. Times are those of the processor, which other processes
disturb less than the clock.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.engine.outcome import Outcome, Position
from nnflow.engine.polish import polish
from nnflow.engine.training import STATUS, _advance, train
from nnflow.interfaces.registry import registry
from nnflow.stages.classify import HESSIAN_BYTES
from nnflow.study.loading import load_study
from nnflow.study.stage_settings import Stop, Trace

RATE = 0.1
STOP_NORM = 1e-9 / (2 * math.pi)
PUBLISHED_STEPS = 200_000
TOGETHER = 50
"""Steps between two looks at the stop rules, as in spurious_minima."""
ROUNDS = 15
"""Rounds in which all contenders take their turn; medians are those of their times."""
SLOW = 1.0
"""Seconds of a call above which a contender takes part in two rounds only."""
STUDY = Path(__file__).parents[1] / "config" / "studies" / "relu" / "spurious_minima.yaml"


def first_weights(runs: int, k: int, n: int | None = None) -> tuple[Objective, torch.Tensor]:
    """The objective and the first weights of the study `spurious_minima`."""
    n = n or k
    model = registry().get("models", "relu_teacher_student")(k=k, n=n)
    streams = Streams(2018, f"k={k},n={n}", np.arange(runs), "initialize")
    return Objective(model, {}, streams), torch.from_numpy(streams.normal(k * n)) / math.sqrt(k)


def numpy_gradient(w: np.ndarray) -> np.ndarray:
    """∇F of (run, n, k) weights with the same formulas, batched, orthonormal teachers eⱼ."""
    n = w.shape[1]
    norm = np.linalg.norm(w, axis=2, keepdims=True)
    unit = w / norm
    cosine = np.concatenate([unit @ unit.transpose(0, 2, 1), unit], axis=2)
    np.clip(cosine, -1, 1, out=cosine)
    cosine[:, np.arange(n), np.arange(n)] = 1
    rest = math.pi - np.arccos(cosine)
    sine = np.sqrt(1 - cosine * cosine)
    radial = (sine[..., :n] * norm.transpose(0, 2, 1)).sum(2) - sine[..., n:].sum(2)
    gradient = radial[..., None] * unit + rest[..., :n] @ w - rest[..., n:]
    return gradient / (2 * math.pi)


def plain_loss(w: torch.Tensor) -> torch.Tensor:
    """F of one network (n, k) in torch, for torch.func and the loop."""
    n = w.shape[0]
    norm = torch.linalg.vector_norm(w, dim=1)
    unit = w / norm[:, None]
    eye = torch.eye(n, dtype=torch.bool)
    cosine = torch.where(eye, 0.0, (unit @ unit.T).clamp(-1, 1))
    kernel = torch.where(
        eye, math.pi, (math.pi - torch.arccos(cosine)) * cosine + torch.sqrt(1 - cosine**2)
    )
    across = (math.pi - torch.arccos(unit)) * unit + torch.sqrt(1 - unit**2)
    among = (kernel * norm[:, None] * norm).sum() / (4 * math.pi)
    return among - (across * norm[:, None]).sum() / (2 * math.pi)


def peers(objective: Objective, weights: torch.Tensor, k: int) -> dict[str, Callable[[], object]]:
    """One step of each contender, by name."""
    gd = registry().get("optimizers", "gradient_descent")(rate=RATE)
    none = np.array([], dtype=np.int64)
    outcome = Outcome.empty(weights, none, none)
    at = Position.at_start(gd, weights, outcome, np.arange(len(weights)), 0.0, {})
    array, cube = weights.numpy().reshape(-1, k, k), weights.reshape(-1, k, k)
    vmapped = torch.func.vmap(torch.func.grad(plain_loss))

    def loop() -> None:
        gradient = torch.func.grad(plain_loss)
        for network in cube:
            network - RATE * gradient(network)

    contenders = {
        "nnflow, 50 steps at once": lambda: _advance(objective, gd, at, TOGETHER),
        "nnflow, step by step": lambda: _advance(objective, gd, at, 1),
        "NumPy, batched": lambda: array - RATE * numpy_gradient(array),
        "torch.func vmap(grad)": lambda: cube - RATE * vmapped(cube),
        "Python loop over runs": loop,
    }
    if (step := jax_step(array)) is not None:
        contenders["JAX jit(vmap(grad))"] = step
    return contenders


def jax_step(array: np.ndarray) -> Callable[[], object] | None:
    """One compiled JAX step on one thread; None where JAX is not installed."""
    try:
        import jax
    except ImportError:
        return None
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def loss(w):
        norm = jnp.linalg.norm(w, axis=1)
        unit = w / norm[:, None]
        eye = jnp.eye(w.shape[0], dtype=bool)
        cosine = jnp.where(eye, 0.0, jnp.clip(unit @ unit.T, -1, 1))
        kernel = (math.pi - jnp.arccos(cosine)) * cosine + jnp.sqrt(1 - cosine**2)
        kernel = jnp.where(eye, math.pi, kernel)
        across = (math.pi - jnp.arccos(unit)) * unit + jnp.sqrt(1 - unit**2)
        among = (kernel * norm[:, None] * norm).sum() / (4 * math.pi)
        return among - (across * norm[:, None]).sum() / (2 * math.pi)

    step = jax.jit(lambda w: w - RATE * jax.vmap(jax.grad(loss))(w))
    on_device = jnp.asarray(array)
    return lambda: step(on_device).block_until_ready()


def side_by_side(contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of the processor that a call of each takes; all of them in turn, so that other
    work on the machine meets all alike. Their first calls are not counted."""
    times = {name: [] for name in contenders}
    for call in contenders.values():
        call()
    slow = {name for name, call in contenders.items() if seconds(call) > SLOW}
    for turn in range(ROUNDS):
        for name, call in contenders.items():
            if turn < 2 or name not in slow:
                times[name].append(seconds(call))
    return {name: float(np.median(taken)) for name, taken in times.items()}


def seconds(call: Callable[[], object]) -> float:
    began = time.process_time()
    call()
    return time.process_time() - began


def steps_table(runs: int, sizes: tuple[int, ...] = (6, 10, 20)) -> Table:
    """Milliseconds per step of every contender, and the share of batched NumPy's."""
    table = Table(title=f"One gradient-descent step of {runs} runs, ms of the processor")
    columns = [_step_times(runs, k) for k in sizes]
    table.add_column("")
    for k in sizes:
        table.add_column(f"k=n={k}", justify="right")
        table.add_column("of NumPy", justify="right")
    for name in columns[0]:
        cells = []
        for times in columns:
            cells += [f"{1e3 * times[name]:.3f}", f"{times[name] / times['NumPy, batched']:.2f}"]
        table.add_row(name, *cells)
    return table


def _step_times(runs: int, k: int, names: Collection[str] = ()) -> dict[str, float]:
    """Seconds of a step by contender; names: of those that are timed, all where it is empty."""
    objective, weights = first_weights(runs, k)
    contenders = peers(objective, weights, k)
    chosen = names or contenders
    times = side_by_side({name: contenders[name] for name in chosen})
    return {name: t / TOGETHER if "at once" in name else t for name, t in times.items()}


def tail_table() -> Table:
    """Microseconds of a run and step where few runs are left."""
    table = Table(title="The last runs, µs of the processor for a run and step")
    for heading in (
        "runs",
        *(f"{kind}, k=n={k}" for k in (10, 20) for kind in ("nnflow", "NumPy")),
    ):
        table.add_column(heading, justify="right")
    for runs in (1, 4, 12, 100):
        cells = []
        for k in (10, 20):
            names = ("nnflow, 50 steps at once", "NumPy, batched")
            times = _step_times(runs, k, names)
            taken = (times[name] for name in names)
            cells += [f"{1e6 * t / runs:.2f}" for t in taken]
        table.add_row(str(runs), *cells)
    return table


def nnflow_whole_way(runs: int, k: int) -> dict[str, float]:
    """First weights to classified points, as the study's stages do it."""
    objective, weights = first_weights(runs, k)
    gd = registry().get("optimizers", "gradient_descent")(rate=RATE)
    stop = Stop(
        gradient_norm=STOP_NORM,
        norm="neuron",
        basin=True,
        loss=1e-3,
        steps=PUBLISHED_STEPS,
        check_every=50,
    )
    began = time.process_time()
    outcome = train(objective, gd, weights, stop, Trace())
    trained = time.process_time()
    polished, lowest = classified(objective, outcome.weights)
    loss = objective.loss(polished).numpy()
    ended = time.process_time()
    return {
        "train": trained - began,
        "classify": ended - trained,
        "mean steps": float(outcome.steps.mean()),
        "spurious": float(((loss > 1e-3) & (lowest > 0)).mean()),
        "gradient norm": float(objective.gradient(polished).norm(dim=1).max()),
    }


def classified(objective: Objective, ends: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """Polished ends and their lowest eigenvalues, in groups as `classify` has them."""
    polished, lowest = [], []
    length = max(1, HESSIAN_BYTES // (8 * ends.shape[1] ** 2))
    for rows in torch.arange(len(ends)).split(length):
        part = objective.take(rows.numpy())
        polished.append(polish(part, ends[rows], 1.0))
        lowest.append(torch.linalg.eigvalsh(part.hessian(polished[-1]))[:, 0])
    return torch.cat(polished), torch.cat(lowest).numpy()


def rows_table(runs: int, names: list[str]) -> Table:
    """What rows of the paper cost, in seconds of the processor, the longest first."""
    study = load_study(STUDY, "paper")
    configurations = {f"{p.settings.model.k},{p.settings.model.n}": p for p in study.configurations}
    table = Table(title=f"{runs} runs a row, seconds of the processor")
    for heading in ("k,n", "train", "classify", "mean steps", "most steps", "spurious", "at limit"):
        table.add_column(heading, justify="right")
    costs = []
    for name in configurations if names == ["all"] else names:
        experiment = configurations[name].settings
        objective, weights = first_weights(runs, experiment.model.k, experiment.model.n)
        began = time.process_time()
        outcome = train(objective, experiment.optimizer, weights, experiment.stop, Trace())
        trained = time.process_time()
        polished, lowest = classified(objective, outcome.weights)
        ended = time.process_time()
        spurious = (objective.loss(polished).numpy() > experiment.stop.loss) & (lowest > 0)
        limited = int((outcome.status == STATUS.index("step_limit")).sum())
        cost = (trained - began, ended - trained)
        steps = (f"{outcome.steps.mean():.0f}", str(outcome.steps.max()))
        costs.append((cost, name, (*steps, f"{spurious.mean():.3f}", str(limited))))
    for cost, name, rest in sorted(costs, key=lambda row: -sum(row[0])):
        table.add_row(name, *(f"{part:.1f}" for part in cost), *rest)
    totals = [sum(cost[part] for cost, *_ in costs) for part in (0, 1)]
    table.add_row("all", *(f"{total:.1f}" for total in totals))
    return table


def numpy_whole_way(runs: int, k: int, leave: bool) -> dict[str, float]:
    """The same by plain gradient descent in NumPy under the published stop rule; with
    `leave`, runs that have met it are no longer computed."""
    objective, weights = first_weights(runs, k)
    began = time.process_time()
    w = weights.numpy().reshape(runs, k, k).copy()
    running, steps = np.arange(runs), np.zeros(runs)
    for step in range(1, PUBLISHED_STEPS + 1):
        part = w[running] if leave else w
        gradient = numpy_gradient(part)
        part -= RATE * gradient
        if leave:
            w[running] = part
        finished = np.linalg.norm(gradient, axis=2).max(axis=1) < STOP_NORM
        if leave:
            steps[running[finished]] = step
            running = running[~finished]
        else:
            steps[~finished] = step
        if len(running) == 0 or finished.all():
            break
    trained = time.process_time()
    ends = torch.from_numpy(w.reshape(runs, -1))
    lowest = np.linalg.eigvalsh(objective.hessian(ends).numpy())[:, 0]
    loss = objective.loss(ends).numpy()
    ended = time.process_time()
    return {
        "train": trained - began,
        "classify": ended - trained,
        "mean steps": float(steps.mean()),
        "spurious": float(((loss > 1e-3) & (lowest > 0)).mean()),
        "gradient norm": float(objective.gradient(ends).norm(dim=1).max()),
    }


def whole_way_table(runs: int, k: int) -> Table:
    """The three ways side by side."""
    ways = {
        "nnflow": nnflow_whole_way(runs, k),
        "NumPy, plain": numpy_whole_way(runs, k, leave=False),
        "NumPy, finished runs leave": numpy_whole_way(runs, k, leave=True),
    }
    table = Table(title=f"First weights to classified points, {runs} runs at k=n={k}")
    for heading in ("", *ways):
        table.add_column(heading, justify="left" if not heading else "right")
    for name in ("train", "classify"):
        table.add_row(f"{name}, s", *(f"{way[name]:.2f}" for way in ways.values()))
    totals = [way["train"] + way["classify"] for way in ways.values()]
    table.add_row("together, s", *(f"{total:.2f}" for total in totals))
    table.add_row("time / ours", *(f"{total / totals[0]:.1f}" for total in totals))
    for name, form in (("mean steps", ".0f"), ("spurious", ".3f"), ("gradient norm", ".1e")):
        table.add_row(name, *(format(way[name], form) for way in ways.values()))
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--whole-way", action="store_true", help="also time the whole way")
    parser.add_argument("--rows", nargs="+", help="rows k,n of spurious_minima, or all")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    console = Console()
    if arguments.rows:
        console.print(rows_table(arguments.runs, arguments.rows))
        return
    console.print(steps_table(arguments.runs))
    console.print(tail_table())
    if arguments.whole_way:
        console.print(whole_way_table(arguments.runs, 10))


if __name__ == "__main__":
    main()
