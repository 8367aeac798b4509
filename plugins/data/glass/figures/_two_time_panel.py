"""A panel of displacements between two times."""

from __future__ import annotations

import numpy as np

LINES = ("-", "--", ":")
MARKERS = "o^s"


def _plain(time: float) -> str:
    return f"{time:,.0f}" if time >= 1000 else f"{time:.3g}"


def ages(aged, place: int) -> bool:
    """Is the displacement after the longest wait smaller for certain?"""
    return float(aged["slowing_high"][place]) < 1


def told(aged, place: int) -> str:
    """How many times as large the displacement is after the longest wait, with its interval."""
    value, low, high = (float(aged[f"slowing{end}"][place]) for end in ("", "_low", "_high"))
    return f"{value:.2f} ({max(low, 0):.2f} to {high:.2f})"


def curves(
    axis, found, place: int, unit: float = 1.0, by_age: bool = False, numbers=range(3)
) -> None:
    """Displacement against the lag, a line for each waiting time; unit: time of a step. by_age:
    against the lag over the waiting time; numbers: of the lines, which tell how they look."""
    for number, wait, values in zip(
        numbers, found["waiting"].values, found["curve"].values[place], strict=False
    ):
        seen = np.flatnonzero(np.isfinite(values) & (values > 0))
        lags = found["lag"].values / wait if by_age else unit * found["lag"].values
        axis.plot(
            lags[seen], values[seen], LINES[number % 3] + MARKERS[number % 3], ms=3, lw=1,
            mfc="none", markevery=3, color=f"C{number}", label=f"$t_w$ = {_plain(wait * unit)}",
        )  # fmt: skip
    axis.set(xscale="log", yscale="log")
    axis.legend(fontsize=7, loc="best", frameon=False)
    axis.tick_params(labelsize=7)
