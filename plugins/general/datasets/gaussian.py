"""Gaussian inputs."""

from __future__ import annotations

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

import nnflow
from nnflow import Dataset, Streams


class Gaussian(Dataset):
    """`inputs` (sample, dimension) with independent rows ~ N(0, I)."""

    gives = ("inputs",)

    samples: PositiveInt = Field(examples=[1000])
    """Number of samples."""
    dimension: PositiveInt = Field(examples=[6])
    """Dimension of an input."""
    seed: NonNegativeInt = 0
    """Seed of the numbers; they do not depend on the study's seed. The first samples are the
    same whatever the number of samples."""

    def load(self, folder):
        streams = Streams(self.seed, "gaussian", np.arange(self.samples), "inputs")
        return {"inputs": streams.normal(self.dimension)}


@nnflow.hookimpl
def nnflow_register(register):
    register("gaussian", Gaussian)
