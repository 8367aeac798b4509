"""Fully connected networks of one shape, many at once, with all derivatives in NumPy.

In the NTK parametrization a layer is z = (α_w/√n)W x + α_h b, all entries of W and b from N(0, 1).
In the standard one the scales are inside of W and b: the same law of functions, which trains in
another way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ._nonlinearity import Nonlinearity

Slope = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Layers:
    """Networks of one shape, many at once: `weights` (run, out, in) and `biases` (run, out) of each
    layer, the scales by which they are multiplied, and σ between the layers."""

    weights: list[np.ndarray]
    biases: list[np.ndarray]
    weight_scales: list[float | np.ndarray]
    bias_scale: float
    sigma: Nonlinearity

    def forward(self, inputs: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """What enters each layer, and what each layer's sums are, (run, sample, neuron)."""
        entering = [np.broadcast_to(inputs, (len(self.biases[0]), *inputs.shape))]
        sums: list[np.ndarray] = []
        for weight, bias, scale in zip(self.weights, self.biases, self.weight_scales, strict=True):
            if sums:
                entering.append(self.sigma.value(sums[-1]))
            z = scale * entering[-1] @ weight.mT
            sums.append(z + self.bias_scale * bias[:, None])
        return entering, sums

    def outputs(self, inputs: np.ndarray) -> np.ndarray:
        """(run, sample, output)."""
        return self.forward(inputs)[1][-1]

    def backward(self, sums: list[np.ndarray], last: np.ndarray) -> list[np.ndarray]:
        """∂L/∂z of each layer, (run, sample, neuron), from that of the outputs, `last`."""
        found = [last]
        for layer in range(len(sums) - 1, 0, -1):
            back = self.weight_scales[layer] * found[0] @ self.weights[layer]
            found.insert(0, back * self.sigma.slope(sums[layer - 1]))
        return found

    def kernel(self, inputs: np.ndarray, output: int = 0) -> np.ndarray:
        """Θ of one output, (run, sample, sample): in each layer the derivative by W is an outer
        product, so that the kernel is a product of two Gram matrices and no Jacobian is formed."""
        entering, sums = self.forward(inputs)
        backward = self.backward(sums, one_hot(sums[-1], output))
        total = 0.0
        for values, slopes, scale in zip(entering, backward, self.weight_scales, strict=True):
            gram = scale**2 * values @ values.mT + self.bias_scale**2
            total = total + gram * (slopes @ slopes.mT)
        return total

    def gradient(self, inputs: np.ndarray, slope: Slope) -> tuple[list, list]:
        """Of a loss in weights and biases. slope: outputs to ∂L/∂outputs, (run, sample, output)."""
        entering, sums = self.forward(inputs)
        weights, biases = [], []
        backward = self.backward(sums, slope(sums[-1]))
        for values, pulled, scale in zip(entering, backward, self.weight_scales, strict=True):
            weights.append(scale * pulled.mT @ values)
            biases.append(self.bias_scale * pulled.sum(axis=1))
        return weights, biases

    def moved(self, gradient: tuple[list, list], rate: np.ndarray) -> Layers:
        """After a step of gradient descent; rate: (run,)."""
        weights = [
            w - rate[:, None, None] * g for w, g in zip(self.weights, gradient[0], strict=True)
        ]
        biases = [b - rate[:, None] * g for b, g in zip(self.biases, gradient[1], strict=True)]
        return Layers(weights, biases, self.weight_scales, self.bias_scale, self.sigma)


def random_layers(
    generator: np.random.Generator, sigma: Nonlinearity, widths: list[int], runs: int,
    weight_variance: float | np.ndarray, bias_variance: float, standard: bool = False,
) -> Layers:  # fmt: skip
    """Networks of these widths in the NTK parametrization, or in the standard one: the same law of
    functions, with the scales inside of the weights. weight_variance: α_w², or that of each run."""
    weights, biases, scales = [], [], []
    for below, above in itertools.pairwise(widths):
        scale = np.sqrt(np.asarray(weight_variance)[..., None, None] / below)
        drawn = generator.standard_normal((runs, above, below))
        weights.append(scale * drawn if standard else drawn)
        scales.append(1.0 if standard else scale)
        bias = generator.standard_normal((runs, above))
        biases.append(np.sqrt(bias_variance) * bias if standard else bias)
    return Layers(weights, biases, scales, 1.0 if standard else np.sqrt(bias_variance), sigma)


def one_hot(outputs: np.ndarray, output: int) -> np.ndarray:
    """∂f_output/∂outputs, of the shape of the outputs."""
    found = np.zeros_like(outputs)
    found[..., output] = 1
    return found
