"""The loss around a minimum that is not differentiable."""

from __future__ import annotations

import nnflow
from nnflow import Figure


class NonsmoothMinimum(Figure):
    """The sharpest minimum at a kink that a run reaches in the study's first configuration. (a) The
    loss along random lines through it. (b) On a random plane through it (cross): level lines have
    corners where they pass from one cell to the next. After Yarotsky's slide "Real-life ANNs"."""

    needs = ("multilinear_ends",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        found = results["multilinear_ends"]
        figure, (lines, plane) = plt.subplots(
            1, 2, figsize=(6.75, 2.9), width_ratios=(1, 1.1), layout="constrained"
        )
        figure.suptitle("At its minimum the loss has no derivative", fontsize="medium")
        steps = found["step"].values
        for number, values in enumerate(found["along"].values):
            lines.plot(steps, values, color=f"{0.12 * number:.2f}", lw=1)
        lines.set(xlabel="distance from the minimum", ylabel="loss")
        lines.set_title("(a) along random lines", loc="left", fontsize=7)
        values = found["plane"].values
        drawn = plane.contourf(steps, steps, values, 24, cmap="cividis")
        plane.contour(steps, steps, values, 24, colors="white", linewidths=0.4)
        plane.plot(0, 0, "x", color="white", ms=6, mew=1.5)
        plane.set(aspect="equal", xlabel="along the plane", ylabel="across")
        plane.set_title("(b) on a random plane", loc="left", fontsize=7)
        bar = figure.colorbar(drawn, ax=plane, label="loss")
        bar.locator = MaxNLocator(6)
        bar.update_ticks()
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("nonsmooth_minimum", NonsmoothMinimum)
