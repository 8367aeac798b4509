"""What a reader of a printed page would object to in a figure: its width, small or pale type, texts
that lie over one another."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import matplotlib.axis
import matplotlib.figure
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

WIDTHS = (3.3, 5.0, 6.75)
"""Inches: a column of a journal, one and a half, and both."""
SMALLEST = 6.0
"""Points: the smallest type that is read without effort on paper."""
PALEST = 4.5
"""Contrast of text and paper that WCAG 2.2, 1.4.3, asks of small type."""
FOR_DARK = 1.5
"""Type with less contrast than this is meant for a dark ground, such as a cell of a map."""
SLACK = 0.5
"""Points that the boxes of two texts may share: a box is larger than its glyphs."""
ROOT = ord("√")
"""A sign that is scaled to what stands below it: its size is no size of type."""
SHOWN = 40
"""Letters of a text that a complaint quotes."""


def complaints(figure: matplotlib.figure.Figure) -> list[str]:
    """One line for each thing to object to in a figure that has been drawn by Agg."""
    width = figure.get_figwidth()
    said = []
    if min(abs(width - known) for known in WIDTHS) > 0.005:
        said.append(f"{width:.2f} inches wide, not {', '.join(map(str, WIDTHS))}")
    boxes = [(_quoted(text), _box(text)) for text in _texts(figure)]
    for text in _texts(figure):
        size = smallest_type(text)
        if size < SMALLEST - 0.01:
            said.append(f"{_quoted(text)} has type of {size:.1f} pt")
        strength = contrast(text.get_color(), figure.get_facecolor())
        if FOR_DARK < strength < PALEST - 0.01:
            said.append(f"{_quoted(text)} has a contrast of {strength:.1f}, less than {PALEST:g}")
    page = figure.bbox.padded(1)
    for name, box in boxes:
        if not (page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1)):
            said.append(f"{name} lies beyond the edge")
    slack = SLACK * figure.dpi / 72
    for (one, first), (other, second) in combinations(boxes, 2):
        across = min(first.x1, second.x1) - max(first.x0, second.x0)
        up = min(first.y1, second.y1) - max(first.y0, second.y0)
        if min(across, up) > slack:
            said.append(f"{one} lies over {other}")
    return said


def contrast(one: Any, other: Any) -> float:
    """The contrast of two colours of Matplotlib, 1 to 21: (L₁ + 0.05)/(L₂ + 0.05) with their
    relative luminances L₁ ≥ L₂ (WCAG 2.2)."""
    low, high = sorted(_luminance(to_rgb(color)) for color in (one, other))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: tuple[float, float, float]) -> float:
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in color]
    return sum(weight * p for weight, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def smallest_type(text: Text) -> float:
    """The smallest type of a text in points, exponents and indices included."""
    size = text.get_fontsize()
    string, is_math = text._preprocess_math(text.get_text())
    if is_math is not True:
        return size
    parser = MathTextParser("path")
    lines = (parser.parse(line, 72, text.get_fontproperties()) for line in string.split("\n"))
    glyphs = (glyph for line in lines for glyph in line.glyphs)
    return min([size, *(glyph[1] for glyph in glyphs if glyph[2] != ROOT)])


def _quoted(text: Text) -> str:
    return repr(" ".join(text.get_text().split())[:SHOWN])


def _box(text: Text) -> Any:
    """The text's rectangle in pixels; of an annotation, without its arrow."""
    return Text.get_window_extent(text)


def _texts(artist: Any) -> Iterator[Text]:
    """The texts of a figure that are seen."""
    if not artist.get_visible():
        return
    if isinstance(artist, Text) and artist.get_text().strip():
        yield artist
    if isinstance(artist, Axes) and not artist.axison:
        hidden = {artist.xaxis, artist.yaxis}
    elif isinstance(artist, matplotlib.axis.Axis):
        place = artist.get_transform().transform
        low, high = sorted(place(artist.get_view_interval()))
        room = 1e-9 * (high - low)
        ticks = [*artist.get_major_ticks(), *artist.get_minor_ticks()]
        where = place([tick.get_loc() for tick in ticks])
        inside = (where >= low - room) & (where <= high + room)
        hidden = {tick for tick, shown in zip(ticks, inside, strict=True) if not shown}
        yield from (part for tick in ticks if tick not in hidden for part in _texts(tick))
        hidden = set(ticks)
    else:
        hidden = set()
    for child in artist.get_children():
        if child not in hidden:
            yield from _texts(child)
