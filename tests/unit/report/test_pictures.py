"""Pictures: small, and as they were drawn."""

import base64
import io
import urllib.parse

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from nnflow.base.errors import UserError
from nnflow.report.pictures import LARGEST_SVG, NOT_SEEN, picture, squeezed, write_inline


class Thing:
    """Two lines."""

    caption = ""
    needs = ("summary",)


@pytest.fixture
def drawn(tmp_path):
    """A folder with a figure of so many lines, as `draw` writes it."""

    def draw(lines: int):
        matplotlib.use("Agg")
        figure, axes = plt.subplots(figsize=(3.3, 2))
        wave = np.sin(np.linspace(0, 40, 400))
        for i in range(lines):
            axes.plot(wave * i, alpha=0.5)
        axes.set_title("0.123456789 <&> “q”")
        (tmp_path / "figures").mkdir(exist_ok=True)
        with matplotlib.rc_context({"svg.fonttype": "none", "path.simplify": False}):
            for ending in ("svg", "png"):
                figure.savefig(tmp_path / f"figures/thing.{ending}", dpi=200)
        plt.close(figure)
        write_inline(tmp_path, "thing")
        return tmp_path

    return draw


def test_a_drawing_of_few_lines_stays_lines_and_keeps_its_words(drawn):
    folder = drawn(2)
    found = picture(folder, "thing", Thing())
    head, _, lines = found.image.partition(",")
    assert head == "data:image/svg+xml" and len(found.image) <= LARGEST_SVG
    assert not set('"&#') & set(lines)
    svg = urllib.parse.unquote(lines)
    assert "0.123456789 &lt;&amp;&gt; “q”" in svg
    assert len(svg) < 0.8 * len((folder / "figures/thing.svg").read_bytes())
    assert (found.width, found.height, found.caption) == (317, 192, "Two lines.")


@pytest.mark.parametrize(
    ("head", "title"),
    [
        ("", "Figure of things"),
        ("<title>2 of 3 runs &lt; &amp;\n end</title>", "2 of 3 runs < & end"),
    ],
)
def test_a_picture_is_told_by_what_it_says_above_itself(drawn, head, title):
    folder = drawn(1)
    file, png = (folder / f"figures/thing.{ending}" for ending in ("svg", "png"))
    text = file.read_text(encoding="utf-8")
    assert "<title>" not in text
    named = folder / "figures/of_things.svg"
    named.write_text(text.replace("<metadata>", f"{head}<metadata>", 1), encoding="utf-8")
    png.rename(named.with_suffix(".png"))
    write_inline(folder, "of_things")
    assert picture(folder, "of_things", Thing()).title == title


def test_a_drawing_of_many_lines_becomes_pixels_that_look_alike(drawn):
    folder = drawn(60)
    found = picture(folder, "thing", Thing())
    head, _, content = found.image.partition(",")
    assert head == "data:image/webp;base64"
    shown = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
    given = Image.open(folder / "figures/thing.png").convert("RGB")
    assert shown.size == given.size
    difference = np.abs(np.asarray(shown, float) - np.asarray(given, float))
    assert difference.mean() < 2 and np.asarray(shown)[0, 0].min() == 255
    assert len(found.image) < len((folder / "figures/thing.png").read_bytes())


@pytest.mark.parametrize(
    ("shades", "channels", "kept"), [(2, 1, (2, 2)), (100, 1, (33, 64)), (250, 3, (129, 256))]
)
def test_a_picture_keeps_as_many_colours_as_it_needs(tmp_path, shades, channels, kept):
    """100 greys are as good as 64 to the eye; any colours at random are not."""
    ramp = np.linspace(0, 250, shades).round().astype(np.uint8)
    noise = np.random.default_rng(0).choice(ramp, (60, 80, channels))
    image = Image.fromarray(np.broadcast_to(noise, (60, 80, 3)).copy())
    (tmp_path / "figures").mkdir()
    image.save(tmp_path / "figures/thing.png", dpi=(200, 200))
    (tmp_path / "figures/thing.svg").write_text("<svg>" + "<g/>" * 200_000 + "</svg>")
    write_inline(tmp_path, "thing")
    head, _, content = picture(tmp_path, "thing", Thing()).image.partition(",")
    shown = Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")
    assert head == "data:image/webp;base64"
    assert kept[0] <= len(shown.getcolors()) <= kept[1]
    if channels == 1:
        change = np.asarray(shown, float) - np.asarray(image, float)
        assert np.sqrt(np.mean(change**2)) <= NOT_SEEN


def test_coordinates_are_rounded_and_transforms_are_not():
    svg = b"""<?xml version="1.0"?><svg><path d="M 1.23456 2.5" transform="scale(0.015625)"/>
<text>1.23456</text></svg>"""
    kept = "<svg><path d='M 1.23 2.5' transform='scale(0.015625)'/><text>1.23456</text></svg>"
    assert squeezed(svg).decode() == kept


def test_a_figure_that_is_missing_is_named(tmp_path, drawn):
    with pytest.raises(UserError, match=r"thing\.svg"):
        picture(tmp_path, "thing", Thing())
    (drawn(1) / "inline/thing.txt").unlink()
    with pytest.raises(UserError, match=r"inline/thing\.txt"):
        picture(tmp_path, "thing", Thing())
