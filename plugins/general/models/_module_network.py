"""A module with its loss, evaluated for one run or for many at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nnflow import Loss, UserError, torch

from ._module_parts import normalizing, renewing, settled


@dataclass(frozen=True)
class Network:
    """A module as a function of weights, buffers and data.

    path: where it comes from, for messages. trained: names of its weights. kept: names of its
    buffers and frozen weights. arguments: names of the arrays that forward is called with; None:
    all that are not held out. loss: a plugin, a function of outputs and targets, or None where
    forward gives the loss.
    """

    path: str
    module: Any
    trained: tuple[str, ...]
    kept: tuple[str, ...]
    arguments: tuple[str, ...] | None
    loss: Loss | Callable | None

    def run_loss(self, named, data, careful=True):
        """The loss of one run, a number; `named` and `data` without an axis over runs. careful:
        forward may change buffers in place, and gets copies."""
        outputs = self._forward(named, data, careful)
        if not isinstance(self.loss, Loss):
            return outputs
        return self._losses(outputs[None], data["targets"])[0]

    def losses_together(self, named, data, per_run=False):
        """Losses of all runs, (run,), at once. per_run: the data have an axis over runs, too."""
        axes = {name: 0 if per_run and not name.startswith("test_") else None for name in data}
        forward = torch.func.vmap(
            lambda run, samples: self._forward(run, samples, True),
            in_dims=(0, axes),
            randomness="different",
        )
        outputs = forward(named, dict(data))
        if not isinstance(self.loss, Loss):
            return outputs
        return self._losses(outputs, data["targets"])

    def outputs(self, named, inputs):
        """What forward gives one run for other inputs of its first argument."""
        name = (self.arguments or ("inputs",))[0]
        return self._called(named, {name: inputs}, True)

    def _forward(self, named, data, careful):
        """Outputs of one run, (sample, …, output), or its loss."""
        outputs = self._called(named, data, careful)
        if isinstance(self.loss, Loss):
            return self._with_output_axis(outputs, data)
        if self.loss is not None:
            return self.function_loss(outputs, data["targets"])
        return self._one_number(outputs, "forward, which gives the loss as no `loss` is named,")

    def statistics(self, named, data):
        """{name: numbers} of the buffers of one run as the data, all samples at once, make them;
        None where no layer keeps statistics."""
        layers = normalizing(self.module)
        if not layers:
            return None
        state = {name: v.clone() if name in self.kept else v for name, v in named.items()}
        with renewing(layers):
            self._in_place(state, data)
        return {name: state[name] for name in self.kept}

    def priced_outputs(self, named, data):
        """What the loss is a function of, of one run."""
        outputs = self._called(named, data, True)
        if isinstance(self.loss, Loss):
            return self._with_output_axis(outputs, data)
        if not isinstance(outputs, torch.Tensor):
            raise UserError(f"{self.path}: forward gives {type(outputs).__name__}, not one tensor")
        return outputs

    def function_loss(self, outputs, targets):
        """The loss of one run by the user's own function."""
        return self._one_number(self.loss(outputs, targets), "the loss function")

    def _one_number(self, outputs, whose):
        if not isinstance(outputs, torch.Tensor) or not outputs.is_floating_point():
            word = outputs.dtype if isinstance(outputs, torch.Tensor) else type(outputs).__name__
            raise UserError(f"{self.path}: {whose} must give real numbers, not {word}")
        return outputs.mean() if outputs.ndim else outputs

    def _called(self, named, data, careful):
        copied = set(self.kept) if careful else set()
        return self._in_place({n: v.clone() if n in copied else v for n, v in named.items()}, data)

    def _in_place(self, state, data):
        """What forward gives; it may change the buffers of the state."""
        names = self.arguments
        if names is None:
            names = [name for name in data if not name.startswith("test_")]
        given = tuple(data[name] for name in names)
        with settled(state[self.trained[0]].dtype):
            return torch.func.functional_call(self.module, state, given)

    def _with_output_axis(self, outputs, data):
        """Outputs (sample, …, output) that fit the targets. Raises UserError where they do not."""
        targets = data["targets"]
        if not isinstance(outputs, torch.Tensor):
            raise UserError(
                f"{self.path}: forward gives {type(outputs).__name__}, not one tensor; give the"
                " outputs alone, or compute the loss in forward and name none"
            )
        shape, wanted = tuple(outputs.shape), tuple(targets.shape)
        if shape == (len(targets),):
            outputs = outputs[:, None]
        inner = tuple(outputs.shape)
        classes = not targets.dtype.is_floating_point
        fits = inner[:-1] == wanted or (not classes and inner == wanted)
        if not classes and inner[:-1] == wanted:
            fits = inner[-1] == 1
        if not fits:
            needed = f"({', '.join(map(str, wanted))}, classes)" if classes else str(wanted)
            raise UserError(
                f"{self.path}: forward gives outputs of shape {shape}; the loss"
                f" {self.loss.name!r} and targets of shape {wanted} need {needed}"
            )
        return outputs

    def _losses(self, outputs, targets):
        """Mean of the plugin's losses, (run,), of outputs (run, sample, …, output)."""
        if targets.dtype.is_floating_point and targets.ndim < outputs.ndim - 1:
            targets = targets.unsqueeze(-1)
        return self.loss(outputs, targets).flatten(1).mean(dim=1)

    def check_classes(self, named, data) -> None:
        """Raise UserError where a target is a class that the module has no output for."""
        targets = data.get("targets")
        if not isinstance(self.loss, Loss) or targets.dtype.is_floating_point:
            return
        outputs = self._with_output_axis(self._called(named, data, True), data)
        if int(targets.max()) >= outputs.shape[-1]:
            raise UserError(
                f"{self.path}: forward gives {outputs.shape[-1]} outputs for a sample, and a target"
                f" is the class {int(targets.max())}, counted from 0; the last layer is too narrow"
            )
