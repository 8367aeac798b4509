"""Accuracy of deep networks around the edge of chaos."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import note

MARKS = "os^D"
TICKS = (2, 5, 10, 20, 50, 100)
FARTHEST = 250
"""Where ξ_c = ∞ is drawn, and longer ones with it."""
TEXT = {"textcoords": "offset points", "fontsize": 7}


class Trainability(Figure):
    """(a) Accuracy on training samples at the end, over α_w² and depth: at the open circles it
    falls through half-way between guessing and all right. The line is the fit 1/depth =
    1/(mξ_c) + 1/L₀, dashed is mξ_c alone, dotted χ₁ = 1. (b) The same depths over ξ_c after some
    numbers of steps, filled in the ordered phase and open in the chaotic one, with their fits; m
    with 99 % intervals, and χ₁ = 1 at the right end. After Schoenholz et al. 2017, Fig. 5."""

    needs = ("trainability", "summary")

    def draw(self, results):
        import matplotlib.pyplot as plt

        found, line = results["trainability"], results["summary"]["critical_weight_variance"][0]
        figure, (over_map, over_scale) = plt.subplots(1, 2, figsize=(6.75, 3.1))
        self._map(figure, over_map, found, float(line))
        self._scale(over_scale, found, float(line))
        titles = r"Networks train deepest around $\chi_1 = 1$", r"Depth grows with $\xi_c$ and time"
        for letter, axis, title in zip("ab", (over_map, over_scale), titles, strict=True):
            axis.set_title(f"({letter}) {title}", loc="left", fontsize=8)
            axis.tick_params(labelsize=7)
        note(
            figure, "circles in (a): trainable depth", r"filled in (b): $\chi_1<1$, open: above",
            "lines: fits", "99 % intervals",
        )  # fmt: skip
        return figure

    def _map(self, figure, axis, found, line: float):
        last = found.isel(mark=-1)
        x, depth = last["weight_variance"].values, last["depth"].values
        mesh = axis.pcolormesh(
            _edges(x), np.exp(_edges(np.log(depth))), last["accuracy"].values, cmap="cividis",
            vmin=0, vmax=1, rasterized=True,
        )  # fmt: skip
        m, limit, scale = (last[name].values for name in ("factor", "deepest", "curve_xi_c"))
        at = last["curve_weight_variance"]
        axis.plot(at, 1 / (1 / (m * scale) + 1 / limit), color="black", lw=1.4)
        axis.plot(at, m * scale, "--", color="black", lw=0.9)
        axis.plot(x, last["trainable_depth"], "o", color="black", mfc="white", ms=3.5)
        axis.axvline(line, ls=":", color="white", lw=1)
        axis.set(yscale="log", xlabel=r"variance of weights $\alpha_w^2$", ylabel="hidden layers")
        edges = np.exp(_edges(np.log(depth)))
        axis.set_ylim(edges[0], edges[-1])
        axis.set_yticks(depth, [f"{one}" for one in depth])
        axis.minorticks_off()
        bar = figure.colorbar(mesh, ax=axis, pad=0.01)
        bar.set_label(f"accuracy after {int(last['mark'])} steps", fontsize=8)
        bar.ax.tick_params(labelsize=7)

    def _scale(self, axis, found, line: float):
        scale, x = found["xi_c"].values, found["weight_variance"].values
        shown = np.geomspace(scale.min() / 1.2, FARTHEST, 100)
        for place in range(found.sizes["mark"]):
            one, color = found.isel(mark=place), f"C{place}"
            for side, face in ((x < line, color), (x >= line, "white")):
                axis.plot(np.minimum(scale[side], shown[-1]), one["trainable_depth"].values[side],
                          MARKS[place % 4], color=color, mfc=face, ms=3.5)  # fmt: skip
            m, low, high = (float(one[f"factor{end}"]) for end in ("", "_low", "_high"))
            if not np.isfinite(m):
                continue
            curve = 1 / (1 / (m * shown) + 1 / float(one["deepest"]))
            axis.plot(shown, curve, color=color, lw=0.9)
            top = f"{high:.1f}" if np.isfinite(high) else r"$\infty$"
            text = f"{int(one['mark'])} steps\n$m = {m:.1f}$ ({low:.1f} to {top})"
            axis.annotate(text, (shown[-1], curve[-1]), (5, 0), va="center", annotation_clip=False,
                          **TEXT)  # fmt: skip
        axis.set(xscale="log", yscale="log", xlabel=r"depth scale $\xi_c$ (layers)",
                 ylabel="trainable depth (layers)")  # fmt: skip
        low, high = axis.get_ylim()
        ticks = [one for one in TICKS if low <= one <= high]
        axis.set_yticks(ticks, [f"{one}" for one in ticks])
        axis.set_xticks([*TICKS, FARTHEST], [*map(str, TICKS), r"$\infty$"])
        axis.set_xlim(shown[0], 1.1 * FARTHEST)
        axis.minorticks_off()


def _edges(centres: np.ndarray) -> np.ndarray:
    """Ends of cells around these centres."""
    middle = (centres[1:] + centres[:-1]) / 2
    first, last = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    return np.concatenate([[first], middle, [last]])


@nnflow.hookimpl
def nnflow_register(register):
    register("trainability", Trainability)
