"""Critical points outside of the teachers' plane, and the orbits they lie on."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, field_validator

import nnflow
from nnflow import Analysis, Streams

from ..._population import angles, gradient, loss
from ._critical_points import find, modes

PARALLEL = 1e-5
"""Angle below which neurons are parallel: those of converged points are to 1e-8."""


class OutOfPlane(Analysis):
    """Tian's Theorem 2: out-of-plane critical points are not isolated for d ≥ K + 2 inputs.

    K students learn K orthonormal teachers, which span the plane Π*. Critical points of any kind
    are sought from random starts. A rotation that fixes Π* carries one to another; if its parts
    outside of Π* span r dimensions, those images fill r(d − K) − r(r + 1)/2 dimensions, as
    r-frames in d − K dimensions do, and the Hessian has as many zero modes at least: none for
    d = K + 1. Of neurons that are parallel only the sum of their norms counts, so that each beyond
    the first adds one more. Of each point the arrays of `POINTS` are kept, over `critical_point`.

    The first out-of-plane point with d = K + 2 is rotated by angles `turn`: `orbit` (turn, neuron,
    input) within the complement of Π*, with `orbit_gradient`, and `tilted_gradient` where the
    rotation is in a plane that meets Π*, which is no symmetry.
    """

    columns = {
        "out_of_plane_points": "critical points out of plane, d ≥ K + 2",
        "isolated_points": "of these, those without a zero mode",
        "other_nullities": "of these, those whose nullity is not the orbit's dimension and the"
        " number of parallel neurons",
        "parallel_points": "of these, those with parallel neurons",
        "nullity_below": "largest nullity out of plane where d = K + 1, less parallel neurons",
        "largest_inside": "largest norm of the part outside of the plane of in-plane points",
        "smallest_outside": "smallest one of out-of-plane points",
        "minima_outside": "critical points out of plane of index 0",
        "largest_zero": "largest relative eigenvalue counted as zero, d ≥ K + 2",
        "smallest_other": "smallest relative eigenvalue not counted as zero, d ≥ K + 2",
        "largest_orbit_gradient": "largest gradient norm on the orbit",
        "equivariance_error": "largest entry of ∇(RW) − R∇(W) at random W and rotations R",
    }

    cases: Annotated[list[tuple[PositiveInt, PositiveInt]], Field(min_length=1)] = [
        (2, 3), (2, 4), (2, 5), (3, 5),
    ]  # fmt: skip
    """Pairs [neurons K, inputs d]."""
    starts: PositiveInt = 100
    """Random starts of each."""
    outside_above: PositiveFloat = 1e-4
    """Norm of the part outside of Π* above which a point is out of plane. `largest_inside` and
    `smallest_outside` are the ends of the gap it lies in."""

    @field_validator("cases")
    @classmethod
    def _room_outside(cls, cases):
        for neurons, inputs in cases:
            if inputs <= neurons:
                raise ValueError(f"[{neurons}, {inputs}]: there is no outside unless d > K")
        return cases

    def compute(self, results):
        seed = results.study.settings.seed
        weights = self._critical_points(seed, results)
        points = self._described(weights)
        table = nnflow.Table(results, self.columns)
        table.everywhere(equivariance_error=self._equivariance(seed), **self.counts(points))
        arrays = {
            name: ("critical_point", points[name], {"long_name": meaning})
            for name, meaning in POINTS.items()
        }
        orbit = self._orbit(weights)
        if orbit:
            table.everywhere(largest_orbit_gradient=orbit["orbit_gradient"][1].max())
        return table.dataset().assign(arrays | orbit)

    def _critical_points(self, seed: int, results) -> list[np.ndarray]:
        """Of each case, (critical_point, neuron, input)."""
        weights = []
        for number, (neurons, inputs) in enumerate(self.cases):
            results.progress(number, len(self.cases), "cases")
            weights.append(find(self._starts(seed, neurons, inputs), np.eye(neurons, inputs)))
        return weights

    def _starts(self, seed: int, neurons: int, inputs: int) -> np.ndarray:
        """(run, neuron, input), normal, so that neurons have norms around 1."""
        streams = Streams(seed, f"K={neurons},d={inputs}", np.arange(self.starts), "out_of_plane")
        drawn = streams.normal(neurons * inputs).reshape(-1, neurons, inputs)
        return drawn / np.sqrt(inputs)

    def _described(self, weights: list[np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays of `POINTS`, and `modes`' of eigenvalues next to zero, of all cases one after
        another."""
        each = [
            self._described_case(w, np.eye(*case))
            for w, case in zip(weights, self.cases, strict=True)
        ]
        return {name: np.concatenate([one[name] for one in each]) for name in each[0]}

    def _described_case(self, w: np.ndarray, teachers: np.ndarray) -> dict[str, np.ndarray]:
        neurons, inputs = teachers.shape
        rest = w[..., neurons:]
        rank = (np.linalg.svd(rest, compute_uv=False) > self.outside_above).sum(axis=1)
        return modes(w, teachers) | {
            "neurons": np.full(len(w), neurons),
            "inputs": np.full(len(w), inputs),
            "outside": _outside(w),
            "rank": rank,
            "orbit_dimension": rank * (inputs - neurons) - rank * (rank + 1) // 2,
            "parallel": np.tril(angles(w, w) < PARALLEL, -1).any(axis=2).sum(axis=1),
            "loss": loss(w, teachers),
            "gradient_norm": np.linalg.norm(gradient(w, teachers), axis=(1, 2)),
        }

    def _orbit(self, weights: list[np.ndarray]) -> dict:
        """Arrays of the first out-of-plane point with d = K + 2; none where there is no such."""
        for w, (neurons, inputs) in zip(weights, self.cases, strict=True):
            outside = _outside(w) > self.outside_above
            if inputs == neurons + 2 and outside.any():
                return _orbit_of(w[outside][0], np.eye(neurons, inputs))
        return {}

    def counts(self, points: dict[str, np.ndarray]) -> dict[str, float]:
        """Columns, from those arrays."""
        outside = points["outside"] > self.outside_above
        room = points["inputs"] - points["neurons"]
        free, below = outside & (room >= 2), outside & (room == 1)
        unexplained = points["nullity"] - points["parallel"]
        return {
            "out_of_plane_points": free.sum(),
            "isolated_points": (free & (points["nullity"] == 0)).sum(),
            "other_nullities": (free & (unexplained != points["orbit_dimension"])).sum(),
            "parallel_points": (free & (points["parallel"] > 0)).sum(),
            "nullity_below": unexplained[below].max() if below.any() else np.nan,
            "largest_inside": points["outside"][~outside].max(initial=0),
            "smallest_outside": points["outside"][outside].min(initial=np.inf),
            "minima_outside": ((free | below) & (points["index"] == 0)).sum(),
            "largest_zero": points["largest_zero"][free].max() if free.any() else np.nan,
            "smallest_other": points["smallest_other"][free].min() if free.any() else np.nan,
        }

    def _equivariance(self, seed: int) -> float:
        worst = 0.0
        for neurons, inputs in self.cases:
            w = self._starts(seed, neurons, inputs)
            streams = Streams(seed, f"K={neurons},d={inputs}", np.arange(len(w)), "rotations")
            drawn = streams.normal(inputs * inputs).reshape(-1, inputs, inputs)
            rotation = np.broadcast_to(np.eye(inputs), drawn.shape).copy()
            rotation[:, neurons:, neurons:] = np.linalg.qr(drawn[:, neurons:, neurons:])[0]
            teachers = np.eye(neurons, inputs)
            back = rotation.swapaxes(1, 2)
            apart = gradient(w @ back, teachers) - gradient(w, teachers) @ back
            worst = max(worst, np.abs(apart).max())
        return worst


