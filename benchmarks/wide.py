"""Wide networks: phase diagrams beside scipy.integrate, tangent kernels beside torch.func.

    python benchmarks/wide.py [--size 200] [--inputs 2000]

Prints how long the phase diagram of tanh takes, with q*, χ₁, ξ_q and ξ_c in size × size cells, and
how long the same by `scipy.integrate.quad` and `dblquad` in a loop takes for some cells, with the
largest relative difference. Then the tangent kernel of all outputs of a 64-512-512-10 network in
float32, with the peak memory, and beside it torch.func's two recipes ("Neural Tangent Kernels" of
its documentation) at 200 and 20 inputs: a Jacobian of 2000 inputs would take 24 GB in float32.
Seconds are those of the wall clock and of the processor.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import resource
import time

import numpy as np
import torch

from nnflow.interfaces.registry import registry

CELLS = ((60, 40), (180, 10))
"""Cells of a 200 × 200 diagram, one ordered and one chaotic, that SciPy does."""
RECIPE_INPUTS = {"contraction": 200, "products": 20}
"""Inputs of torch.func's recipes: full Jacobians, and products of Jacobians pair by pair."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=200)
    parser.add_argument("--inputs", type=int, default=2000)
    arguments = parser.parse_args()
    registry()
    for row in itertools.chain(_kernels(arguments.inputs), _diagrams(arguments.size)):
        print(" | ".join(row), flush=True)


def _module(name: str):
    return importlib.import_module(f"nnflow_plugins.wide.{name}")


def _timed(function, *arguments, **settings):
    """Seconds of the wall clock and of the processor, in words, and what the function returns."""
    wall, own = time.perf_counter(), time.process_time()
    found = function(*arguments, **settings)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    return f"{wall:.2f} s, {own:.2f} s of the processor", found


def _diagrams(size: int):
    tanh = _module("_moments").moments(registry().get("activations", "tanh")())
    w, h = np.linspace(0.5, 4, size), np.linspace(0, 1, size)
    seconds, found = _timed(_module("_phase_diagram").phase_diagram, tanh, w, h)
    yield f"{size} × {size} cells", "nnflow", seconds, "tanh"
    worst, start = 0.0, time.process_time()
    for cell in CELLS:
        i, j = (at * size // 200 for at in cell)
        for name, value in _by_scipy(w[i], h[j]).items():
            worst = max(worst, abs(getattr(found, name)[i, j] / value - 1))
    one = (time.process_time() - start) / len(CELLS)
    whole = f"{one * size**2 / 3600:.0f} h for all; largest relative difference {worst:.0e}"
    yield "one cell", "scipy.integrate", f"{one:.2f} s of the processor", whole


def _by_scipy(w: float, h: float) -> dict[str, float]:
    """q*, χ₁, ξ_q and ξ_c by adaptive quadrature in a loop."""
    from scipy.integrate import dblquad, quad
    from scipy.optimize import brentq

    def normal(function):
        precise = {"epsabs": 1e-13, "epsrel": 1e-12, "limit": 400}
        return quad(lambda s: function(s) * _density(s), -12, 12, **precise)[0]

    def normal2(function):
        return dblquad(lambda t, s: function(s, t) * _density(s) * _density(t), -9, 9, -9, 9,
                       epsabs=1e-10, epsrel=1e-10)[0]  # fmt: skip

    q = brentq(lambda q: w * normal(lambda s: np.tanh(np.sqrt(q) * s) ** 2) + h - q, 1e-6, 1e3,
               xtol=1e-15, rtol=1e-14)  # fmt: skip
    root = np.sqrt(q)
    slope = lambda z: 1 - np.tanh(z) ** 2  # noqa: E731
    chi1 = w * normal(lambda s: slope(root * s) ** 2)
    a = w * normal(lambda s: np.tanh(root * s) * slope(root * s) * s / root)
    b = chi1
    if chi1 > 1:
        c = 0.0
        for _ in range(5):  # Newton's method from below
            value, b = (
                w * normal2(lambda s, t, f=f, c=c: f(root * s) * f(_other(root, c, s, t)))
                for f in (np.tanh, slope)
            )
            c += (value + h - q * c) / (q * (1 - b))
    return {"q": q, "chi1": chi1, "xi_q": -1 / np.log(a), "xi_c": -1 / np.log(b)}


def _other(root: float, c: float, s: float, t: float) -> float:
    return root * (c * s + np.sqrt(1 - c**2) * t)


def _density(s: float) -> float:
    return np.exp(-s * s / 2) / np.sqrt(2 * np.pi)


def _kernels(inputs: int):
    model = registry().get("models", "mlp")(
        widths=[64, 512, 512, 10], activation="tanh", loss_function="squared"
    )
    ntk = _module("_tangent_kernel").ntk
    generator = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn((1, *shape), generator=generator, dtype=torch.float64) / shape[-1] ** 0.5
        for name, shape in model.shapes().items()
    }
    x = torch.randn((inputs, 64), generator=generator, dtype=torch.float64)
    # first, as the peak of memory is that of the process
    seconds, kernel = _timed(ntk, model, x, weights, dtype=np.float32)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    note = f"float32, {kernel.nbytes / 2**30:.1f} GiB; peak of the process {peak:.1f} GiB"
    yield f"NTK of {inputs} inputs, 10 outputs", "nnflow", seconds, note
    del kernel
    for name, recipe in (("contraction", _contraction), ("products", _products)):
        few = x[: RECIPE_INPUTS[name]]
        work = f"NTK of {len(few)} inputs, 10 outputs"
        seconds, ours = _timed(ntk, model, few, weights)
        yield work, "nnflow", seconds, "float64"
        seconds, theirs = _timed(recipe, model, weights, few)
        apart = np.abs(theirs - ours).max() / np.abs(ours).max()
        yield work, f"torch.func, {name}", seconds, f"differs by {apart:.0e}"


def _one(model, weights, x):
    return model.outputs({name: w[None] for name, w in weights.items()}, x[None])[0, 0]


def _contraction(model, weights, x) -> np.ndarray:
    """The recipe of full Jacobians, contracted layer by layer; in float32, as they are large."""
    from torch.func import jacrev, vmap

    x = x.float()
    flat = {name: w[0].float() for name, w in weights.items()}
    jacobians = vmap(jacrev(lambda p, s: _one(model, p, s)), (None, 0))(flat, x)
    total = sum(
        torch.einsum("naf,mbf->namb", j.flatten(2), j.flatten(2)) for j in jacobians.values()
    )
    return total.reshape(10 * len(x), -1).numpy()


def _products(model, weights, x) -> np.ndarray:
    """The recipe of NTK-vector products."""
    from torch.func import jvp, vjp, vmap

    flat = {name: w[0] for name, w in weights.items()}
    basis = torch.eye(10, dtype=x.dtype)

    def entry(first, second):
        def product(vector):
            _, pull = vjp(lambda p: _one(model, p, second), flat)
            return jvp(lambda p: _one(model, p, first), (flat,), pull(vector))[1]

        return vmap(product)(basis).T

    rows = [vmap(lambda second, first=first: entry(first, second))(x) for first in x]
    return torch.stack(rows).permute(0, 2, 1, 3).reshape(10 * len(x), -1).numpy()


if __name__ == "__main__":
    main()
