"""Where two neurons in the teachers' plane can be critical."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure


class InPlane(Figure):
    """Left: root of |L₁₂| by the direction of e*, for two neurons at an angle of 3π/8: L₁₂ is
    positive (red) inside of their cone, negative (blue) elsewhere. Middle: least gradient norm over
    the neurons' norms, by their directions; hatched: Theorem 4 excludes critical points, but for
    parallel neurons (dashed); marks are those reached from random starts. Teachers are at the
    dotted lines. Right: all Hessian eigenvalues on the line of collinear saddles; the zero one is
    the line's own."""

    needs = ("in_plane",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["in_plane"]
        teacher = results.study.settings.analyses["in_plane"].teacher_angle / np.pi
        figure = plt.figure(figsize=(10.4, 3.4))
        left, middle, right = figure.subplots(1, 3, width_ratios=(0.9, 1.3, 1))
        _cone(left, analysis)
        _map(figure, middle, analysis, teacher)
        _line(right, analysis)
        return figure


def _cone(axis, analysis) -> None:
    value, phi = analysis["cone_value"].values, analysis["cone_phi"].values
    reach = np.sqrt(np.abs(value) / np.abs(value).max())
    for sign, color in ((1, "#d6604d"), (-1, "#4393c3")):
        shown = np.where(sign * value > 0, reach, 0)
        axis.fill(shown * np.cos(phi), shown * np.sin(phi), color=color, lw=0)
    for number, angle in enumerate((0, analysis.attrs["cone_angle"]), 1):
        direction = np.array([np.cos(angle), np.sin(angle)])
        axis.annotate(
            "", 1.15 * direction, (0, 0), arrowprops={"arrowstyle": "-|>", "lw": 1.3, "color": "k"}
        )
        axis.text(*(1.28 * direction), f"$e_{number}$", ha="center", va="center")
    axis.set(xlim=(-1.1, 1.45), ylim=(-1.1, 1.45), aspect="equal")
    axis.set_title("(a) $L_{12}$: red > 0, blue < 0")
    axis.axis("off")


def _map(figure, axis, analysis, teacher: float) -> None:
    import matplotlib.pyplot as plt

    alpha = analysis["alpha"].values / np.pi
    residual = np.log10(analysis["residual"].values.T)
    mesh = axis.pcolormesh(
        alpha, alpha, residual, cmap="viridis", rasterized=True, shading="nearest"
    )
    with plt.rc_context({"hatch.color": "white", "hatch.linewidth": 0.5}):
        axis.contourf(
            alpha,
            alpha,
            analysis["excluded"].values.T,
            levels=[0.5, 1.5],
            colors="none",
            hatches=["////"],
        )
    for angle in (0, teacher, 2):
        axis.axvline(angle, color="w", lw=0.8, ls=":")
        axis.axhline(angle, color="w", lw=0.8, ls=":")
    axis.plot([0, 2], [0, 2], color="w", lw=0.8, ls="--")
    directions = analysis["critical"].values / np.pi
    index = analysis["critical_index"].values
    for number, (mark, label) in enumerate((("o", "minimum"), ("X", "saddle"))):
        at = (index > 0) == bool(number)
        points = np.unique(np.round(directions[at] % 2, 6) % 2, axis=0).T
        axis.plot(
            *points,
            mark,
            color=f"C{1 + 2 * number}",
            mec="k",
            ms=7,
            ls="",
            label=label,
            clip_on=False,
        )
    axis.set(
        xlabel="direction of w$_1$ / π", ylabel="direction of w$_2$ / π", xlim=(0, 2), ylim=(0, 2)
    )
    axis.set_title("(b) where ∇ can vanish")
    axis.set_aspect("equal")
    axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
    figure.colorbar(mesh, ax=axis, label="log$_{10}$ least |∇|")


def _line(axis, analysis) -> None:
    share = analysis["share"].values
    values = analysis["line_eigenvalue"].values
    axis.axhline(0, color="0.4", lw=0.7)
    axis.plot(share, values)
    axis.set(xlabel="|w$_1$| / (|w$_1$| + |w$_2$|)", ylabel="Hessian eigenvalue")
    axis.set_ylim(-4, 1.4)
    axis.set_title("(c) collinear saddles")


@nnflow.hookimpl
def nnflow_register(register):
    register("in_plane", InPlane)
