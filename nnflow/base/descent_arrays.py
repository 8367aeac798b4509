"""A descent as compiled code takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np


class DescentArrays(NamedTuple):
    """A descent as compiled code takes it: weights and velocity, (run, weight), the velocity of no
    runs where there is none; steps left, rate, momentum and quiet norms, (run,), the norms of no
    runs where none waits."""

    weights: np.ndarray
    velocity: np.ndarray
    left: np.ndarray
    rate: np.ndarray
    momentum: np.ndarray
    ahead: bool
    quiet: np.ndarray

    def of(self, part: slice) -> DescentArrays:
        """Those of some runs; views."""
        return self._make(x if isinstance(x, bool) else x[part] for x in self)
