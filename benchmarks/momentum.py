"""A map of rates over rate and momentum, beside other ways to compute it.

    python benchmarks/momentum.py [--size 200] [--steps 1000] [--loop 400]

One thread, seconds of the processor, the heavy ball on two modes. The loop over settings is timed
on `--loop` of them and extrapolated; torch.func.vmap takes the gradient of one setting's loss.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nnflow.interfaces.registry import registry

CONDITION = 10.0


def batched(s: np.ndarray, beta: np.ndarray, steps: int) -> np.ndarray:
    """As the study does it."""
    registry()
    from nnflow_plugins.descent._recursions import measured

    return measured("heavy_ball", s, beta, CONDITION, steps)


def loop(s: np.ndarray, beta: np.ndarray, steps: int) -> np.ndarray:
    """One setting after the other, in NumPy."""
    curvature, found = np.array([1 / CONDITION, 1.0]), []
    for rate, momentum in zip(s, beta, strict=True):
        x, v, grown = np.ones(2), np.zeros(2), np.zeros(2)
        for _ in range(steps):
            v = momentum * v + rate * curvature * x
            x = x - v
            size = np.maximum(np.abs(x), np.abs(v))
            x, v, grown = x / size, v / size, grown + np.log(size)
        found.append(np.exp(grown.max() / steps))
    return np.array(found)


def vmapped(s: np.ndarray, beta: np.ndarray, steps: int) -> np.ndarray:
    """torch.func: the gradient of one setting's loss, mapped over all."""
    curvature = torch.tensor([1 / CONDITION, 1.0], dtype=torch.float64)
    gradient = torch.func.vmap(torch.func.grad(lambda x: (curvature * x**2).sum() / 2))
    rate, momentum = torch.as_tensor(s)[:, None], torch.as_tensor(beta)[:, None]
    x = torch.ones((len(s), 2), dtype=torch.float64)
    v, grown = torch.zeros_like(x), torch.zeros_like(x)
    for _ in range(steps):
        v = momentum * v + rate * gradient(x)
        x = x - v
        size = torch.maximum(x.abs(), v.abs())
        x, v, grown = x / size, v / size, grown + size.log()
    return (grown.amax(1) / steps).exp().numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--loop", type=int, default=400)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    # no setting of these brings a mode to rest, which the other ways do not provide for
    s, beta = np.meshgrid(
        np.linspace(0.013, 4.0, arguments.size), np.linspace(0, 0.995, arguments.size)
    )
    s, beta = s.ravel(), beta.ravel()
    some = np.linspace(0, len(s) - 1, arguments.loop).astype(int)
    table = Table(title=f"{len(s)} settings, {arguments.steps} steps, κ = {CONDITION:g}")
    for head in ("way", "s", "largest difference"):
        table.add_column(head, justify="left" if head == "way" else "right")
    expected = None
    for name, function, part in (
        ("nnflow", batched, slice(None)),
        ("torch.func.vmap", vmapped, slice(None)),
        ("loop over settings", loop, some),
    ):
        start = time.process_time()
        found = function(s[part], beta[part], arguments.steps)
        spent = (time.process_time() - start) * len(s) / len(found)
        expected = found if expected is None else expected
        table.add_row(name, f"{spent:.2f}", f"{np.abs(found - expected[part]).max():.1e}")
    Console().print(table)


if __name__ == "__main__":
    main()
