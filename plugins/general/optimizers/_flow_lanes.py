"""Intervals of the gradient flow of many runs, side by side in vectors.

Every operation is that of `GradientFlow.step`, in its order, so that both have the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from nnflow import (
    LANES,
    Compiled,
    choose,
    into_lanes,
    load_row,
    magnitude,
    out_of_lanes,
    square_root,
    store_row,
    vectors,
)

SAFETY, SHRINK, GROW = 0.9, 0.2, 10.0
"""Of the control of step lengths: Hairer, Nørsett & Wanner (1993), Section II.4."""


class Flow(NamedTuple):
    """Runs as compiled code moves them, in place.

    weights: (run, weight). length: of the next step, interval, relative and absolute: allowed
    errors, (run,). factors: (15, 13) of the slopes, in row i those of stage i = 0 … 11, then those
    of the end, and of the estimates of its error of order 3 and 5.
    """

    weights: np.ndarray
    length: np.ndarray
    interval: np.ndarray
    relative: np.ndarray
    absolute: np.ndarray
    factors: np.ndarray


@cache
def flowing(block: Compiled) -> Callable[..., bool]:
    """(flow, count, parameters) moves each run by `count` intervals, with ∇L by a block of LANES
    networks; True. Where nothing is compiled it moves nothing: False."""
    return Compiled(_over_runs, lambda *arguments: False, {"block": block})


def _combined(slopes, factors, size, x):
    """Σᵢ factorᵢ·slopeᵢ of one weight, over the factors that are not 0."""
    total = load_row(slopes, x) * factors[0]
    for i in range(1, len(factors)):
        if factors[i] != 0.0:
            total += load_row(slopes, i * size + x) * factors[i]
    return total


def _number(array, start, found):
    """Numbers of LANES runs, as a vector."""
    into_lanes(array.reshape(-1, 1), start, found)
    return load_row(found, 0)


combined, number = Compiled(_combined), Compiled(_number)


def _over_runs(flow, count, parameters):
    w, lengths, intervals, relatives, absolutes, factors = flow
    runs, size = w.shape
    here, at, found = vectors(size), vectors(size), vectors(size)
    slopes, one, going = vectors(13 * size), vectors(1), vectors(1)
    for start in range(0, runs, LANES):
        into_lanes(w, start, here)
        length, interval = number(lengths, start, one), number(intervals, start, one)
        relative, absolute = number(relatives, start, one), number(absolutes, start, one)
        left = interval
        counts = interval * 0.0 + float(count)
        going[:] = 1.0 if count > 0 else 0.0
        block(here, found, *parameters)  # noqa: F821
        for x in range(size):
            store_row(slopes, x, -load_row(found, x))
        while going.any():
            goes = load_row(going, 0)
            tried = choose(length < left, length, left)
            for stage in range(1, 13):
                for x in range(size):
                    total = combined(slopes, factors[stage], size, x)
                    store_row(at, x, load_row(here, x) + tried * total)
                block(at, found, *parameters)  # noqa: F821
                for x in range(size):
                    store_row(slopes, stage * size + x, -load_row(found, x))
            low = high = tried * 0.0
            for x in range(size):
                before, after = magnitude(load_row(here, x)), magnitude(load_row(at, x))
                allowed = absolute + relative * choose(before > after, before, after)
                third = combined(slopes, factors[13], size, x) / allowed
                fifth = combined(slopes, factors[14], size, x) / allowed
                low += third * third
                high += fifth * fifth
            both = square_root((high + 0.01 * low) * float(size))
            error = choose(both > 0.0, tried * high / both, 0.0)
            wild = choose(magnitude(error) < np.inf, 0.0, goes)
            accepted = choose(error < 1.0, goes, wild)
            factor = SAFETY / square_root(square_root(square_root(error)))
            factor = choose(factor < SHRINK, SHRINK, factor)
            factor = choose(factor > GROW, GROW, factor)
            proposed = tried * choose(wild > 0.0, 1.0, factor)
            kept = choose(length > proposed, length, proposed)
            kept = choose(tried < length, kept, proposed)
            proposed = choose(accepted > 0.0, kept, proposed)
            length = choose(goes > 0.0, proposed, length)
            left = choose(accepted > 0.0, left - tried, left)
            ended = choose(left > 0.0, wild, accepted)
            left = choose(ended > 0.0, interval, left)
            counts = counts - ended
            store_row(going, 0, choose(counts > 0.0, goes, 0.0))
            for x in range(size):
                end, slope = load_row(at, x), load_row(slopes, 12 * size + x)
                store_row(here, x, choose(accepted > 0.0, end, load_row(here, x)))
                store_row(slopes, x, choose(accepted > 0.0, slope, load_row(slopes, x)))
        store_row(one, 0, length)
        out_of_lanes(one, start, lengths.reshape(-1, 1))
        out_of_lanes(here, start, w)
    return True
