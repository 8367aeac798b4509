"""Curvature of a 784-128-10 network on 2000 digits of MNIST, by nnflow and by others.

    python benchmarks/curvature.py [--peers /tmp/curvature-peers] [--only product,top,density]

All in float64, one thread, one process, at the same weights; seconds are the processor's. Peers are
used where they are installed, and said to be missing where they are not. Into a folder of their
own, beside nnflow's own torch (they name no build of it, and --no-deps keeps pip from fetching
one):

    pip install --no-deps --target /tmp/curvature-peers pyhessian==0.1 curvlinops-for-pytorch \\
        hessian-eigenthings backpack-for-pytorch einops einconv unfoldNd tqdm \\
        linear_operator jaxtyping wadler-lindig mpmath

Rows: one product of the Hessian with a vector; the ten highest eigenvalues, with the error of the
worst one against nnflow's at a residual of 1e-8; a density by 80 Lanczos steps of one vector.
`products` times the cost of nnflow's product is what a method can't go below; the same products
take longer or shorter within a run as the machine's load changes, so `in products` measures them
there, where a method uses nnflow's.
"""

from __future__ import annotations

import argparse
import gzip
import os
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

import nnflow

SAMPLES, TOP, STEPS = 2000, 10, 80


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peers", type=Path, default=Path("/tmp/curvature-peers"))
    parser.add_argument("--only", default="product,top,density")
    arguments = parser.parse_args()
    sys.path.append(str(arguments.peers))
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    landscape, module, data = _problem()
    product = Counted(landscape._product("hessian"))
    landscape._products["hessian"] = product
    vector = np.random.default_rng(0).standard_normal(landscape.size)
    cost = min(_timed(lambda: product(vector))[0] for _ in range(10))
    table = Table(title=f"MLP 784-128-10, {SAMPLES} samples, {landscape.size} weights")
    for heading in (
        "row", "by", "s", "in products, s", "products", "products × cost, s", "relative error",
    ):  # fmt: skip
        table.add_column(heading, justify="left" if heading in ("row", "by") else "right")
    table.add_row("product", "nnflow", f"{cost:.4f}", "", "1", f"{cost:.4f}", "")
    for row, ways in (("top", TOPS), ("density", DENSITIES)):
        if row in arguments.only:
            _rows(table, row, ways, (landscape, module, data), cost)
    Console(width=110).print(table)


def _rows(table: Table, row: str, ways: dict, problem: tuple, cost: float) -> None:
    known, product = None, problem[0]._product("hessian")
    for name, way in ways.items():
        product.calls, product.seconds = 0, 0.0
        try:
            taken, (values, products) = _timed(lambda way=way: way(*problem))
        except Exception as error:  # a peer's own: what it says is the result
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            table.add_row(row, name, "–", "", "", "", reason[:60])
            continue
        values = np.sort(np.asarray(values, dtype=float))[::-1]
        known = values if known is None else known
        number = min(TOP if row == "top" else 1, len(values))
        error = np.abs(values[:number] / known[:number] - 1).max()
        told = [str(products), f"{products * cost:.2f}"] if products else ["", ""]
        inside = f"{product.seconds:.2f}" if product.calls else ""
        table.add_row(row, name, f"{taken:.2f}", inside, *told, f"{error:.0e}")


def _timed(work):
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def _problem():
    """A landscape, and the module and data that peers take, all at the same weights, after some
    steps of training."""
    folder = Path(os.environ["NNFLOW_DATA"]) / "mnist"
    images, labels = (
        np.frombuffer(gzip.decompress((folder / name).read_bytes()), np.uint8, offset=offset)
        for name, offset in (("train-images-idx3-ubyte.gz", 16), ("train-labels-idx1-ubyte.gz", 8))
    )
    inputs = torch.as_tensor(images[: SAMPLES * 784].reshape(SAMPLES, 784) / 255.0)
    targets = torch.as_tensor(labels[:SAMPLES].astype(np.int64))
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Linear(784, 128), torch.nn.Tanh(), torch.nn.Linear(128, 10)
    ).double()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    for _ in range(50):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(module(inputs), targets).backward()
        optimizer.step()
    landscape = nnflow.Landscape(module, "cross_entropy", (inputs, targets))
    return landscape, module, (inputs, targets)


class Counted:
    """An operator that counts its uses, and the processor's seconds that they take."""

    def __init__(self, product):
        self.product, self.calls, self.seconds = product, 0, 0.0

    def __call__(self, vector):
        taken, image = _timed(lambda: self.product(np.asarray(vector).ravel()))
        self.calls, self.seconds = self.calls + 1, self.seconds + taken
        return image


