"""What a certificate of a spurious minimum costs against k, by its isotypic blocks and by the
whole Hessian.

    python benchmarks/symmetric_certificates.py [--whole-up-to 20]

Each row: Newton's method from the family's start, then a proof of existence, definiteness and
loss; best of three.
"""

from __future__ import annotations

import time

import numpy as np
import scipy.optimize
import torch
import typer

from nnflow.interfaces.registry import registry
from nnflow.proofs.proof import prove, verdict, weakened

WIDTHS = (6, 10, 20, 50, 100, 1000, 10_000, 100_000)
REPEATS = 3


def main(whole_up_to: int = 20, precision: int = 96) -> None:
    """Print the table."""
    print(f"{'k':>7} {'blocks, ms':>11} {'whole, ms':>11} {'lowest eigenvalue >':>20}  verdict")
    for k in WIDTHS:
        model = registry().get("models", "relu_symmetric_family")(k=k)
        shift = critical_point(model)
        seconds, proof = timed(model, shift, precision)
        whole = ""
        if k <= whole_up_to:
            network = registry().get("models", "relu_teacher_student")(k=k, n=k)
            weights = model.matrix({"shift": torch.as_tensor(shift)[None]}).flatten().numpy()
            whole = f"{1000 * timed(network, weights, precision)[0]:.0f}"
        low, found = proof.min_eigenvalue_low, verdict(proof, 0.0)
        print(f"{k:>7} {1000 * seconds:>11.1f} {whole:>11} {low:>20.9f}  {found}")


def timed(model, center: np.ndarray, precision: int):
    """Seconds of the fastest proof, and what it proves."""
    best = float("inf")
    for _ in range(REPEATS):
        begin = time.perf_counter()
        proof = prove(model.enclosure(), center, precision=precision)
        best = min(best, time.perf_counter() - begin)
    return best, weakened(proof)


def critical_point(model) -> np.ndarray:
    """By SciPy from the family's start."""

    def named(shift):
        return {"shift": torch.as_tensor(shift)[None]}

    found = scipy.optimize.root(
        lambda shift: model.gradient(named(shift), {})["shift"][0].numpy(),
        np.zeros(model.shapes()["shift"]),
        jac=lambda shift: model.hessian(named(shift), {})[0].numpy(),
        tol=1e-15,
    )
    return found.x


if __name__ == "__main__":
    typer.run(main)
