"""Gradients and descents of losses over samples in compiled code, one run after another.

The numbers in a vector belong to LANES samples of one network, so that a network alone is as fast
as each of a thousand, and has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nnflow.base.compiled import Compiled
from nnflow.base.descent_arrays import DescentArrays
from nnflow.base.side_by_side import ROUNDED

PIECE = 2**28
"""Weights times samples that are gone through between two looks of Python's at signals, a tenth of
a second or two; but at least a step of a run."""


class RunGradient(NamedTuple):
    """∇L over samples as compiled code computes it.

    gather(samples, *parameters): the samples with these numbers, (sample,) int64, as the block
    takes them. block(w, found, gathered, *parameters) writes ∇L of a run's weights w over them to
    `found`, both (weight,). plain: the same in NumPy for all runs, with the same bits: (w, samples,
    parameters) ↦ (run, weight), with samples (sample,), or those of each run, (run, sample).
    parameters: arrays and numbers. samples: of the loss, as `plain` takes them; models leave them
    to nnflow.
    """

    gather: Compiled
    block: Compiled
    plain: Callable[..., Any]
    parameters: tuple[Any, ...]
    samples: np.ndarray = np.empty(0, dtype=np.int64)

    def over(self, samples: np.ndarray) -> RunGradient:
        """The gradient of the loss over these samples."""
        return self._replace(samples=np.ascontiguousarray(samples))

    def of_runs(self, w: np.ndarray) -> np.ndarray:
        """∇L of weights (run, weight), float64."""
        together = _over_runs_by(self.gather, self.block, self.plain)
        w, found = np.ascontiguousarray(w), np.empty(w.shape)
        for part in self._parts(w):
            found[part] = together(w[part], self._of(part), self.parameters)
        return found

    def in_numpy(self, w: np.ndarray) -> np.ndarray:
        """The same by the form of NumPy's."""
        return self.plain(w, self.samples, self.parameters)

    def descend(self, arrays: DescentArrays) -> None:
        """Many steps of all runs, in place; see `Descent`. Only where code is compiled."""
        steps = _steps_by(self.gather, self.block)
        for part in self._parts(arrays.weights):
            of_part, samples = arrays.of(part), self._of(part)
            most = max(1, PIECE // max(1, of_part.weights.size * samples.shape[-1]))
            while steps(*of_part, most, samples, self.parameters) > 0:
                pass

    def _parts(self, w: np.ndarray) -> Iterator[slice]:
        """The runs that are gone through between two looks at signals."""
        runs = max(1, PIECE // max(1, w.shape[1] * self.samples.shape[-1]))
        return (slice(start, start + runs) for start in range(0, len(w), runs))

    def _of(self, part: slice) -> np.ndarray:
        """The samples of these runs."""
        return self.samples[part] if self.samples.ndim == 2 else self.samples


@cache
def _over_runs_by(gather: Compiled, block: Compiled, plain: Callable[..., Any]) -> Compiled:
    return Compiled(_over_runs, plain, {"gather": gather, "block": block})


@cache
def _steps_by(gather: Compiled, block: Compiled) -> Compiled:
    return Compiled(_steps, parts={"gather": gather, "block": block})


def _over_runs(w, samples, parameters):
    found = np.empty(w.shape)
    each = samples.reshape(-1, samples.shape[-1])
    for run in range(len(w)):
        if run < len(each):
            gathered = gather(each[run], *parameters)  # noqa: F821
        block(w[run], found[run], gathered, *parameters)  # noqa: F821
    return found


def _steps(w, velocity, left, rate, momentum, ahead, quiet, most, samples, parameters):
    """Take at most `most` steps of each run; how many were taken in all."""
    runs, size = w.shape
    found, place = np.empty(size), np.empty(size)
    each = samples.reshape(-1, samples.shape[-1])
    taken = 0
    for run in range(runs):
        if run < len(each):
            gathered = gather(each[run], *parameters)  # noqa: F821
        here, alpha, beta = w[run], rate[run], momentum[run]
        for _ in range(min(most, left[run])):
            for x in range(size):
                place[x] = here[x] - beta * velocity[run, x] if ahead else here[x]
            block(place, found, gathered, *parameters)  # noqa: F821
            if len(quiet) > 0:
                square = 0.0
                for x in range(size):
                    square += found[x] * found[x]
                if not square > quiet[run] * abs(quiet[run]) * ROUNDED:
                    break
            for x in range(size):
                if len(velocity) == 0:
                    here[x] -= alpha * found[x]
                else:
                    velocity[run, x] = beta * velocity[run, x] + alpha * found[x]
                    here[x] -= velocity[run, x]
            left[run] -= 1
            taken += 1
    return taken
