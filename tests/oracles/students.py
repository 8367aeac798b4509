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
