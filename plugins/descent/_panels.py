"""What the figures about gradient descent share: panel letters, and words beside lines."""

from __future__ import annotations

WIDE = 6.75
"""Width of a figure over both columns of a page, in inches."""
HALF = 5.0
"""Width of a figure over one and a half columns."""


def lettered(axes) -> None:
    """(a), (b), … above the upper left corners."""
    for place, axis in enumerate(axes):
        axis.set_title(f"({chr(97 + place)})", loc="left", fontsize=8)


def beside(axis, x, y, text: str, **style) -> None:
    """A word at a point of a line; small, with a white edge so that lines may pass below it."""
    import matplotlib.patheffects as effects

    edge = [effects.withStroke(linewidth=2, foreground="white")]
    axis.text(x, y, text, **{"fontsize": 7, "path_effects": edge, **style})


def at_ends(axis, x: float, ends, gap: float = 0.055) -> None:
    """Words right of the ends of lines, moved apart where they would overlap. x: in data;
    ends: (y, text), y in data; the axis has its final limits.
    gap: least distance, as a share of the axis' height."""
    to_axis = axis.transData - axis.transAxes
    place = -1.0
    for y, text in sorted(ends):
        right, height = to_axis.transform((x, y))
        place = max(height, place + gap)
        axis.text(right + 0.015, place, text, fontsize=7, va="center", transform=axis.transAxes)
