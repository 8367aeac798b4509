"""Descent on a spin glass: energy against time, and displacements between two times."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import note
from .._mean_field import THRESHOLD
from ._two_time_panel import LINES, ages, curves, told

SHIFT = 10.0
"""By which the curves of infinitely many spins are divided, to be seen apart."""


class GlassyDynamics(Figure):
    """(a) Energy per spin above the threshold −2/√3 against time, means over disorders, and that of
    infinitely many spins by the Cugliandolo–Kurchan equations (thick), which falls as t^(−2/3)
    (thin). (b) Displacement over the lag t after waiting times t_w, at the largest Λ: without aging
    the lines would fall together. (c) The same against t/t_w, of which it is a function where age
    is the only time there is; thin, shifted down: infinitely many spins. (d) The displacement over
    one lag after the longest wait over that after the shortest; bars: 99 % intervals over
    disorders; 1 is no aging, the band is infinitely many spins. Physicist's units. (b) after
    Baity-Jesi et al. 2018, Fig. 4."""

    needs = ("two_time_displacement", "mean_field_glass")

    def draw(self, results):
        import matplotlib.pyplot as plt

        aged, field = results["two_time_displacement"], results["mean_field_glass"]
        sizes = [c.settings.model.size for c in results.configurations]
        unit = np.sqrt(2) * results.configurations[-1].settings.optimizer.rate
        figure, grid = plt.subplots(2, 2, figsize=(6.75, 5.0))
        axes = grid.ravel()
        _energies(axes[0], field, sizes)
        curves(axes[1], aged, -1, unit)
        axes[1].set_xlabel("lag $t$", fontsize=8)
        axes[1].set_ylabel("squared displacement Δ", fontsize=8)
        axes[1].set_title(f"(b) displacement, Λ = {sizes[-1]}", fontsize=8, loc="left")
        _by_age(axes[2], aged, field, sizes[-1])
        _slowing(axes[3], aged, field, sizes)
        waits = aged["waiting"].values
        said = "ages" if ages(aged, -1) else "need not age"
        figure.suptitle(
            f"Descent on a glass {said}: after {waits[-1] / waits[0]:.3g} times the wait"
            f" the squared displacement\nis {told(aged, -1)} times as large",
            fontsize=9,
        )
        note(figure, f"title: Λ = {sizes[-1]}", "99 % intervals over disorders")
        return figure


def _energies(axis, field, sizes) -> None:
    time, limit = field["time"].values[1:], field["mean_field_energy"].values[1:] - THRESHOLD
    axis.plot(time, limit, "k-", lw=2)
    late = time > 4
    axis.plot(time[late], 1.5 * limit[-1] * (time[late] / time[-1]) ** (-2 / 3), "k-", lw=0.7)
    for text, height in (("$t^{−2/3}$", 1.5 * limit[-1]), ("Λ = ∞", limit[-1])):
        axis.annotate(
            text, (time[-1], height), (3, 0), textcoords="offset points", fontsize=7, va="center"
        )
    for place, size in enumerate(sizes):
        there = field["trace_time"].values[place] > 0.25
        energy = field["energy_at"].values[place] - THRESHOLD
        axis.plot(
            field["trace_time"].values[place][there], energy[there], "o^sD"[place], ms=3,
            mfc="none", ls=("--", "-.", ":", "--")[place], lw=0.8, color=f"C{place}",
            label=f"Λ = {size}",
        )  # fmt: skip
    axis.set(xscale="log", yscale="log", xlim=(time[0], 5 * time[-1]))
    axis.legend(fontsize=7, loc="lower left", frameon=False)
    axis.tick_params(labelsize=7)
    axis.set_xlabel("time", fontsize=8)
    axis.set_ylabel("energy above threshold", fontsize=8)
    axis.set_title("(a) energy per spin", fontsize=8, loc="left")


def _by_age(axis, aged, field, size: int) -> None:
    """Displacements against t/t_w, of the largest glass and of infinitely many spins."""
    curves(axis, aged, -1, by_age=True)
    axis.get_legend().remove()
    for number, wait in enumerate(field["mean_field_wait"].values):
        lags, moved = field["time"].values[1:], field["mean_field_curve"].values[number, 1:]
        axis.plot(lags / wait, moved / SHIFT, color="k", lw=0.8, ls=LINES[number % 3])
    axis.annotate(
        f"Λ = ∞, divided by {SHIFT:g}", (0.97, 0.05), fontsize=7, ha="right",
        xycoords="axes fraction",
    )  # fmt: skip
    axis.set_xlabel("lag over waiting time, $t/t_w$", fontsize=8)
    axis.set_ylabel("squared displacement Δ", fontsize=8)
    axis.set_title(f"(c) by age, Λ = {size}", fontsize=8, loc="left")


def _slowing(axis, aged, field, sizes) -> None:
    value, low, high = (aged[f"slowing{end}"].values for end in ("", "_low", "_high"))
    axis.errorbar(sizes, value, [value - low, high - value], fmt="o", ms=4, lw=1, capsize=3)
    band = [float(field[f"mean_field_slowing{end}"][0]) for end in ("_low", "_high")]
    axis.axhspan(*band, color="0.8", lw=0)
    axis.axhline(1, color="k", ls="--", lw=0.8)
    axis.annotate("no aging", (sizes[0], 1), (0, 3), textcoords="offset points", fontsize=7)
    axis.annotate(
        "Λ = ∞", (2.4 * sizes[-1], band[1]), (0, 3), textcoords="offset points", fontsize=7,
        ha="right",
    )  # fmt: skip
    axis.set_xscale("log")
    axis.minorticks_off()
    axis.set_xticks(sizes, [str(size) for size in sizes])
    axis.set(xlim=(sizes[0] / 1.3, sizes[-1] * 2.5), ylim=(min(-0.05, low.min() - 0.05), 1.15))
    axis.tick_params(labelsize=7)
    axis.set_xlabel("spins Λ", fontsize=8)
    axis.set_ylabel("ratio of squared displacements", fontsize=8)
    axis.set_title("(d) slowing", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("glassy_dynamics", GlassyDynamics)
