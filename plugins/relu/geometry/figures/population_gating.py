"""Theorem 1 of Tian (2017) against samples, as in its Fig. 7."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._names import proper
from ....general.figures._page import WIDE, beside, lettered, note, signed

TICKS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1)


class PopulationGating(Figure):
    """Relative error of E F(e, w) in closed form against samples. (a) Gaussian inputs, one dot
    for each pair of directions, with the median in each tenth of [0, π]. (b) Root mean square
    error over pairs with θ ≤ π/2, for isotropic distributions; dots are single sets of samples,
    lines the geometric mean, and the dashed line falls as N^(−½). (c) Inputs uniform on a
    cube, up to a constant; bars are 99 % intervals, a triangle is an upper end where no error is
    left. After Tian 2017, Fig. 7."""

    needs = ("population_gating",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["population_gating"]
        settings = results.study.settings.analyses["population_gating"]
        figure, (left, middle, right) = plt.subplots(1, 3, figsize=(WIDE, 2.9))
        _angles(left, analysis, settings)
        _samples(middle, analysis, settings)
        _cube(right, analysis, settings)
        lettered(
            (left, middle, right), f"N = {settings.angle_samples:,}, d = {settings.inputs}",
            f"d = {settings.inputs}", "uniform on a cube",
        )  # fmt: skip
        slope = [float(analysis[f"gaussian_slope{end}"].item()) for end in ("", "_low", "_high")]
        middle, low, high = (signed(value, 2) for value in slope)
        figure.suptitle(
            f"The closed form's error falls as N to the power {middle} ({low} to {high})"
        )
        note(figure, f"{settings.trials} sets of samples", "99 % intervals",
             "after Tian 2017, Fig. 7")  # fmt: skip
        return figure


def _angles(axis, analysis, settings) -> None:
    angle, error = (analysis[name].values.ravel() for name in ("angle", "angle_error"))
    axis.plot(angle / np.pi, error, ".", ms=3, color="C0", alpha=0.5, rasterized=True)
    tenth = np.minimum((angle / np.pi * 10).astype(int), 9)
    middles = [np.median(error[tenth == number]) for number in range(10)]
    axis.plot((np.arange(10) + 0.5) / 10, middles, "o-", ms=4, color="C3")
    axis.set(yscale="log", xlabel="angle θ / π", ylabel="relative error", xlim=(0, 1))
    beside(axis, 0.05, 1.6 * middles[0], "median", color="C3")


def _samples(axis, analysis, settings) -> None:
    counts = analysis["samples"].values
    for number, distribution in enumerate(analysis["law"].values):
        errors = analysis["samples_error"].sel(law=distribution)
        shift = 1.06 ** (number - 1)
        across = np.broadcast_to(counts * shift, errors.shape)
        axis.plot(across, errors, ".", ms=2, color=f"C{number}", alpha=0.4)
        middle = np.exp(np.log(errors).mean("trial"))
        axis.plot(counts, middle, color=f"C{number}", lw=1.2, label=proper(str(distribution)))
    guide = float(middle[0]) * 2 * np.sqrt(counts[0] / counts)
    axis.plot(counts, guide, color="0.3", lw=0.9, ls="--", label="$N^{-1/2}$")
    axis.set(xscale="log", yscale="log", xlabel="samples N", ylabel="relative error")
    low, high = axis.get_ylim()
    ticks = [tick for tick in (*TICKS, 0.2, 0.5, 1) if low <= tick <= high]
    axis.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.yaxis.minorticks_off()
    axis.legend(loc="lower left")


def _cube(axis, analysis, settings) -> None:
    inputs = analysis["inputs"].values
    error = analysis["cube_error"].mean("trial")
    axis.plot(inputs, error, "s-", ms=4, color="C0", label=f"N = {settings.cube_samples:,}")
    limit, low, high = (analysis[f"cube_limit{end}"].values for end in ("", "_low", "_high"))
    seen = low > 0
    bars = [(limit - low)[seen], (high - limit)[seen]]
    axis.errorbar(inputs[seen], limit[seen], bars, fmt="o-", ms=4, color="C3", label="N → ∞")
    axis.plot(inputs[~seen], high[~seen], "v", ms=5, color="C3", label="its upper end")
    axis.set(xscale="log", yscale="log", xlabel="inputs d", ylabel="relative error")
    axis.set_xticks(inputs, [str(one) for one in inputs])
    axis.set_yticks(TICKS, [f"{tick:g}" for tick in TICKS])
    axis.minorticks_off()
    bottom = min(error.min(), limit[seen].min(initial=np.inf), high[~seen].min(initial=np.inf))
    axis.set_ylim(0.6 * float(bottom), 1.5 * float(max(error.max(), high.max())))
    axis.legend()


@nnflow.hookimpl
def nnflow_register(register):
    register("population_gating", PopulationGating)
