"""Any network of PyTorch."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict, Field, NonNegativeInt, PositiveInt, PrivateAttr, field_validator

import nnflow
from nnflow import Composed, Loss, Minibatch, Model, UserError, torch

from .._import_path import ImportPath, call, load, source_files
from ._module_network import Network
from ._module_neurons import AxisName, named_axes
from ._module_parts import checked, kept, settled, shared, trained
from ._module_trial import Trial, trial

CHUNK_BYTES = 256 * 2**20
"""Memory for what runs that are evaluated together keep for their derivatives."""
SECOND = 4
"""The graph of a second derivative, as a multiple of the first one's; measured 3 to 4."""


class TorchModule(Model):
    """A torch.nn.Module of your own, or of a package, with any loss.

    L(W) = 1/N Σₛ ℓ(f_W(xₛ), tₛ). The weights have the names of the module's state_dict; shared
    ones are one weight. Buffers and frozen weights belong to a run and stay what they are. Whether
    L has kinks is not looked for: ReLU networks are taken for smooth, which they are almost
    everywhere.
    """

    model_config = ConfigDict(populate_by_name=True)

    target: ImportPath
    """The class, or a function that gives a module: `module:Name`, of a file in the project folder
    or beside a study, or of an installed package."""
    settings: dict[str, Any] = {}
    """What it is called with."""
    loss_function: Loss | ImportPath | None = Field(None, alias="loss")
    """ℓ: a loss by its name; a function of outputs and targets by its import path, which gives a
    number, or one for each sample; null: forward gives the loss itself."""
    arguments: list[str] | None = None
    """The arrays that forward is called with, in order; null: `inputs`, and where forward gives the
    loss all that are not held out."""
    mode: Literal["eval", "train"] = "eval"
    """As `module.eval()`, with running statistics and without dropout, or as `module.train()`, with
    the statistics of the samples at hand; dropout is then refused."""
    frozen: list[str] = []
    """Weights that stay what they are, by name or pattern (`backbone.*`), beside those that the
    module freezes itself."""
    neurons: dict[AxisName, dict[str, NonNegativeInt]] = {}
    """Axes whose entries, hidden neurons or channels, may change places together: for each, under
    a name of your own, the weights and buffers that have it and which of their axes it is, such as
    `{hidden: {first.weight: 0, first.bias: 0, second.weight: 1}}`."""
    chunk: PositiveInt | None = None
    """Runs that are evaluated at once; null: as many as 256 MB allow. 1: one at a time, so that a
    run's last bits do not depend on its companions. What torch can't evaluate at once (recurrent
    layers, derivatives inside of forward) is evaluated one at a time."""

    _ready: Network | None = PrivateAttr(None)

    @field_validator("loss_function", mode="before")
    @classmethod
    def _a_loss(cls, value):
        """A text without a colon is a plugin's name."""
        if value is None or isinstance(value, Loss) or (isinstance(value, str) and ":" in value):
            return value
        return Loss.model_validate(value)

    @classmethod
    def of(cls, module, loss, mode=None, arguments=None):
        """The model of a module that is there already, for notebooks; it can't be written to a
        study file. loss: a plugin, its name, a function of outputs and targets, or None."""
        if not isinstance(module, torch.nn.Module):
            raise UserError(f"the module is {type(module).__name__}, no torch.nn.Module")
        plugin = isinstance(loss, str | Loss)
        settings = {
            "target": "torch.nn:Module",
            "loss": loss if plugin else None,
            "mode": mode or ("train" if module.training else "eval"),
            "arguments": arguments,
        }
        model = cls.model_validate(settings)
        function = model.loss_function if plugin else loss
        path = type(module).__name__
        own = checked(path, copy.deepcopy(module), model.mode, [])
        model._ready = model._network_of(path, own, function)
        return model

    def present(self):
        """Weights and buffers of the module as it is, each with an axis of one run."""
        return {name: v[None] for name, v in self._numbers(self.network.module).items()}

    def files(self, folder):
        """The user's own files that the model is made from."""
        paths = [self.target]
        if isinstance(self.loss_function, str):
            paths.append(self.loss_function)
        return tuple(file for path in paths for file in source_files(path))

    @cached_property
    def network(self) -> Network:
        """The module as a function, built once."""
        if self._ready is not None:
            return self._ready
        function = self.loss_function
        if isinstance(function, str):
            function = load(function)
        return self._network_of(self.target, self._built(0), function)

    def _network_of(self, path, module, function) -> Network:
        names = self.arguments
        if names is None and function is not None:
            names = ["inputs"]
        return Network(
            f"model {self.name!r}: {path}",
            module,
            tuple(trained(module)),
            tuple(kept(module)),
            None if names is None else tuple(names),
            function,
        )

    def _built(self, seed: int):
        """A module by its own initialization."""
        with torch.random.fork_rng(devices=[]), settled(torch.float64):
            torch.manual_seed(seed)
            return checked(self.target, call(self.target, self.settings), self.mode, self.frozen)

    def size_if_known(self):
        """Not before torch has built it."""
        built = self._ready or self.__dict__.get("network")
        return None if built is None else sum(w.numel() for w in trained(built.module).values())

    def shapes(self):
        return {name: tuple(w.shape) for name, w in trained(self.network.module).items()}

    def buffers(self):
        return {name: tuple(values.shape) for name, values in kept(self.network.module).items()}

    def dimensions(self):
        return named_axes(self.target, self.neurons, {**self.shapes(), **self.buffers()})

    def interchangeable(self):
        return tuple(self.neurons)

    def statistics(self, weights, data):
        """Those of all samples at once, as after one pass with momentum 1 (REPAIR's way with batch
        norms: Jordan et al. 2023)."""
        runs = range(len(weights[self.network.trained[0]]))
        found = [self.network.statistics(_run(weights, r), _run_data(data, r)) for r in runs]
        if found[0] is None:
            return None
        return {name: torch.stack([run[name] for run in found]) for name in found[0]}

    def reading(self):
        return self if self.mode == "eval" else self._in_eval

    @cached_property
    def _in_eval(self):
        """The same module in the other mode, built once."""
        other = self.model_copy(update={"mode": "eval"})
        for cached in ("network", "_tried"):
            other.__dict__.pop(cached, None)
        if self._ready is not None:
            module = copy.deepcopy(self._ready.module).eval()
            other._ready = replace(self._ready, module=module)
        return other

    def shared(self):
        """{further name: the name in `shapes` or `buffers`} of numbers that go by several names."""
        return shared(self.network.module)

    def saves(self, buffer):
        return buffer in self.network.module.state_dict()

    def initial(self, streams):
        """By the module's own constructor, each run with a seed of its own."""
        seeds = (streams.words(1)[:, 0] >> np.uint64(1)).tolist()
        runs = [self._numbers(self._built(seed)) for seed in seeds]
        again = self._numbers(self._built(seeds[0]))
        for name in again:
            if not np.array_equal(again[name], runs[0][name], equal_nan=True):
                raise UserError(
                    f"{self.target}: its constructor gives {name!r} other numbers with the same"
                    " seed; draw them by torch, not by numpy or random"
                )
        return {name: np.stack([run[name] for run in runs]) for name in again}

    def _numbers(self, module):
        named = {**trained(module), **kept(module)}
        return {name: values.cpu().numpy() for name, values in named.items()}

    def arrays(self):
        names = list(self.arguments or ())
        if self.loss_function is not None:
            names = names or ["inputs"]
        found = dict.fromkeys(names, "any")
        if isinstance(self.loss_function, Loss):
            found["targets"] = self.loss_function.targets
        elif self.loss_function is not None:
            found["targets"] = "any"
        return found

    def loss(self, weights, data):
        how = self._how(weights, data)
        recording = torch.is_grad_enabled()
        with torch.set_grad_enabled(recording or how.records):
            losses = [
                self._chunk(part, some, how) for part, some in self._parts(weights, data, how)
            ]
            losses = torch.cat(losses)
        return losses if recording else losses.detach()

    def composed(self, weights, data):
        """Where a loss is named, a plugin or a function; a module that gives its loss itself does
        not tell its outputs."""
        network = self.network
        if network.loss is None:
            return None
        self._how(weights, data)
        runs = range(len(weights[network.trained[0]]))
        rows = [network.priced_outputs(_run(weights, r), _run_data(data, r)) for r in runs]
        targets = data["targets"]

        def price(outputs, weights):
            if isinstance(network.loss, Loss):
                return network._losses(outputs, targets)
            each = [_run_data(data, r)["targets"] for r in runs]
            return torch.stack([network.function_loss(outputs[r], each[r]) for r in runs])

        return Composed(torch.stack(rows), price, getattr(network.loss, "likelihood", False))

    def gradient(self, weights, data):
        """By automatic differentiation, chunk by chunk."""
        how, found = self._how(weights, data), []
        names = self.network.trained
        for part, some in self._parts(weights, data, how):
            at = {n: v.detach().requires_grad_(n in names) for n, v in part.items()}
            with torch.enable_grad():
                total = self._chunk(at, some, how).sum()
            wanted = [at[name] for name in names]
            found.append(torch.autograd.grad(total, wanted, materialize_grads=True))
        return {
            name: torch.cat([part[place] for part in found]) for place, name in enumerate(names)
        }

    def hessian(self, weights, data):
        """Row by row, as many rows of all runs at once as memory allows."""
        how, names = self._how(weights, data), self.network.trained
        flat = torch.cat([weights[name].flatten(1) for name in names], dim=1)
        runs, count = flat.shape
        pairs = torch.arange(runs * count, device=flat.device)
        rows = torch.empty(runs * count, count, dtype=flat.dtype, device=flat.device)
        for some in pairs.split(self._fitting(how, SECOND)):
            run, mode = some // count, some % count
            at = flat[run].detach().requires_grad_(True)
            kept_here = {name: weights[name][run] for name in self.network.kept}
            with torch.enable_grad():
                named = {**self._unflattened(at), **kept_here}
                total = self._chunk(named, _of_runs(data, run), how).sum()
                (slope,) = torch.autograd.grad(total, at, create_graph=True)
                along = slope.gather(1, mode[:, None]).sum()
            if along.requires_grad:  # not where the loss is linear
                (rows[some],) = torch.autograd.grad(along, at, materialize_grads=True)
            else:
                rows[some] = 0.0
        return rows.reshape(runs, count, count)

    def outputs(self, weights, inputs):
        """What forward gives for inputs of its first argument, run by run; further axes of a
        sample's output are one."""
        runs = range(len(weights[self.network.trained[0]]))
        found = torch.stack([self.network.outputs(_run(weights, run), inputs) for run in runs])
        return found.flatten(2) if found.ndim > 2 else found[..., None]

    def smooth(self, weights, data):
        """Where ℓ has a kink, L has one."""
        loss = self.loss_function
        if not isinstance(loss, Loss) or loss.smooth_everywhere:
            return None
        found = []
        for run in range(len(weights[self.network.trained[0]])):
            named, samples = _run(weights, run), _run_data(data, run)
            outputs = self.network._forward(named, samples, True)
            found.append(loss.smooth(outputs[None], samples["targets"]).all())
        return torch.stack(found)

    def observables(self, weights, data):
        """Shares of samples whose largest output is the target's, where targets are classes; the
        same and the loss on held-out samples."""
        if not isinstance(self.network.loss, Loss):
            return {}
        how, observed = self._how(weights, data), {}
        held_out = {
            name.removeprefix("test_"): array
            for name, array in data.items()
            if name.startswith("test_")
        }
        here = {name: array for name, array in data.items() if not name.startswith("test_")}
        for prefix, arrays in (("", here), ("test_", held_out)):
            if not set(self.arrays()) <= set(arrays):
                continue
            per_run = isinstance(data, Minibatch) and not prefix
            samples = Minibatch(arrays) if per_run else arrays
            targets = arrays["targets"]
            if not targets.dtype.is_floating_point:
                outputs = self._outputs(weights, samples)
                right = (outputs.argmax(dim=-1) == targets).to(outputs.dtype)
                observed[f"{prefix}accuracy"] = right.flatten(1).mean(dim=1)
            if prefix:
                parts = self._parts(weights, samples, how)
                losses = [self._chunk(part, some, how) for part, some in parts]
                observed["test_loss"] = torch.cat(losses)
        return observed

    def _outputs(self, weights, data):
        runs = range(len(weights[self.network.trained[0]]))
        forward = self.network._forward
        return torch.stack([forward(_run(weights, r), _run_data(data, r), True) for r in runs])

    def _how(self, weights, data) -> Trial:
        """What the first evaluation found, for this precision and device."""
        first = weights[self.network.trained[0]]
        tried = self.__dict__.setdefault("_tried", {})
        run = 0 if tried else self._finite_run(weights)
        samples = _run_data(data, run)
        key = (first.dtype, first.device, tuple((n, tuple(a.shape)) for n, a in samples.items()))
        if key not in tried:
            named = _run(weights, run)
            named = {name: values.detach() for name, values in named.items()}
            tried[key] = trial(self.network, named, samples)
        return tried[key]

    def _finite_run(self, weights) -> int:
        """The first run whose weights are finite; 0 where none's are."""
        named = [weights[name].detach().flatten(1) for name in self.network.trained]
        return int(torch.cat(named, dim=1).isfinite().all(dim=1).int().argmax())

    def _fitting(self, how: Trial, copies: int) -> int:
        """Runs that are evaluated at once."""
        return self.chunk or max(1, CHUNK_BYTES // (copies * max(1, how.held)))

    def _parts(self, weights, data, how):
        """Weights and data of as many runs as fit, one after the other."""
        runs = len(weights[self.network.trained[0]])
        device = weights[self.network.trained[0]].device
        length = self._fitting(how, 1)
        for start in range(0, runs, length):
            some = torch.arange(start, min(start + length, runs), device=device)
            part = {name: values[start : start + length] for name, values in weights.items()}
            yield part, _of_runs(data, some)

    def _chunk(self, weights, data, how: Trial):
        """Losses of runs, (run,), at once where that can be done."""
        runs = len(weights[self.network.trained[0]])
        if how.together and runs > 1:
            return self.network.losses_together(weights, data, isinstance(data, Minibatch))
        alone = self.network.run_loss
        return torch.stack([alone(_run(weights, r), _run_data(data, r)) for r in range(runs)])

    def _unflattened(self, flat):
        shapes = self.shapes()
        parts = flat.split_with_sizes([math.prod(s) for s in shapes.values()], dim=1)
        return {
            name: part.reshape(len(flat), *shape)
            for (name, shape), part in zip(shapes.items(), parts, strict=True)
        }


def _run(weights, run):
    return {name: values[run] for name, values in weights.items()}


def _run_data(data, run):
    """The data of one run."""
    if not isinstance(data, Minibatch):
        return dict(data)
    return {n: array if n.startswith("test_") else array[run] for n, array in data.items()}


def _of_runs(data, rows):
    """The data of some runs."""
    if not isinstance(data, Minibatch):
        return data
    return Minibatch(
        {n: array if n.startswith("test_") else array[rows] for n, array in data.items()}
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("torch_module", TorchModule)
