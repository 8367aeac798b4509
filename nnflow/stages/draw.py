"""draw: the figures of a study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib
import matplotlib.figure
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import suggest
from nnflow.stages.faults import blaming, described
from nnflow.stages.job import Job

DPI = 200
"""Pixels per inch of the PNG files."""
FORMATS = {
    "png": {},
    "svg": {"Date": None},
    "pdf": {"CreationDate": None, "ModDate": None},
}
"""Formats that figures are written in, each without the time of writing."""
STYLE = {
    "figure.constrained_layout.use": True,
    "savefig.dpi": DPI,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "nnflow",
    "svg.fonttype": "none",
    "font.size": 9,
    "legend.frameon": False,
}
"""Matplotlib settings on top of seaborn's "ticks" style and "colorblind" palette; the salt
makes an SVG file's inner names the same every time."""


def draw(job: Job, only: list[str] | None = None, formats: Sequence[str] | None = None) -> None:
    """Draw figures of the study; writes figures/FIGURE.svg and .png.

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
    sns.set_theme(context="paper", style="ticks", palette="colorblind", rc=STYLE)
    failed = None
    for name in only or known:
        try:
            _draw(job, name, formats or ("png", "svg"))
        except UserError as error:  # the others are drawn all the same
            failed = failed or error
    if failed:
        raise failed


def _draw(job: Job, name: str, formats: Sequence[str]) -> None:
    """Draw one figure. Raises UserError where its plugin, or drawing what it made, fails."""
    plugin = job.study.settings.figures[name]
    with blaming(job, [plugin]):
        figure = plugin.draw(job.read)
        if not isinstance(figure, matplotlib.figure.Figure):
            kind = type(figure).__name__
            raise UserError(f"{described(plugin)}: gave no matplotlib Figure, but {kind}")
        _save(figure, job.folder / "figures" / name, formats)
    plt.close(figure)
    job.reporter.line(f"drew {name}")


def _save(figure: matplotlib.figure.Figure, path: Path, formats: Sequence[str]) -> None:
    """Write PATH.ENDING for each of the formats."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # laid out once: solving the layout takes as long as drawing
    figure.set_layout_engine("none")
    for form in formats:
        with store.replacing(path.with_suffix(f".{form}")) as temporary:
            if form == "png":
                pixels = canvas.buffer_rgba()
                plt.imsave(temporary, pixels, format="png", dpi=DPI, metadata={"Software": None})
            else:
                figure.savefig(temporary, format=form, metadata=FORMATS[form])
