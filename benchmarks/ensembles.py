"""One gradient of an ensemble of networks on minibatches: nnflow, a loop and torch.func.

    python benchmarks/ensembles.py [--repeats 7]

Each network has weights and samples of its own. Prints, for small, middle and large networks, the
median seconds of the processor on one thread of: nnflow in the chunks that training takes, nnflow
with all networks at once, torch.func's vmap(grad), and a loop over the networks by torch.autograd
with plain products; and the largest difference of any gradient from the loop's, relative to its
norm. A second table has a step of `sgd` by the weights that are advanced together, from which
CHUNK_WITH_SAMPLES of nnflow/engine/training.py is chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import nnflow
from nnflow.engine import training
from nnflow.engine.objective import Objective
from nnflow.engine.outcome import Outcome, Position
from nnflow.engine.training import _chunks, _part
from nnflow.interfaces.registry import registry


@dataclass(frozen=True)
class Ensemble:
    """Networks of these widths, with minibatches of `samples`."""

    name: str
    widths: tuple[int, ...]
    networks: int
    samples: int


ENSEMBLES = (
    Ensemble("small", (10, 10, 1), 1000, 256),
    Ensemble("middle", (64, 64, 10), 100, 64),
    Ensemble("large", (784, 300, 100, 10), 10, 100),
)

IN_CHUNKS = (
    *ENSEMBLES,
    Ensemble("small batches", (10, 10, 1), 1000, 32),
    Ensemble("digits", (64, 16, 10), 200, 50),
    Ensemble("MNIST 10 × 10", (100, 100, 10), 50, 100),
)
CHUNKS = (2**15, 2**16, 2**17, 2**18, 2**24)
STEPS = 8


def make(ensemble: Ensemble) -> tuple[Objective, torch.Tensor]:
    """The loss of tanh networks on normal inputs and targets, and first weights (run, weight)."""
    model = registry().get("models", "mlp")(
        widths=list(ensemble.widths), activation="tanh", loss_function="squared"
    )
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    pool = 4 * ensemble.samples
    data = {
        "inputs": normal(pool, ensemble.widths[0]),
        "targets": normal(pool, ensemble.widths[-1]),
    }
    runs = np.arange(ensemble.networks)
    objective = Objective(model, data, nnflow.Streams(0, "all", runs, "minibatch"))
    return objective, 0.1 * normal(ensemble.networks, model.size_if_known())


def batches(objective: Objective, ensemble: Ensemble) -> torch.Tensor:
    """(run, sample) samples of each network."""
    order = objective.streams.permutation(objective.samples)
    return torch.as_tensor(order[:, : ensemble.samples].astype(np.int64))


def ways(
    objective: Objective, weights: torch.Tensor, chosen: torch.Tensor
) -> dict[str, Callable[[], torch.Tensor]]:
    """Each contender gives the gradients (run, weight)."""
    model = objective.model

    def chunked() -> torch.Tensor:
        return torch.cat(
            [
                _part(objective, chunk).minibatch(chosen[chunk]).gradient(weights[chunk])
                for chunk in _chunks(objective, weights)
            ]
        )

    def plain(one: torch.Tensor, inputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of one network by plain products."""
        place, values = 0, inputs
        for layer in model.layers:
            outputs, fan = model.widths[layer], model.widths[layer - 1]
            matrix = one[place : place + outputs * fan].reshape(outputs, fan)
            bias = one[place + outputs * fan : place + outputs * fan + outputs]
            place += outputs * fan + outputs
            values = values @ matrix.T + bias
            if layer < len(model.widths) - 1:
                values = torch.tanh(values)
        return 0.5 * (values - targets).square().sum(dim=-1).mean()

    def loop() -> torch.Tensor:
        found = []
        for run, one in enumerate(weights):
            at = one.detach().requires_grad_()
            inputs, targets = (objective.data[n][chosen[run]] for n in ("inputs", "targets"))
            found += torch.autograd.grad(plain(at, inputs, targets), at)
        return torch.stack(found)

    batched = torch.func.vmap(torch.func.grad(plain))
    return {
        "nnflow, chunks of training": chunked,
        "nnflow, all at once": lambda: objective.minibatch(chosen).gradient(weights),
        "torch.func vmap(grad)": lambda: batched(
            weights, objective.data["inputs"][chosen], objective.data["targets"][chosen]
        ),
        "loop over networks": loop,
    }


def seconds(function: Callable[[], object], repeats: int) -> float:
    """Median of the processor's seconds, after one call that is not counted."""
    function()
    times = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        times.append(time.process_time() - began)
    return float(np.median(times))


def step_seconds(ensemble: Ensemble, weights_together: int) -> float:
    """Seconds of one step of `sgd`."""
    objective, weights = make(ensemble)
    settings = {"rate": 0.01, "minibatch": ensemble.samples, "momentum": 0.9}
    optimizer = registry().get("optimizers", "sgd")(**settings)
    none, rows = np.empty(0, dtype=np.int64), np.arange(ensemble.networks)
    position = Position.at_start(
        optimizer, weights, Outcome.empty(weights, none, none), rows, 1.0, {}
    )
    training.CHUNK_WEIGHTS = weights_together
    training.CHUNK_WITH_SAMPLES = 0
    return seconds(lambda: training._advance(objective, optimizer, position, STEPS), 3) / STEPS


def table_of_chunks() -> Table:
    """A step of each ensemble by the weights of a chunk."""
    table = Table("", title="One step of sgd by the weights that are advanced together, ms")
    for together in CHUNKS:
        table.add_column(f"2^{together.bit_length() - 1}", justify="right")
    for ensemble in IN_CHUNKS:
        widths = "-".join(map(str, ensemble.widths))
        times = (f"{1e3 * step_seconds(ensemble, together):.1f}" for together in CHUNKS)
        table.add_row(f"{ensemble.networks} nets {widths}, batch {ensemble.samples}", *times)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    table = Table(title="One gradient of an ensemble, ms of one core")
    table.add_column("")
    columns, worst = [], 0.0
    for ensemble in ENSEMBLES:
        widths = "-".join(map(str, ensemble.widths))
        table.add_column(
            f"{ensemble.name}: {ensemble.networks} nets {widths}, batch {ensemble.samples}",
            justify="right",
        )
        objective, weights = make(ensemble)
        contenders = ways(objective, weights, batches(objective, ensemble))
        exact = contenders["loop over networks"]()
        for way in contenders.values():
            worst = max(worst, float((way() - exact).norm(dim=1).max() / exact.norm(dim=1).min()))
        columns.append({name: 1e3 * seconds(way, repeats) for name, way in contenders.items()})
    for name in columns[0]:
        table.add_row(name, *(f"{column[name]:.1f}" for column in columns))
    console = Console(width=150)
    console.print(table)
    console.print(f"largest relative difference of a gradient from the loop's: {worst:.1e}")
    console.print(table_of_chunks())


if __name__ == "__main__":
    main()
