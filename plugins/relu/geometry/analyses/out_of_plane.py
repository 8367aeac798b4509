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

    K students learn K orthonormal teachers, which span the plane Π*. From random starts critical
    points of any kind are found. A rotation that fixes Π* carries one to another; if its parts
    outside of Π* span r dimensions, those images fill r(d − K) − r(r + 1)/2 dimensions, as
    r-frames in d − K dimensions do, and the Hessian has as many zero modes at least: none for
    d = K + 1. Of neurons that are parallel only the sum of their norms counts, so that each beside
    the first adds one more. Each point has (critical_point,) `neurons`, `inputs`, `outside`, the
    norm of the part outside of Π*, its `rank` r, `index`, `nullity`, `orbit_dimension`,
    `parallel`, the neurons parallel to an earlier one, `loss`, `gradient_norm`.

    The first out-of-plane point with d = K + 2 is turned by angles `turn`: `orbit` (turn, neuron,
    input) within the complement of Π*, with `orbit_gradient`, and `tilted_gradient` where the turn
    is in a plane that meets Π*, which is no symmetry.

    Columns: `out_of_plane_points`, those with d ≥ K + 2; `isolated_points`, how many of these have
    no zero mode; `other_nullities`, how many have more or less than the orbit's dimension and the
    parallel neurons say, with the gap of the eigenvalues, `largest_zero` and `smallest_other`
    (relative to the largest one); `parallel_points`, how many have parallel neurons;
    `nullity_below`, the largest nullity less parallel neurons of those with d = K + 1;
    `minima_outside`, those of index 0; `largest_inside` and `smallest_outside`, the norms of the
    parts outside of Π* on either side of `outside_above`; `largest_orbit_gradient`; and
    `equivariance_error`, the largest entry of ∇(RW) − R∇(W) at random W and rotations R.
    """

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
        import xarray as xr

        seed = results.study.settings.seed
        found, orbit = [], None
        for place, (neurons, inputs) in enumerate(self.cases):
            results.progress(place, len(self.cases), "cases")
            teachers = np.eye(neurons, inputs)
            w = find(self._starts(seed, neurons, inputs), teachers)
            found.append(self._described(w, teachers))
            outside = found[-1]["outside"] > self.outside_above
            if orbit is None and inputs == neurons + 2 and outside.any():
                orbit = _orbit(w[outside][0], teachers)
        configurations = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        columns = self._columns(configurations) | {"equivariance_error": self._equivariance(seed)}
        variables = {
            name: ("critical_point", configurations[name], {"long_name": POINTS[name]})
            for name in configurations
        }
        if orbit is not None:
            columns["largest_orbit_gradient"] = orbit["orbit_gradient"].max()
            variables |= {
                "orbit": (("turn", "neuron", "input"), orbit["orbit"], {"long_name": "weights"}),
                "orbit_gradient": (
                    "turn",
                    orbit["orbit_gradient"],
                    {"long_name": "gradient norm on the orbit"},
                ),
                "tilted_gradient": (
                    "turn",
                    orbit["tilted_gradient"],
                    {"long_name": "gradient norm off the orbit"},
                ),
                "turn": (
                    "turn",
                    orbit["turn"],
                    {"long_name": "angle of the rotation", "units": "rad"},
                ),
            }
        count = len(results.configurations)
        for name, text in COLUMNS.items():
            value = columns.get(name, np.nan)
            variables[name] = ("configuration", np.full(count, value), {"long_name": text})
        return xr.Dataset(
            variables,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )

    def _starts(self, seed: int, neurons: int, inputs: int) -> np.ndarray:
        """(run, neuron, input), normal, so that neurons have norms around 1."""
        streams = Streams(seed, f"K={neurons},d={inputs}", np.arange(self.starts), "out_of_plane")
        drawn = streams.normal(neurons * inputs).reshape(-1, neurons, inputs)
        return drawn / np.sqrt(inputs)

    def _described(self, w: np.ndarray, teachers: np.ndarray) -> dict[str, np.ndarray]:
        neurons, inputs = teachers.shape
        rest = w[..., neurons:]
        singular = np.linalg.svd(rest, compute_uv=False)
        rank = (singular > self.outside_above).sum(axis=1)
        slope = gradient(w, teachers)
        found = modes(w, teachers)
        return found | {
            "neurons": np.full(len(w), neurons),
            "inputs": np.full(len(w), inputs),
            "outside": np.linalg.norm(rest, axis=(1, 2)),
            "rank": rank,
            "orbit_dimension": rank * (inputs - neurons) - rank * (rank + 1) // 2,
            "parallel": np.tril(angles(w, w) < PARALLEL, -1).any(axis=2).sum(axis=1),
            "loss": loss(w, teachers),
            "gradient_norm": np.linalg.norm(slope, axis=(1, 2)),
        }

    def _columns(self, points: dict[str, np.ndarray]) -> dict[str, float]:
        outside = points["outside"] > self.outside_above
        room = points["inputs"] - points["neurons"]
        free, below = outside & (room >= 2), outside & (room == 1)
        own = points["nullity"] - points["parallel"]
        return {
            "out_of_plane_points": free.sum(),
            "isolated_points": (free & (points["nullity"] == 0)).sum(),
            "other_nullities": (free & (own != points["orbit_dimension"])).sum(),
            "parallel_points": (free & (points["parallel"] > 0)).sum(),
            "nullity_below": own[below].max() if below.any() else np.nan,
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
            turn = np.broadcast_to(np.eye(inputs), drawn.shape).copy()
            turn[:, neurons:, neurons:] = np.linalg.qr(drawn[:, neurons:, neurons:])[0]
            teachers = np.eye(neurons, inputs)
            back = turn.swapaxes(1, 2)
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
    "largest_zero": "largest relative eigenvalue counted as zero",
    "smallest_other": "smallest relative eigenvalue not counted as zero",
    "loss": "loss of one sample",
    "gradient_norm": "gradient norm",
}
COLUMNS = {
    "out_of_plane_points": "critical points out of plane, d ≥ K + 2",
    "isolated_points": "of these, those without a zero mode",
    "other_nullities": "of these, those whose nullity is not explained",
    "parallel_points": "of these, those with parallel neurons",
    "nullity_below": "largest nullity out of plane where d = K + 1, less parallel neurons",
    "largest_inside": "largest norm of the part outside of the plane of in-plane points",
    "smallest_outside": "smallest one of out-of-plane points",
    "minima_outside": "critical points out of plane of index 0",
    "largest_zero": "largest relative eigenvalue counted as zero",
    "smallest_other": "smallest relative eigenvalue not counted as zero",
    "largest_orbit_gradient": "largest gradient norm on the orbit",
    "equivariance_error": "largest entry of ∇(RW) − R∇(W)",
}


def _orbit(w: np.ndarray, teachers: np.ndarray) -> dict[str, np.ndarray]:
    """The point turned in the last two inputs; and in the first and the last, for contrast."""
    turn = np.linspace(0, 2 * np.pi, 181)
    orbit, tilted = (_turned(w, turn, plane) for plane in ((-2, -1), (0, -1)))
    norms = [np.linalg.norm(gradient(one, teachers), axis=(1, 2)) for one in (orbit, tilted)]
    return {"turn": turn, "orbit": orbit, "orbit_gradient": norms[0], "tilted_gradient": norms[1]}


def _turned(w: np.ndarray, turn: np.ndarray, plane: tuple[int, int]) -> np.ndarray:
    """w rotated by each angle in the plane of two inputs, (turn, neuron, input)."""
    found = np.repeat(w[None], len(turn), axis=0)
    one, other = (w[:, axis] for axis in plane)
    cosine, sine = np.cos(turn)[:, None], np.sin(turn)[:, None]
    found[..., plane[0]] = cosine * one - sine * other
    found[..., plane[1]] = sine * one + cosine * other
    return found


@nnflow.hookimpl
def nnflow_register(register):
    register("out_of_plane", OutOfPlane)
