"""Many runs, `LANES` of them at a time, in one compiled call.

What a model has to know are its *blocks*: `Compiled` functions block(w, found, *parameters) of
LANES networks, that read the weights w, (weight, LANES), and write `found`, (number, LANES).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nnflow.base.compiled import LANES, Compiled, load_row, store_row


def side_by_side(block: Compiled, plain: Callable[..., Any]) -> Compiled:
    """The function (w, numbers, parameters) ↦ (run, number) of the weights w, (run, weight), of all
    runs by a block of LANES; what it finds of each run is `numbers` numbers.

    plain: the same in NumPy, with the same bits, for where nothing is compiled.
    """
    return Compiled(_over_runs, plain, {"block": block})


def descending(block: Compiled) -> Compiled:
    """Many steps of gradient descent of all runs, by a block that is the gradient of LANES: a
    function (w, velocity, rate, momentum, ahead, steps, parameters) that moves w and the velocity,
    both (run, weight), in place. rate, momentum: (run,). ahead: is the gradient taken at W − βV?
    A velocity of no runs is none, and then W⁺ = W − α∇L(W). It has the bits of single steps (see
    `Descent`), and True for a result; where nothing is compiled it moves nothing: False.
    """
    return Compiled(_steps, _no_steps, {"block": block})


def _into_lanes(w, start, here):
    for lane in range(LANES):  # where too few runs are left, the last one again
        run = min(start + lane, len(w) - 1)
        for place in range(len(here)):
            here[place, lane] = w[run, place]


def _out_of_lanes(here, start, w):
    for lane in range(min(LANES, len(w) - start)):
        for place in range(len(here)):
            w[start + lane, place] = here[place, lane]


into_lanes = Compiled(_into_lanes)
out_of_lanes = Compiled(_out_of_lanes)


def _over_runs(w, numbers, parameters):
    runs, size = w.shape
    here, found = np.empty((size, LANES)), np.empty((numbers, LANES))
    out = np.empty((runs, numbers))
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        block(here, found, *parameters)  # noqa: F821
        out_of_lanes(found, start, out)
    return out


def _steps(w, velocity, rate, momentum, ahead, steps, parameters):
    runs, size = w.shape
    here, found = np.empty((size, LANES)), np.empty((size, LANES))
    speed, place = np.empty((size, LANES)), np.empty((size, LANES))
    rates, momenta = np.empty((1, LANES)), np.empty((1, LANES))
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        into_lanes(rate.reshape(-1, 1), start, rates)
        alpha = load_row(rates, 0)
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
    return True


def _no_steps(w, velocity, rate, momentum, ahead, steps, parameters):
    return False
