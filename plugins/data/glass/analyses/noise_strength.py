"""How strong the noise of minibatches is as training goes on, and whether aging is no more."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table, UserError, mean

from .._disorders import independent, ratio
from .._two_times import at_lag, displacement, kept_weights

LAGS, SHORTEST = 25, 1 / 16
"""Lags of the curves, at equal ratios, from this part of the longest on."""


class NoiseStrength(Analysis):
    """D(t) = tr Cov(∇L_B) at the kept weights w(t), the variance of the gradient over minibatches B
    of the optimizer's size, as Σₖ‖gₖ − ḡ‖²/(K − 1) of the K minibatches of one random partition of
    the samples.

    Were motion the noise's alone, and only its strength changed with age, ‖w(t_w + t) − w(t_w)‖²
    divided by the mean of D from t_w to t_w + t would be a function of the lag t alone: `collapse`,
    the ratio of that after the longest and the shortest wait, would be 1 (the rescaling of
    Baity-Jesi et al. 2018, Section 4.2). Below 1 motion slows down more than the noise, above 1
    less. Constant factors cancel, that of minibatches drawn without replacement too. All are means,
    or ratios of means, over runs, with 99 % intervals. `noise_curve`, over (`noise_wait`,
    `noise_lag`), in steps: the squared displacement over shorter lags, too, divided by the same
    mean of D.
    """

    needs = ("training", "objective")
    columns = {
        "noise_early": "mean noise strength over the lag after the shortest wait",
        "noise_late": "the same after the longest wait",
        "noise_fall": "noise strength after the longest wait by that after the shortest",
        "noise_collapse": "squared displacement by noise strength, over one lag, likewise",
    }

    waiting: list[PositiveInt]
    """Waiting times t_w in steps, increasing; the first and the last count."""
    lag: PositiveInt
    """The lag t, in steps."""

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        lags = self.lag * np.geomspace(SHORTEST, 1, LAGS)
        for configuration, trained in results.each("training"):
            groups = independent(configuration, trained)
            weights, steps = kept_weights(trained), trained["kept_step"].values.astype(float)
            waits, means, moved = (self.waiting[0], self.waiting[-1]), [], []
            windows = [(steps >= wait) & (steps <= wait + self.lag) for wait in waits]
            read = windows[0] | windows[1]
            noise = np.full(weights.shape[:2], np.nan)
            noise[:, read] = self._noise(results, configuration, weights[:, read])
            for wait, within in zip(waits, windows, strict=True):
                if within.sum() < 2:
                    raise UserError(
                        f"{results.study.file}: analyses.noise_strength: fewer than two of the kept"
                        f" weights lie between steps {wait} and {wait + self.lag}; keep more"
                        " (`trace: {weights: N}`)"
                    )
                means.append(_average(noise[:, within], steps[within]))
                moved.append(_moved(weights, steps, wait, lags) / means[-1])
            table.row(
                configuration,
                noise_early=mean(means[0]),
                noise_late=mean(means[1]),
                noise_fall=ratio(means[1], means[0], groups),
                noise_collapse=ratio(moved[1][-1], moved[0][-1], groups),
            )
            parts.append(_curves(waits, lags, [each.mean(axis=1) for each in moved]))
        return table.joined(parts)

    def _noise(self, results, configuration, weights: np.ndarray) -> np.ndarray:
        """D of each run at each kept step, (run, kept step)."""
        loss = results.objective(configuration)
        size = configuration.settings.optimizer.minibatch
        stream = Streams(results.study.settings.seed, configuration.label, np.arange(1), "noise")
        order = stream.uniform(loss.samples)[0].argsort()
        batches = order[: loss.samples // size * size].reshape(-1, size)
        runs, kept, _ = weights.shape
        points = weights.reshape(runs * kept, -1)
        total, squares = np.zeros_like(points), np.zeros(len(points))
        for number, batch in enumerate(batches):
            results.progress(number, len(batches), configuration.label)
            gradient = loss.among(batch).gradient(points)
            total += gradient
            squares += (gradient**2).sum(axis=1)
        spread = squares - (total**2).sum(axis=1) / len(batches)
        return spread.reshape(runs, kept) / (len(batches) - 1)


def _moved(weights: np.ndarray, steps: np.ndarray, wait: float, lags: np.ndarray) -> np.ndarray:
    """‖w(t_w + t) − w(t_w)‖², (lag, run); NaN for lags shorter than those kept."""
    start = int(np.abs(steps - wait).argmin())
    norms = (weights[:, start] ** 2).sum(axis=1)
    curve = displacement(weights, steps, wait)
    return norms * np.array([at_lag(*curve, lag) for lag in lags])


def _curves(waits, lags: np.ndarray, curves: list[np.ndarray]):
    import xarray as xr

    return xr.Dataset(
        {"noise_curve": (("noise_wait", "noise_lag"), np.array(curves))},
        {"noise_wait": list(waits), "noise_lag": lags},
    )


def _average(values: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """Time averages of rows, (run,), by the trapezoidal rule."""
    return np.trapezoid(values, steps, axis=1) / (steps[-1] - steps[0])


@nnflow.hookimpl
def nnflow_register(register):
    register("noise_strength", NoiseStrength)
