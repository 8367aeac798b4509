"""The model's own law of first weights."""

from __future__ import annotations

import nnflow
from nnflow import Initializer


class Own(Initializer):
    """First weights, and buffers, as the model itself draws them: those of a PyTorch module by its
    constructor, with a seed for each run."""

    def start(self, start):
        return start.model.initial(start.streams)


@nnflow.hookimpl
def nnflow_register(register):
    register("own", Own)
