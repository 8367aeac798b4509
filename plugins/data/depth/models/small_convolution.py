"""Small convolutional networks on square images."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt, model_validator

import nnflow
from nnflow import Activation, Loss, Model, torch

BLOCK_BYTES = 2**21
"""Memory for the windows of one run's images that are evaluated together. Of MNIST's 60,000 all
windows of 5×5 pixels would take 7 GB; at 28 pixels, windows of 3×3 and four
runs 2 MB are the fastest (64 MB take 40 % more)."""


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
        """By automatic differentiation, some samples at a time."""
        total = {name: torch.zeros_like(w) for name, w in weights.items()}
        for block in self._blocks(data):
            at = {name: w.detach().requires_grad_() for name, w in weights.items()}
            with torch.enable_grad():
                losses = self._losses(at, block).sum()
            for name, part in zip(at, torch.autograd.grad(losses, list(at.values())), strict=True):
                total[name] += part
        return {name: part / data["inputs"].shape[-2] for name, part in total.items()}

    def outputs(self, weights, inputs):
        """o(x), (run, sample, output). inputs: (sample, pixel)."""
        inputs = inputs.expand(len(weights["b"]), *inputs.shape[-2:])
        values = inputs.unflatten(-1, (self.side, self.side)).unsqueeze(1)
        for layer in range(1, len(self.channels) + 1):
            kernel, bias = weights[f"k{layer}"], weights[f"b{layer}"]
            values = self.activation(_largest(_convolved(values, kernel, bias)))
        features = values.transpose(1, 2).flatten(2)
        return torch.baddbmm(weights["b"].unsqueeze(1), features, weights["w"].mT)

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


def _convolved(values, kernel, bias):
    """(run, channel, sample, side, side) with kernels (run, channel, channel before, window,
    window): one product with all windows, for which the image is laid beside itself, shifted."""
    window = kernel.shape[-1]
    length = values.shape[-1] - window + 1
    shifted = torch.stack(
        [
            values[..., row : row + length, column : column + length]
            for row in range(window)
            for column in range(window)
        ],
        dim=2,
    )
    windows = shifted.flatten(1, 2).flatten(2)
    sums = torch.baddbmm(bias.unsqueeze(2), kernel.flatten(2), windows)
    return sums.unflatten(2, (-1, length, length))


def _largest(values):
    """Of every 2 × 2 values."""
    length = 2 * (values.shape[-1] // 2)
    values = values[..., :length, :length]
    values = torch.maximum(values[..., ::2, :], values[..., 1::2, :])
    return torch.maximum(values[..., ::2], values[..., 1::2])


@nnflow.hookimpl
def nnflow_register(register):
    register("small_convolution", SmallConvolution)