POINTS = {
    "neurons": "neurons K",
    "inputs": "inputs d",
    "outside": "norm of the part outside of the teachers' plane",
    "rank": "dimensions that this part spans",
    "orbit_dimension": "dimension of the orbit",
    "parallel": "neurons parallel to an earlier one",
    "index": "negative Hessian eigenvalues",
    "nullity": "zero Hessian eigenvalues",
    "loss": "loss of one sample",
    "gradient_norm": "gradient norm",
}


def _outside(w: np.ndarray) -> np.ndarray:
    """The norm of what K neurons have outside of the first K inputs, (critical_point,)."""
    return np.linalg.norm(w[..., w.shape[1] :], axis=(1, 2))


def _orbit_of(w: np.ndarray, teachers: np.ndarray) -> dict:
    """The point rotated in the last two inputs; and in the first and the last, for contrast."""
    turn = np.linspace(0, 2 * np.pi, 181)
    orbit, tilted = (_rotated(w, turn, plane) for plane in ((-2, -1), (0, -1)))
    norms = [np.linalg.norm(gradient(one, teachers), axis=(1, 2)) for one in (orbit, tilted)]
    return {
        "turn": ("turn", turn, {"long_name": "angle of the rotation", "units": "rad"}),
        "orbit": (("turn", "neuron", "input"), orbit, {"long_name": "weights"}),
        "orbit_gradient": ("turn", norms[0], {"long_name": "gradient norm on the orbit"}),
        "tilted_gradient": ("turn", norms[1], {"long_name": "gradient norm off the orbit"}),
    }


def _rotated(w: np.ndarray, turn: np.ndarray, plane: tuple[int, int]) -> np.ndarray:
    """w rotated by each angle in the plane of two inputs, (turn, neuron, input)."""
    rotated = np.repeat(w[None], len(turn), axis=0)
    one, other = (w[:, axis] for axis in plane)
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    rotated[..., plane[0]] = cosine * one - sine * other
    rotated[..., plane[1]] = sine * one + cosine * other
    return rotated


@nnflow.hookimpl
def nnflow_register(register):
    register("out_of_plane", OutOfPlane)
