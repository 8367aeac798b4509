"""Cobweb plots of the length map and the correlation map."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from .._panels import titled

STYLES = ("-", "--", "-.")
TEXT = {"fontsize": 7}
WORDS = "stable", "unstable", "stable"
SHIFTS = (3, 24), (4, -10), (3, 4)


class SignalMaps(Figure):
    """(a) Length maps with one fixed point: from any start the orbit (grey) leads to it. (b) The
    length map of GELU crosses the diagonal three times; drawn is ν(q) − q, and the open circle is
    unstable. (c) Correlation maps at the fixed length: below the diagonal near 1, correlations
    fall to c* (dots). After Poole et al. 2016, Figs. 1 and 2."""

    needs = ("signal_maps", "signal_fixed_points")

    one: list[str] = ["tanh 1.69 0.09", "tanh 6.25 0.09"]
    """Networks of panels (a) and (c)."""
    several: str = "gelu 1.99 0.16"
    """Network of panel (b)."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found, points = results["signal_maps"], results["signal_fixed_points"]
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.6))
        self._lengths(axes[0], found)
        self._several(axes[1], found, points)
        self._correlations(axes[2], found, points)
        titles = "tanh: lengths have one\nfixed point", "GELU: they may have\nthree", \
            "Correlations fall to $c^* < 1$\nwhere $\\chi_1 > 1$"  # fmt: skip
        titled(axes, titles)
        return figure

    def _lengths(self, axis, found):
        for style, name in zip(STYLES, self.one, strict=False):
            at = found.sel(network=name)
            q, image = at["q"].values, at["length_map"].values
            axis.plot(q, image, color="C0", ls=style)
            above = image[-1] > q[-1] / 2
            place = len(q) // 2 if above else 9 * len(q) // 10
            shift = (-8, 9) if above else (0, -8)
            axis.annotate(_label(name), (q[place], image[place]), shift, ha="right", va="center",
                          textcoords="offset points", **TEXT)  # fmt: skip
            for orbit in at["orbit"].values:
                axis.plot(*_cobweb(orbit), color="0.45", lw=0.6)
        top = axis.get_ylim()[1]
        axis.plot([0, top], [0, top], color="black", lw=0.6)
        axis.set(xlabel="$q_{k-1}$", ylabel="$q_k$", xlim=(0, q[-1]), ylim=(0, 1.05 * image.max()))

    def _several(self, axis, found, points):
        at = found.sel(network=self.several)
        q, image = at["q"].values, at["length_map"].values
        axis.plot(q, image - q, color="C0")
        axis.axhline(0, color="black", lw=0.6)
        mine = points["network"].values == self.several
        fixed, stable = points["q"].values[mine], points["stable"].values[mine]
        for value, face in zip(fixed, np.where(stable == 1, "black", "white"), strict=True):
            axis.plot(value, 0, "o", color="black", mfc=face, ms=4)
        for value, word, shift in zip(fixed, WORDS, SHIFTS, strict=True):
            axis.annotate(word, (value, 0), shift, textcoords="offset points", **TEXT)
        axis.set(xlabel="$q$", ylabel=r"$\nu(q) - q$", ylim=(-0.01, 0.02), xlim=(0, q[-1]))

    def _correlations(self, axis, found, points):
        sides = ({"xytext": (-6, 8), "ha": "right"}, {"xytext": (8, -8), "ha": "left"})
        for style, side, name in zip(STYLES, sides, self.one, strict=False):
            at = found.sel(network=name)
            axis.plot(at["c"], at["correlation_map"], color="C0", ls=style)
            mine = points["network"].values == name
            end = points["c"].values[mine][-1]
            axis.plot(end, end, "o", color="black", ms=4, clip_on=False)
            axis.annotate(_label(name), (0.5, float(at["correlation_map"].sel(c=0.5))), **side,
                          va="center", textcoords="offset points", **TEXT)  # fmt: skip
        axis.plot([0, 1], [0, 1], color="black", lw=0.6)
        axis.set(xlabel="$c_{k-1}$", ylabel="$c_k$", xlim=(0, 1), ylim=(0, 1))


def _label(name: str) -> str:
    weight = name.split()[1]
    return rf"$\alpha_w^2 = {weight}$"


def _cobweb(orbit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The staircase q₀ → (q₀, q₁) → (q₁, q₁) → …"""
    x, y = np.repeat(orbit, 2)[:-1], np.repeat(orbit, 2)[1:]
    return x, np.append(0, y[1:])


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_maps", SignalMaps)
