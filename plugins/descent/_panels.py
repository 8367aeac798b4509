"""Words at the ends of lines, for figures about gradient descent."""

from __future__ import annotations


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
