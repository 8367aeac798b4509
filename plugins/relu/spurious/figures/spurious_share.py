"""The share of spurious runs against the width, and what they end at, beside published values."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, lettered, note, percent
from ._published import published_points

OFFSET = 0.16
"""How far ours and the published points stand left and right of k, so that both are seen."""
COLUMNS = {
    "spurious_share": "share of spurious runs",
    "mean_loss": "their mean loss",
    "mean_min_eigenvalue": "their mean lowest eigenvalue",
}
LOOKS = {0: ("o", "C0"), 1: ("s", "C4")}
"""Mark and colour by the excess n − k."""


class SpuriousShare(Figure):
    """(a) Share of the runs that end in spurious minima, (b) mean loss and (c) mean lowest Hessian
    eigenvalue of these ends, against the number k of teacher neurons, for n = k and n = k + 1
    students. Bars are 99 % intervals; open marks are published values, also of widths that
    this scale leaves out. After Safran & Shamir 2018, Tables 1 and 2."""

    needs = ("summary",)

    columns: list[str] = list(COLUMNS)
    """The summary's columns; the study's claims about them are the published points."""

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        figure, axes = plt.subplots(1, len(self.columns), figsize=(WIDE, 2.6), squeeze=False)
        for axis, column in zip(axes[0], self.columns, strict=True):
            published = published_points(results, column)
            _points(axis, published, OFFSET, "C3", "white")
            _points(axis, _measured(results, column), -OFFSET)
            axis.set_xlabel("teacher neurons k")
            axis.xaxis.set_major_locator(MaxNLocator(integer=True))
            if column.endswith("share"):
                axis.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
                axis.set_ylim(-0.02, 1.02)
            else:
                axis.set_ylim(0, 1.05 * axis.get_ylim()[1])
        lettered(axes[0], *(COLUMNS.get(c, c.replace("_", " ")) for c in self.columns))
        _key(axes[0, 0])
        figure.suptitle(_told(_measured(results, self.columns[0])))
        runs = np.unique(results["summary"]["runs"].values.astype(int))
        note(
            figure, f"{' or '.join(map(str, runs))} runs a point", "bars: 99 % intervals",
            "after Safran & Shamir 2018, Tables 1 and 2",
        )  # fmt: skip
        return figure


def _told(rows) -> str:
    """From where to where the share goes, for n = k."""
    equal = sorted(row[1:3] for row in rows if row[0] == 0)
    if len(equal) < 2:
        return "Share of runs that end in spurious minima"
    (low, first), (high, last) = equal[0], equal[-1]
    return (
        f"Of runs with n = k, {percent(first)} end in spurious minima at k = {low},"
        f" {percent(last)} at k = {high}"
    )


def _measured(results, column: str) -> list[tuple[int, int, float, float, float]]:
    """(n − k, k, value, low, high) of this study's points."""
    summary = results["summary"]
    rows = []
    for configuration in results.configurations:
        at = summary.sel(configuration=configuration.label)
        values = (float(at[f"{column}{end}"]) for end in ("", "_low", "_high"))
        k, n = (int(configuration.parameters[name]) for name in "kn")
        rows.append((n - k, k, *values))
    return rows


def _points(axis, rows, offset: float, color: str = "", face: str = "") -> None:
    """The points of one panel, with their intervals."""
    for excess in sorted({row[0] for row in rows}):
        k, value, low, high = np.array([row[1:] for row in rows if row[0] == excess]).T
        mark, own_color = LOOKS.get(excess, ("^", "C2"))
        axis.errorbar(
            k + offset, value, np.abs([value - low, high - value]), fmt=mark,
            color=color or own_color, mfc=face or own_color, ms=3.2, mew=0.8, lw=0,
            elinewidth=0.8, capsize=1.5,
        )  # fmt: skip


def _key(axis) -> None:
    import matplotlib.pyplot as plt

    looks = {
        "n = k": {"marker": "o", "color": "C0"},
        "n = k + 1": {"marker": "s", "color": "C4"},
        "published": {"marker": "o", "color": "C3", "mfc": "white"},
    }
    handles = [plt.Line2D([], [], lw=0, ms=3.5, label=text, **look) for text, look in looks.items()]
    axis.legend(handles=handles, loc="upper left", handletextpad=0.1, borderaxespad=0)


@nnflow.hookimpl
def nnflow_register(register):
    register("spurious_share", SpuriousShare)
