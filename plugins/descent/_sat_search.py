"""Runs of an optimizer on the program of one formula, all starts as one batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnflow import ConvexSet, torch

from ._formula import Clauses, gradient, halfspaces, loss

AT_REST = 1e-9
"""A run has ended when no coordinate moves farther than this in a step."""
SOLVED = 1e-6
"""Losses below this are 0: each x is then so near to 0 or 1 that rounding it keeps the clauses,
whose sums are whole numbers."""


@dataclass(frozen=True)
class Program:
    """What an optimizer asks of a loss."""

    constraints: ConvexSet

    def loss(self, points):
        return loss(points)

    def gradient(self, points):
        return gradient(points)

    def retract(self, points):
        return self.constraints.project(points)


@dataclass(frozen=True)
class Ends:
    """Where runs ended. points: (run, variable); loss, steps: (run,), −1 steps: not at rest.
    rise: largest rise of the loss in a step. outside: largest distance from the polytope."""

    points: np.ndarray
    loss: np.ndarray
    steps: np.ndarray
    rise: float
    outside: float


def search(clauses: Clauses, optimizer, starts: np.ndarray, most: int = 200) -> Ends:
    """Runs on a formula from the starts (run, variable), each projected onto the polytope first,
    until they are at rest or after `most` steps."""
    program = Program(halfspaces(clauses, starts.shape[1]))
    points = program.retract(torch.as_tensor(starts))
    reached, rise = program.loss(points), -np.inf
    steps = np.full(len(points), -1)
    running = torch.arange(len(points))
    state = optimizer.start(points, torch.ones(len(points), dtype=points.dtype))
    for step in range(most):
        if len(running) == 0:
            break
        before = points[running]
        after, state = optimizer.step(program, before, state)
        fallen = program.loss(after)
        rise = max(rise, float((fallen - reached[running]).max()))
        points[running], reached[running] = after, fallen
        moving = (after - before).abs().amax(1) > AT_REST
        steps[running[~moving].numpy()] = step
        running, state = running[moving], {name: part[moving] for name, part in state.items()}
    outside = float(program.constraints.values(points).max())
    return Ends(points.numpy(), reached.numpy(), steps, rise, outside)
