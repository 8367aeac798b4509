"""A loss with its data as a function of many weights at once, for analyses and figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from nnflow.engine.eigenvalues import Extremes, extreme_eigenvalues
from nnflow.engine.lanczos import stochastic_density
from nnflow.engine.objective import Objective, flatten, numpy_product
from nnflow.engine.sharpness import Highest, highest
from nnflow.engine.trace import Trace, trace

CHUNK_BYTES = 64 * 2**20
"""Memory for the weights that are evaluated together, each beside what it makes of the data."""
HESSIAN_BYTES = 64 * 2**20
"""Memory for the Hessians that are formed together."""

Points = np.ndarray | Mapping[str, np.ndarray]
"""Weights of many networks: (point, weight), or by name, each (point, *shape)."""


class Landscape:
    """L with its derivatives; NumPy in, NumPy out, float64.

    Weights are given flat, in the order of the model's `shapes`, or by name, and evaluated in
    chunks, so that memory stays bounded however many there are.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        read = sum(array.numel() for array in objective.data.values())
        self._per_point = 8 * (objective.dimension + read)

    def flat(self, weights: Points) -> np.ndarray:
        """Weights as (point, weight)."""
        if isinstance(weights, Mapping):
            named = {
                name: torch.as_tensor(weights[name]) for name in self._objective.model.shapes()
            }
            return flatten(named).double().numpy()
        return np.atleast_2d(np.asarray(weights, dtype=np.float64))

    def loss(self, weights: Points) -> np.ndarray:
        """L, (point,)."""
        return self._mapped(self._objective.loss, weights, CHUNK_BYTES, self._per_point)

    def gradient(self, weights: Points) -> np.ndarray:
        """∇L, (point, weight)."""
        return self._mapped(self._objective.gradient, weights, CHUNK_BYTES, self._per_point)

    def hessian(self, weights: Points) -> np.ndarray:
        """∇²L, (point, weight, weight)."""
        size = 8 * self._objective.dimension**2
        return self._mapped(self._objective.hessian, weights, HESSIAN_BYTES, size)

    def hessian_vector(self, weights: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """∇²L(w) v for one point w, (weight,), and vectors (vector, weight)."""
        vectors = np.atleast_2d(np.asarray(vectors, dtype=np.float64))
        at = torch.as_tensor(np.broadcast_to(weights, vectors.shape).copy())
        return self._objective.hessian_vector(at)(torch.as_tensor(vectors)).cpu().numpy()

    def highest(
        self,
        weights: Points,
        count: int,
        start: np.ndarray | None = None,
        tolerance: float = 1e-4,
        preconditioner: np.ndarray | None = None,
    ) -> Highest:
        """The `count` highest eigenvalues of the Hessian at each point, (point, count), descending,
        with residuals of at most `tolerance` times the largest and vectors (point, count, weight),
        all points at once. start: vectors near theirs, (point, vector, weight), such as those of
        the points before; null: drawn. preconditioner: a positive diagonal P of each point, (point,
        weight): eigenvalues are those of P^(−1/2)HP^(−1/2) then."""
        at = torch.as_tensor(self.flat(weights))
        drawn = np.random.default_rng(0).standard_normal((1, at.shape[1]))
        if start is None:
            drawn = np.random.default_rng(0).standard_normal((count + 1, at.shape[1]))
            start = np.empty((len(at), 0, at.shape[1]))
        fresh = np.broadcast_to(drawn, (len(at), *drawn.shape))  # what the start has no part of
        vectors = torch.as_tensor(np.concatenate([start, fresh], axis=1))
        product = self._objective.hessian_vector(at)
        if preconditioner is not None:
            product = _between(product, torch.as_tensor(preconditioner).rsqrt())
        found = highest(product, vectors, count, tolerance)
        return Highest(*(part.numpy() for part in found[:3]), found.products)

    def ends(self, point: np.ndarray, lowest: int, highest: int, tolerance: float) -> Extremes:
        """So many of the lowest and of the highest eigenvalues of the Hessian at one point,
        (weight,), ascending, with residuals of at most `tolerance` times the largest, for networks
        of any size."""
        product = numpy_product(self._objective, torch.as_tensor(point)[None])
        return extreme_eigenvalues(product, len(point), lowest, highest, tolerance=tolerance)

    def trace(self, point: np.ndarray, error: float, most: int, seed: int = 0) -> Trace:
        """The trace of the Hessian at one point, (weight,), by Hutch++, with its interval."""
        product = numpy_product(self._objective, torch.as_tensor(point)[None])
        return trace(product, len(point), error, most, seed)

    def density(
        self, point: np.ndarray, steps: int, probes: int, seed: int = 0
    ) -> tuple[np.ndarray, np.ndarray]:
        """Nodes and weights, (probe, step), of the density of the Hessian's eigenvalues at one
        point, (weight,), by stochastic Lanczos quadrature."""
        product = numpy_product(self._objective, torch.as_tensor(point)[None])
        return stochastic_density(product, len(point), steps, probes, seed)

    def plane(
        self,
        center: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        x: np.ndarray,
        y: np.ndarray,
    ) -> np.ndarray:
        """L(center + x·first + y·second), (y, x), on the grid of two coordinates. NaN and infinite
        losses stay what they are."""
        axes = (self._objective.named(torch.as_tensor(v)[None]) for v in (center, first, second))
        with torch.no_grad():
            known = self._objective.model.on_plane(*axes, self._objective.data)
        if known is None:
            across = np.outer(x, first)
            return np.stack([self.loss(center + b * second + across) for b in y])
        places = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)

        def function(part: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                return known(part[:, 0], part[:, 1])

        return _in_chunks(function, places, CHUNK_BYTES // self._per_point).reshape(len(y), len(x))

    def line(self, start: np.ndarray, end: np.ndarray, t: np.ndarray) -> np.ndarray:
        """L((1 − t)·start + t·end), (t,)."""
        return self.loss(np.outer(1 - t, start) + np.outer(t, end))

    def observables(self, weights: Points) -> dict[str, np.ndarray]:
        """What the model observes at the points, by name, each (point, …): accuracies, say."""
        model, data = self._objective.model, self._objective.data
        flat = torch.as_tensor(self.flat(weights))
        with torch.no_grad():
            parts = [
                model.observables(self._objective.named(part), data)
                for part in flat.split(max(1, CHUNK_BYTES // self._per_point))
            ]
        return {name: torch.cat([p[name] for p in parts]).cpu().numpy() for name in parts[0]}

    def among(self, samples: np.ndarray) -> Landscape:
        """The loss over the given samples alone, (sample,) numbers. Raises UserError where there
        are no data."""
        _ = self._objective.samples
        return Landscape(self._objective.among(torch.as_tensor(samples)))

    def statistics(self, point: np.ndarray) -> dict[str, np.ndarray] | None:
        """The buffers of one network, (weight,), as the data make them: means and variances of
        what enters its batch norms, each (*shape); None where no buffer describes the data."""
        named = self._objective.named(torch.as_tensor(point)[None])
        with torch.no_grad():
            found = self._objective.model.statistics(named, self._objective.data)
        return found and {name: values[0].cpu().numpy() for name, values in found.items()}

    def keeping(self, buffers: Mapping[str, np.ndarray]) -> Landscape:
        """The loss that reads these buffers, each (*shape), at all points."""
        own = {name: torch.as_tensor(values)[None] for name, values in buffers.items()}
        objective = self._objective.keeping(own)
        return Landscape(replace(objective, model=objective.model.reading()))

    @property
    def samples(self) -> int | None:
        """How many samples the loss is a mean over; None where there are no data."""
        return self._objective.samples if self._objective.data else None

    @property
    def data(self) -> dict[str, np.ndarray]:
        """The arrays that the loss is over, by name; held-out ones too."""
        return {name: array.cpu().numpy() for name, array in self._objective.data.items()}

    def _mapped(
        self,
        function: Callable[[torch.Tensor], torch.Tensor],
        weights: Points,
        memory: int,
        size: int,
    ) -> np.ndarray:
        return _in_chunks(function, self.flat(weights), memory // size)


def _between(product: Callable, scale: torch.Tensor) -> Callable:
    """v ↦ s·H(s·v), entry by entry."""
    return lambda vectors: scale * product(scale * vectors)


def _in_chunks(
    function: Callable[[torch.Tensor], torch.Tensor], rows: np.ndarray, length: int
) -> np.ndarray:
    """A function of rows, of at most `length` of them at once."""
    parts = np.split(rows, range(max(1, length), len(rows), max(1, length)))
    return np.concatenate([function(torch.as_tensor(part)).cpu().numpy() for part in parts])
