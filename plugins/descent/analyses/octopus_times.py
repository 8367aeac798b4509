"""Gradient descent needs time exponential in the dimension, perturbed descent does not."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, mean, share

from .._octopus import TAU, Octopus, exit_times
from .saddle_steps import perturbed

FIRST = 4
"""The first exit time of a fit, from 1: before, T_{k+1}/T_k is biased upward by the start."""
CHECKED = 4
"""Coordinates of the runs in plain float64; with more, coordinates that are halved in each step
underflow, and the run stays at a saddle for ever."""


class OctopusTimes(Analysis):
    """When descent passes each of d saddles in a row, on the function of Du et al.
    (arXiv:1705.10412): T_k is the step at which coordinate k passes 2τ, from starts uniform in
    [−1, 1]^d, with the step 1/(4L) and γ = 1.

    Gradient descent has T_{k+1} = (1 + r)T_k + O(1) with r = ln 2/ln(1 + γ/(2L)), as the
    coordinates that are to grow were halved in all steps before; the paper proves a factor
    of at least (L + γ)/γ. The slope of T_{k+1} on T_k is fitted for k ≥ 4, run by run. Coordinates
    are logarithms there, and for d = 4 the times are compared with plain float64.

    Perturbed descent, with the paper's g = γτ/100, r = τ/100 and a step between perturbations,
    takes about the same time for each saddle. The step is above 1/ℓ for L ≥ 1.5, as theirs.
    """

    columns = {
        **{f"slope_{name}": f"slope of T_(k+1) on T_k of descent, L = {steep:g}"
           for name, steep in (("1", 1), ("1_5", 1.5), ("2", 2), ("3", 3))},
        **{f"expected_{name}": f"1 + ln 2/ln(1 + γ/(2L)), L = {steep:g}"
           for name, steep in (("1", 1), ("1_5", 1.5), ("2", 2), ("3", 3))},
        "float64_misses": "share of exit times that plain float64 has otherwise, d = 4",
        "descent_last": "mean T_10 of descent, L = 1",
        "perturbed_last": "mean T_10 of perturbed descent, L = 1",
        "perturbed_slope": "slope of T_(k+1) on T_k of perturbed descent, L = 1",
        "perturbed_growth": "slope of log T_d on log d of perturbed descent, d = 4 … 10, L = 1",
    }  # fmt: skip

    runs: Annotated[int, Field(ge=2)] = 20
    """Starts."""
    dimension: PositiveInt = 10
    """d of the fits, and the largest one of perturbed descent."""
    steps: PositiveInt = 600
    """Most steps of perturbed descent."""
    gamma: PositiveFloat = 1.0
    """γ."""

    def compute(self, results):
        seed = results.study.settings.seed
        table, all_times = Table(results, self.columns), {}
        for name, steep in (("1", 1.0), ("1_5", 1.5), ("2", 2.0), ("3", 3.0)):
            function = Octopus(steep, self.gamma)
            starts = self._starts(seed, self.dimension)
            times = np.array([exit_times(function, start) for start in starts], dtype=float)
            all_times[steep] = times
            ratio = 1 + np.log(2) / np.log1p(self.gamma / (2 * steep))
            table.everywhere(**{f"slope_{name}": mean(slopes(times)), f"expected_{name}": ratio})
        function = Octopus(1.0, self.gamma)
        noisy = self._perturbed(function, seed, self.dimension)
        sizes = np.arange(2, self.dimension + 1)
        ends = np.array([self._perturbed(function, seed, size)[:, -1] for size in sizes])
        grown = np.polyfit(np.log(sizes[2:]), np.log(ends[2:]), 1)[0]
        table.everywhere(
            float64_misses=self._checked(function, seed),
            descent_last=mean(all_times[1.0][:, -1]),
            perturbed_last=mean(noisy[:, -1]),
            perturbed_slope=mean(slopes(noisy)),
            perturbed_growth=mean(grown),
        )
        return table.dataset().assign(
            times=(("steep", "run", "saddle"), np.array(list(all_times.values())),
                   {"long_name": "step at which descent passes a saddle"}),
            perturbed_times=(("run", "saddle"), noisy,
                             {"long_name": "the same of perturbed descent, L = 1"}),
            steep=("steep", list(all_times)),
            saddle=("saddle", np.arange(1, self.dimension + 1)),
        )  # fmt: skip

    def _starts(self, seed: int, dimension: int) -> np.ndarray:
        streams = Streams(seed, f"d={dimension}", np.arange(self.runs), "octopus_times")
        return 2 * streams.uniform(dimension) - 1

    def _perturbed(self, function: Octopus, seed: int, dimension: int) -> np.ndarray:
        """Exit times of perturbed descent, (run, saddle); NaN for a saddle that is not passed."""
        streams = Streams(seed, f"d={dimension}", np.arange(self.runs), "octopus_noise")
        path = perturbed(
            function.gradient, self._starts(seed, dimension), function.rate,
            self.gamma * TAU / 100, TAU / 100, self.steps, streams,
        )  # fmt: skip
        return passed(path)

    def _checked(self, function: Octopus, seed: int) -> tuple[float, float, float]:
        """Times of the logarithms against those of plain descent."""
        starts = self._starts(seed, CHECKED)
        expected = np.array([exit_times(function, start) for start in starts])
        points, path = starts, [starts]
        for _ in range(int(expected.max()) + 1):
            points = points - function.rate * function.gradient(points)
            path.append(points)
        wrong = passed(np.array(path)) != expected
        return share(int(wrong.sum()), wrong.size)


def passed(path: np.ndarray) -> np.ndarray:
    """The first step at which |x_k| ≥ 2τ, (run, saddle); path (step, run, coordinate)."""
    over = np.abs(path) >= 2 * TAU
    return np.where(over.any(axis=0), over.argmax(axis=0), np.nan)


def slopes(times: np.ndarray) -> np.ndarray:
    """The slope of T_{k+1} on T_k for k ≥ FIRST, run by run; times (run, saddle)."""
    return np.array([np.polyfit(row[FIRST - 1 : -1], row[FIRST:], 1)[0] for row in times])


@nnflow.hookimpl
def nnflow_register(register):
    register("octopus_times", OctopusTimes)
