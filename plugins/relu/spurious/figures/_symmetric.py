"""What figures of symmetric families share: which there are, and how they look."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Series(NamedTuple):
    """One family: its name, its configurations by rising k, as indices, and k there."""

    name: str
    rows: np.ndarray
    k: np.ndarray
    color: str
    marker: str


def families(results, table) -> list[Series]:
    """The families of the analysis `symmetric_families`, in the order of the study."""
    k = np.array([configuration.settings.model.k for configuration in results.configurations])
    names = table["family"].values
    series = []
    for i, name in enumerate(dict.fromkeys(names.tolist())):
        rows = np.flatnonzero(names == name)
        rows = rows[np.argsort(k[rows])]
        series.append(Series(name, rows, k[rows], f"C{i}", "osD^vPX"[i % 7]))
    return series


def draw(axis, series: Series, values: np.ndarray, minimum: np.ndarray) -> None:
    """One family's values against k; hollow where the point is no minimum of the whole
    network."""
    y = values[series.rows]
    # type I all but coincides with type A, whose smaller marks are drawn over it
    size = 6.5 if series.marker == "v" else 4
    style = {"color": series.color, "linewidth": 1, "marker": series.marker, "markersize": size}
    axis.plot(series.k, y, label=label(series.name), **style)
    hollow = ~minimum[series.rows]
    style |= {"linewidth": 0, "markerfacecolor": "white"}
    axis.plot(series.k[hollow], y[hollow], **style)


def label(name: str) -> str:
    """A family's name in mathematical type."""
    kind, colon, group = name.rpartition(": ")
    group = group.replace("×", r"\times").replace("(k−", "{k-").replace(")", "}")
    return f"{kind}{colon}${group}$"
