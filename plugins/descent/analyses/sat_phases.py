"""Random formulas: which can be satisfied, and which of these descent solves."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Optimizer, Streams, share

from .._formula import polytope, random_clauses, satisfied
from .._sat_search import SOLVED, search
from .._solver import longest_satisfiable, satisfiable

CONFIDENCE = 0.99
"""Of intervals, as elsewhere."""
LONGEST = 8
"""Clauses for each variable that a random formula has at most: with 20 variables the expected
number of its solutions, 2^20·(7/8)^160, is 5·10⁻⁴ there, and less with more."""


class SatPhases(Analysis):
    """Formulas of n variables whose clauses, of three different variables each, are drawn one after
    the other. `threshold` (size, formula) is the largest number of clauses, over n, so that the
    first ones can be satisfied together, by a complete solver. So the share of formulas that can be
    satisfied at a ratio m/n falls to ½ at the median of the thresholds, whose interval is that of
    order statistics.

    At each of `ratios` every method is started on the first `tried` formulas that can be satisfied,
    and on a quarter as many that can't, from `starts` points uniform in the cube. Over
    (optimizer, size, ratio): `solved`, the share of these formulas of which some start reaches 0,
    `solved_low` and `solved_high` (Clopper–Pearson, 99 %), and `starts_solved`, of starts. Where
    it falls to ½ is interpolated; the interval is that between the last ratio before it whose
    interval is above ½ and the first one after whose interval is below.
    """

    sizes: Annotated[list[PositiveInt], Field(min_length=1)] = [20, 50]
    """Numbers of variables n, in order; columns are of the last."""
    ratios: Annotated[list[PositiveFloat], Field(min_length=2)] = [1, 2, 3, 3.5, 4]
    """Clauses for each variable, in order."""
    methods: Annotated[list[Optimizer], Field(min_length=1)] = Field(
        examples=[[{"name": "frank_wolfe", "step_size": 1}]]
    )
    """The optimizers."""
    formulas: PositiveInt = 60
    """Random formulas of each size."""
    tried: PositiveInt = 10
    """Formulas that the methods are started on, of each size and ratio."""
    starts: PositiveInt = 2
    """Starts for each of them."""
    compared: PositiveInt = 20
    """Formulas of the first size whose answer is held against mixed-integer programming, half of
    them with as many clauses as can be satisfied together, half with one more."""

    @property
    def columns(self):
        """What the table has for each method, and once."""
        columns = {
            "sat_half": "clauses for each variable at which half of the formulas can be satisfied",
            "formulas": "random formulas of each size",
            "reduction_errors": "share of formulas on which the program and the solver disagree",
            "reduction_formulas": "formulas on which they were compared",
            "unsound": "share of runs that reach 0 on a formula that can't be satisfied",
            "false_zeros": "runs at 0 whose rounded point leaves a clause false",
            "loss_rise": "largest rise of the loss in a step",
            "outside": "largest distance of an end from the polytope",
            "not_at_rest": "share of runs that still moved when they were stopped",
        }
        for method in self.methods:
            columns |= {
                f"{method.name}_half": "ratio at which half of those that can be are solved",
                f"{method.name}_lag": "how much earlier that is than sat_half",
                f"{method.name}_rises": "ratios at which more are solved than at a smaller one",
            }
        return columns

    def compute(self, results):
        seed = results.study.settings.seed
        drawn = [self._formulas(seed, size) for size in self.sizes]
        thresholds = np.array(
            [
                [longest_satisfiable(one.tolist()) / size for one in formulas]
                for size, formulas in zip(self.sizes, drawn, strict=True)
            ]
        )
        tally = Tally()
        shape = (len(self.methods), len(self.sizes), len(self.ratios))
        solved, by_start = np.full((*shape, 3), np.nan), np.full(shape, np.nan)
        for place in np.ndindex(shape):
            method, size, ratio = place
            results.progress(int(np.ravel_multi_index(place, shape)), math.prod(shape))
            won = self._won(seed, method, size, ratio, drawn[size], thresholds[size], tally)
            solved[place] = share(int(won.any(axis=1).sum()), len(won))
            by_start[place] = won.mean() if won.size else np.nan
        table = nnflow.Table(results, self.columns)
        half = median(thresholds[-1])
        table.everywhere(
            sat_half=half,
            formulas=self.formulas,
            **self._reduction(drawn[0], thresholds[0]),
            **tally.columns(),
        )
        for number, method in enumerate(self.methods):
            table.everywhere(**_fall(method.name, np.array(self.ratios), solved[number], half))
        axes = ("optimizer", "size", "ratio")
        text = "share of formulas that can be satisfied of which some start reaches 0"
        return (
            table.dataset()
            .assign(
                threshold=(
                    ("size", "formula"),
                    thresholds,
                    {"long_name": "clauses for each variable that can be satisfied together"},
                ),
                solved=(axes, solved[..., 0], {"long_name": text}),
                solved_low=(axes, solved[..., 1], {"long_name": f"{text}: lower end"}),
                solved_high=(axes, solved[..., 2], {"long_name": f"{text}: upper end"}),
                starts_solved=(axes, by_start, {"long_name": "share of starts that reach 0"}),
            )
            .assign_coords(
                optimizer=[method.name for method in self.methods],
                size=self.sizes,
                ratio=self.ratios,
            )
        )

    def _formulas(self, seed: int, size: int) -> np.ndarray:
        """(formula, clause, 3)."""
        streams = Streams(seed, str(size), np.arange(self.formulas), "formulas")
        return random_clauses(streams, size, LONGEST * size)

    def _won(self, seed, method, size, ratio, drawn, thresholds, tally) -> np.ndarray:
        """Which starts reach 0 on the formulas that can be satisfied, (formula, start)."""
        variables = self.sizes[size]
        count = round(self.ratios[ratio] * variables)
        can = thresholds >= count / variables
        yes, no = np.flatnonzero(can)[: self.tried], np.flatnonzero(~can)[: self.tried // 4]
        won = []
        for number in [*yes, *no]:
            clauses = drawn[number, :count].tolist()
            streams = Streams(seed, f"{variables}/{number}", np.arange(self.starts), "starts")
            ends = search(clauses, self.methods[method], streams.uniform(variables))
            zero = tally.add(ends, clauses, bool(can[number]))
            if can[number]:
                won.append(zero)
        return np.array(won).reshape(len(won), self.starts)

    def _reduction(self, drawn: np.ndarray, thresholds: np.ndarray) -> dict:
        """On how many formulas of the first size, at and beyond their thresholds, do the solver and
        the program (a feasible point of 0 and 1 alone is one where L = 0) disagree?"""
        size, wrong, pairs = self.sizes[0], 0, []
        for formula, most in zip(drawn, np.rint(thresholds * size).astype(int), strict=True):
            pairs += [(formula, most), (formula, most + 1)]
        for formula, count in pairs[: self.compared]:
            clauses = formula[:count].tolist()
            wrong += binary_point(clauses, size) != satisfiable(clauses)
        tried = len(pairs[: self.compared])
        return {"reduction_errors": share(int(wrong), tried), "reduction_formulas": tried}


class Tally:
    """What is counted over all runs."""

    def __init__(self) -> None:
        self.runs = self.moving = self.unsound = self.on_unsatisfiable = self.false_zeros = 0
        self.rise, self.outside = -np.inf, -np.inf

    def add(self, ends, clauses, can: bool) -> np.ndarray:
        """Count the runs on one formula; which of them reach 0, (run,) bool."""
        zero = ends.loss < SOLVED
        self.runs += len(zero)
        self.moving += int((ends.steps < 0).sum())
        self.false_zeros += int((zero & ~satisfied(ends.points, clauses)).sum())
        if not can:
            self.on_unsatisfiable += len(zero)
            self.unsound += int(zero.sum())
        self.rise, self.outside = max(self.rise, ends.rise), max(self.outside, ends.outside)
        return zero

    def columns(self) -> dict:
        """The columns of these names."""
        return {
            "unsound": share(self.unsound, self.on_unsatisfiable),
            "false_zeros": self.false_zeros,
            "loss_rise": self.rise,
            "outside": self.outside,
            "not_at_rest": share(self.moving, self.runs),
        }


def binary_point(clauses, variables: int) -> bool:
    """Has the polytope a point of zeros and ones? By mixed-integer programming."""
    from scipy.optimize import LinearConstraint, milp

    rows, offsets = polytope(clauses, variables)
    found = milp(
        np.zeros(variables),
        integrality=np.ones(variables),
        bounds=(0, 1),
        constraints=LinearConstraint(rows, ub=offsets),
    )
    infeasible = 2
    if found.x is None and found.status != infeasible:
        raise ArithmeticError(f"mixed-integer programming did not decide: {found.message}")
    return found.x is not None


def median(values: np.ndarray) -> tuple[float, float, float]:
    """The median and its interval by order statistics: it is below the k-th of n values with the
    probability that a fair coin shows fewer than k heads in n throws."""
    from scipy.special import bdtr

    ordered = np.sort(values)
    count = len(ordered)
    tails = bdtr(np.arange(count), count, 0.5)
    below = int((tails <= (1 - CONFIDENCE) / 2).sum())  # values that may be left out at each end
    if below == 0:
        return float(np.median(ordered)), -np.inf, np.inf
    return float(np.median(ordered)), float(ordered[below - 1]), float(ordered[count - below])


def crossing(ratios: np.ndarray, middle, low, high) -> tuple[float, float, float]:
    """Where a falling share is ½: interpolated, between the last ratio whose interval lies above ½
    and the first one after it whose interval lies below; infinite where there is none. Ratios
    without a share are left out."""
    known = np.isfinite(middle)
    ratios, middle, low, high = (part[known] for part in (ratios, middle, low, high))
    above = np.flatnonzero(low > 0.5)
    left = above[-1] if len(above) else -1
    under = np.flatnonzero((high < 0.5) & (np.arange(len(ratios)) > left))
    ends = (
        ratios[left] if left >= 0 else -np.inf,
        ratios[under[0]] if len(under) else np.inf,
    )
    falls = np.flatnonzero((middle[:-1] >= 0.5) & (middle[1:] < 0.5))
    if not len(falls):
        return (np.nan, *ends)
    at = falls[-1]
    part = (middle[at] - 0.5) / (middle[at] - middle[at + 1])
    return float(ratios[at] + part * (ratios[at + 1] - ratios[at])), *map(float, ends)


def _fall(name: str, ratios: np.ndarray, solved: np.ndarray, half) -> dict:
    """The columns of one method. solved: (size, ratio, 3) shares with their intervals."""
    at, low, high = crossing(ratios, *solved[-1].T)
    rises = 0
    for middle, least, most in np.moveaxis(solved, 2, 1):
        for later in range(1, len(middle)):
            rises += bool((least[later] > most[:later]).any())
    lag = (half[0] - at, half[1] - high, half[2] - low)
    return {f"{name}_half": (at, low, high), f"{name}_lag": lag, f"{name}_rises": rises}


@nnflow.hookimpl
def nnflow_register(register):
    register("sat_phases", SatPhases)
