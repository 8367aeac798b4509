"""The loss on planes through the ends of runs."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure

from ._page import note
from ._plane_panels import TITLES, headed, page_width

FLOOR = 1e-4
"""Losses below this part of the row's largest are drawn as that: logarithms know no 0."""
BARS = tuple(digit * 10.0**power for power in range(-4, 3) for digit in (1, 2, 5))
"""Lengths of scale bars, in ‖W‖."""
BAR_ROOM = 0.45
"""The largest part of a panel's width that a scale bar takes."""
LEVELS = 9
"""Level lines over the range of a row."""


class LossPlanes(Figure):
    """Loss on planes of weight space, one row per configuration; light is low, in logarithmic
    steps, and what is not finite is hatched. Axes are distances in weights, and ‖W‖ the norm
    of those at the cross, by which networks compare; the scale bar is a part of it. Below each
    panel: L(W) with its standard error over samples, and curvature at W along both axes as measured
    by finite differences of the loss, in brackets vᵀ∇²L v. After Li et al. 2018, Fig. 1 and 9."""

    needs = ("loss_planes",)

    columns: PositiveInt = 4
    """Maximum number of planes."""
    most: PositiveInt = 2
    """Maximum number of configurations."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        planes = results["loss_planes"].isel(plane=slice(self.columns))
        rows = min(self.most, planes.sizes["configuration"])
        columns = planes.sizes["plane"]
        wide = page_width(columns)
        height = min(6.0, 0.5 + rows * (0.95 + 0.85 * wide / columns))
        figure, axes = plt.subplots(rows, columns, figsize=(wide, height), squeeze=False)
        for row in range(rows):
            part = planes.isel(configuration=row)
            scale = _scale(part["loss"].values)
            for column, name in enumerate(part["plane"].values):
                _panel(axes[row, column], part.isel(plane=column), name, scale)
            headed(axes[row], part, row, "distance")
            colors = figure.colorbar(scale, ax=axes[row], pad=0.01, aspect=15, label="loss")
            colors.ax.tick_params(labelsize=7)
            colors.ax.yaxis.label.set_size(7)
        error = float(planes["plane_curvature_error"].max())
        figure.suptitle(f"Curvatures at the center agree with the Hessian to {short(error)}")
        note(figure, "L at +", "x, y: curvature there (by the Hessian)")
        return figure

    @staticmethod
    def panel(axis, plane, name: str) -> None:
        """One plane alone, with colours of its own and their bar. plane: as the analysis
        `loss_planes` gives it; name: one of its `planes`."""
        scale = _scale(plane["loss"].values)
        _panel(axis, plane, name, scale)
        title = "through three points" if name == "runs" else TITLES[name].replace("\n", " ")
        axis.set_title(f"Loss on a plane: {title}", fontsize=9)
        measured, exact = plane["measured_curvature"].values, plane["curvature"].values
        pairs = [f"{short(m)} ({short(e)})" for m, e in zip(measured, exact, strict=True)]
        axis.set_xlabel(
            f"distance (‖W‖ = {float(plane['norm']):.3g})\ncurvature measured (by the Hessian):"
            f" along x {pairs[0]}, along y {pairs[1]}",
            fontsize=8,
        )
        axis.set_ylabel("distance", fontsize=8)
        colors = axis.figure.colorbar(scale, ax=axis, pad=0.01, label="loss", format="%.3g")
        colors.ax.yaxis.set_minor_formatter("{x:.3g}")
        colors.ax.tick_params(which="both", labelsize=7)


def _scale(loss: np.ndarray):
    """Colours on a logarithmic scale over the finite losses of a row."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm

    finite = loss[np.isfinite(loss)]
    high = finite.max()
    return ScalarMappable(LogNorm(max(finite.min(), FLOOR * high), high), "Blues")


def _panel(axis, plane, name: str, scale) -> None:
    x, y, loss = (plane[part].values for part in ("x", "y", "loss"))
    axis.set_facecolor("0.9")
    shown = np.where(np.isfinite(loss), np.maximum(loss, scale.norm.vmin), np.nan)
    axis.patch.set_hatch("////")
    axis.pcolormesh(x, y, shown, norm=scale.norm, cmap=scale.cmap, shading="nearest")
    levels = np.geomspace(scale.norm.vmin, scale.norm.vmax, LEVELS)
    axis.contour(x, y, shown, levels, colors="0.35", linewidths=0.4)
    axis.plot(0, 0, "+", color="k", ms=6, mew=1)
    if name == "runs":
        for place, letter in zip(plane["mark_place"].values, "123", strict=True):
            axis.plot(*place, "o", color="w", mec="k", ms=3.5, mew=0.8)
            axis.annotate(letter, place, (3, 2), textcoords="offset points", fontsize=7)
    if name == "trajectory":
        way = plane["kept_place"].values
        axis.plot(*way.T, "o-", color="C3", ms=2, lw=0.9)
        axis.text(
            0.03, 0.03, f"{100 * float(plane['share']):.1f} % of its spread", fontsize=7,
            transform=axis.transAxes,
        )  # fmt: skip
    norm = float(plane["norm"])
    _scale_bar(axis, np.ptp(x), norm)
    axis.tick_params(labelsize=7, pad=1, length=2)
    lines = [
        f"{letter}: {short(measured)} ({short(exact)})"
        for letter, measured, exact in zip(
            "xy", plane["measured_curvature"].values, plane["curvature"].values, strict=True
        )
    ]
    at_center = f"L = {_with_error(float(plane['center_loss']), float(plane['sampling_error']))}"
    axis.set_xlabel("\n".join([f"distance (‖W‖ = {norm:.3g})", at_center, *lines]), fontsize=7)


def _scale_bar(axis, extent: float, norm: float) -> None:
    """A bar in the upper left corner whose length is a round part of ‖W‖."""
    if norm == 0:
        return
    fitting = [part for part in BARS if part * norm <= BAR_ROOM * extent]
    if not fitting:
        return
    length = max(fitting) * norm / extent
    place = {"transform": axis.transAxes, "solid_capstyle": "butt"}
    for color, width in (("w", 3.5), ("k", 1.5)):  # dark on light, whatever lies below
        axis.plot([0.04, 0.04 + length], [0.94, 0.94], color=color, lw=width, **place)
    axis.text(
        0.04, 0.91, f"{max(fitting):g} ‖W‖", fontsize=6.5, transform=axis.transAxes, va="top",
        bbox={"facecolor": "w", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
    )  # fmt: skip


def _with_error(number: float, error: float) -> str:
    """A number and its standard error; alone where there is none."""
    if not np.isfinite(error) or error == 0:
        return short(number)
    digits = max(0, 1 - int(np.floor(np.log10(error))))
    if digits > 5:
        return f"{short(number)} ± {short(float(f'{error:.2g}'))}"
    return f"{number:.{digits}f} ± {error:.{digits}f}".replace("-", "−")


def short(number: float) -> str:
    """Three digits, with powers of ten typeset."""
    if number == 0 or 1e-3 <= abs(number) < 1e4:
        return f"{number:.3g}".replace("-", "−")
    digits, power = f"{number:.2e}".split("e")
    return rf"${digits}\cdot10^{{{int(power)}}}$"


@nnflow.hookimpl
def nnflow_register(register):
    register("loss_planes", LossPlanes)
