"""Spectral densities: where a spectrum is too large to be listed, its distribution.

A density is a weighted set of nodes for each probe p (a random vector, or 1 where it is exact):
the share of eigenvalues in an interval is the sum of the weights of the nodes there, on average
over the probes. The k-th moment Σ wλᵏ estimates tr Hᵏ/n.
"""

from __future__ import annotations

import numpy as np

NODE, WEIGHT = "density_node", "density_weight"
"""The variables of spectra.nc, (run or family, probe, node). Missing nodes are NaN and weigh 0."""


def density(nodes: np.ndarray, weights: np.ndarray, grid: np.ndarray, width: float) -> np.ndarray:
    """Σ_j w_j N(t; λ_j, width²) at the points t of `grid`, on average over the probes.

    nodes, weights: (…, probe, node), as `density_node` and `density_weight` of spectra.nc. grid:
    (point,), in units of an eigenvalue. width: standard deviation of the Gaussian each node is
    spread by, in the same units. Returns (…, point), per unit of an eigenvalue: it integrates to
    the sum of the weights, 1.
    Raises ValueError unless width is positive.
    """
    if not width > 0:
        raise ValueError(f"width must be positive, got {width}")
    nodes, weights = np.nan_to_num(nodes)[..., None], weights[..., None]
    heights = np.exp(-(((grid - nodes) / width) ** 2) / 2) / (width * np.sqrt(2 * np.pi))
    return (weights * heights).sum(axis=-2).mean(axis=-2)


def exact(eigenvalues: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights, (…, 1, node), of whole spectra (…, mode): each eigenvalue weighs
    1/n, with n the number of those that are not NaN."""
    known = np.isfinite(eigenvalues)
    weights = known / np.maximum(known.sum(axis=-1, keepdims=True), 1)
    return eigenvalues[..., None, :], weights[..., None, :]


def variables(axes: tuple[str, ...], nodes: np.ndarray, weights: np.ndarray) -> dict[str, tuple]:
    """The variables of spectra.nc for nodes and weights (*axes, probe, node), with the
    coordinates `probe` and `node`. Raises ValueError where the weights of a probe do not sum to 1
    (or to 0, where there is no eigenvalue)."""
    total = weights.sum(axis=-1)
    if not (np.isclose(total, 1, atol=1e-9) | (total == 0)).all():
        raise ValueError("the weights of each probe must sum to 1")
    where = (*axes, "probe", "node")
    probes, count = nodes.shape[-2:]
    return {
        NODE: (where, nodes, {"long_name": "node of the spectral density", "units": "1"}),
        WEIGHT: (where, weights, {"long_name": "share of eigenvalues at the node", "units": "1"}),
        "probe": ("probe", np.arange(probes), {"long_name": "number of the random vector"}),
        "node": ("node", np.arange(count), {"long_name": "number of the node, from below"}),
    }
