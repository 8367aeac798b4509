"""Do weights age? Displacements after two waiting times."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table

from .._disorders import independent, ratio
from .._two_times import ages, at_lag, displacement, kept_weights

LAGS = 40
"""Lags of the curves, at equal ratios."""


class TwoTimeDisplacement(Analysis):
    """Δ(t_w, t_w + t) = ‖w(t_w + t) − w(t_w)‖²/‖w(t_w)‖² along trajectories whose weights are kept.

    Without aging Δ depends on the lag t alone: `slowing` is 1. Aging makes it smaller; where Δ is
    a function of t/t_w, `collapse` is 1. `rescaled` is the slowing over that of a lag of a quarter:
    1 where only the strength of the motion changes with age. `growth` is the exponent of Δ in the
    lag, from t to 2t, after the longest wait: 1 for diffusion, 2 for straight motion. All are
    ratios of means of Δ over independent runs (of a glass: over disorders), with 99 % intervals
    from the spread of what is left of the numerators. `curve` is over (`waiting`, `lag`), in steps.
    """

    needs = ("training",)
    columns = {
        "independent": "independent trajectories",
        "slowing": "squared displacement over a lag, after the longest wait by after the shortest",
        "collapse": "displacement over a lag as long as the wait, likewise",
        "rescaled": "slowing over that of a lag of a quarter",
        "growth": "exponent of the displacement in the lag after the longest wait",
    }

    waiting: list[PositiveInt]
    """Waiting times t_w in steps, increasing."""
    lag: PositiveInt
    """The lag t of `slowing`, in steps."""

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            groups = independent(configuration, trained)
            weights, steps = kept_weights(trained), trained["kept_step"].values.astype(float)
            curves = {wait: displacement(weights, steps, wait) for wait in self.waiting}
            early, late = self.waiting[0], self.waiting[-1]

            def delta(wait: float, lag: float, curves=curves) -> np.ndarray:
                return at_lag(*curves[wait], lag)

            slowing, collapse = ages(delta, early, late, self.lag)
            short, _ = ages(delta, early, late, self.lag / 4)
            growth = ratio(delta(late, 2 * self.lag), delta(late, self.lag), groups)
            with np.errstate(divide="ignore"):
                exponent = tuple(float(number) for number in np.log2(growth))
            table.row(
                configuration,
                independent=len(groups),
                slowing=ratio(*slowing, groups),
                collapse=ratio(*collapse, groups),
                rescaled=ratio(slowing[0] * short[1].mean(), slowing[1] * short[0].mean(), groups),
                growth=exponent,
            )
            parts.append(_curves(curves, steps))
        return table.joined(parts)


def _curves(curves, steps: np.ndarray):
    import xarray as xr

    lags = np.geomspace(1, steps[-1], LAGS)
    means = [[at_lag(*curve, lag).mean() for lag in lags] for curve in curves.values()]
    return xr.Dataset(
        {"curve": (("waiting", "lag"), np.array(means))},
        {"waiting": list(curves), "lag": lags},
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("two_time_displacement", TwoTimeDisplacement)
