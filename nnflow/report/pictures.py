"""Figures as they stand in the page: each once, in the smallest form that looks the same.

That form is made where a figure is drawn, once and side by side with others, and not by each
report.
"""

from __future__ import annotations

import base64
import html
import inspect
import io
import re
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nnflow.base import store
from nnflow.base.errors import UserError

INCH = 0.0254
"""Metres."""
COLOURS = (64, 128, 256)
"""Numbers of colours that a raster image may keep: drawings have few, but for shades of edges; maps
need more."""
NOT_SEEN = 2.0
"""Root mean square of the change of red, green or blue, of 255, up to which fewer colours do."""
LARGEST_SVG = 30_000
"""Bytes up to which a drawing stays lines, even where pixels would take fewer: it is sharp when
zoomed."""
FAR_TOO_LARGE = 5 * LARGEST_SVG
"""Bytes from which on squeezing a drawing is not tried."""
_COORDINATES = re.compile(rb'(?<= )(d|x|y|x1|x2|y1|y2|points)="([^"]*)"')
_TITLE = re.compile(rb"<title>(.*?)</title>", re.DOTALL)
_DIGITS = re.compile(rb"(\.\d\d)\d+")


@dataclass(frozen=True)
class Picture:
    """A figure: its name, what it says above itself, its caption, the image as a data URL, and its
    size in CSS pixels."""

    name: str
    title: str
    caption: str
    image: str
    width: int | None
    height: int | None
    needs: tuple[str, ...]


def inline_path(folder: Path, name: str) -> Path:
    """The file that holds a study's figure as it stands in the page, a data URL."""
    return folder / "inline" / f"{name}.txt"


def write_inline(folder: Path, name: str) -> None:
    """Write that file, from the figure's SVG and PNG files; where one is missing, there is none."""
    files = [folder / "figures" / f"{name}.{ending}" for ending in ("svg", "png")]
    if all(file.exists() for file in files):
        svg, png = (file.read_bytes() for file in files)
        store.write_text(inline_path(folder, name), _smallest(svg, png))


def picture(folder: Path, name: str, plugin: Any) -> Picture:
    """A study's figure. Raises UserError where its files are missing."""
    try:
        svg, png = (
            (folder / "figures" / f"{name}.{ending}").read_bytes() for ending in ("svg", "png")
        )
        image = inline_path(folder, name).read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(
            f"{error.filename}: {error.strerror}; run the workflow to make it"
        ) from None
    doc = inspect.getdoc(type(plugin)) or name.replace("_", " ")
    width, height = _size(png)
    return Picture(
        name,
        _title(svg) or f"Figure {name.replace('_', ' ')}",
        plugin.caption or " ".join(doc.split("\n\n")[0].split()),
        image,
        width,
        height,
        tuple(plugin.needs),
    )


def _title(svg: bytes) -> str:
    """What a drawing says of itself; "" where it says nothing."""
    found = _TITLE.search(svg)
    return html.unescape(" ".join(found[1].decode().split())) if found else ""


def _smallest(svg: bytes, png: bytes) -> str:
    """The data URL of a drawing of few lines as SVG, of one of many as pixels."""
    if len(svg) > FAR_TOO_LARGE:
        return _painted(png)
    lines = urllib.parse.quote(squeezed(svg), safe=" /:=;,'()<>!*+-._~@$[]{}|^?")
    drawn = f"data:image/svg+xml,{lines}"
    if len(drawn) <= LARGEST_SVG:
        return drawn
    return min(drawn, _painted(png), key=len)


def _painted(png: bytes) -> str:
    kind, content = _pixels(png)
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def squeezed(svg: bytes) -> bytes:
    """An SVG file without what is not drawn: comments, metadata, white space between tags, and
    digits of coordinates beyond a hundredth of a point."""
    svg = re.sub(rb"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", b"", svg,
                 flags=re.DOTALL)  # fmt: skip
    svg = re.sub(rb">\s*\n\s*<", b"><", svg)
    svg = re.sub(rb"\s+", b" ", svg).strip().replace(b'"/>', b'"/>')
    svg = _COORDINATES.sub(lambda m: m[1] + b'="' + _DIGITS.sub(rb"\1", m[2]) + b'"', svg)
    return svg if b"'" in svg else svg.replace(b'"', b"'")


def _pixels(png: bytes) -> tuple[str, bytes]:
    """("webp", bytes) of an image with few colours, without loss from there on; the image itself
    where Pillow can't read it."""
    from PIL import Image, ImageChops, ImageStat

    try:
        image = Image.open(io.BytesIO(png)).convert("RGB")
    except OSError:
        return "png", png
    for number in COLOURS:
        few = image.quantize(number, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        few = few.convert("RGB")
        if max(ImageStat.Stat(ImageChops.difference(few, image)).rms) <= NOT_SEEN:
            break
    buffer = io.BytesIO()
    few.save(buffer, "webp", lossless=True, quality=50, method=2)
    return min(("webp", buffer.getvalue()), ("png", png), key=lambda pair: len(pair[1]))


def _size(png: bytes) -> tuple[int | None, int | None]:
    """The size that a picture is made for, in CSS pixels (1/96 inch); None if it is silent."""
    place = png.find(b"pHYs")
    if place < 0:
        return None, None
    wide, high, per_metre = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20, place + 4))
    if not per_metre:
        return None, None
    return tuple(round(96 * pixels / (per_metre * INCH)) for pixels in (wide, high))  # type: ignore[return-value]
