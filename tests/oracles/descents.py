"""Losses that optimizers are tried on, and what follows an optimizer on its way."""

import numpy as np
import torch

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces import Model
from nnflow.interfaces.registry import registry


class StrictSaddle(Model):
    """L = x²/2 − y²/2 + y⁴/4: a strict saddle at 0, minima of loss −1/4 at (0, ±1)."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        x, y = weights["w"].unbind(1)
        return x**2 / 2 - y**2 / 2 + y**4 / 4


def optimizer(name, **settings):
    return registry().get("optimizers", name)(**settings)


def objective(model, runs):
    return Objective(model, {}, Streams(7, "all", np.arange(runs), "train"))


def first_weights(runs, size=3):
    return torch.as_tensor(Streams(1, "all", np.arange(runs), "initialize").normal(size))


def follow(plugin, problem, weights, steps, scale=None):
    """All weights along the way, (step, run, weight)."""
    state = plugin.start(weights, torch.ones(len(weights)).double() if scale is None else scale)
    path = [weights]
    for _ in range(steps):
        weights, state = plugin.step(problem, weights, state)
        path.append(weights)
    return torch.stack(path)
