"""Multilayer perceptrons on data."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, PositiveInt

import nnflow
from nnflow import Activation, Composed, Loss, Minibatch, Model, torch

from ._mlp_kinks import kinks_of_run
from ._mlp_lanes import run_gradient


class Mlp(Model):
    """Fully connected networks with biases, trained on samples.

    L(W) = 1/N Σₛ ℓ(o(xₛ), tₛ) + λ‖W‖²/2,  o(x) = W_L σ(… σ(W₁x + b₁) …) + b_L,

    with weights w1 (widths[1], widths[0]), b1, w2, …. Its symmetries are the permutations of
    hidden neurons (and their signs, where σ is odd). The infimum depends on the data and is
    not claimed: 0 where the network can fit them, which cross-entropy never attains.
    """

    widths: Annotated[list[PositiveInt], Field(min_length=2)]
    """Inputs, neurons of each hidden layer, outputs."""
    activation: Activation
    """σ of the hidden neurons."""
    loss_function: Loss
    """ℓ, the loss of an output and its target."""
    weight_decay: NonNegativeFloat = 0.0
    """λ, the factor of ½‖W‖², biases among W. Held-out losses are without it."""

    @property
    def layers(self) -> range:
        """Numbers of the layers, from 1."""
        return range(1, len(self.widths))

    def shapes(self):
        shapes = {}
        for layer in self.layers:
            shapes[f"w{layer}"] = (self.widths[layer], self.widths[layer - 1])
            shapes[f"b{layer}"] = (self.widths[layer],)
        return shapes

    def arrays(self):
        return {"inputs": "real", "targets": self.loss_function.targets}

    def dimensions(self):
        hidden = [f"hidden{layer}" for layer in self.layers[:-1]]
        axes = ["input", *hidden, "output"]
        named = {}
        for layer in self.layers:
            named[f"w{layer}"] = (axes[layer], axes[layer - 1])
            named[f"b{layer}"] = (axes[layer],)
        return named

    def interchangeable(self):
        return tuple(f"hidden{layer}" for layer in self.layers[:-1])

    def loss(self, weights, data):
        *_, outputs = self._sums(weights, data["inputs"])
        return self._total(outputs, data["targets"], weights)

    def gradient(self, weights, data):
        """By backpropagation, without the graph that automatic differentiation keeps, so many runs
        at a time that what is computed of them stays in the cache."""
        runs, inputs = len(weights["b1"]), data["inputs"]
        ends = _ends(runs, inputs.shape[-2] * sum(self.widths))
        if len(ends) == 2 or inputs.device.type != "cpu":
            return self._backpropagated(weights, data)
        found = {name: torch.empty_like(weight) for name, weight in weights.items()}
        seen, own = {name: data[name] for name in self.arrays()}, isinstance(data, Minibatch)
        for part in map(slice, ends, ends[1:]):
            some = {name: weight[part] for name, weight in weights.items()}
            there = {n: array[part] for n, array in seen.items()} if own else seen
            for name, slope in self._backpropagated(some, there).items():
                found[name][part] = slope
        return found

    def run_gradient(self, data):
        activation, loss = self.activation.lanes, self.loss_function.lanes
        if activation is None or loss is None or self._changed:
            return None
        arrays = (data[name].numpy() for name in self.arrays())
        return run_gradient(self.widths, activation, loss, self.weight_decay, *arrays)

    @property
    def _changed(self):
        """Is it another function than the one that is compiled, by a class of somebody's own?"""
        names = ("loss", "gradient", "_backpropagated", "_sums", "_from", "_total")
        return any(getattr(type(self), name) is not getattr(Mlp, name) for name in names)

    def _backpropagated(self, weights, data):
        inputs = data["inputs"]
        seen, hidden = [inputs.expand(len(weights["b1"]), *inputs.shape[-2:])], []
        for layer in self.layers[:-1]:
            hidden.append(_affine(weights, layer, seen[-1]))
            seen.append(self.activation(hidden[-1]))
        outputs = _affine(weights, self.layers[-1], seen[-1])
        signal = self.loss_function.slope(outputs, data["targets"]) / outputs.shape[1]
        found = {}
        for layer in reversed(self.layers):
            found[f"w{layer}"] = signal.mT @ seen[layer - 1]
            found[f"b{layer}"] = signal.sum(dim=1)
            if layer > 1:
                derivative = self.activation.derivative(hidden[layer - 2], seen[layer - 1])
                signal = (signal @ weights[f"w{layer}"]).mul_(derivative)
        if self.weight_decay:
            found = {name: one + self.weight_decay * weights[name] for name, one in found.items()}
        return {name: found[name] for name in weights}

    def composed(self, weights, data):
        *_, outputs = self._sums(weights, data["inputs"])
        return Composed(
            outputs,
            lambda outputs, weights: self._total(outputs, data["targets"], weights),
            self.loss_function.likelihood,
        )

    def _total(self, outputs, targets, weights):
        loss = self.loss_function(outputs, targets).mean(dim=-1)
        if self.weight_decay:
            squares = sum(part.square().flatten(1).sum(dim=1) for part in weights.values())
            loss = loss + self.weight_decay / 2 * squares
        return loss

    def on_plane(self, center, first, second, data):
        """The first layer's sums are linear in the weights, so that three products with the inputs
        serve all points."""
        sums = [next(self._sums(part, data["inputs"])) for part in (center, first, second)]

        def loss(x, y):
            def moved(parts):
                return torch.addcmul(
                    torch.addcmul(parts[0], _column(x, parts[1]), parts[1]),
                    _column(y, parts[2]),
                    parts[2],
                )

            weights = {name: moved((center[name], first[name], second[name])) for name in center}
            *_, outputs = self._from(weights, moved(sums))
            return self._total(outputs, data["targets"], weights)

        return loss

    def smooth(self, weights, data):
        """L has a kink where the input of a hidden neuron is 0 at a sample and σ has one, or where
        an output meets a kink of ℓ."""
        if self.activation.smooth and self.loss_function.smooth_everywhere:
            return None
        *hidden, outputs = self._sums(weights, data["inputs"])
        runs = len(weights["b1"])
        smooth = torch.ones(runs, dtype=torch.bool, device=weights["b1"].device)
        for sums in [] if self.activation.smooth else hidden:
            smooth &= (sums != 0).flatten(1).all(dim=1)
        of_loss = self.loss_function.smooth(outputs, data["targets"])
        return smooth if of_loss is None else smooth & of_loss.all(dim=1)

    def kinks(self, weights, data, within):
        """Where a hidden neuron's input is 0 at a sample, or an output meets a kink of ℓ."""
        if self.activation.smooth and self.loss_function.smooth_everywhere:
            return None
        if not self.activation.smooth and self.activation.jump is None:
            return None
        return [
            kinks_of_run(self, {n: w[run : run + 1] for n, w in weights.items()}, data, within)
            for run in range(len(weights["b1"]))
        ]

    def invariants(self, weights):
        """Sorted magnitudes of each matrix's and each bias's entries."""
        parts = [weight.flatten(1).abs().sort(dim=1).values for weight in weights.values()]
        return torch.cat(parts, dim=1)

    def observables(self, weights, data):
        """Shares of samples whose largest output is the target's, where targets are classes;
        loss and share on the held-out samples, where there are any."""
        observed = {}
        for prefix in ("", "test_"):
            if f"{prefix}inputs" not in data:
                continue
            *_, outputs = self._sums(weights, data[f"{prefix}inputs"])
            targets = data[f"{prefix}targets"]
            if not targets.dtype.is_floating_point:
                right = outputs.argmax(dim=-1) == targets
                observed[f"{prefix}accuracy"] = right.to(outputs.dtype).mean(dim=-1)
            if prefix:
                losses = self.loss_function(outputs, targets)
                observed[f"{prefix}loss"] = losses.mean(dim=-1)
        return observed

    def outputs(self, weights, inputs):
        """o(x), (run, sample, output). inputs: (sample, feature)."""
        *_, outputs = self._sums(weights, inputs)
        return outputs

    def _sums(self, weights, inputs):
        """Inputs of the neurons of each layer, (run, sample, neuron); the last are the
        network's outputs. `inputs`: (sample, feature), or (run, sample, feature)."""
        values = inputs.expand(len(weights["b1"]), *inputs.shape[-2:])
        yield from self._from(weights, _affine(weights, 1, values))

    def _from(self, weights, sums):
        """The same from the sums of the first layer on."""
        yield sums
        for layer in self.layers[1:]:
            sums = _affine(weights, layer, self.activation(sums))
            yield sums


BLOCK = 2**18
"""Inputs, activations and outputs, over all samples, of runs that are computed together: two
megabytes. In blocks of 2¹⁶ to 2¹⁹ the gradients of small networks take .7 to .8 of their time at
once, in shorter ones more than that."""


def _ends(runs: int, numbers: int) -> list[int]:
    """Where blocks of runs begin and end. Never is there a block of one run beside others: torch
    gives it to another kernel, with other last bits."""
    count = max(1, runs // max(2, BLOCK // numbers))
    return [runs * i // count for i in range(count + 1)]


def _affine(weights, layer: int, values):
    # one product per run: how runs are grouped must not change their last bits
    return torch.baddbmm(weights[f"b{layer}"].unsqueeze(1), values, weights[f"w{layer}"].mT)


def _column(numbers, like):
    """(point,) numbers with as many axes as `like`."""
    return numbers.reshape(-1, *(1,) * (like.ndim - 1))


@nnflow.hookimpl
def nnflow_register(register):
    register("mlp", Mlp)
