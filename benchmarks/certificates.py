"""Time of a certificate from the full Hessian, stage by stage.

    OMP_NUM_THREADS=1 python benchmarks/certificates.py [--k 6 10 15 20 25 30 40 50]

For n = k students that learn k teachers: gradient descent from one turned neuron and polishing
find the center (not counted). Then the time of enclosing the Hessian on the box, of the rest of
Krawczyk's test, of the loss, of the eigenvalue bounds, and of the whole; beside it, the time of
one product of two ball matrices of that size, which is what the rest is made of. One thread,
processor time. The last column is the most memory that the process has taken so far.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import flint
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.engine.polish import polish
from nnflow.interfaces import Block, Enclosure, Model
from nnflow.interfaces.registry import registry
from nnflow.proofs import proof

SIZES = (6, 10, 15, 20, 25, 30, 40, 50)
STEPS = 3000
HEADINGS = ("k", "weights", "Hessian", "existence", "loss", "eigenvalues", "all", "one product")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--k", type=int, nargs="+", default=SIZES)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = Table(title="A certificate of a spurious minimum from the full matrix, core-seconds")
    for heading in (*HEADINGS, "lowest eigenvalue", "MB"):
        table.add_column(heading, justify="right")
    for k in arguments.k:
        model = registry().get("models", "relu_teacher_student")(k=k, n=k)
        seconds, claim = _times(model.enclosure(), _center(model))
        verdict = proof.verdict(claim, model.infimum())
        assert verdict == "spurious_minimum", f"k = {k}: {verdict}"
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        table.add_row(
            str(k),
            str(k * k),
            *(f"{one:.3g}" for one in seconds),
            f"≥ {claim.min_eigenvalue_low:.6f}",
            f"{memory:.0f}",
        )
    Console(width=110).print(table)


def _center(model: Model) -> np.ndarray:
    """The minimum with one turned neuron, to the accuracy of float64."""
    law = registry().get("initializers", "turned_neurons")()
    streams = Streams(0, "benchmark", np.arange(1), "initialize")
    point = torch.as_tensor(law.draw(model.shapes(), streams)["w"]).reshape(1, -1)
    objective = Objective(model, {}, streams)
    for _ in range(STEPS):
        point = point - 3 / (10 + model.k) * objective.gradient(point)
    return polish(objective, point, 1.0)[0].numpy()


def _times(enclosure: Enclosure, center: np.ndarray) -> tuple[list[float], proof.Proof]:
    """Seconds by stage, and what is proved."""
    with flint.ctx.workprec(64):
        box = proof._box(center, proof.SMALLEST_RADIUS)
        whole, claim = _timed(lambda: proof.weakened(proof.prove(enclosure, center)))
        first, hessian = _timed(lambda: enclosure.hessian(box))
        exists, _ = _timed(lambda: proof._existence(enclosure, center, proof.SMALLEST_RADIUS))
        loss, _ = _timed(lambda: enclosure.loss(box))
        blocks = [Block("all", 1, hessian)]
        bounds, _ = _timed(lambda: proof._with_eigenvalues(claim, blocks))
        product, _ = _timed(lambda: hessian * hessian)
    return [first, exists - first, loss, bounds, whole, product], claim


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    found = work()
    return time.process_time() - start, found


if __name__ == "__main__":
    main()
