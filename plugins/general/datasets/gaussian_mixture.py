"""Classes that are clouds of points."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

import nnflow
from nnflow import Streams

from .._drawn_classes import DrawnClasses


class GaussianMixture(DrawnClasses):
    """`inputs` (sample, dimension) ~ N(μ_c, spread² I) with the class c in `targets` (sample,).

    The centres μ_c are uniform on the unit sphere; the classes take turns. Held out: `test_inputs`
    and `test_targets`, of the same distribution.
    """

    dimension: PositiveInt = Field(examples=[2])
    """Dimension of an input."""
    classes: Annotated[int, Field(ge=2)] = 2
    """Number of classes."""
    spread: NonNegativeFloat = 0.3
    """Standard deviation of each coordinate about the centre."""

    def number(self):
        return self.classes

    def drawn(self, purpose, targets):
        centres = self._normal("centres", self.classes)
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)
        return centres[targets] + self.spread * self._normal(purpose, len(targets))

    def _normal(self, purpose: str, count: int) -> np.ndarray:
        streams = Streams(self.seed, "gaussian_mixture", np.arange(count), purpose)
        return streams.normal(self.dimension)


@nnflow.hookimpl
def nnflow_register(register):
    register("gaussian_mixture", GaussianMixture)
