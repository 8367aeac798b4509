"""Plateaus of the loss of linear networks: runs that pass near saddles."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis

from ..._matrices import constructed, values_of


class LinearPlateaus(Analysis):
    """Where the loss of a run stalls, compared with the critical values ½Σs² of the network.

    A plateau is a local minimum of the gradient norm along the trace, below `flat`, before the
    end of the run; optimizers that go uphill have none.

    Escapes are timed where starts are constructed critical points with noise. Gradient descent of
    step α leaves a saddle with the lowest eigenvalue λ < 0 by the factor 1 − αλ a step, so that
    n·ln(1 − αλ) grows by ln(δ/δ') when the noise falls from δ to δ'. It needs the noiseless
    configuration, for λ, and common starts.
    """

    needs = ("training", "critical_points")
    models = ("linear_network",)
    columns = {
        "plateaus": "plateaus of all runs",
        "plateau_values": "distinct critical values at which plateaus lie",
        "plateau_error": "largest distance of a plateau from a critical value",
        "escape_slope": "time to leave a saddle, × its most negative curvature, per ln(1/noise)",
        "escapes": "runs whose escape was timed at two levels of noise",
    }

    flat: PositiveFloat = 0.02
    """A plateau's gradient norm is below this."""
    drop: PositiveFloat = 0.01
    """A run has left a saddle when its loss is below the saddle's by this."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, trained in results.each("training"):
            if not getattr(configuration.settings.optimizer, "is_gradient_descent", False):
                continue
            table.row(configuration, **self._plateaus(configuration.settings.model, trained))
            if (initializer := constructed(configuration)) and initializer.noise:
                escapes = self._escapes(results, configuration, trained, initializer.noise)
                table.row(configuration, **escapes)
        return table.dataset()

    def _plateaus(self, model, trained) -> dict[str, float]:
        norm, loss = (trained[f"trace_{n}"].values for n in ("gradient_norm", "loss"))
        inner = norm[:, 1:-1]
        # NaN after a run's end compares as false
        lowest = (inner < norm[:, :-2]) & (inner < norm[:, 2:]) & (inner < self.flat)
        found = loss[:, 1:-1][lowest]
        if not found.size:
            return {"plateaus": 0, "plateau_values": 0}
        values = values_of(model)
        distance = np.abs(found[:, None] - values)
        return {
            "plateaus": found.size,
            "plateau_values": len(np.unique(distance.argmin(axis=1))),
            "plateau_error": distance.min(axis=1).max(),
        }

    def _escapes(self, results, configuration, trained, noise: float) -> dict:
        """The slope against the configuration with the next larger noise of the same network."""
        others = {
            start.noise: other
            for other in results.configurations
            if (start := constructed(other)) is not None
            and other.settings.model.widths == configuration.settings.model.widths
        }
        larger = [level for level in others if level > noise]
        if not larger or 0 not in others:
            return {}
        level = min(larger)
        saddle = results.at("critical_points", others[0].label)
        lowest = saddle["min_eigenvalue"].values
        steep = (saddle["index"].values > 0) & np.isfinite(lowest)
        growth = np.log1p(configuration.settings.optimizer.rate * np.where(steep, -lowest, 0))
        times = [
            _passage(part, saddle["loss"].values - self.drop)
            for part in (trained, results.at("training", others[level].label))
        ]
        slope = ((times[0] - times[1]) * growth / np.log(level / noise))[steep]
        slope = slope[np.isfinite(slope)]
        return {"escape_slope": nnflow.mean(slope), "escapes": len(slope)}


def _passage(trained, below: np.ndarray) -> np.ndarray:
    """The step at which each run's loss falls below its level, between recorded steps by
    interpolation; NaN where it does not; (run,)."""
    steps, loss = trained["trace_step"].values, trained["trace_loss"].values
    passed = loss < below[:, None]
    at = passed.argmax(axis=1)
    rows = np.arange(len(loss))
    before = np.maximum(at - 1, 0)
    high, low = loss[rows, before], loss[rows, at]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (high - below) / (high - low)
        step = steps[before] + share * (steps[at] - steps[before])
    return np.where(at > 0, step, np.nan)  # 0, too, where it never falls


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_plateaus", LinearPlateaus)
