"""The glass at positive temperature, beside that of infinitely many spins."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, Table

from .._disorders import by_disorder, over_disorders
from .._mean_field import extrapolated, late_energy
from .._two_times import ages


class ThermalGlass(Analysis):
    """Energies per spin of `spin_langevin`, in a physicist's units, beside the Cugliandolo–Kurchan
    equations at the same temperature.

    The equations are solved with the steps h, 2h and 4h; Richardson's extrapolation of the first
    two is the value, and its difference from that of the last two its error: intervals of columns
    of the equations are those of this error. Energies are means over the recorded steps of the last
    half of the time, then over the runs of a disorder; `away` is at recorded steps between half of
    the `duration` and all of it. Over `time`: `mean_field_energy`; and `energy_at`, the mean over
    runs, at `trace_time`.
    """

    needs = ("training",)
    models = ("spherical_spin_glass",)
    columns = {
        "energy": "energy per spin in the last half of the time, physicist's units",
        "late": "energy of infinitely many spins for t → ∞: −1/(2T) or the threshold",
        "above_late": "energy less that of infinitely many spins for t → ∞",
        "away": "energy less that of infinitely many spins at the same times",
        "mean_field_last": "energy of infinitely many spins at the last time of the equations",
        "mean_field_slowing": "slowing of infinitely many spins",
    }

    step: PositiveFloat = 0.05
    """h, the smallest time step of the equations."""
    duration: PositiveFloat = 20.0
    """Time to which they are solved."""
    waiting: tuple[PositiveFloat, PositiveFloat] = (2.0, 8.0)
    """Shortest and longest waiting time of their slowing; with the lag at most `duration`."""
    lag: PositiveFloat = 4.0
    """Lag of the slowing."""

    def compute(self, results):
        table, solved, parts = Table(results, self.columns), {}, []
        for place, (configuration, trained) in enumerate(results.each("training")):
            results.progress(place, len(results.configurations), configuration.label)
            temperature = configuration.settings.optimizer.temperature
            if temperature not in solved:
                solved[temperature] = extrapolated(
                    self.step, self.duration, temperature=temperature
                )
            fine, coarse = solved[temperature]
            time = configuration.settings.optimizer.time_step * trained["trace_step"].values
            energy, late = trained["trace_loss"].values / np.sqrt(2), late_energy(temperature)
            rows = [rows for _, rows in by_disorder(configuration, trained)]
            last = energy[:, time >= time[-1] / 2].mean(axis=1)
            beside = (time >= self.duration / 2) & (time <= self.duration)
            away = (energy - np.interp(time, fine.time, fine.energy))[:, beside].mean(axis=1)
            table.row(
                configuration,
                energy=over_disorders([last[r].mean() for r in rows]),
                late=late,
                above_late=over_disorders([last[r].mean() - late for r in rows]),
                away=over_disorders([away[r].mean() for r in rows]),
                mean_field_last=_with_error(fine.energy[-1], coarse.energy[-1]),
                mean_field_slowing=_with_error(self._slowing(fine), self._slowing(coarse)),
            )
            parts.append(_curve(time, energy.mean(axis=0), fine))
        return table.joined(parts)

    def _slowing(self, dynamics) -> float:
        time, _, correlation = dynamics

        def delta(wait: float, lag: float) -> float:
            first, second = (int(np.abs(time - t).argmin()) for t in (wait, wait + lag))
            return 2 * (1 - correlation[second, first])

        above, below = ages(delta, *self.waiting, self.lag)[0]
        return float(above / below)


def _with_error(fine: float, coarse: float) -> tuple[float, float, float]:
    error = abs(fine - coarse)
    return float(fine), float(fine - error), float(fine + error)


def _curve(time: np.ndarray, energy: np.ndarray, fine):
    import xarray as xr

    return xr.Dataset(
        {
            "trace_time": ("trace", time),
            "energy_at": ("trace", energy),
            "mean_field_energy": ("time", fine.energy),
        },
        {"trace": np.arange(len(time)), "time": fine.time},
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("thermal_glass", ThermalGlass)
