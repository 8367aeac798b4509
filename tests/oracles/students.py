"""ReLU students and random weights of theirs."""

import math

import numpy as np
import torch

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry


def objective(k, n, runs=1, kind="", data=None, **settings):
    model = registry().get("models", f"relu_teacher_student{kind}")(k=k, n=n, **settings)
    return Objective(model, data or {}, Streams(0, "all", np.arange(runs), "train"))


def normal(*shape, draw=0):
    drawn = Streams(5, "all", np.arange(shape[0]), "test").normal(math.prod(shape[1:]), draw)
    return torch.as_tensor(drawn.reshape(shape))


def random_weights(k, n, runs, draw=0):
    return normal(runs, n * k, draw=draw) / math.sqrt(k)


def out_of_plane_point(inputs, turn=0.0):
    """The critical point of two neurons and two teachers outside of their plane, (2, inputs),
    rotated by this angle in the last two inputs.

    w = r(cos β b ± sin β z), b the bisector and z out of plane: with θ = 2β and θ* the angle to
    either teacher, r(θ + sin θ) = 2 sin θ* and 2r cos β(π − θ) = √2(π − θ*).
    """
    from scipy.optimize import brentq

    def norm(beta):
        star = np.arccos(np.cos(beta) / np.sqrt(2))
        return 2 * np.sin(star) / (2 * beta + np.sin(2 * beta))

    def left(beta):
        star = np.arccos(np.cos(beta) / np.sqrt(2))
        return 2 * norm(beta) * np.cos(beta) * (np.pi - 2 * beta) - np.sqrt(2) * (np.pi - star)

    beta = brentq(left, 0.1, 1.5, xtol=1e-15)
    along, out = norm(beta) * np.array([np.cos(beta) / np.sqrt(2), np.sin(beta)])
    w = np.zeros((2, inputs))
    w[:, :2] = along
    w[:, 2] = out * np.array([1, -1])
    if inputs > 3:
        w[:, 3] = np.sin(turn) * w[:, 2]
        w[:, 2] *= np.cos(turn)
    return w
