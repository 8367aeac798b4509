"""Curves for the figures of signal propagation: maps, orbits, and a circle of inputs."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt, model_validator

import nnflow
from nnflow import Analysis, Streams

from .._network import Network
from .._signal import attracting

POINTS = 121
ORBIT = 12


class SignalMaps(Analysis):
    """`length_map` (network, q) and `correlation_map` (network, c) with orbits from `starts`; and
    `circle` (network, layer, input, plane), a circle of inputs after some layers of one random
    network of finite width, on the plane of its first two principal axes.

    `circle_correlation` (network, layer, input) is the correlation of each input's sums with those
    of the first one.
    """

    networks: Annotated[list[Network], Field(min_length=1)]
    """Activation and variances of each."""
    highest: list[float]
    """Upper end of the q that are shown, of each."""
    starts: list[list[float]]
    """Where orbits of q begin, of each."""
    width: PositiveInt = 500
    """Neurons of the layers that the circle passes."""
    layers: list[PositiveInt] = [1, 5, 15]
    """Layers after which the circle is shown."""
    inputs: PositiveInt = 200
    """Inputs on the circle."""

    @model_validator(mode="after")
    def _one_for_each(self):
        if not len(self.networks) == len(self.highest) == len(self.starts):
            raise ValueError("networks, highest and starts must be of one length")
        if len({len(starts) for starts in self.starts}) > 1:
            raise ValueError("starts: the same number for each network")
        return self

    def compute(self, results):
        import xarray as xr

        parts = [self._of(results, network, i) for i, network in enumerate(self.networks)]
        labels = [network.label for network in self.networks]
        return xr.concat(parts, "network").assign_coords(
            network=labels, c=np.linspace(0, 1, POINTS), layer=self.layers
        )

    def _of(self, results, network: Network, place: int):
        import xarray as xr

        maps = network.propagation()
        q, c = np.linspace(0, self.highest[place], POINTS), np.linspace(0, 1, POINTS)
        point = attracting(maps.fixed_points())
        fixed = np.nan if point is None else point.q.value
        curve = maps.correlation(c, fixed) if fixed > 0 else np.full(POINTS, np.nan)
        planes, correlations = self._circle(results, network, fixed)
        return xr.Dataset(
            {
                "q": ("node", q),
                "length_map": ("node", maps.length(q)),
                "orbit": (("start", "step"), _orbits(maps.length, self.starts[place])),
                "correlation_map": ("c", curve),
                "fixed": fixed,
                "circle": (("layer", "input", "plane"), planes),
                "circle_correlation": (("layer", "input"), correlations),
            }
        )

    def _circle(self, results, network: Network, fixed: float):
        """The circle lies on the sphere of the fixed length, where the lengths do not move."""
        sigma = network.propagation().moments.sigma
        streams = Streams(results.study.settings.seed, network.label, np.arange(1), "circle")
        turn = 2 * np.pi * np.arange(self.inputs) / self.inputs
        plane = streams.normal(2 * self.width, draw=0).reshape(2, self.width)
        plane = np.linalg.qr(plane.T)[0].T * np.sqrt(self.width * (fixed if fixed > 0 else 1.0))
        z = np.outer(np.cos(turn), plane[0]) + np.outer(np.sin(turn), plane[1])
        planes, correlations = [], []
        for layer in range(1, max(self.layers) + 1):
            drawn = streams.normal(self.width * (self.width + 1), draw=layer)
            weights = drawn.reshape(self.width, self.width + 1)
            scale = np.sqrt(network.weight_variance / self.width)
            z = scale * sigma.value(z) @ weights[:, 1:].T
            z = z + np.sqrt(network.bias_variance) * weights[:, 0]
            if layer in self.layers:
                planes.append(_principal(z))
                correlations.append(z @ z[0] / (np.linalg.norm(z, axis=1) * np.linalg.norm(z[0])))
        return np.array(planes), np.array(correlations)


def _orbits(length, starts: list[float]) -> np.ndarray:
    orbits = [np.array(starts)]
    for _ in range(ORBIT):
        orbits.append(length(orbits[-1]))
    return np.array(orbits).T


def _principal(z: np.ndarray) -> np.ndarray:
    """Coordinates on the first two principal axes, over √width; the signs are fixed."""
    centred = z - z.mean(axis=0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    found = u[:, :2] * s[:2] / np.sqrt(z.shape[1])
    return found * np.where(found[0] < 0, -1, 1)


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_maps", SignalMaps)
