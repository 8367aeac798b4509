"""Linear networks under any loss of their outputs."""

from __future__ import annotations

from functools import cache

import numpy as np
from pydantic import Field

from nnflow import Loss, Model, torch

from ....general._nearby_kinks import nearby_kinks
from ..._chain import products, pulled_back, pulled_hessian

NEWTON_STEPS = 200
"""Most steps towards the infimum; a dozen are typical."""
SMALLEST_GRADIENT = 1e-10
"""Where the search for the infimum may stop: the loss is then above it by the square of this
over a curvature."""
LARGEST_GRADIENT = 1e-7
"""Above this at its end, the search has failed and no infimum is claimed."""


class LinearNetworkLoss(Model):
    """L(W) = g(W_K⋯W_1),  g(A) = 1/N Σₛ ℓ(Axₛ, tₛ): what the models of this file share.

    A subclass gives `chain`, the widths, and `samples`, the data.
    """

    loss_function: Loss = Field(examples=["log_cosh"])
    """ℓ, the loss of an output; convex, or without a known infimum."""

    def chain(self) -> tuple[int, ...]:
        """Widths d₀, …, d_K."""
        raise NotImplementedError

    def samples(self) -> tuple[np.ndarray, np.ndarray]:
        """Inputs (sample, d₀) and targets (sample, d_K)."""
        raise NotImplementedError

    def shapes(self):
        widths = self.chain()
        return {f"w{k}": (widths[k], widths[k - 1]) for k in range(1, len(widths))}

    def dimensions(self):
        last = len(self.chain()) - 1
        axes = ["input", *(f"hidden{k}" for k in range(1, last)), "output"]
        return {f"w{k}": (axes[k], axes[k - 1]) for k in range(1, last + 1)}

    def infimum(self):
        """min g, which the network reaches where no hidden layer is thinner than both ends;
        None where one is, where ℓ is not convex, and where its kinks keep Newton's method from
        the minimum."""
        if not self.loss_function.convex:
            return None
        inner, ends = self.chain()[1:-1], (self.chain()[0], self.chain()[-1])
        return _least(self) if min(inner, default=min(ends)) >= min(ends) else None

    def loss(self, weights, data):
        return self.convex(products(weights.values())[-1])

    def gradient(self, weights, data):
        factors = list(weights.values())
        below = products(factors)
        slope = self.slope(below[-1])
        return dict(zip(weights, pulled_back(factors, below, slope), strict=True))

    def hessian(self, weights, data):
        factors = list(weights.values())
        below = products(factors)
        slope, curvature = self.slope(below[-1]), self._curvature(below[-1])
        return pulled_hessian(factors, below, slope, curvature)

    def smooth(self, weights, data):
        inputs, targets = self._data(weights["w1"])
        outputs = _outputs(products(weights.values())[-1], inputs)
        known = self.loss_function.smooth(outputs, targets)
        return None if known is None else known.all(dim=1)

    def kinks(self, weights, data, within):
        """Where outputs meet the kinks of ℓ."""
        if self.loss_function.smooth_everywhere:
            return None
        runs = range(len(weights["w1"]))
        return [
            self._kinks_of({name: part[run : run + 1] for name, part in weights.items()}, within)
            for run in runs
        ]

    def _kinks_of(self, weights, within):
        """The kinks of one run; None where ℓ does not say."""
        inputs, targets = self._data(weights["w1"])
        gradient = self.gradient(weights, {})
        factors = {name: part.detach().requires_grad_(True) for name, part in weights.items()}
        with torch.enable_grad():
            outputs = _outputs(products(factors.values())[-1], inputs)
            known = self.loss_function.kinks(outputs, targets)
            if known is None:
                return None
            values, jumps = known
            return nearby_kinks(
                list(factors.values()),
                torch.cat([part.flatten() for part in gradient.values()]),
                values.flatten(),
                jumps.flatten() * self.share(),
                values.flatten().sign(),
                within,
            )

    def share(self):
        """What a sample's ℓ counts for in L."""
        return 1 / len(self.samples()[0])

    def convex(self, maps):
        """g, (run,), of linear maps (run, d_K, d₀)."""
        inputs, targets = self._data(maps)
        return self.loss_function(_outputs(maps, inputs), targets).mean(dim=-1)

    def slope(self, maps):
        """∇g, (run, d_K, d₀)."""
        inputs, targets = self._data(maps)
        slopes = self.loss_function.slope(_outputs(maps, inputs), targets)
        return slopes.mT @ _for_each(inputs, maps) * self.share()

    def _curvature(self, maps):
        """∇²g = Σₛ ∇²ℓ ⊗ xₛxₛᵀ times `share`, (run, d_K d₀, d_K d₀)."""
        inputs, targets = self._data(maps)
        curvatures = self.loss_function.curvature(_outputs(maps, inputs), targets)
        squares = (inputs[:, :, None] * inputs[:, None, :]).flatten(1)
        runs, ends, begins = maps.shape
        found = curvatures.flatten(2).mT @ _for_each(squares, maps) * self.share()
        found = found.reshape(runs, ends, ends, begins, begins).transpose(2, 3)
        return found.reshape(runs, ends * begins, ends * begins)

    def _data(self, like):
        return tuple(torch.as_tensor(array).to(like.device) for array in self.samples())


def _outputs(maps, inputs):
    """Axₛ, (run, sample, d_K)."""
    return _for_each(inputs, maps) @ maps.mT


def _for_each(matrix, maps):
    """A matrix for each run: one product per run, as how runs are grouped must not change their
    last bits."""
    return matrix.expand(len(maps), *matrix.shape)


@cache
def _least(model: LinearNetworkLoss) -> float | None:
    """min g by Newton's method, regularized by the gradient's norm and with step halving."""
    at = torch.zeros(1, model.chain()[-1], model.chain()[0], dtype=torch.float64)
    for _ in range(NEWTON_STEPS):
        slope = model.slope(at).flatten()
        norm = torch.linalg.vector_norm(slope)
        if norm < SMALLEST_GRADIENT:
            break
        curvature = model._curvature(at)[0]
        curvature.diagonal().add_(norm)
        step = torch.linalg.solve(curvature, slope)
        decrease = 0.1 * slope @ step
        step = step.reshape(at.shape)
        while model.convex(at - step) > model.convex(at) - decrease and step.norm() > 1e-16:
            step, decrease = step / 2, decrease / 2
        if step.norm() <= 1e-16:
            break
        at = at - step
    return float(model.convex(at)) if norm < LARGEST_GRADIENT else None
