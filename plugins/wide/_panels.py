"""What figures with several panels share."""

from __future__ import annotations

from string import ascii_lowercase


def titled(axes, titles, size: int = 8) -> None:
    """(a) TITLE, (b) TITLE, … above the panels, with small numbers at their axes."""
    for letter, axis, title in zip(ascii_lowercase, axes, titles, strict=False):
        axis.set_title(f"({letter}) {title}", loc="left", fontsize=size)
        axis.tick_params(labelsize=7)
