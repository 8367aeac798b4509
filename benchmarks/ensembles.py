"""One gradient of an ensemble of networks on data: nnflow, a loop, torch.func and JAX.

    python benchmarks/ensembles.py [--repeats 7]

Each network has weights of its own, and samples of its own or, with the full batch, the same ones
as all others. Prints, for small, middle and large networks, the
median seconds of the processor on one thread of: nnflow in the chunks that training takes, nnflow
with all networks at once, torch.func's vmap(grad), a loop over the networks by torch.autograd
with plain products, and, where JAX is installed, its jit(vmap(grad)), all threads of which count;
and the largest difference of any gradient from the loop's, relative to its
norm. A second table has a step of `sgd` by the weights that are advanced together, from which
CHUNK_WITH_SAMPLES of nnflow/engine/training.py is chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

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
    """Networks of these widths, with minibatches of `samples`, or all with the same ones."""

    name: str
    widths: tuple[int, ...]
    networks: int
    samples: int
    shared: bool = False

    def __str__(self) -> str:
        widths = "-".join(map(str, self.widths))
        return f"{self.networks} nets {widths}, {'all' if self.shared else 'batch'} {self.samples}"


ENSEMBLES = (
    Ensemble("small", (10, 10, 1), 1000, 256),
    Ensemble("small", (10, 10, 1), 1000, 32),
    Ensemble("small", (10, 10, 1), 1000, 256, shared=True),
    Ensemble("digits", (64, 16, 10), 200, 50),
    Ensemble("digits", (64, 16, 10), 50, 1000, shared=True),
    Ensemble("alone", (64, 16, 10), 1, 1000, shared=True),
    Ensemble("middle", (64, 64, 10), 100, 64),
    Ensemble("large", (784, 300, 100, 10), 10, 100),
)

IN_CHUNKS = (
    *(ensemble for ensemble in ENSEMBLES if not ensemble.shared),
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

    pool = ensemble.samples * (1 if ensemble.shared else 4)
    data = {
        "inputs": normal(pool, ensemble.widths[0]),
        "targets": normal(pool, ensemble.widths[-1]),
    }
    runs = np.arange(ensemble.networks)
    objective = Objective(model, data, nnflow.Streams(0, "all", runs, "minibatch"))
    return objective, 0.1 * normal(ensemble.networks, model.size_if_known())


def batches(objective: Objective, ensemble: Ensemble) -> torch.Tensor | None:
    """(run, sample) samples of each network; None: all of them."""
    if ensemble.shared:
        return None
    order = objective.streams.permutation(objective.samples)
    return torch.as_tensor(order[:, : ensemble.samples].astype(np.int64))


def ways(
    objective: Objective, weights: torch.Tensor, chosen: torch.Tensor | None
) -> dict[str, Callable[[], torch.Tensor]]:
    """Each contender gives the gradients (run, weight)."""
    model, arrays = objective.model, [objective.data[name] for name in ("inputs", "targets")]

    def seen(part: Objective, chunk: slice) -> Objective:
        return part if chosen is None else part.minibatch(chosen[chunk])

    def of_run(run: int) -> list[torch.Tensor]:
        return arrays if chosen is None else [array[chosen[run]] for array in arrays]

    def chunked() -> torch.Tensor:
        return torch.cat(
            [
                seen(_part(objective, chunk), chunk).gradient(weights[chunk])
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
            found += torch.autograd.grad(plain(at, *of_run(run)), at)
        return torch.stack(found)

    axis = None if chosen is None else 0
    batched = torch.func.vmap(torch.func.grad(plain), in_dims=(0, axis, axis))
    contenders = {
        "nnflow, chunks of training": chunked,
        "nnflow, all at once": lambda: seen(objective, slice(None)).gradient(weights),
        "torch.func vmap(grad)": lambda: batched(
            weights, *(array if chosen is None else array[chosen] for array in arrays)
        ),
        "loop over networks": loop,
    }
    if (by_jax := jax_gradient(model.widths, weights, arrays, chosen)) is not None:
        contenders["JAX jit(vmap(grad))"] = by_jax
    return contenders


def jax_gradient(
    widths: list[int],
    weights: torch.Tensor,
    arrays: list[torch.Tensor],
    chosen: torch.Tensor | None,
) -> Callable[[], torch.Tensor] | None:
    """Gradients by one compiled call of JAX, which takes the samples, too; None where JAX is not
    installed."""
    try:
        import jax
    except ImportError:
        return None
    import jax.numpy as jnp

    jax.config.update("jax_enable_x64", True)

    def loss(one, inputs, targets):
        place, values = 0, inputs
        for layer, (fan, outputs) in enumerate(pairwise(widths), start=1):
            middle = place + outputs * fan
            bias = one[middle : middle + outputs]
            values = values @ one[place:middle].reshape(outputs, fan).T + bias
            place = middle + outputs
            if layer < len(widths) - 1:
                values = jnp.tanh(values)
        return 0.5 * jnp.square(values - targets).sum(axis=-1).mean()

    def gradients(w, inputs, targets, samples):
        axis = None if samples is None else 0
        if samples is not None:
            inputs, targets = inputs[samples], targets[samples]
        return jax.vmap(jax.grad(loss), in_axes=(0, axis, axis))(w, inputs, targets)

    samples = None if chosen is None else jnp.asarray(chosen.numpy())
    given = [jnp.asarray(array.numpy()) for array in (weights, *arrays)]
    compiled = jax.jit(gradients)
    return lambda: torch.from_numpy(np.array(compiled(*given, samples)))


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
        times = (f"{1e3 * step_seconds(ensemble, together):.1f}" for together in CHUNKS)
        table.add_row(str(ensemble), *times)
    return table


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    table, worst = Table("", title="One gradient of an ensemble, ms of one core"), 0.0
    for ensemble in ENSEMBLES:
        objective, weights = make(ensemble)
        contenders = ways(objective, weights, batches(objective, ensemble))
        if not table.columns[1:]:
            for name in contenders:
                table.add_column(name, justify="right")
        exact = contenders["loop over networks"]()
        for way in contenders.values():
            worst = max(worst, float((way() - exact).norm(dim=1).max() / exact.norm(dim=1).min()))
        times = (f"{1e3 * seconds(way, repeats):.1f}" for way in contenders.values())
        table.add_row(str(ensemble), *times)
    console = Console(width=150)
    console.print(table)
    console.print(f"largest relative difference of a gradient from the loop's: {worst:.1e}")
    console.print(table_of_chunks())


if __name__ == "__main__":
    main()
