"""Tangent kernels by width, before and after training."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, mean

from ...general.figures._page import ink, note
from .._panels import titled
from ._words import spelled

MARKS = "os^"
TEXT = {"textcoords": "offset points", "fontsize": 7}


class TangentKernel(Figure):
    """(a) Standard deviation of the kernel over random networks, in the NTK parametrization, with
    99 % intervals; the thin lines are n^(−1/2). (b) Relative change in training of the kernel
    (filled) and of the hidden weights (open), one hidden layer: geometric means over networks with
    99 % intervals. (c) Loss of gradient descent (lines) beside the lazy prediction (dashed), the
    narrowest and the widest network."""

    needs = ("tangent_kernel",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["tangent_kernel"]
        figure, (spread, change, loss) = plt.subplots(1, 3, figsize=(6.75, 2.9))
        self._spread(spread, found.isel(activation=0))
        self._change(change, found)
        self._loss(loss, found.isel(activation=0))
        names = str(found["activation"].values[0])
        titles = (
            f"{names}: kernels concentrate\nas $n^{{-1/2}}$",
            "Training moves smooth\nkernels by $n^{-1}$",
            f"{names}: wide networks train\nas their first kernel says",
        )
        titled((spread, change, loss), titles)
        note(
            figure,
            "99 % intervals",
            "lines in (a): $n^{-1/2}$ through the last mark",
            "dashed in (c): the first kernel alone",
        )
        return figure

    def _spread(self, axis, found):
        n = found["width"].values.astype(float)
        for place, hidden in enumerate(found["hidden"].values):
            one = found.sel(hidden=hidden)
            value = one["kernel_spread"].values
            ends = np.abs([one[f"kernel_spread_{end}"].values - value for end in ("low", "high")])
            axis.errorbar(n, value, ends, fmt=MARKS[place], color=f"C{place}", ms=3.5, lw=0.8)
            axis.plot(n, value[-1] * np.sqrt(n[-1] / n), color=f"C{place}", lw=0.6)
            axis.annotate(
                f"{hidden} hidden",
                (n[-1], value[-1]),
                (4, 0),
                va="center",
                color=ink(f"C{place}"),
                **TEXT,
            )
        axis.set(
            xscale="log", yscale="log", xlabel="width $n$", ylabel=r"deviation of $\Theta(x, x')$"
        )
        _ticks(axis, n)

    def _change(self, axis, found):
        n = found["trained_width"].values.astype(float)
        for place, name in enumerate(found["activation"].values):
            one = found.sel(activation=name)
            for key, face in (("kernel_change", f"C{place}"), ("weight_change", "white")):
                middle, low, high = np.exp([mean(row) for row in np.log(one[key].values)]).T
                axis.errorbar(n, middle, [middle - low, high - middle], fmt=MARKS[place], ls="-",
                              lw=0.8, color=f"C{place}", mfc=face, ms=3.5)  # fmt: skip
                if key == "kernel_change":
                    word, shift = spelled(str(name)), 2 if name == "relu" else -6
                    axis.annotate(
                        word, (n[-1], middle[-1]), (4, shift), color=ink(f"C{place}"), **TEXT
                    )
        top = np.exp(np.log(found["weight_change"]).mean("run")).max("activation").values
        axis.annotate("weights (open)", (n[1], top[1]), (2, 8), **TEXT)
        low = np.exp(np.log(found["kernel_change"]).mean("run")).min("activation").values
        axis.annotate("kernel (filled)", (n[0], low[1]), (-4, -24), **TEXT)
        axis.set(xscale="log", yscale="log", xlabel="width $n$", ylabel="relative change")
        _ticks(axis, n)

    def _loss(self, axis, found):
        for place, style in ((0, 1.0), (-1, 2.0)):
            one = found.isel(trained_width=place)
            axis.plot(one["loss"], color="C0" if place == 0 else "C1", lw=style)
            axis.plot(one["lazy_loss"], "--", color="black", lw=0.8)
            at = one.sizes["step"] // 2
            shift, side = ((5, 6), "left") if place == 0 else ((-6, -8), "right")
            word = rf"$n = {int(one['trained_width'])}$"
            color = ink("C0" if place == 0 else "C1")
            axis.annotate(word, (at, float(one["loss"][at])), shift, ha=side, color=color, **TEXT)
        axis.set(yscale="log", xlabel="step", ylabel="loss")


def _ticks(axis, n):
    """Widths as they are, and 1, 2, 5 times powers of ten."""
    axis.set_xticks(n, [f"{int(one)}" for one in n])
    low, high = axis.get_ylim()
    ticks = [d * 10.0**e for e in range(-6, 3) for d in (1, 2, 5) if low <= d * 10.0**e <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.minorticks_off()


@nnflow.hookimpl
def nnflow_register(register):
    register("tangent_kernel", TangentKernel)
