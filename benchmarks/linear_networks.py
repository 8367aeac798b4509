"""Derivatives of deep linear networks in closed form, beside torch.func on the same work.

    python benchmarks/linear_networks.py [--runs 1000] [--repeats 20]

Prints the time of the gradient and of a Hessian-vector product of all runs of a batch, for
networks of several widths and depths: the closed forms of the model `linear_network`, compiled
where training takes them so, and torch.func's vmap of grad, and of jvp of grad, on the loss of one
run. Both compute the same numbers, to the error that is printed; one thread, the fastest of the
repeats.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from nnflow.engine.objective import Objective, flatten
from nnflow.interfaces.registry import registry

WIDTHS = ([4, 3, 2], [5, 4, 4, 3], [5, 6, 6, 6, 6, 3], [20, 20, 20, 10], [50, 50, 50, 50, 50, 50])
Named = dict[str, torch.Tensor]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    title = f"Derivatives of {arguments.runs} linear networks, ms (one thread, float64)"
    table = Table(title=title)
    for heading in ("widths", "derivative", "closed form", "torch.func", "ratio", "difference"):
        table.add_column(heading, justify="left" if heading == "widths" else "right")
    for widths in WIDTHS:
        for name, closed, automatic in _works(widths, arguments.runs):
            difference = _difference(closed(), automatic())
            ours, theirs = (_fastest(work, arguments.repeats) for work in (closed, automatic))
            table.add_row(
                "-".join(map(str, widths)),
                name,
                f"{1e3 * ours:.2f}",
                f"{1e3 * theirs:.2f}",
                f"{theirs / ours:.1f}",
                f"{difference:.0e}",
            )
    Console().print(table)


def _works(widths: list[int], runs: int):
    """(name, closed form, torch.func) of each derivative, functions without arguments."""
    from torch.func import grad, jvp, vmap

    values = [1.0 + i for i in range(min(widths[0], widths[-1]))]
    model = registry().get("models", "linear_network")(widths=widths, singular_values=values)
    generator = torch.Generator().manual_seed(0)
    weights, vectors = (_random(model.shapes(), runs, generator) for _ in range(2))
    target = torch.as_tensor(model.y)

    def loss(one: Named) -> torch.Tensor:
        product = one["w1"]
        for layer in range(2, len(widths)):
            product = one[f"w{layer}"] @ product
        return (product - target).square().sum() / 2

    slope = vmap(grad(loss))
    turn = vmap(lambda at, along: jvp(grad(loss), (at,), (along,))[1])
    objective, flat = Objective(model, {}, None), flatten(weights)
    yield (
        "gradient",
        lambda: objective.named(objective.gradient(flat)),
        lambda: slope(weights),
    )
    yield (
        "Hessian · v",
        lambda: model.hessian_vector(weights, vectors),
        lambda: turn(weights, vectors),
    )


def _random(shapes, runs: int, generator: torch.Generator) -> Named:
    """Normal matrices, divided by the root of their inputs."""
    return {
        name: torch.randn(runs, *shape, generator=generator, dtype=torch.float64) / shape[1] ** 0.5
        for name, shape in shapes.items()
    }


def _difference(one: Named, other: Named) -> float:
    """Largest difference relative to the largest number."""
    size = max(float(value.abs().max()) for value in other.values())
    return max(float((one[name] - other[name]).abs().max()) for name in other) / size


def _fastest(work: Callable[[], Named], repeats: int) -> float:
    """Seconds of the fastest repeat."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


if __name__ == "__main__":
    main()
