"""The glass of infinitely many spins beside finite ones."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, Table

from .._disorders import by_disorder, over_disorders
from .._mean_field import THRESHOLD, extrapolated
from .._two_times import ages

WAITS = 3
"""Waiting times of the curves, at equal ratios from the shortest to the longest."""


class MeanFieldGlass(Analysis):
    """Energies along descents, in a physicist's units, beside the Cugliandolo–Kurchan equations.

    A step of rate α takes the time √2 α, and the energy per spin is L/√2. The equations are solved
    with the steps h, 2h and 4h; Richardson's extrapolation of the first two is the value, and its
    difference from that of the last two its error: intervals of columns of the equations are those
    of this error. `exponent` is that of e(t) − e_th between half of the time and all of it, and
    `threshold` comes of a line through e against t^(−2/3) over the same times. `away` is the
    difference of the two energies at the middle time, by the means over disorders.
    Over `time`: `mean_field_energy`, and `mean_field_curve` (`mean_field_wait`, time), the squared
    displacement over a lag of that time; and `energy_at`, the mean over runs, at `trace_time`.
    """

    needs = ("training",)
    models = ("spherical_spin_glass",)
    columns = {
        "energy": "energy per spin at the last time, physicist's units",
        "above_threshold": "that energy less the threshold −2/√3",
        "away": "energy less that of infinitely many spins, at the middle time",
        "threshold": "energy to which infinitely many spins fall, extrapolated",
        "exponent": "exponent of that fall",
        "mean_field_slowing": "slowing of infinitely many spins",
        "mean_field_collapse": "collapse of infinitely many spins",
    }

    step: PositiveFloat = 0.05
    """h, the smallest time step of the equations."""
    duration: PositiveFloat = 40.0
    """Time to which they are solved."""
    waiting: tuple[PositiveFloat, PositiveFloat] = (2.0, 8.0)
    """Shortest and longest waiting time of the ratios; twice the longest is at most `duration`."""
    lag: PositiveFloat = 4.0
    """Lag of the slowing."""

    def compute(self, results):
        table = Table(results, self.columns)
        fine, coarse = extrapolated(self.step, self.duration)
        table.everywhere(**_with_errors(*(self._limits(each) for each in (fine, coarse))))
        parts = []
        for configuration, trained in results.each("training"):
            time, energy = _trajectories(configuration, trained)
            rows = [rows for _, rows in by_disorder(configuration, trained)]
            last = [energy[r, -1].mean() for r in rows]
            middle = int(np.abs(time - self.duration / 2).argmin())
            there = np.interp(time[middle], fine.time, fine.energy)
            table.row(
                configuration,
                energy=over_disorders(last),
                above_threshold=over_disorders([value - THRESHOLD for value in last]),
                away=over_disorders([energy[r, middle].mean() - there for r in rows]),
            )
            parts.append(_curve(time, energy.mean(axis=0)))
        joined = table.joined(parts)
        joined["mean_field_energy"] = ("time", fine.energy)
        waits = np.geomspace(*self.waiting, WAITS)
        moved = np.array([_displacement(fine, wait) for wait in waits])
        joined["mean_field_curve"] = (("mean_field_wait", "time"), moved)
        return joined.assign_coords(time=fine.time, mean_field_wait=waits)

    def _limits(self, dynamics) -> dict[str, float]:
        """The columns of the equations, of one solution."""
        time, energy, correlation = dynamics
        end, half = len(time) - 1, (len(time) - 1) // 2

        def delta(wait: float, lag: float) -> float:
            first, second = (int(np.abs(time - t).argmin()) for t in (wait, wait + lag))
            return 2 * (1 - correlation[second, first])

        slowing, collapse = ages(delta, *self.waiting, self.lag)
        above = energy - THRESHOLD
        line = np.polyfit(time[half:] ** (-2 / 3), energy[half:], 1)
        return {
            "threshold": float(line[1]),
            "exponent": float(-np.log(above[end] / above[half]) / np.log(time[end] / time[half])),
            "mean_field_slowing": float(slowing[0] / slowing[1]),
            "mean_field_collapse": float(collapse[0] / collapse[1]),
        }


def _displacement(dynamics, wait: float) -> np.ndarray:
    """2(1 − C(t_w + t, t_w)) for each lag t of the grid, (time,); NaN beyond the last time."""
    start = int(np.abs(dynamics.time - wait).argmin())
    moved = np.full(len(dynamics.time), np.nan)
    moved[: len(moved) - start] = 2 * (1 - dynamics.correlation[start:, start])
    return moved


def _with_errors(fine: dict[str, float], coarse: dict[str, float]) -> dict:
    """(value, low, high) of each, with the difference as the error."""
    errors = {name: abs(value - coarse[name]) for name, value in fine.items()}
    return {n: (value, value - errors[n], value + errors[n]) for n, value in fine.items()}


def _trajectories(configuration, trained) -> tuple[np.ndarray, np.ndarray]:
    """Times (step,) and energies (run, step) in a physicist's units; a run that has converged
    keeps its last energy."""
    rate = configuration.settings.optimizer.rate
    losses = trained["trace_loss"].values.copy()
    ended = ~np.isfinite(losses)
    losses[ended] = np.broadcast_to(trained["loss"].values[:, None], losses.shape)[ended]
    return np.sqrt(2) * rate * trained["trace_step"].values, losses / np.sqrt(2)


def _curve(time: np.ndarray, energy: np.ndarray):
    import xarray as xr

    places = np.arange(len(time))
    return xr.Dataset(
        {"trace_time": ("trace", time), "energy_at": ("trace", energy)}, {"trace": places}
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("mean_field_glass", MeanFieldGlass)