def _top_nnflow(landscape, module, data, tolerance=1e-8):
    from nnflow.engine.eigenvalues import extreme_eigenvalues

    product = landscape._product("hessian")
    found = extreme_eigenvalues(product, landscape.size, 0, TOP, tolerance=tolerance)
    return found.highest, found.products


def _top_nnflow_to(landscape, module, data):
    return _top_nnflow(landscape, module, data, tolerance=1e-4)


def _top_scipy(landscape, module, data, tolerance=1e-3):
    from scipy.sparse.linalg import LinearOperator, eigsh

    product = Counted(landscape._product("hessian"))
    operator = LinearOperator((landscape.size,) * 2, product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(landscape.size)
    values = eigsh(operator, TOP, which="LA", tol=tolerance, v0=start)[0]
    return values, product.calls


def _top_scipy_sharp(landscape, module, data):
    return _top_scipy(landscape, module, data, tolerance=3e-9)


def _top_pyhessian(landscape, module, data):
    from pyhessian import hessian

    computer = hessian(module, torch.nn.CrossEntropyLoss(), data=data, cuda=False)
    return computer.eigenvalues(top_n=TOP, maxIter=100, tol=1e-3)[0], 0


def _linear(module, data):
    from curvlinops import HessianLinearOperator

    parameters = dict(module.named_parameters())
    loss = torch.nn.CrossEntropyLoss()
    try:
        return HessianLinearOperator(module, loss, parameters, [data], check_deterministic=False)
    except (AttributeError, TypeError):  # before version 3: a list
        return HessianLinearOperator(
            module, loss, list(parameters.values()), [data], check_deterministic=False
        )


def _top_curvlinops(landscape, module, data):
    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = _linear(module, data).to_scipy()
    product = Counted(operator.matvec)
    counted = LinearOperator((landscape.size,) * 2, product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(landscape.size)
    values = eigsh(counted, TOP, which="LA", tol=1e-3, v0=start, return_eigenvectors=False)
    return values, product.calls


def _top_eigenthings(landscape, module, data):
    from hessian_eigenthings import lanczos

    return lanczos(_eigenthings(module, data), k=TOP, which="LA", tol=1e-3, seed=0).eigenvalues, 0


def _eigenthings(module, data):
    from hessian_eigenthings import HessianOperator

    def loss(model, batch):
        return torch.nn.functional.cross_entropy(model(batch[0]), batch[1])

    return HessianOperator(module, [data], loss)


def _density_nnflow(landscape, module, data):
    nodes = landscape.density(steps=STEPS, probes=1)["density_node"].values[0]
    return nodes[np.isfinite(nodes)], STEPS


def _density_pyhessian(landscape, module, data):
    from pyhessian import hessian

    computer = hessian(module, torch.nn.CrossEntropyLoss(), data=data, cuda=False)
    nodes, _ = computer.density(iter=STEPS, n_v=1)
    return nodes[0], STEPS


def _density_curvlinops(landscape, module, data):
    from curvlinops.papyan2020traces.spectrum import lanczos_approximate_spectrum

    low, high = -1.0, 30.0  # given, so that it need not search for them
    lanczos_approximate_spectrum(_linear(module, data), STEPS, boundaries=(low, high))
    return [np.nan], STEPS  # a density on a grid, no nodes


def _density_eigenthings(landscape, module, data):
    from hessian_eigenthings import spectral_density

    found = spectral_density(_eigenthings(module, data), num_runs=1, lanczos_steps=STEPS, seed=0)
    return found.raw_eigenvalues[0], STEPS


TOPS = {
    "nnflow, residual 1e-8": _top_nnflow,
    "nnflow, residual 1e-4": _top_nnflow_to,
    "scipy eigsh, nnflow's product, tol 1e-3": _top_scipy,
    "scipy eigsh, nnflow's product, tol 3e-9": _top_scipy_sharp,
    "curvlinops and scipy eigsh": _top_curvlinops,
    "PyHessian": _top_pyhessian,
    "hessian-eigenthings": _top_eigenthings,
}
DENSITIES = {
    "nnflow": _density_nnflow,
    "PyHessian": _density_pyhessian,
    "curvlinops": _density_curvlinops,
    "hessian-eigenthings": _density_eigenthings,
}


if __name__ == "__main__":
    main()
