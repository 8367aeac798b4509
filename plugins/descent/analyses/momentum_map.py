"""Momentum on quadratics: rates over rate and momentum, measured and exact."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Table

from .._recursions import BORDERS, STEPS, measured, rate

HIGHEST, MOMENTUM = 4.0, 0.995
"""The map's largest αM and β."""
CASE = 0.9
"""β of the borders and effective rates that are columns."""
SLOW = 0.01
"""αλ of the slow mode over (1 − √β)², where the effective rate is measured."""
CASES = (0.0, 0.5, 0.8, 0.9)
"""β of the decays that are compared with the effective rate's."""
SPEEDS = np.geomspace(0.03, 2.5, 10)
"""αλ/(1 − √β)² of their modes."""
ZOOMS = 12
"""Zooms into the neighbourhood of the best setting, each by a factor of 3."""


class MomentumMap(Analysis):
    """Rates of three recursions with momentum on a spectrum [μ, M], κ = M/μ: the heavy ball,
    Nesterov's, and the one that the lecture prints, whose gradient is a step late.

    `measured_rate` (recursion, rate, momentum) is the mean growth per step of 1000 steps, all
    settings in one batch; `exact_rate` the larger spectral radius of the modes μ and M. They
    differ by no more than ln N/N where roots are double. Coordinates: αM and β.

    Best settings are searched for in the exact rates, by zooming into the map; borders at
    β = 0.9 by bisection in the sign of the measured growth. `decay` (case, speed) is the measured
    decay per step of the heavy ball at β = case and αλ = speed·(1 − √β)², over what the effective
    rate promises, αλ/(1 − β).
    """

    columns = {
        **{f"{name}_error": f"largest error of the measured rate, {name}" for name in STEPS},
        **{f"{name}_misjudged": f"share of settings judged wrongly stable or unstable, {name}"
           for name in STEPS},
        **{f"{name}_border": f"αM at which the measured growth turns, β = 0.9, {name}"
           for name in STEPS},
        **{f"{name}_effective": f"slow mode's −ln(rate) over αλ/(1 − β), β = 0.9, {name}"
           for name in STEPS},
        "descent_best": "best rate without momentum",
        "heavy_ball_best": "best rate of the heavy ball",
        "nesterov_best": "best rate of Nesterov's recursion",
        "delayed_best": "best rate of the recursion as printed",
        "delayed_best_momentum": "the momentum at which it is reached",
        "delayed_gains": "share of momenta > 0 at which its best rate is lower than at 0",
    }  # fmt: skip

    size: Annotated[int, Field(ge=10)] = 200
    """Rates, and momenta, of the map."""
    steps: PositiveInt = 1000
    """Steps of each setting."""
    condition: Annotated[float, Field(gt=1)] = 10.0
    """κ."""

    def compute(self, results):
        import xarray as xr

        s = np.linspace(HIGHEST / self.size, HIGHEST, self.size)
        beta = np.linspace(0, MOMENTUM, self.size)
        found = np.array(
            [measured(m, s[:, None], beta[None], self.condition, self.steps) for m in STEPS]
        )
        exact = np.array([rate(m, s[:, None], beta[None], self.condition) for m in STEPS])
        table = Table(results, self.columns)
        for place, name in enumerate(STEPS):
            table.everywhere(
                **{
                    f"{name}_error": np.abs(found[place] - exact[place]).max(),
                    f"{name}_misjudged": misjudged(found[place], s, beta, BORDERS[name]),
                    f"{name}_border": border(name, CASE),
                    f"{name}_effective": effective(name, CASE),
                }
            )
        table.everywhere(**self._best(beta))
        names = ("recursion", "rate", "momentum")
        return table.dataset().assign(
            measured_rate=(names, found, {"long_name": "measured growth of the error per step"}),
            exact_rate=(names, exact, {"long_name": "exact growth of the error per step"}),
            recursion=("recursion", list(STEPS)),
            rate=xr.DataArray(s, dims="rate", attrs={"long_name": "αM"}),
            momentum=("momentum", beta, {"long_name": "β"}),
            decay=(
                ("case", "speed"),
                np.array([[effective("heavy_ball", b, u) for u in SPEEDS] for b in CASES]),
                {"long_name": "decay per step of the heavy ball over αλ/(1 − β)"},
            ),
            case=("case", list(CASES), {"long_name": "β"}),
            speed=("speed", SPEEDS, {"long_name": "αλ/(1 − √β)²"}),
        )

    def _best(self, beta: np.ndarray) -> dict[str, float]:
        best = {name: best_setting(name, self.condition) for name in STEPS}
        none = best_setting("delayed", self.condition, momentum=0.0)[0]
        with_some = [best_setting("delayed", self.condition, momentum=b)[0] for b in beta[1:]]
        return {
            "descent_best": best_setting("heavy_ball", self.condition, momentum=0.0)[0],
            "heavy_ball_best": best["heavy_ball"][0],
            "nesterov_best": best["nesterov"][0],
            "delayed_best": best["delayed"][0],
            "delayed_best_momentum": best["delayed"][2],
            "delayed_gains": float(np.mean(np.array(with_some) < none)),
        }


def misjudged(found: np.ndarray, s: np.ndarray, beta: np.ndarray, exact) -> float:
    """The share of settings that the measured growth calls stable and the exact border does not,
    or the other way round, more than a grid step from the border."""
    ends = exact(beta)[None]
    away = np.abs(s[:, None] - ends) > s[1] - s[0]
    wrong = (found < 1) != (s[:, None] < ends)
    return float(wrong[away].mean())


def border(method: str, beta: float, steps: int = 4000) -> float:
    """The αM at which the growth of one mode over many steps turns from below 1 to above, to
    1e-3."""
    low, high = 1e-3, HIGHEST
    while high - low > 1e-3:
        s = np.linspace(low, high, 21)
        place = int(np.argmax(measured(method, s, beta, 1.0, steps) > 1))
        low, high = s[place - 1], s[place]
    return float((low + high) / 2)


def effective(method: str, beta: float, slow: float = SLOW) -> float:
    """The rate of the mode αλ = slow·(1 − √β)², over the effective one α/(1 − β): from half the
    time in which a slow one falls by e⁴ to the whole, and 250 steps or more, as the first steps
    only bring the velocity up."""
    s = slow * (1 - np.sqrt(beta)) ** 2
    half = max(int(2 * (1 - beta) / s), 250)
    first, last = (
        steps * np.log(measured(method, s, beta, 1.0, steps)) for steps in (half, 2 * half)
    )
    return float((first - last) / half / (s / (1 - beta)))


def best_setting(
    method: str, condition: float, momentum: float | None = None
) -> tuple[float, float, float]:
    """The least exact rate with the αM and β where it is reached. momentum: β, if it is given."""
    s, beta = np.linspace(0.001, HIGHEST, 401), np.linspace(0, MOMENTUM, 200)
    if momentum is not None:
        beta = np.array([momentum])
    for _ in range(ZOOMS):
        values = rate(method, s[:, None], beta[None], condition)
        i, j = np.unravel_index(values.argmin(), values.shape)
        best = float(values[i, j]), float(s[i]), float(beta[j])
        s = np.clip(best[1] + (s - s[0] - (s[-1] - s[0]) / 2) / 3, 1e-6, HIGHEST)
        if momentum is None:
            beta = np.clip(best[2] + (beta - beta[0] - (beta[-1] - beta[0]) / 2) / 3, 0, MOMENTUM)
    return best


@nnflow.hookimpl
def nnflow_register(register):
    register("momentum_map", MomentumMap)
