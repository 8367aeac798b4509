"""Many runs, `LANES` of them at a time, in one compiled call.

What a model has to know are its *blocks*: `Compiled` functions block(w, found, *parameters) of
LANES networks, that read the weights w, (weight, LANES), and write `found`, (number, LANES).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from nnflow.base.compiled import LANES, Compiled, choose, load_row, magnitude, store_row, vectors
from nnflow.base.descent_arrays import DescentArrays


class LaneGradient(NamedTuple):
    """∇L as compiled code computes it: a block whose numbers are as many as the weights; the same
    in NumPy for all networks at once, (w, numbers, parameters) ↦ (run, weight), with the same bits;
    the parameters of both."""

    block: Compiled
    plain: Callable[..., Any]
    parameters: tuple[Any, ...]

    def of_runs(self, w: np.ndarray) -> np.ndarray:
        """∇L of weights (run, weight), float64."""
        together = side_by_side(self.block, self.plain)
        return together(np.ascontiguousarray(w), w.shape[1], self.parameters)

    def in_numpy(self, w: np.ndarray) -> np.ndarray:
        """The same by the form of NumPy's."""
        return self.plain(w, w.shape[1], self.parameters)

    def descend(self, arrays: DescentArrays) -> None:
        """Many steps of all runs, in place; see `Descent`. Only where code is compiled."""
        descending(self.block)(arrays, self.parameters)


@cache
def side_by_side(block: Compiled, plain: Callable[..., Any]) -> Compiled:
    """The function (w, numbers, parameters) ↦ (run, number) of the weights w, (run, weight), of all
    runs by a block of LANES; what it finds of each run is `numbers` numbers.

    plain: the same in NumPy, with the same bits, for where nothing is compiled.
    """
    return Compiled(_over_runs, plain, {"block": block})


@cache
def descending(block: Compiled) -> Callable[[DescentArrays, tuple[Any, ...]], bool]:
    """Many steps of gradient descent of all runs, by a block that is the gradient of LANES: a
    function (arrays, parameters) that moves weights and velocity in place and counts down the steps
    that are left. It has the bits of single steps (see `Descent`), and True for a result; where
    nothing is compiled it moves nothing: False.
    """
    together = Compiled(_steps, _no_steps, {"block": block})
    each = Compiled(_steps_of_each, _no_steps, {"block": block})

    def descend(arrays: DescentArrays, parameters: tuple[Any, ...]) -> bool:
        w, velocity, left, rate, momentum, ahead, quiet = arrays
        if len(quiet) > 0:
            return each(w, left, rate, quiet, parameters)
        return together(w, velocity, left, rate, momentum, ahead, parameters)

    return descend


def _into_lanes(w, start, here):
    """Write rows `start` … of w, (run, number), to the lanes of `here`, (number, LANES)."""
    last = len(w) - 1
    for place in range(len(here)):
        for lane in range(LANES):  # where too few runs are left, the last one again
            here[place, lane] = w[min(start + lane, last), place]


def _out_of_lanes(here, start, w):
    """Write the lanes of `here`, (number, LANES), to rows `start` … of w, (run, number)."""
    lanes = min(LANES, len(w) - start)
    for place in range(len(here)):
        for lane in range(lanes):
            w[start + lane, place] = here[place, lane]


into_lanes = Compiled(_into_lanes)
out_of_lanes = Compiled(_out_of_lanes)


def _over_runs(w, numbers, parameters):
    runs, size = w.shape
    here, found = vectors(size), vectors(numbers)
    out = np.empty((runs, numbers))
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        block(here, found, *parameters)  # noqa: F821
        out_of_lanes(found, start, out)
    return out


def _steps(w, velocity, left, rate, momentum, ahead, parameters):
    runs, size = w.shape
    here, found = vectors(size), vectors(size)
    speed, place = vectors(size), vectors(size)
    rates, momenta = vectors(1), vectors(1)
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        into_lanes(rate.reshape(-1, 1), start, rates)
        alpha = load_row(rates, 0)
        steps = left[start]  # all runs have as many
        if len(velocity) == 0:
            for _ in range(steps):
                block(here, found, *parameters)  # noqa: F821
                for x in range(size):
                    store_row(here, x, load_row(here, x) - alpha * load_row(found, x))
        else:
            into_lanes(velocity, start, speed)
            into_lanes(momentum.reshape(-1, 1), start, momenta)
            beta = load_row(momenta, 0)
            for _ in range(steps):
                for x in range(size):
                    drift = beta * load_row(speed, x)
                    store_row(speed, x, drift)
                    store_row(place, x, load_row(here, x) - drift)
                if ahead:
                    block(place, found, *parameters)  # noqa: F821
                else:
                    block(here, found, *parameters)  # noqa: F821
                for x in range(size):
                    faster = load_row(speed, x) + alpha * load_row(found, x)
                    store_row(speed, x, faster)
                    store_row(here, x, load_row(here, x) - faster)
            out_of_lanes(speed, start, velocity)
        out_of_lanes(here, start, w)
    left[:] = 0
    return True


def _steps_of_each(w, left, rate, quiet, parameters):
    runs, size = w.shape
    here, found = vectors(size), vectors(size)
    rates, limits = vectors(1), vectors(1)
    counts, going = vectors(1), vectors(1)
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        into_lanes(rate.reshape(-1, 1), start, rates)
        into_lanes(quiet.reshape(-1, 1), start, limits)
        for lane in range(LANES):
            counts[0, lane] = left[min(start + lane, runs - 1)]
            going[0, lane] = 1.0 if counts[0, lane] > 0 else 0.0
        alpha = load_row(rates, 0)
        limit = load_row(limits, 0)
        limit = limit * magnitude(limit) * ROUNDED
        while going.any():
            block(here, found, *parameters)  # noqa: F821
            square = load_row(found, 0) * load_row(found, 0)
            for x in range(1, size):
                square += load_row(found, x) * load_row(found, x)
            none = load_row(going, 0) * 0.0
            moves = choose(square > limit, load_row(going, 0), none)
            count = load_row(counts, 0) - moves
            store_row(counts, 0, count)
            store_row(going, 0, choose(count > 0.0, moves, none))
            for x in range(size):
                moved = load_row(here, x) - alpha * load_row(found, x)
                store_row(here, x, choose(moves > 0.0, moved, load_row(here, x)))
        out_of_lanes(here, start, w)
        for lane in range(min(LANES, runs - start)):
            left[start + lane] = int(counts[0, lane])
    return True


ROUNDED = 1 + 1e-9
"""Squares of norms above a limit by less than rounding errors count as below it."""


def _no_steps(*arrays):
    return False
