"""What a gradient costs: operations and time, by backpropagation and by finite differences."""

from __future__ import annotations

import itertools
from functools import partial
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch

from .._layers import layered_gradient, linear_gradient, outputs

TRIED = ("tanh", "sigmoid", "relu")
"""σ of the networks on which the formula is tried."""

CHUNK = 2**22
"""Numbers of the weights that finite differences hold at once."""


class BackpropCost(Analysis):
    """Networks of two hidden layers of equal width, tanh and biases, one output, in float64, with
    the squared error over B samples. Operations are those of matrix products, as torch's own
    counter sees them, a product and a sum each; so with M entries of matrices, of which the first
    has M₁, the loss takes 2BM, loss and gradient by backpropagation 6BM − 2BM₁ (nothing goes back
    to the inputs), and forward differences, the loss at W + 1 points, 2BM(W + 1).

    Over `width`: `weights` W, and `forward`, `backprop` and `differences`, operations (NaN where
    the width exceeds `most`). A slope is that of the logarithms between the two largest widths;
    its interval holds the slopes of all neighbouring widths: counts are exact, and what spreads is
    curvature. Times go where measured times are kept: of `gradient` and of `differences`, by
    `weights`, at the widths `timed`.

    Also the lecture's formula of the gradient, layer by layer, against automatic differentiation:
    `formula_error` (activation, depth), the largest difference over the largest entry among
    `networks` random networks. With σ(z) = z it is to be that of linear networks, which knows
    products of matrices and Σ = mean xx* only: `linear_error`, likewise.
    """

    columns = {
        "backprop_slope": "slope of backpropagation's operations in W at the largest widths",
        "difference_slope": "slope of finite differences' operations in W there",
        "ratio_most": "most operations of loss and gradient over those of the loss",
        "forward_excess": "operations of the loss beyond 2BM, largest magnitude",
        "backprop_excess": "operations of loss and gradient beyond 6BM − 2BM₁",
        "difference_excess": "operations of finite differences beyond 2BM(W + 1)",
        "difference_error": "largest relative error of finite differences",
        "formula_error_most": "largest relative difference of the formula from autodiff",
        "linear_error": "largest relative difference of the formula with σ(z) = z from that of"
        " linear networks",
    }

    widths: Annotated[list[PositiveInt], Field(min_length=2)] = [8, 16, 32, 64]
    """Neurons of a hidden layer, in order."""
    most: PositiveInt = 64
    """Largest width at which finite differences are computed."""
    timed: list[PositiveInt] = [8, 64]
    """Widths at which times are measured."""
    repeats: Annotated[int, Field(ge=3)] = 3
    """Measurements of each time."""
    inputs: PositiveInt = 8
    """Input dimension."""
    samples: PositiveInt = 16
    """B."""
    step: PositiveFloat = 1e-6
    """Step of the finite differences."""
    depths: tuple[PositiveInt, ...] = (2, 3, 5)
    """Numbers of matrices of the networks on which the formula is tried."""
    networks: PositiveInt = 50
    """Random networks for each of them."""

    def compute(self, results):
        rows = []
        for number, width in enumerate(self.widths):
            results.progress(number, len(self.widths), f"width {width}")
            rows.append(self._counted(results.study.settings.seed, width))
        for width in self.timed:
            self._measure(results, width)
        found = {name: np.array([row[name] for row in rows]) for name in rows[0]}
        seed = results.study.settings.seed
        formula = self._formula(seed)
        table = nnflow.Table(results, self.columns)
        matrices, first, b = found["matrices"], self.inputs * np.array(self.widths), self.samples
        expected = {
            "forward": 2 * b * matrices,
            "backprop": 6 * b * matrices - 2 * b * first,
            "differences": 2 * b * matrices * (found["weights"] + 1),
        }
        excess = {
            name: float(np.nanmax(np.abs(found[name] - count))) for name, count in expected.items()
        }
        table.everywhere(
            backprop_slope=slopes(found["weights"], found["backprop"]),
            difference_slope=slopes(found["weights"], found["differences"]),
            ratio_most=float((found["backprop"] / found["forward"]).max()),
            forward_excess=excess["forward"],
            backprop_excess=excess["backprop"],
            difference_excess=excess["differences"],
            difference_error=float(np.nanmax(found["error"])),
            formula_error_most=float(formula.max()),
            linear_error=max(self._linear_error(seed, depth) for depth in self.depths),
        )
        text = {
            "weights": "weights",
            "forward": "operations of the loss",
            "backprop": "operations of loss and gradient",
            "differences": "operations of finite differences",
        }
        arrays = {name: ("width", found[name], {"long_name": text[name]}) for name in text}
        arrays["formula_error"] = (
            ("activation", "depth"), formula, {"long_name": "relative difference from autodiff"}
        )  # fmt: skip
        return (
            table.dataset()
            .assign(arrays)
            .assign_coords(width=self.widths, activation=list(TRIED), depth=list(self.depths))
        )

    def _counted(self, seed: int, width: int) -> dict[str, float]:
        """Operations at one width, and the error of the differences."""
        net = Network.drawn(seed, self.inputs, width, self.samples)
        row = {
            "weights": len(net.weights),
            "matrices": self.inputs * width + width * width + width,
            "forward": operations(partial(net.loss, net.weights[None]))[0],
            "backprop": operations(net.gradient)[0],
            "differences": np.nan,
            "error": np.nan,
        }
        if width <= self.most:
            row["differences"], found = operations(partial(net.differences, self.step))
            exact = net.gradient()
            row["error"] = float((found - exact).abs().max() / exact.abs().max())
        return row

    def _measure(self, results, width: int) -> None:
        net = Network.drawn(results.study.settings.seed, self.inputs, width, self.samples)
        count = len(net.weights)
        results.measure("gradient", net.gradient, self.repeats, weights=count)
        if width <= self.most:
            differences = partial(net.differences, self.step)
            results.measure("differences", differences, self.repeats, weights=count)

    def _formula(self, seed: int) -> np.ndarray:
        """(activation, depth)."""
        pairs = itertools.product(TRIED, self.depths)
        errors = [self._formula_error(seed, *pair) for pair in pairs]
        return np.array(errors).reshape(len(TRIED), len(self.depths))

    def _drawn(self, seed: int, activation: str, depth: int):
        """Matrices, inputs and targets of random networks."""
        sizes = [self.inputs, *(7 - layer % 3 for layer in range(depth - 1)), 2]
        streams = Streams(seed, f"{activation}/{depth}", np.arange(self.networks), "formula")
        inputs = _normal(streams, 0, self.samples, sizes[0])
        targets = _normal(streams, 1, self.samples, sizes[-1])
        matrices = [
            _normal(streams, 2 + layer, above, below) * (2 / below) ** 0.5
            for layer, (below, above) in enumerate(itertools.pairwise(sizes))
        ]
        return matrices, inputs, targets

    def _formula_error(self, seed: int, activation: str, depth: int) -> float:
        matrices, inputs, targets = self._drawn(seed, activation, depth)
        matrices = [matrix.requires_grad_() for matrix in matrices]
        error = outputs(matrices, inputs, activation) - targets
        total = error.square().sum() / (2 * self.samples)
        automatic = torch.autograd.grad(total, matrices)
        with torch.no_grad():
            layered = layered_gradient(matrices, inputs, targets, activation)
        return _apart(layered, automatic)

    def _linear_error(self, seed: int, depth: int) -> float:
        drawn = self._drawn(seed, "identity", depth)
        return _apart(layered_gradient(*drawn, "identity"), linear_gradient(*drawn))


