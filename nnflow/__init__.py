"""nnflow: what gradient descent finds on the loss landscapes of neural networks.

What a plugin may use is what this module exports.
"""

import os

# Intel MKL, inside torch, may pick another kernel where an array begins at another
# address, and so give a run other last bits in another batch. Fixing the kernel makes a
# run's numbers independent of its companions. It must be said before torch is imported.
os.environ.setdefault("MKL_CBWR", "AVX2")

from nnflow.errors import UserError
from nnflow.flags import flag_mask
from nnflow.hookspecs import hookimpl
from nnflow.interfaces import (
    Activation,
    Analysis,
    Block,
    Dataset,
    Enclosure,
    Figure,
    Initializer,
    Loss,
    Model,
    Optimizer,
)
from nnflow.lazy import torch
from nnflow.manifolds import Manifold, Spheres
from nnflow.settings import Settings
from nnflow.statistics import mean, share
from nnflow.streams import Streams

__version__ = "0.1.0"

__all__ = [
    "Activation",
    "Analysis",
    "Block",
    "Dataset",
    "Enclosure",
    "Figure",
    "Initializer",
    "Loss",
    "Manifold",
    "Model",
    "Optimizer",
    "Settings",
    "Spheres",
    "Streams",
    "UserError",
    "flag_mask",
    "hookimpl",
    "mean",
    "share",
    "torch",
]
