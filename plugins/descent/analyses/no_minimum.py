"""Gradient descent that converges to a stationary point which is no minimum: two examples."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, share

RATE = 0.5
"""α of both examples, below 1/M = 2/3 and 1."""
LOWEST, HIGHEST = 0.1, 3.0
"""Starts are uniform between them; αn xₙ is 1 only after many times 1/x₀ steps."""
WELL = 2.4
"""Starts in the double well are up to it; |L''| ≤ 3·2.4² − 1 = 16.3 there."""
CUBE_RATE = 0.1
"""α on x³, which is neither bounded below nor M-smooth: 1/(3α) = 10/3."""


def inflection_slope(x: np.ndarray) -> np.ndarray:
    """L' = x²(1 + x)/(1 + x²). L is bounded below, |L''| ≤ 3/2, and L falls from the right through
    0 down to its minimum at −1."""
    return x**2 * (1 + x) / (1 + x**2)


def inflection(x: np.ndarray) -> np.ndarray:
    """L = x + ½x² − arctan x − ½ln(1 + x²)."""
    return x + x**2 / 2 - np.arctan(x) - np.log1p(x**2) / 2


class NoMinimum(Analysis):
    """The exercise "Give an example of gradient descent converging to a stationary point which is
    not a (local or global) minimum".

    - L' = x²(1 + x)/(1 + x²), M = 3/2: from every x₀ > 0 descent converges to the inflection 0, and
      αn xₙ → 1. These starts are a set of positive measure, as L''(0) = 0 is not < 0.
    - L = ½x² + cos y from y₀ = 0, M = 1: it converges to the saddle 0. That set has measure zero:
      from y₀ it takes ln(1/y₀)/ln(1 + α) + O(1) steps to |y| = 1.
    - x³, often named, converges from x₀ > 0 only if x₀ ≤ 1/(3α); it is not bounded below.

    And beside the basins of the study: on ¼y⁴ − ½y² starts from (0, 2.4] with α = .3, above 1/M for
    this interval, may end in the other valley; with α = .06, below it, they never do.
    """

    columns = {
        "inflection_share": "share of starts > 0 that converge to the inflection",
        "inflection_law": "largest |αn xₙ − 1| of these after all steps",
        "inflection_below": "loss at the inflection above the infimum",
        "saddle_share": "share of starts with y = 0 that converge to the saddle",
        "escape_slope": "steps to leave the saddle per unit of ln(1/y₀)",
        "escape_expected": "1/ln(1 + α)",
        "crossing_share": "share of starts in a double well that change the valley, α = .3",
        "crossing_below": "the same with α = .06 < 1/M",
        "cube_exceptions": "share of starts on x³ for which 1/(3α) decides wrongly",
    }

    runs: PositiveInt = 500
    """Starts."""
    steps: PositiveInt = 20000
    """Steps towards the inflection, which is approached as 1/(αn)."""

    def compute(self, results):
        seed = results.study.settings.seed
        drawn = Streams(seed, "starts", np.arange(self.runs), "no_minimum").uniform(2)
        table = Table(results, self.columns)
        x = LOWEST + (HIGHEST - LOWEST) * drawn[:, 0]
        for _ in range(self.steps):
            x = x - RATE * inflection_slope(x)
        y, saddle = np.zeros(self.runs), HIGHEST * drawn[:, 1]
        for _ in range(200):
            saddle, y = saddle - RATE * saddle, y + RATE * np.sin(y)
        reached = (np.abs(saddle) < 1e-6) & (np.abs(y) < 1e-6)
        near = (x >= 0) & (RATE * self.steps * x < 2)
        offset = 10.0 ** -np.arange(4, 101, 4.0)
        slope = np.polyfit(np.log(1 / offset), leaving(offset), 1)[0]
        table.everywhere(
            inflection_share=share(int(near.sum()), self.runs),
            inflection_law=float(np.abs(RATE * self.steps * x - 1)[near].max()),
            inflection_below=float(inflection(0.0) - inflection(-1.0)),
            saddle_share=share(int(reached.sum()), self.runs),
            escape_slope=slope,
            escape_expected=1 / np.log1p(RATE),
            crossing_share=_crossing(WELL * drawn[:, 1], 0.3),
            crossing_below=_crossing(WELL * drawn[:, 1], 0.06),
            cube_exceptions=_cube(2 / (3 * CUBE_RATE) * drawn[:, 1]),
        )
        path = [np.array([2.5])]
        for _ in range(60):
            path.append(path[-1] - RATE * inflection_slope(path[-1]))
        grid = np.linspace(-2.2, 2.8, 201)
        return table.dataset().assign(
            path=("step", np.concatenate(path)),
            offset=("offset", offset),
            leaving=("offset", leaving(offset)),
            grid=("grid", grid),
            value=("grid", inflection(grid)),
        )


def leaving(offset: np.ndarray) -> np.ndarray:
    """Steps on cos y from y₀ to |y| ≥ 1."""
    y, steps = np.array(offset, dtype=float), np.zeros(len(offset), dtype=int)
    while (np.abs(y) < 1).any():
        inside = np.abs(y) < 1
        steps += inside
        y = np.where(inside, y + RATE * np.sin(y), y)
    return steps


def _cube(start: np.ndarray) -> tuple[float, float, float]:
    """Does descent on x³ converge, that is stay above 0, exactly where x₀ ≤ 1/(3α)?"""
    x = start
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(2000):
            x = np.where(x < 0, x, x - 3 * CUBE_RATE * x**2)
    wrong = (x >= 0) != (start <= 1 / (3 * CUBE_RATE))
    return share(int(wrong.sum()), len(start))


def _crossing(start: np.ndarray, rate: float) -> tuple[float, float, float]:
    """How many starts y > 0 on ¼y⁴ − ½y² end at −1?"""
    y = start
    for _ in range(2000):
        y = y - rate * (y**3 - y)
    return share(int((np.abs(y + 1) < 1e-3).sum()), len(start))


@nnflow.hookimpl
def nnflow_register(register):
    register("no_minimum", NoMinimum)
