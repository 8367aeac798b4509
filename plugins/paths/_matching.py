"""Permutations of neurons that bring one network close to another."""

from __future__ import annotations

import numpy as np

ROUNDS = 100
"""Most rounds over the layers; ten are typical."""
GAIN = 1e-12
"""A round that raises the product of the two networks by less than this part of it is the last."""


def lengths(model) -> dict[str, int]:
    """How many entries each axis has that the model declares interchangeable."""
    shapes = {**model.shapes(), **model.buffers()}
    return {
        axis: length
        for name, axes in model.dimensions().items()
        for axis, length in zip(axes, shapes[name], strict=True)
        if axis in model.interchangeable()
    }


def matching(model, one: dict, other: dict) -> tuple[dict[str, np.ndarray], int]:
    """Orders {axis: places} of the other network's entries in which it is nearest to the first
    one, and the rounds it took; weights {name: (*shape)}.

    ‖A − PB‖² is least where the product ⟨A, PB⟩ is largest: an assignment problem for one axis
    whose neighbours are fixed (exact for one hidden layer), and alternation over the axes for more,
    which ends at a local maximum (Ainsworth, Hayase & Srinivasa 2023, Algorithm 1)."""
    from scipy.optimize import linear_sum_assignment

    orders = {axis: np.arange(length) for axis, length in lengths(model).items()}
    before = product(model, one, other, orders)
    for rounds in range(1, ROUNDS + 1):  # noqa: B007
        for axis in orders:
            gains = _gains(model, one, other, orders, axis)
            orders[axis] = linear_sum_assignment(gains, maximize=True)[1]
        after = product(model, one, other, orders)
        if after - before <= GAIN * abs(after):
            break
        before = after
    return orders, rounds


def product(model, one: dict, other: dict, orders: dict) -> float:
    """⟨A, PB⟩ over all weights."""
    moved = permuted(model, other, orders)
    return float(sum((one[name] * moved[name]).sum() for name in one))


def permuted(model, weights: dict, orders: dict) -> dict:
    """One network, {name: (*shape)}, with its entries in these orders."""
    batched = {name: part[None] for name, part in weights.items()}
    return {name: part[0] for name, part in model.permuted(batched, orders).items()}


def _gains(model, one: dict, other: dict, orders: dict, axis: str) -> np.ndarray:
    """(i, j): what entry j of the other network adds to ⟨A, PB⟩ in place i of the axis."""
    rest = {name: order for name, order in orders.items() if name != axis}
    moved = permuted(model, other, rest)
    gains = 0.0
    for name, axes in model.dimensions().items():
        for place, of_weight in enumerate(axes):
            if of_weight == axis and name in one:
                rows = [
                    np.moveaxis(part[name], place, 0).reshape(len(orders[axis]), -1)
                    for part in (one, moved)
                ]
                gains = gains + rows[0] @ rows[1].T
    return gains
