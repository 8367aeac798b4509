"""A model with its data, as a function of flat weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from nnflow.base.automatic import automatic_gradient
from nnflow.base.compiled import compiles
from nnflow.base.errors import UserError
from nnflow.base.run_gradient import RunGradient
from nnflow.base.side_by_side import LaneGradient
from nnflow.base.streams import Streams
from nnflow.engine.gauss_newton import gauss_newton, gauss_newton_vector
from nnflow.engine.samples import HELD_OUT, Drawn, check_arrays, for_model, load_arrays, taken
from nnflow.interfaces.constraints import ConvexSet
from nnflow.interfaces.manifolds import Manifold
from nnflow.interfaces.model import Data, Minibatch, Model, size

if TYPE_CHECKING:
    from nnflow.interfaces.optimizer import Descended, Descent
    from nnflow.study.types import RunSlice, Study

HESSIAN_BYTES = 256 * 2**20
"""Most memory that the columns of Hessians formed at once may take."""

DATA_BYTES = 16 * 2**20
"""Most memory that the data would take if each of those columns had its own: what a network
computes from its data is of their size, or a few times that."""


@dataclass(frozen=True)
class Objective:
    """L as a function of flat weights (run, weight), with derivatives.

    streams: the random streams of the runs at hand, for optimizers that draw.
    manifold: what the weights are bound to; the gradient and the Hessian are Riemannian there.
    None: derivatives in all weights.
    constraints: the convex set that the weights are confined to; derivatives are those in all
    weights. None: they are free.
    varied: settings of the model that differ from run to run, (run,) each.
    buffers: numbers of each run that nothing moves, (run, *shape) each.
    curvature: what `hessian` and `hessian_vector` give: the `hessian`, or in its place the
    `gauss_newton` or the `fisher` matrix (engine/gauss_newton.py).
    """

    model: Model
    data: Data
    streams: Streams
    manifold: Manifold | None = None
    constraints: ConvexSet | None = None
    varied: dict[str, torch.Tensor] = field(default_factory=dict)
    buffers: dict[str, torch.Tensor] = field(default_factory=dict)
    curvature: str = "hessian"

    def take(self, rows: np.ndarray) -> Objective:
        """The objective of the given runs (row numbers)."""
        chosen = torch.as_tensor(rows)
        buffers = {name: values[chosen] for name, values in self.buffers.items()}
        taken = replace(self, streams=self.streams.take(rows), buffers=buffers)
        if isinstance(self.data, Drawn):
            taken = replace(taken, data=Drawn(self.data.whole, self.data.samples[chosen]))
        if not self.varied:
            return taken
        return taken.varying({name: values[chosen] for name, values in self.varied.items()})

    def keeping(self, buffers: dict[str, torch.Tensor]) -> Objective:
        """The same objective with these buffers of its runs."""
        return replace(self, buffers=buffers)

    def varying(self, settings: dict[str, torch.Tensor]) -> Objective:
        """The same objective with a model whose given settings are those of each run, (run,)."""
        return replace(self, model=self.model.with_values(settings), varied=settings)

    def minibatch(self, samples: torch.Tensor) -> Objective:
        """The loss over the given samples of each run, (run, sample) indices. Held-out
        arrays are left as they are."""
        return replace(self, data=Drawn(self.data, samples))

    def among(self, samples: torch.Tensor) -> Objective:
        """The loss over the given samples alone, (sample,) indices, the same ones for every run.
        Held-out arrays are left as they are."""
        chosen = {
            name: array if name.startswith(HELD_OUT) else taken(array, samples)
            for name, array in self.data.items()
        }
        return replace(self, data=chosen)

    @property
    def samples(self) -> int:
        """How many samples the loss is a mean over: the first axis of every array that is not held
        out, or that after the runs'. Raises UserError where there is no data."""
        axis = 1 if isinstance(self.data, Minibatch) else 0
        for name, array in self.data.items():
            if not name.startswith(HELD_OUT):
                return array.shape[axis]
        raise UserError("this optimizer draws samples, but the study names no dataset")

    def named(self, weights: torch.Tensor) -> dict[str, torch.Tensor]:
        """Flat weights by name, each (run, *shape), and the buffers; views, not copies. Weights
        may repeat each run equally often, as the columns of a Hessian do."""
        named = unflatten(weights, self.model)
        for name, values in self.buffers.items():
            same = len(values) == len(weights)
            times = 1 if same else len(weights) // len(values)
            named[name] = values if same else values.repeat_interleave(times, dim=0)
        return named

    def loss(self, weights: torch.Tensor) -> torch.Tensor:
        """L, (run,)."""
        with torch.no_grad():
            return self.model.loss(self.named(weights), self.data)

    @property
    def dimension(self) -> int:
        """Number of weights, or dimension of the manifold."""
        return size(self.model) if self.manifold is None else self.manifold.dimension

    def retract(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights onto the manifold, or to the nearest point of the convex set, (run, weight)."""
        if self.constraints is not None:
            return self.constraints.project(weights)
        return weights if self.manifold is None else self.manifold.retract(weights)

    def from_tangent(self, weights: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors in the coordinates of `hessian`, (run, dimension), as (run, weight)."""
        if self.manifold is None:
            return vectors
        return (self.manifold.basis(weights) @ vectors[..., None]).squeeze(-1)

    def to_tangent(self, weights: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Vectors (run, weight) in the coordinates of `hessian`, (run, dimension)."""
        if self.manifold is None:
            return vectors
        return (self.manifold.basis(weights).mT @ vectors[..., None]).squeeze(-1)

    def gradient(self, weights: torch.Tensor) -> torch.Tensor:
        """∇L, (run, weight); tangent to the manifold."""
        gradient = self._gradient(weights)
        return gradient if self.manifold is None else self.manifold.project(weights, gradient)

    def lane_gradient(self, weights: torch.Tensor) -> LaneGradient | None:
        """∇L of weights like these as compiled code takes it; None: the model has no such form."""
        return self.model.lane_gradient(self.data) if self._compilable(weights) else None

    def compiled_gradient(self, weights: torch.Tensor) -> LaneGradient | RunGradient | None:
        """∇L as compiled code takes it: of many runs side by side, or over samples run by run;
        None: the model has neither form."""
        if not self._compilable(weights):
            return None
        drawn = isinstance(self.data, Drawn)
        if not drawn and (lanes := self.model.lane_gradient(self.data)) is not None:
            return lanes
        by_run = self.model.run_gradient(self.data.whole if drawn else self.data)
        if by_run is None:
            return None
        if not drawn:
            return by_run.over(np.arange(self.samples))
        samples, whole = self.data.samples.numpy(), replace(self, data=self.data.whole)
        if not _within(samples, len(weights), whole.samples):
            return None  # torch says what is wrong
        return by_run.over(samples)

    def _compilable(self, weights: torch.Tensor) -> bool:
        bound = self.manifold is not None or self.constraints is not None
        if bound or self.buffers or self.varied:
            return False
        return weights.device.type == "cpu" and weights.dtype == torch.float64

    def descend(self, weights: torch.Tensor, descent: Descent) -> Descended | None:
        """Weights and velocity after the steps of a descent, where many are taken at once."""
        known = self.compiled_gradient(weights)
        if known is None or not compiles():
            return None
        arrays = descent.arrays(weights)
        known.descend(arrays)
        return descent.result(arrays)

    def stationarity(self, weights: torch.Tensor) -> torch.Tensor:
        """What vanishes at a critical point, (run, weight): the gradient, or with constraints the
        projected step W − P(W − ∇L), which is ∇L inside the set."""
        gradient = self.gradient(weights)
        if self.constraints is None:
            return gradient
        return weights - self.constraints.project(weights - gradient)

    def _gradient(self, weights: torch.Tensor) -> torch.Tensor:
        compiled = self.compiled_gradient(weights)
        if compiled is not None:
            return torch.from_numpy(compiled.of_runs(weights.detach().numpy()))
        with torch.no_grad():
            known = self.model.gradient(self.named(weights), self.data)
        if known is not None:
            return flatten(known)
        return automatic_gradient(self._function, weights)

    def hessian_vector(self, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """v ↦ ∇²L v for vectors (run, weight); the graph of ∇L is built once and kept. Raises
        UserError on a manifold, where Hessians have to be formed."""
        if self.curvature != "hessian":
            return gauss_newton_vector(self, weights)
        if self.manifold is not None:
            raise UserError(
                f"model {self.model.name!r}: its weights are bound to a manifold, so Hessians are"
                f" formed; classify.dense_up_to must be at least {size(self.model)}"
            )
        at = weights.detach().requires_grad_(True)
        with torch.enable_grad():
            total = self._function(at).sum()
            (gradient,) = torch.autograd.grad(total, at, create_graph=True)

        def product(vectors: torch.Tensor) -> torch.Tensor:
            if not gradient.requires_grad:  # a loss that is linear in the weights
                return torch.zeros_like(vectors)
            return _vector_product(gradient, at, vectors).detach()

        return product

    def hessian(self, weights: torch.Tensor) -> torch.Tensor:
        """∇²L, (run, weight, weight), symmetric up to rounding; on a manifold in an orthonormal
        basis of the tangent space, (run, dimension, dimension)."""
        if self.curvature != "hessian":
            return gauss_newton(self, weights)
        with torch.no_grad():
            known = self.model.hessian(self.named(weights), self.data)
        if known is None:
            seen = [
                array.numel() for name, array in self.data.items() if not name.startswith(HELD_OUT)
            ]
            known = automatic_hessian(self._function, weights, sum(seen))
        if self.manifold is not None:
            known = self.manifold.hessian(weights, self._gradient(weights), known)
        return known

    def smooth(self, weights: torch.Tensor) -> torch.Tensor:
        """(run,) bool: is L twice differentiable around these weights?"""
        with torch.no_grad():
            known = self.model.smooth(self.named(weights), self.data)
        if known is not None:
            return known
        return torch.ones(len(weights), dtype=torch.bool, device=weights.device)

    def neuron_norms(self, vectors: torch.Tensor) -> torch.Tensor:
        """Largest norm of any neuron, (run,): the rows of matrices; a bias vector counts
        as one."""
        norms = [
            torch.linalg.vector_norm(part.reshape(len(part), -1, *part.shape[-1:]), dim=-1)
            if part.ndim > 1
            else part.abs().unsqueeze(1)
            for part in unflatten(vectors, self.model).values()
        ]
        return torch.cat(norms, dim=1).amax(dim=1)

    def _function(self, weights: torch.Tensor) -> torch.Tensor:
        """L of weights that repeat each run equally often, as the columns of a Hessian do."""
        repeated = self
        for values in self.varied.values():
            if len(values) != len(weights):
                times = len(weights) // len(values)
                settings = {n: v.repeat_interleave(times) for n, v in self.varied.items()}
                repeated = self.varying(settings)
                break
        return repeated.model.loss(self.named(weights), self.data)


def _within(samples: np.ndarray, runs: int, of: int) -> bool:
    """Are these numbers (run, sample) of samples?"""
    if samples.ndim != 2 or len(samples) != runs:
        return False
    return samples.size > 0 and samples.min() >= 0 and samples.max() < of


def make_objective(
    study: Study,
    run_slice: RunSlice,
    purpose: str,
    folder: Path,
    device: str,
    precision: torch.dtype = torch.float64,
) -> Objective:
    """The loss of a run_slice's runs with the study's data, on the device.

    purpose: what the random streams are for. folder: where datasets keep files. precision: of
    the data's real numbers.
    """
    configuration = run_slice.configuration
    settings, runs = configuration.settings, np.arange(run_slice.start, run_slice.stop)
    starts = configuration.grid.start_of(runs)
    streams = Streams(study.settings.seed, configuration.label, starts, purpose)
    arrays = load_arrays(settings.dataset, folder) if settings.dataset else {}
    check_arrays(settings.model, settings.dataset, arrays)
    arrays = for_model(settings.model, arrays)
    tensors = {name: torch.as_tensor(array).to(device) for name, array in arrays.items()}
    data = {n: a.to(precision) if a.is_floating_point() else a for n, a in tensors.items()}
    model = settings.model
    objective = Objective(model, data, streams, model.manifold(), model.constraints())
    values = configuration.grid.values("model", runs)
    varied = {name: torch.as_tensor(v).to(device, precision) for name, v in values.items()}
    return objective.varying(varied) if varied else objective


def numpy_product(
    objective: Objective, weights: torch.Tensor
) -> Callable[[np.ndarray], np.ndarray]:
    """v ↦ ∇²L v at the weights of one run (1, weight), for NumPy vectors."""
    product = objective.hessian_vector(weights)

    def numpy_product(vector: np.ndarray) -> np.ndarray:
        given = torch.as_tensor(vector, device=weights.device).to(weights.dtype)
        return product(given[None])[0].double().cpu().numpy()

    return numpy_product


def unflatten(weights: torch.Tensor, model: Model) -> dict[str, torch.Tensor]:
    """Flat weights (…, weight) by name, each (…, *shape); views."""
    shapes = model.shapes()
    sizes = [math.prod(shape) for shape in shapes.values()]
    parts = weights.split_with_sizes(sizes, dim=-1) if len(sizes) > 1 else [weights]
    leading = weights.shape[:-1]
    return {
        name: part.reshape(*leading, *shape)
        for (name, shape), part in zip(shapes.items(), parts, strict=True)
    }


def flatten(named: dict[str, torch.Tensor]) -> torch.Tensor:
    """Named tensors (run, *shape) as one (run, weight)."""
    parts = [part.reshape(part.shape[0], math.prod(part.shape[1:])) for part in named.values()]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _vector_product(
    gradient: torch.Tensor, at: torch.Tensor, vectors: torch.Tensor
) -> torch.Tensor:
    """∇²L v of each run, from the graph of ∇L, which is kept."""
    # of a scalar: vectors given to torch.autograd.grad make it import sympy, for 0.4 s
    with torch.enable_grad():
        total = (gradient * vectors).sum()
    (product,) = torch.autograd.grad(total, at, retain_graph=True)
    return product


def automatic_hessian(
    function: Callable[[torch.Tensor], torch.Tensor], weights: torch.Tensor, data: int = 0
) -> torch.Tensor:
    """Hessian of each run's value, (run, weight, weight), column by column for all runs
    at once: run r is repeated for as many columns as memory allows.

    data: how many numbers the function reads beside the weights.
    """
    runs, count = weights.shape
    fitting = min(HESSIAN_BYTES // count, DATA_BYTES // max(1, data)) // (8 * max(1, runs))
    columns = max(1, min(count, fitting))
    unit = torch.eye(count, dtype=weights.dtype, device=weights.device)
    hessian = torch.empty(runs, count, count, dtype=weights.dtype, device=weights.device)
    for start in range(0, count, columns):
        directions = unit[start : start + columns]
        at = weights.detach().repeat_interleave(len(directions), dim=0).requires_grad_(True)
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(function(at).sum(), at, create_graph=True)
            if not gradient.requires_grad:  # the loss is linear in the weights
                return hessian.zero_()
            product = _vector_product(gradient, at, directions.repeat(runs, 1))
        hessian[:, :, start : start + columns] = product.unflatten(0, (runs, len(directions))).mT
    return hessian
