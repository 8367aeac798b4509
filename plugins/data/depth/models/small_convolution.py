"""Small convolutional networks on square images."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from pydantic import Field, PositiveInt, model_validator

import nnflow
from nnflow import Activation, Loss, Model, torch

BLOCK_BYTES = 2**21
"""Memory for the windows of one run's images that are evaluated together. Of MNIST's 60,000 all
windows of 5×5 pixels would take 7 GB; at 28 pixels, windows of 3×3 and four
runs 2 MB are the fastest (64 MB take 40 % more)."""

CORNERS = 4
"""Values of which the largest is taken."""


class SmallConvolution(Model):
    """L(W) = 1/N Σₛ ℓ(o(xₛ), tₛ) on images of side × side pixels: convolutions, each followed by
    the largest of every 2 × 2 values and by σ, and a linear layer.

    Kernels k1 (channel, channel before, window, window) with biases b1, k2, …; then w (output,
    channel · place) and b. Windows lie within the image, and a last row or column that has no
    neighbour for the 2 × 2 is left out.
    """

    side: PositiveInt = 8
    """Pixels of a side."""
    channels: Annotated[list[PositiveInt], Field(min_length=1)] = [8]
    """Channels of each convolution."""
    window: PositiveInt = 3
    """Pixels of a side of a window."""
    classes: PositiveInt = 10
    """Outputs of the network."""
    activation: Activation
    """σ, which must not fall: it is taken after the largest value."""
    loss_function: Loss
    """ℓ, the loss of an output and its target."""

    @model_validator(mode="after")
    def _fits(self):
        if self._sides()[-1] < 1:
            raise ValueError(
                f"side: images of {self.side} pixels are too small for {len(self.channels)}"
                f" convolutions with windows of {self.window}"
            )
        return self

    def _sides(self) -> list[int]:
        """Of the images before each convolution, and of the last ones."""
        sides = [self.side]
        for _ in self.channels:
            sides.append((sides[-1] - self.window + 1) // 2)
        return sides

    def shapes(self):
        shapes = {}
        for layer, (before, after) in enumerate(
            zip([1, *self.channels], self.channels, strict=False), start=1
        ):
            shapes[f"k{layer}"] = (after, before, self.window, self.window)
            shapes[f"b{layer}"] = (after,)
        features = self.channels[-1] * self._sides()[-1] ** 2
        return {**shapes, "w": (self.classes, features), "b": (self.classes,)}

    def arrays(self):
        return {"inputs": "real", "targets": self.loss_function.targets}

    def loss(self, weights, data):
        return (
            sum(self._losses(weights, block).sum(dim=-1) for block in self._blocks(data))
            / (data["inputs"].shape[-2])
        )

    def gradient(self, weights, data):
        """By backpropagation, some samples at a time."""
        total = {name: torch.zeros_like(w) for name, w in weights.items()}
        for block in self._blocks(data):
            for name, part in self._backward(weights, block).items():
                total[name] += part
        return {name: part / data["inputs"].shape[-2] for name, part in total.items()}

    def _backward(self, weights, data):
        """The gradient of the sum of the losses. Where several of 2 × 2 values are the largest, as
        those of an empty corner are, each has an equal part in it."""
        layers, features = self._forward(weights, data["inputs"])
        signal = self.loss_function.slope(_linear(weights, features), data["targets"])
        found = {"w": signal.mT @ features, "b": signal.sum(dim=1)}
        signal = signal @ weights["w"]
        for number in range(len(layers), 0, -1):
            layer, kernel = layers[number - 1], weights[f"k{number}"]
            signal = signal.unflatten(2, layer.largest.shape[1::2]).transpose(1, 2)
            slope = self.activation.derivative(layer.largest, self.activation(layer.largest))
            spread = layer.spread(signal * slope)
            found[f"k{number}"] = (spread @ layer.windows.mT).reshape(kernel.shape)
            found[f"b{number}"] = spread.sum(dim=2)
            if number > 1:
                before = layers[number - 2].largest
                signal = _joined(kernel.flatten(2).mT @ spread, self.window, before)
                signal = signal.transpose(1, 2).flatten(2)
        return found

    def outputs(self, weights, inputs):
        """o(x), (run, sample, output). inputs: (sample, pixel)."""
        return _linear(weights, self._forward(weights, inputs)[1])

    def _forward(self, weights, inputs):
        """Of each convolution its `_Layer`; and what the linear layer reads, (run, sample,
        feature). inputs: (sample, pixel), or (run, sample, pixel)."""
        if inputs.shape[-1] != self.side**2:
            raise ValueError(
                f"model 'small_convolution': side: {self.side} by {self.side} pixels, but the"
                f" dataset gives {inputs.shape[-1]} numbers a sample"
            )
        values, layers = inputs.expand(1, *inputs.shape) if inputs.ndim == 2 else inputs, []
        values = values.unsqueeze(1)
        for layer in range(1, len(self.channels) + 1):
            layers.append(_convolved(values, weights[f"k{layer}"], weights[f"b{layer}"]))
            values = self.activation(layers[-1].largest)
        return layers, values.transpose(1, 2).flatten(2)

    def observables(self, weights, data):
        """Shares of samples whose largest output is the target's class; loss and share on the
        held-out samples, where there are any."""
        observed = {}
        for prefix in ("", "test_"):
            if f"{prefix}inputs" not in data:
                continue
            part = {name: data[f"{prefix}{name}"] for name in ("inputs", "targets")}
            right, losses = [], []
            for block in self._blocks(part):
                outputs = self.outputs(weights, block["inputs"])
                right.append(outputs.argmax(dim=-1) == block["targets"])
                losses.append(self.loss_function(outputs, block["targets"]))
            observed[f"{prefix}accuracy"] = torch.cat(right, dim=1).to(losses[0].dtype).mean(dim=1)
            if prefix:
                observed["test_loss"] = torch.cat(losses, dim=1).mean(dim=1)
        return observed

    def _losses(self, weights, data):
        return self.loss_function(self.outputs(weights, data["inputs"]), data["targets"])

    def _blocks(self, data):
        """The samples in blocks."""
        inputs, targets = data["inputs"], data["targets"]
        length = max(1, BLOCK_BYTES // (8 * self.side**2 * self.window**2))
        for start in range(0, inputs.shape[-2], length):
            part = slice(start, start + length)
            yield {"inputs": inputs[..., part, :], "targets": targets[..., part]}


class _Layer(NamedTuple):
    """Of a convolution: all windows, (run, number in a window, corner · sample · place), where a
    place is 2 × 2 corners; their sums with the kernels, (run, channel, corner, sample · place); and
    the largest of the corners, (run, channel, sample, place)."""

    windows: torch.Tensor
    sums: torch.Tensor
    largest: torch.Tensor

    def spread(self, signal: torch.Tensor) -> torch.Tensor:
        """What reaches `largest` as the sums have it, (run, channel, corner · sample · place)."""
        reached = (self.sums == self.largest.flatten(2).unsqueeze(2)).to(signal.dtype)
        shares = signal.flatten(2) / reached.sum(dim=2)
        return (reached * shares.unsqueeze(2)).flatten(2)


def _convolved(values, kernel, bias):
    """Of values (run, channel, sample, place) with kernels (run, channel, channel before, window,
    window): one product with all windows, for which the image is laid beside itself, shifted.
    Images that all runs share have one run."""
    side, window = math.isqrt(values.shape[-1]), kernel.shape[-1]
    images = values.unflatten(-1, (side, side))
    shifted = [images[part] for part in _shifts(side, window)]
    windows = torch.stack(shifted, dim=2).unflatten(2, (window**2, CORNERS))
    windows = windows.flatten(1, 2).flatten(2).expand(len(kernel), -1, -1)
    sums = torch.baddbmm(bias.unsqueeze(2), kernel.flatten(2), windows).unflatten(2, (CORNERS, -1))
    first, second = (torch.maximum(sums[:, :, c], sums[:, :, c + 1]) for c in (0, 2))
    largest = torch.maximum(first, second).unflatten(2, (values.shape[2], -1))
    return _Layer(windows, sums, largest)


def _joined(moved, window, like):
    """The sum of what the windows, (run, number in a window, corner · sample · place), give to each
    value, in the shape of the values (run, channel, sample, place)."""
    side = math.isqrt(like.shape[-1])
    length = (side - window + 1) // 2
    parts = moved.reshape(*like.shape[:2], -1, like.shape[2], length, length)
    total = torch.zeros_like(like).unflatten(-1, (side, side))
    for number, part in enumerate(_shifts(side, window)):
        total[part] += parts[:, :, number]
    return total.flatten(3)


def _shifts(side, window):
    """Where in an image the numbers of the windows are, one after another, and of each its corners
    of the 2 × 2."""
    length = (side - window + 1) // 2 * 2
    return [
        (..., slice(y + i, y + i + length, 2), slice(x + j, x + j + length, 2))
        for y in range(window)
        for x in range(window)
        for i in (0, 1)
        for j in (0, 1)
    ]


def _linear(weights, features):
    return torch.baddbmm(weights["b"].unsqueeze(1), features, weights["w"].mT)


@nnflow.hookimpl
def nnflow_register(register):
    register("small_convolution", SmallConvolution)
