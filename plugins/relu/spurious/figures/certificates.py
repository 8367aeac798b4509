"""What is proved of spurious minima, against the number of teacher neurons."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure, UserError, flag_mask

from ._published import published_points

COLORS = {0: "C0", 1: "C1", 2: "C2"}
MARKERS = {0: "o", 1: "s", 2: "^"}


class Certificates(Figure):
    """Certified spurious minima against the number k of teacher neurons, one colour per excess
    n − k of students. Left: proved lower bounds of the lowest Hessian eigenvalue; the upper
    bounds are hidden by the markers; open diamonds are published values. Right: half-width of the
    box that is proved to hold one critical point and no other (filled), and the proved distance
    of that point from the center of the box (open)."""

    needs = ("certificates",)

    column: str = "proved_eigenvalue"
    """The summary's column whose published numbers are drawn, too."""

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator

        figure, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3), layout="constrained")
        proved = _proved(results)
        for excess in sorted({row[0] for row in proved}):
            k, bound, radius, distance = np.array([row[1:] for row in proved if row[0] == excess]).T
            color, marker = COLORS.get(excess, "C4"), MARKERS.get(excess, "v")
            name = "n = k" if excess == 0 else f"n = k + {excess}"
            style = {"color": color, "marker": marker, "linewidth": 0, "markersize": 4.5}
            left.plot(k, bound, label=f"{name}, proved", **style)
            right.plot(k, radius, **style)
            right.plot(k, distance, mfc="white", **style)
        published = published_points(results, self.column)
        if published:
            _, k, value, *_ = np.array(published).T
            left.plot(
                k, value, "D", mfc="none", color="C3", markersize=8, linewidth=0, label="published"
            )
        left.axhline(0, color="0.5", linewidth=0.8)
        left.set(ylabel="lowest Hessian eigenvalue")
        right.set(ylabel="largest weight difference", yscale="log")
        for axis in (left, right):
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            axis.grid(axis="y", linewidth=0.4)
        left.legend(loc="best")
        for fill, what in (("0.5", "box with one critical point"), ("white", "distance to it")):
            right.plot([], [], "o", color="0.5", mfc=fill, markersize=4.5, label=what)
        right.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
        return figure


def _proved(results) -> list[tuple[int, int, float, float, float]]:
    """(n − k, k, bound of the lowest eigenvalue, radius, distance) of each spurious minimum."""
    rows = []
    for configuration, certificates in results.each("certificates"):
        if not {"k", "n"} <= set(configuration.parameters):
            raise UserError(
                f"{results.study.file}: figures.certificates: needs a sweep over k and n"
            )
        k, n = (int(configuration.parameters[name]) for name in "kn")
        found = certificates.isel(
            certificate=flag_mask(certificates["verdict"], "spurious_minimum")
        )
        columns = (found[name].values for name in ("min_eigenvalue_low", "radius", "distance"))
        rows += [(n - k, k, *map(float, values)) for values in zip(*columns, strict=True)]
    return rows


@nnflow.hookimpl
def nnflow_register(register):
    register("certificates", Certificates)
