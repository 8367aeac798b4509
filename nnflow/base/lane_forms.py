"""Activations and losses as the compiled gradients of networks take them: by arithmetic alone, of
vectors whose numbers belong to LANES samples."""

from __future__ import annotations

from typing import NamedTuple

from nnflow.base.compiled import Arithmetic, Compiled, load_row, store_row


class LaneActivation(NamedTuple):
    """σ(t) as value(t, parameter) and σ'(t) as slope(t, σ(t), parameter)."""

    value: Arithmetic
    slope: Arithmetic
    parameter: float = 0.0


class LaneLoss(NamedTuple):
    """∂ℓ/∂o: slope(outputs, targets, tiles, parameter) takes the place of the outputs.

    Row j·tiles + t of both arrays has output j of the t-th LANES samples; in NumPy's form they are
    (…, output, tile, LANES). classes: what a target is at the outputs of other classes, and at that
    of its own, where targets are classes.
    """

    slope: Compiled
    classes: tuple[float, float] = (0.0, 1.0)
    parameter: float = 0.0


def by_output(slope: Arithmetic) -> Compiled:
    """For losses that are sums over the outputs: slope(o, t, parameter) of each."""
    return Compiled(_by_output, _by_output_in_numpy(slope), {"one": slope})


def _by_output(outputs, targets, tiles, parameter):
    for row in range(len(outputs)):
        found = one(load_row(outputs, row), load_row(targets, row), parameter)  # noqa: F821
        store_row(outputs, row, found)


def _by_output_in_numpy(slope):
    def in_place(outputs, targets, tiles, parameter):
        outputs[:] = slope(outputs, targets, parameter)

    return in_place
