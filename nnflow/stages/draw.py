"""draw: the figures of a study."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
import matplotlib._mathtext
import matplotlib.figure
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.ticker import ScalarFormatter

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import suggest
from nnflow.report.pictures import write_inline
from nnflow.stages.faults import blaming, described
from nnflow.stages.job import Job
from nnflow.stages.legible import complaints
from nnflow.stages.reading import naming_files, with_readers

_as_formula = ScalarFormatter.__call__
DPI = 200
"""Pixels per inch of the PNG files."""
FORMATS = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}
"""Formats that figures are written in, each without the time of writing."""
PALETTE = ["#004488", "#DDAA33", "#44AA99", "#BB5566", "#77BBE0", "#7A4B94", "#9A8C3A", "#808080"]
"""Colours that differ in lightness as well, so that print in grey and colour-blind readers keep
them apart (after P. Tol's "high contrast" and "muted" schemes): C0 and C3 are dark enough for
words."""
SCRIPT = 0.86
"""Size of exponents and indices beside what they stand at: 6 points beside 7."""
STYLE = {
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
    "svg.hashsalt": "nnflow",
    # one typeface, which comes with matplotlib, and its outlines in SVG: both files look the same
    "font.family": "DejaVu Sans",
    "mathtext.fontset": "dejavusans",
    "svg.fonttype": "path",
    "font.size": 8,
    "axes.labelsize": 8,
    "axes.titlesize": 8,
    "figure.titlesize": 9,
    "figure.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "legend.title_fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "axes.formatter.use_mathtext": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.7,
    "axes.labelpad": 2,
    "axes.titlepad": 4,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    **{f"{axis}tick.{size}.{what}": value
       for axis in "xy"
       for size, what, value in (
           ("major", "width", 0.7), ("major", "size", 3), ("major", "pad", 2.5),
           ("minor", "width", 0.5), ("minor", "size", 1.7))},
}  # fmt: skip
"""Matplotlib settings on top of seaborn's "ticks" style, for figures at the size of a page; the
salt makes an SVG file's inner names the same every time."""


def draw(
    job: Job, only: list[str] | None = None, formats: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Draw figures of the study; writes figures/FIGURE.svg and .png, and inline/FIGURE.txt for the
    report. By figure, what a reader of a printed page would object to (`legible.complaints`).

    only: names of figures; None: all. formats: other endings, such as pdf. Raises UserError for a
    figure that the study has not, and for a format that can't be written.
    """
    matplotlib.use("Agg")
    known = job.study.settings.figures
    for name in only or ():
        if name not in known:
            raise UserError(f"{job.study.name}: no figure {name!r}{suggest(name, sorted(known))}")
    for form in formats or ():
        if form not in FORMATS:
            raise UserError(f"--format {form}: expected one of {', '.join(FORMATS)}")
    set_style()
    failed, objections = None, {}
    for name in only or known:
        try:
            objections[name] = _draw(job, name, formats or ("png", "svg"))
        except UserError as error:  # the others are drawn all the same
            failed = failed or error
    if failed:
        raise failed
    return objections


def set_style() -> None:
    """How all figures look, for what is drawn from now on."""
    sns.set_theme(context="paper", style="ticks", palette=PALETTE, rc=STYLE)
    # there are no settings for these
    matplotlib._mathtext.SHRINK_FACTOR = SCRIPT
    ScalarFormatter.__call__ = _as_text


def _as_text(formatter: ScalarFormatter, x: float, position: int | None = None) -> str:
    """Numbers along an axis are written as text, and only their power of ten as a formula:
    `axes.formatter.use_mathtext` makes formulas of both, each of which takes some milliseconds."""
    formula = _as_formula(formatter, x, position)
    return formula.removeprefix("$\\mathdefault{").removesuffix("}$")


def _draw(job: Job, name: str, formats: Sequence[str]) -> list[str]:
    """Draw one figure; what there is to object to. Raises UserError where its plugin, or drawing
    what it made, fails."""
    plugin = job.study.settings.figures[name]
    with blaming(job, [plugin]), naming_files(job, with_readers(job, plugin)):
        figure = plugin.draw(job.read)
        if not isinstance(figure, matplotlib.figure.Figure):
            kind = type(figure).__name__
            raise UserError(f"{described(plugin)}: gave no matplotlib Figure, but {kind}")
        empty = mark_empty_panels(figure)
        about = _about(job, name, plugin, figure)
        objections = _save(figure, job.folder / "figures" / name, formats, about)
        if {"svg", "png"} & {*formats}:
            write_inline(job.folder, name)
    plt.close(figure)
    job.reporter.line("; ".join([f"drew {name}", *objections]))
    if empty:
        job.reporter.note(f"{name}: panels without data: {empty}")
    return objections


def _about(job: Job, name: str, plugin: Any, figure: matplotlib.figure.Figure) -> dict[str, str]:
    """What a file says about itself when it is opened alone."""
    study = job.study
    caption = plugin.caption or inspect.getdoc(type(plugin)) or name.replace("_", " ")
    described = " ".join(caption.split("\n\n")[0].split())
    title = " ".join(re.sub(r"[${}\\]", "", figure.get_suptitle()).split())
    return {
        "Title": title or name.replace("_", " "),
        "Description": f"{described} Study: {study.settings.title} ({study.name}, {study.scale}).",
    }


def mark_empty_panels(figure: matplotlib.figure.Figure) -> int:
    """Write into each panel that has no finite data that it is empty; returns how many there are.

    A logarithmic axis without a positive number becomes linear, as it could not be drawn.
    """
    empty = 0
    for axis in figure.axes:
        if not axis.axison or axis.get_label() == "<colorbar>":
            continue
        for name, set_scale in (("x", axis.set_xscale), ("y", axis.set_yscale)):
            if getattr(axis, f"get_{name}scale")() == "log" and not _any_positive(axis, name):
                set_scale("linear")
        data = np.array([axis.dataLim.intervalx, axis.dataLim.intervaly])
        if not np.isfinite(data).all() and not axis.texts and not axis.tables:
            empty += 1
            middle = {"ha": "center", "va": "center", "transform": axis.transAxes}
            axis.text(0.5, 0.5, "nothing to show", color="0.4", **middle)
    return empty


def _any_positive(axis, name: str) -> bool:
    """Has an axis, or one that shares its scale, a positive number along x or y?"""
    sharing = getattr(axis, f"get_shared_{name}_axes")().get_siblings(axis)
    return any(np.isfinite(getattr(one.dataLim, f"minpos{name}")) for one in sharing)


def _save(
    figure: matplotlib.figure.Figure,
    path: Path,
    formats: Sequence[str],
    about: dict[str, str] | None = None,
) -> list[str]:
    """Write PATH.ENDING for each of the formats; what there is to object to. about: title and
    description of the figure."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    objections = complaints(figure)
    # laid out once: solving the layout takes as long as drawing
    figure.set_layout_engine("none")
    about = about or {}
    for form in formats:
        with store.replacing(path.with_suffix(f".{form}")) as temporary:
            if form == "png":
                pixels = canvas.buffer_rgba()
                metadata = {"Software": None, **about}
                plt.imsave(temporary, pixels, format="png", dpi=DPI, metadata=metadata)
            elif form == "svg":
                metadata = {**FORMATS[form], **about}
                # savefig draws once more beforehand, for a layout that is known by now
                FigureCanvasSVG(figure).print_svg(temporary, metadata=metadata)
                _describe(temporary, about.get("Description", ""))
            else:
                title = {"Title": about["Title"]} if about else {}
                figure.savefig(temporary, format=form, metadata={**FORMATS[form], **title})
    return objections


def _describe(svg: Path, text: str) -> None:
    """A <desc> after the <title>, which matplotlib does not write and readers of screens read."""
    if text:
        page = svg.read_text(encoding="utf-8")
        page = page.replace("</title>", f"</title>\n <desc>{escape(text)}</desc>", 1)
        svg.write_text(page, encoding="utf-8")
