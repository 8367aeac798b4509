"""Classes of points that are drawn, not read."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

from nnflow import Dataset


class DrawnClasses(Dataset):
    """`inputs` (sample, dimension) and `targets` (sample,), which take turns among the classes.

    Held out: `test_inputs` and `test_targets`, of the same distribution."""

    gives = ("inputs", "targets")

    samples: PositiveInt = Field(examples=[200])
    """Number of samples."""
    test_samples: NonNegativeInt = 0
    """Held-out samples."""
    seed: NonNegativeInt = 0
    """Seed of all that is drawn; it does not depend on the study's seed. The first samples are the
    same whatever the number of samples."""

    def load(self, folder):
        arrays = {}
        for prefix, count in (("", self.samples), ("test_", self.test_samples)):
            if count:
                targets = np.arange(count) % self.number()
                drawn = self.drawn(f"{prefix}inputs", targets)
                arrays |= {f"{prefix}inputs": drawn, f"{prefix}targets": targets}
        return arrays

    @abstractmethod
    def number(self) -> int:
        """Of classes."""

    @abstractmethod
    def drawn(self, purpose: str, targets: np.ndarray) -> np.ndarray:
        """A point of each class in `targets`; purpose: of the random streams."""