def _apart(gradients, others) -> float:
    """The largest difference over the largest entry, of any run and layer."""
    return max(
        float(((one - other).abs().amax((1, 2)) / size(other)).max())
        for one, other in zip(gradients, others, strict=True)
    )


TINY = 1e-300
"""Keeps a layer whose neurons are all dead, and its gradient 0 in both ways, from 0/0."""


def size(gradient):
    """The largest entry of each run, (run,)."""
    return gradient.abs().amax((1, 2)).clamp_min(TINY)


class Network:
    """A network on samples, its weights (weight,) flat: matrices and biases by layer."""

    def __init__(self, shapes, weights, inputs, targets) -> None:
        self.shapes, self.weights = shapes, weights
        self.inputs, self.targets = inputs, targets

    @classmethod
    def drawn(cls, seed: int, inputs: int, width: int, samples: int) -> Network:
        """A random one, with two hidden layers of the width."""
        sizes = [inputs, width, width, 1]
        shapes = []
        for below, above in itertools.pairwise(sizes):
            shapes += [(above, below), (above,)]
        streams = Streams(seed, str(width), np.arange(1), "cost")
        count = sum(int(np.prod(shape)) for shape in shapes)
        weights = _normal(streams, 0, count)[0] * width**-0.5
        x, y = _normal(streams, 1, samples, inputs), _normal(streams, 2, samples, 1)
        return cls(shapes, weights, x, y)

    def loss(self, weights):
        """½ mean (f̃ − f)², (point,), of weights (point, weight)."""
        parts, place = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(weights[:, place : place + size].reshape(-1, *shape))
            place += size
        x = self.inputs.expand(len(weights), -1, -1)
        error = outputs(parts[::2], x, "tanh", parts[1::2]) - self.targets
        return error.square().mean((1, 2)) / 2

    def gradient(self):
        """Loss and gradient by backpropagation; the gradient, (weight,)."""
        at = self.weights.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(self.loss(at[None])[0], at)
        return gradient

    def differences(self, step: float):
        """(L(w + step·eᵢ) − L(w))/step, (weight,), many points at once."""
        count = len(self.weights)
        here = self.loss(self.weights[None])
        parts = []
        for rows in torch.arange(count).split(max(1, CHUNK // count)):
            moved = self.weights.repeat(len(rows), 1)
            moved[torch.arange(len(rows)), rows] += step
            parts.append((self.loss(moved) - here) / step)
        return torch.cat(parts)


def operations(function) -> tuple:
    """Operations of the matrix products of a call, by torch's counter; and what it returns."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        found = function()
    return counter.get_total_flops(), found


def slopes(weights: np.ndarray, counts: np.ndarray) -> tuple[float, float, float]:
    """The slope of log counts in log weights between the last two that are known, and the least
    and largest between neighbours."""
    known = np.isfinite(counts)
    each = np.diff(np.log(counts[known])) / np.diff(np.log(weights[known]))
    return float(each[-1]), float(each.min()), float(each.max())


def _normal(streams: Streams, draw: int, *shape: int):
    drawn = streams.normal(int(np.prod(shape)), draw=draw)
    return torch.as_tensor(drawn.reshape(-1, *shape))


@nnflow.hookimpl
def nnflow_register(register):
    register("backprop_cost", BackpropCost)
