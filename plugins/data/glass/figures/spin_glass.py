"""Energies of minima against the size of the spin glass, and the index of critical points."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import note
from .._levels import EDGE, lowest, negative_share

MARKERS = "o^sDv"


class SpinGlass(Figure):
    """(a) Energies per spin of the minima that descent reaches, one row for each Λ: over several
    disorders (filled), and over many starts with one of them (outlines). (b) Their mean less −E_∞,
    the lowest eigenvalue of their Hessians, and the standard deviation of the energies about the
    mean of their disorder; open marks: the one disorder with many starts; bars: 99 %
    intervals. (c) Critical points of all indices: share of negative eigenvalues
    against energy, and that of a semicircle of radius 2√6 around −3u (line). (a) after Choromanska
    et al. 2015, Fig. 3."""

    needs = ("spin_glass", "disorder_share", "saddle_index", "critical_points")

    def draw(self, results):
        import matplotlib.pyplot as plt

        several = results["spin_glass"]["disorders"].values > 1
        found = results["spin_glass"].isel(configuration=several)
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.9), width_ratios=[1.1, 1, 1])
        _histograms(axes[0], results)
        _sizes(axes[1], found)
        _deviations(axes[1], results, several)
        _index(axes[2], results["saddle_index"].isel(configuration=several), found["spins"].values)
        for axis in axes:
            axis.tick_params(labelsize=7)
        first, last = (found.isel(configuration=place) for place in (0, -1))
        figure.suptitle(
            f"From Λ = {int(first['spins'])} to {int(last['spins'])} minima come nearer to $−E_∞$:"
            f" from {_told(first)} to {_told(last)} above it", fontsize=9,
        )  # fmt: skip
        note(
            figure, "(a) filled: several disorders; outlined: one, many starts", "99 % intervals",
            "(c) line: semicircle law, Λ → ∞",
        )  # fmt: skip
        return figure


def _told(part) -> str:
    value, low, high = (float(part[f"above_edge{end}"]) for end in ("", "_low", "_high"))
    return f"{value:.2f}" + (f" ± {(high - low) / 2:.2f}" if np.isfinite(high - low) else "")


def _histograms(axis, results) -> None:
    """Rows of histograms, the smallest glass at the bottom."""
    edges = np.arange(-1.76, -0.9, 0.02)
    rows: list[int] = []
    for configuration, critical in results.each("critical_points"):
        size, several = configuration.settings.model.size, "disorder" in critical.coords
        if size not in rows:
            rows.append(size)
        energies = np.clip(critical["loss"].values, edges[0], edges[-1] - 1e-9)
        counts, _ = np.histogram(energies, edges)
        place = rows.index(size)
        style = (
            {"fill": True, "color": "C0", "alpha": 0.5} if several else {"color": "k", "lw": 0.9}
        )
        axis.stairs(place + 0.85 * counts / counts.max(), edges, baseline=place, **style)
    for place, size in enumerate(rows):
        axis.annotate(
            f"Λ = {size}", (0.98, place + 0.55), fontsize=7, ha="right", va="center",
            xycoords=axis.get_yaxis_transform(),
        )  # fmt: skip
    for level, style, text, side in (
        (EDGE, "--", "$−E_∞$", "left"), (lowest(), ":", "$−E_0$", "right")
    ):  # fmt: skip
        axis.axvline(level, color="k", ls=style, lw=0.8)
        shift = 2 if side == "left" else -2
        axis.annotate(
            text, (level, len(rows) + 0.3), (shift, 0), textcoords="offset points", fontsize=7,
            ha=side, va="center",
        )  # fmt: skip
    axis.set(xlim=(edges[0], edges[-1]), ylim=(0, len(rows) + 0.6), yticks=[])
    axis.set_xlabel("energy per spin", fontsize=8)
    axis.set_title("(a) energies of minima", fontsize=8, loc="left")


def _sizes(axis, found) -> None:
    sizes = found["spins"].values
    texts = {"softest": "lowest eigenvalue", "above_edge": "mean above $−E_∞$"}
    for place, (name, text) in enumerate(texts.items()):
        style = {"fmt": MARKERS[place], "ls": ("-", "--")[place], "color": f"C{place}"}
        _bars(axis, sizes, found, name, label=text, **style)
    axis.set(xscale="log", yscale="log")
    axis.minorticks_off()
    axis.set_xticks(sizes, [f"{int(size)}" for size in sizes])
    axis.set_xlim(sizes[0] / 1.2, sizes[-1] * 1.2)
    axis.set_xlabel("spins Λ", fontsize=8)
    axis.set_ylabel("energy per spin, or eigenvalue", fontsize=8)
    axis.set_title("(b) minima against size", fontsize=8, loc="left")


def _deviations(axis, results, several) -> None:
    """Standard deviations within disorders, and those of one disorder with many starts."""
    sizes, found = results["spin_glass"]["spins"].values, results["disorder_share"]
    for shift, chosen, style in (  # shifted, so that bars at one Λ lie beside each other
        (1.0, several, {"fmt": "s", "ls": ":", "label": "standard deviation"}),
        (1.06, ~several, {"fmt": "s", "mfc": "w", "label": "the same, one disorder"}),
    ):
        part = found.isel(configuration=chosen)
        if part.sizes["configuration"]:
            _bars(axis, shift * sizes[chosen], part, "within", color="C2", **style)
    axis.set_ylim(bottom=float(found["within"].min()) / 25)
    axis.legend(fontsize=7, loc="lower left", frameon=False)


def _bars(axis, sizes, found, name: str, **style) -> None:
    value, low, high = (found[f"{name}{end}"].values for end in ("", "_low", "_high"))
    bounded = np.isfinite(low) & (low > 0)
    bars = np.where(bounded, [value - low, high - value], 0)
    axis.errorbar(sizes, value, yerr=bars, ms=4, lw=1, capsize=2, **style)


def _index(axis, found, sizes) -> None:
    line = np.linspace(-1.75, 0.2, 300)
    axis.plot(line, negative_share(line), "k-", lw=1)
    axis.annotate(
        "Λ → ∞", (-0.9, negative_share(-0.9)), (-4, 10), textcoords="offset points", fontsize=7,
        ha="right",
    )  # fmt: skip
    for place, size in enumerate(sizes):
        energies, shares = (found[n].values[place] for n in ("point_energy", "negative_share"))
        if np.isfinite(energies).any():
            axis.plot(
                energies, shares, MARKERS[place], ms=3, mfc="none", mew=0.6, color=f"C{place}",
                label=f"Λ = {int(size)}",
            )  # fmt: skip
    axis.axvline(EDGE, color="k", ls="--", lw=0.8)
    axis.annotate("$−E_∞$", (EDGE, 0.4), (2, 0), textcoords="offset points", fontsize=7)
    axis.set(xlim=(-1.8, 0.4), ylim=(-0.02, 0.6))
    axis.legend(fontsize=7, loc="lower right", frameon=False, handletextpad=0.1)
    axis.set_xlabel("energy per spin $u$", fontsize=8)
    axis.set_ylabel("share of negative eigenvalues", fontsize=8)
    axis.set_title("(c) all critical points", fontsize=8, loc="left")


@nnflow.hookimpl
def nnflow_register(register):
    register("spin_glass", SpinGlass)
