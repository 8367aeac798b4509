"""Kinks of one run from the graph of its switching numbers."""

from __future__ import annotations

import numpy as np

from nnflow import Kinks, torch

GENEROUS = 1e4
"""Slopes of switching numbers that are not even examined are smaller than this."""


def nearby_kinks(weights, gradient, values, jumps, signs, within):
    """`Kinks` at the switching numbers whose surfaces pass at most `within` away.

    weights: tensors that the graph of `values` begins at. gradient: (weight,) of the loss.
    values, jumps, signs: (number,), as in `Kinks`.
    """
    normals, kept = [], []
    sizes = values.detach().abs().cpu().numpy()
    for number in np.flatnonzero(sizes <= within * GENEROUS).tolist():
        slopes = torch.autograd.grad(
            values[number], weights, retain_graph=True, materialize_grads=True
        )
        normal = torch.cat([part.flatten() for part in slopes])
        normal = normal.detach().cpu().numpy()
        if sizes[number] <= within * np.linalg.norm(normal):
            normals.append(normal)
            kept.append(number)
    return Kinks(
        gradient.detach().cpu().numpy(),
        np.array(normals).reshape(len(kept), gradient.numel()),
        jumps.detach().cpu().numpy()[kept],
        signs.detach().cpu().numpy()[kept],
    )
