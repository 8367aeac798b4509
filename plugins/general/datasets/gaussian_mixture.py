"""Classes that are clouds of points."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveInt

import nnflow
from nnflow import Dataset, Streams


class GaussianMixture(Dataset):
    """`inputs` (sample, dimension) ~ N(μ_c, spread² I) with the class c in `targets` (sample,).

    The centres μ_c are uniform on the unit sphere; the classes take turns. Held out: `test_inputs`
    and `test_targets`, of the same law.
    """

    gives = ("inputs", "targets")

    samples: PositiveInt = Field(examples=[1000])
    """Number of samples."""
    dimension: PositiveInt = Field(examples=[2])
    """Dimension of an input."""
    classes: Annotated[int, Field(ge=2)] = 2
    """Number of classes."""
    spread: NonNegativeFloat = 0.3
    """Standard deviation of each coordinate about the centre."""
    test_samples: NonNegativeInt = 0
    """Held-out samples."""
    seed: NonNegativeInt = 0
    """Seed of centres and samples; they do not depend on the study's seed. The first samples are
    the same whatever the number of samples."""

    def load(self, folder):
        centres = self._normal("centres", self.classes)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        arrays = {}
        for prefix, count in (("", self.samples), ("test_", self.test_samples)):
            if count == 0:
                continue
            targets = np.arange(count) % self.classes
            cloud = self.spread * self._normal(f"{prefix}inputs", count)
            arrays |= {f"{prefix}inputs": centres[targets] + cloud, f"{prefix}targets": targets}
        return arrays

    def _normal(self, purpose: str, count: int) -> np.ndarray:
        streams = Streams(self.seed, "gaussian_mixture", np.arange(count), purpose)
        return streams.normal(self.dimension)


@nnflow.hookimpl
def nnflow_register(register):
    register("gaussian_mixture", GaussianMixture)
