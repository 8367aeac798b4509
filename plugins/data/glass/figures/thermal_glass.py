"""The glass at temperatures above and below its dynamical transition."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import note
from ._two_time_panel import ages, curves, told


class ThermalGlass(Figure):
    """(a) Energy per spin against time at each temperature and size, means over disorders, that of
    infinitely many spins by the Cugliandolo–Kurchan equations (thick), and that for t → ∞ (thin).
    Then the displacement over the lag t after waiting times t_w, of the largest glass, (b) at the
    lowest temperature and (c) at the highest: without aging the lines fall together. Physicist's
    units. (b) and (c) after Baity-Jesi et al. 2018, Fig. 4."""

    needs = ("two_time_displacement", "thermal_glass")

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import NullFormatter

        aged, field = results["two_time_displacement"], results["thermal_glass"]
        settings = [c.settings for c in results.configurations]
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 3.0), width_ratios=[1.2, 1, 1])
        _energies(axes[0], field, settings)
        temperatures = [each.optimizer.temperature for each in settings]
        coldest, warmest = min(temperatures), max(temperatures)
        slowing, found = [], []
        for axis, temperature, letter in zip(axes[1:], (coldest, warmest), "bc", strict=True):
            place = max(
                (n for n, each in enumerate(temperatures) if each == temperature),
                key=lambda n: settings[n].model.size,
            )
            curves(axis, aged, place, settings[place].optimizer.time_step)
            axis.set_xlabel("lag $t$", fontsize=8)
            axis.set_title(
                f"({letter}) T = {temperature:g}, Λ = {settings[place].model.size}",
                fontsize=8, loc="left",
            )  # fmt: skip
            slowing.append(told(aged, place))
            found.append("ages" if ages(aged, place) else "does not age visibly")
        axes[1].set_ylabel("squared displacement Δ", fontsize=8)
        bottom = min(axis.get_ylim()[0] for axis in axes[1:])
        for axis in axes[1:]:
            axis.set_ylim(bottom, 3)
            axis.yaxis.set_minor_formatter(NullFormatter())
        waits = aged["waiting"].values
        figure.suptitle(
            f"At T = {coldest:g} the glass {found[0]}, at T = {warmest:g} it {found[1]}: after"
            f" {waits[-1] / waits[0]:.3g} times the wait\nthe squared displacement is {slowing[0]}"
            f" and {slowing[1]} times as large",
            fontsize=9,
        )
        note(figure, "99 % intervals over disorders", "(a) thick: Λ = ∞, thin: after infinite time")
        return figure


def _energies(axis, field, settings) -> None:
    drawn: set[float] = set()
    for place, each in enumerate(settings):
        temperature, size = each.optimizer.temperature, each.model.size
        time = field["time"].values[1:]
        if temperature not in drawn:
            axis.plot(time, field["mean_field_energy"].values[place][1:], "k-", lw=2, zorder=1)
            late = float(field["late"][place])
            axis.axhline(late, color="k", lw=0.6)
            axis.annotate(
                f"T = {temperature:g}", (0.02, late), (0, 2), fontsize=7, va="bottom",
                xycoords=axis.get_yaxis_transform(), textcoords="offset points",
            )  # fmt: skip
            drawn.add(temperature)
        trace = field["trace_time"].values[place]
        seen = np.isfinite(trace) & (trace > 0.05)
        axis.plot(
            trace[seen], field["energy_at"].values[place][seen], "o^sD"[place % 4], ms=3,
            mfc="none", ls=":", lw=0.8, color=f"C{place}", label=f"Λ = {size}, T = {temperature:g}",
        )  # fmt: skip
    axis.set(xscale="log")
    axis.legend(fontsize=6.5, loc="upper right", frameon=False)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("time", fontsize=8)
    axis.set_ylabel("energy per spin", fontsize=8)
    axis.set_title("(a) energy", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("thermal_glass", ThermalGlass)
