"""Where two neurons in the teachers' plane can be critical."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, beside, lettered, note


class InPlane(Figure):
    """(a) Least gradient norm over the neurons' norms, by the neurons' directions; hatched: Theorem
    4 excludes critical points, but for parallel neurons (dashed line); marks are the critical
    points reached from random starts. Teachers are at the dotted lines. (b) All Hessian eigenvalues
    on the line of collinear saddles; the zero one is the line's own. After Tian 2017, Fig. 4."""

    needs = ("in_plane",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        analysis = results["in_plane"]
        teacher = results.study.settings.analyses["in_plane"].teacher_angle / np.pi
        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 3.4), width_ratios=(1.4, 1))
        _map(figure, left, analysis, teacher)
        _line(right, analysis)
        lettered((left, right), "where the gradient can vanish", "the collinear saddles")
        exceptions = int(analysis["theorem_4_exceptions"].sum())
        total = int(analysis["critical_points"].sum())
        figure.suptitle(
            f"{exceptions or 'None'} of {total} critical points"
            f" {'lies' if exceptions < 2 else 'lie'} where Theorem 4 excludes them"
        )
        note(figure, "after Tian 2017, Fig. 4")
        return figure


def _map(figure, axis, analysis, teacher: float) -> None:
    import matplotlib.pyplot as plt
    from matplotlib.colors import LogNorm

    alpha = analysis["alpha"].values / np.pi
    residual = analysis["residual"].values.T
    positive = residual[residual > 0]
    norm = LogNorm(max(positive.min(initial=1), 1e-3 * positive.max(initial=1)))
    mesh = axis.pcolormesh(
        alpha, alpha, residual, norm=norm, cmap="viridis", rasterized=True, shading="nearest"
    )
    with plt.rc_context({"hatch.color": "white", "hatch.linewidth": 0.5}):
        excluded = analysis["excluded"].values.T
        axis.contourf(alpha, alpha, excluded, levels=[0.5, 1.5], colors="none", hatches=["////"])
    for angle in (0, teacher, 2):
        axis.axvline(angle, color="w", lw=0.8, ls=":")
        axis.axhline(angle, color="w", lw=0.8, ls=":")
    axis.plot([0, 2], [0, 2], color="w", lw=0.8, ls="--")
    directions = analysis["critical"].values / np.pi
    index = analysis["critical_index"].values
    for mark, label, color, at in (
        ("o", "minimum", "white", index == 0), ("X", "saddle", "C1", index > 0),
    ):  # fmt: skip
        points = np.unique(np.round(directions[at] % 2, 6) % 2, axis=0).T
        style = {"color": color, "mec": "k", "ms": 6, "ls": "", "clip_on": False}
        axis.plot(*points, mark, label=label, **style)
    handles, labels = axis.get_legend_handles_labels()
    handles.append(plt.Rectangle((0, 0), 1, 1, fc="C4", ec="white", hatch="////"))
    axis.set(xlabel="direction of w₁ / π", ylabel="direction of w₂ / π", xlim=(0, 2), ylim=(0, 2))
    axis.set_aspect("equal")
    axis.legend(
        handles, [*labels, "excluded"], loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3,
        handletextpad=0.3, columnspacing=1,
    )  # fmt: skip
    bar = figure.colorbar(mesh, ax=axis, extend="min")
    bar.set_label("least gradient norm")


def _line(axis, analysis) -> None:
    share = analysis["share"].values
    values = np.sort(analysis["line_eigenvalue"].values, axis=1)
    axis.axhline(0, color="0.4", lw=0.7)
    for number, dashes in zip(range(values.shape[1]), ("-", "--", "-.", ":"), strict=False):
        axis.plot(share, values[:, number], dashes, color="C0")
        middle = len(share) // 2
        beside(axis, share[middle], values[middle, number], f"λ{'₁₂₃₄'[number]}", ha="center",
               va="center")  # fmt: skip
    axis.set(xlabel="|w₁| / (|w₁| + |w₂|)", ylabel="Hessian eigenvalue", ylim=(-4, 1.4))


@nnflow.hookimpl
def nnflow_register(register):
    register("in_plane", InPlane)
