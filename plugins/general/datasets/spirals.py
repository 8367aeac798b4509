"""Classes that wind around each other in the plane."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

import nnflow
from nnflow import Dataset, Streams


class Spirals(Dataset):
    """Arms of a spiral: `inputs` (sample, 2) = t (cos φ, sin φ) + noise · N(0, I) with
    φ = 2π (turns · t + c / arms), t uniform on (0, 1), and the arm c in `targets` (sample,).

    The arms take turns. Held out: `test_inputs` and `test_targets`, of the same law. After the two
    spirals of Lang & Witbrock 1988.
    """

    gives = ("inputs", "targets")

    samples: PositiveInt = Field(examples=[200])
    """Number of samples."""
    arms: Annotated[int, Field(ge=2)] = 2
    """Number of arms, which are the classes."""
    turns: PositiveFloat = 1.5
    """How often an arm goes around the centre."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of each coordinate about the arm; arms end at the distance 1."""
    test_samples: NonNegativeInt = 0
    """Held-out samples."""
    seed: NonNegativeInt = 0
    """Seed of the samples; they do not depend on the study's seed. The first samples are the same
    whatever the number of samples."""

    def load(self, folder):
        arrays = {}
        for prefix, count in (("", self.samples), ("test_", self.test_samples)):
            if count == 0:
                continue
            targets = np.arange(count) % self.arms
            streams = Streams(self.seed, "spirals", np.arange(count), f"{prefix}inputs")
            place = streams.uniform(1, draw=0)[:, 0]
            angle = 2 * np.pi * (self.turns * place + targets / self.arms)
            points = place[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
            noise = self.noise * streams.normal(2, draw=1)
            arrays |= {f"{prefix}inputs": points + noise, f"{prefix}targets": targets}
        return arrays


@nnflow.hookimpl
def nnflow_register(register):
    register("spirals", Spirals)
