"""How figures are laid out on a page: widths, letters of panels, words beside lines, notes."""

from __future__ import annotations

NARROW, HALF, WIDE = 3.3, 5.0, 6.75
"""Widths of a figure in inches: one column of a journal, one and a half, both."""
STRIP = 0.16
"""Inches below a figure for a note."""
PALE = 0.48
"""Brightness from which on a colour is too pale for words."""
GREY = "0.35"
"""Of words that are no data."""


def lettered(axes, *titles: str) -> None:
    """(a), (b), … with the titles, if any, above the panels."""
    axes = list(axes)
    for number, axis in enumerate(axes):
        title = titles[number] if number < len(titles) else ""
        letter = f"({chr(ord('a') + number)}) " if len(axes) > 1 else ""
        axis.set_title(f"{letter}{title}".strip(), loc="left")


def beside(axis, x, y, text: str, **style):
    """A word at a point, with a white edge so that lines may pass below it."""
    return axis.text(x, y, text, **{"fontsize": 7, "path_effects": white_edge(), **style})


def white_edge() -> list:
    """Of words that lines may pass below."""
    import matplotlib.patheffects as effects

    return [effects.withStroke(linewidth=2, foreground="white")]


def at_ends(axis, ends, x: float = 1.0, gap: float = 0.06, **style) -> None:
    """Words right of the ends of lines, moved apart where they would overlap.

    ends: (y, text, color), y in data; the axis has its final limits. x: in shares of the axis'
    width. gap: least distance, as a share of its height.
    """
    to_axis = axis.transData - axis.transAxes
    right = axis.get_xlim()[1]
    heights = [(to_axis.transform((right, y))[1], text, color) for y, text, color in ends]
    place = -1.0
    for height, text, color in sorted(heights):
        place = max(height, place + gap)
        axis.text(
            x + 0.015, place, text, color=ink(color), va="center", transform=axis.transAxes,
            **{"fontsize": 7, **style},
        )  # fmt: skip


def ink(color):
    """A colour of lines for words beside them: the pale ones of the palette as dark as small type
    has to be."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(color)
    pale = 0.3 * red + 0.6 * green + 0.1 * blue > PALE
    return (0.65 * red, 0.65 * green, 0.65 * blue) if pale else color


def note(figure, *parts: str) -> None:
    """Small type in a strip below the panels and the legend: level of the intervals, number of
    runs, whose figure it is like."""
    strip = STRIP / figure.get_figheight()
    if figure.get_layout_engine() is None:
        figure.set_layout_engine("constrained")
    figure.get_layout_engine().set(rect=(0, strip, 1, 1 - strip))
    for legend in figure.legends:
        legend.borderaxespad = 72 * STRIP / legend.get_texts()[0].get_fontsize()
    text = " · ".join(part for part in parts if part)
    figure.text(0.99, 0.2 * strip, text, fontsize=7, color=GREY, ha="right", va="bottom")


def percent(share: float) -> str:
    """A share in whole percent, or with a decimal below ten."""
    value = 100 * share
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def signed(value: float, digits: int = 4) -> str:
    """A number with a proper minus sign."""
    return f"{value:.{digits}f}".replace("-", "−")


def power(number: float) -> str:
    """A small number as a power of ten, rounded up: 10⁻¹²."""
    import math

    digits = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    exponent = math.ceil(math.log10(number)) if number > 0 else None
    return "0" if exponent is None else f"10{str(exponent).translate(digits)}"


def counted(number: int, name: str, plural: str = "") -> str:
    """1 run, 2 runs; none as "no runs"."""
    return f"{number or 'no'} {name if number == 1 else plural or name + 's'}"


def hatch_negative(axis, x, y, values, **style) -> None:
    """Lines over the region where values (y, x) are negative, so that print in grey shows it."""
    import matplotlib.pyplot as plt
    import numpy as np

    if (np.asarray(values) < 0).any():
        with plt.rc_context({"hatch.color": "white", "hatch.linewidth": 0.6, **style}):
            axis.contourf(x, y, values, levels=[-np.inf, 0], colors="none", hatches=["/////"])
