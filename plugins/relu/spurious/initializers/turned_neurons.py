"""Students along the teachers, some of them turned against theirs."""

from __future__ import annotations

import numpy as np
from pydantic import Field, NonNegativeFloat, NonNegativeInt

import nnflow
from nnflow import Initializer, UserError

ACROSS = 0.1
"""Entries of the others in the turned neurons' coordinates."""
BACK = 0.5
"""Entries of the turned neurons in the others' coordinates, times the number of inputs."""
TURNED, BESIDE = -0.65, 0.17
"""Entries of a turned neuron in its own coordinate and in those of the other turned ones. These
four are rough values of the published minima (at k = n = 6: .31, .22, −.60); gradient descent,
which keeps the symmetry, leads from there into the family."""


class TurnedNeurons(Initializer):
    """Starts that are symmetric under S_{k−p} × S_p, for a student-teacher model of one matrix
    (student, input): k − p students along their teachers, p turned against theirs, and all
    students in excess of the teachers equal. Nearly all spurious minima have such blocks (at p = 1:
    type II of Arjevani & Field 2019, arXiv:1912.11939).

    Run i has p = turned[i mod its length]; i counts through the list `surplus` more slowly.
    """

    turned: list[NonNegativeInt] = Field(default=[1], min_length=1)
    """p, by run."""
    surplus: list[tuple[float, float]] = Field(default=[(0.1, -0.5)], min_length=1)
    """Entries of a student in excess in the coordinates of the others and of the turned ones, by
    run."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of independent normal numbers that are added to every entry."""

    def draw(self, shapes, streams):
        ((name, shape), *others) = shapes.items()
        if others or len(shape) != 2 or shape[0] < shape[1]:
            raise UserError(
                "turned_neurons: needs one matrix of at least as many rows as columns,"
                f" not {dict(shapes)}"
            )
        if max(self.turned) > shape[1]:
            raise UserError(f"turned_neurons.turned: {max(self.turned)} of {shape[1]} neurons")
        starts = np.stack([self._start(run, *shape) for run in streams.runs])
        noise = streams.normal(shape[0] * shape[1]).reshape(starts.shape)
        return {name: starts + self.noise * noise}

    def _start(self, run: int, students: int, inputs: int) -> np.ndarray:
        p = self.turned[run % len(self.turned)]
        others, turned = self.surplus[run // len(self.turned) % len(self.surplus)]
        rest = inputs - p
        start = np.eye(students, inputs)
        start[:rest, rest:] = ACROSS
        start[rest:inputs, :rest] = BACK / inputs
        start[rest:inputs, rest:] = np.where(np.eye(p) > 0, TURNED, BESIDE)
        start[inputs:, :rest], start[inputs:, rest:] = others, turned
        return start


@nnflow.hookimpl
def nnflow_register(register):
    register("turned_neurons", TurnedNeurons)
