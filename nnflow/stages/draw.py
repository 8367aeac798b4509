"""draw: the figures of a study."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import matplotlib.figure
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.backends.backend_agg import FigureCanvasAgg

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages.faults import blaming, described
from nnflow.stages.job import Job

DPI = 200
"""Pixels per inch of the PNG files."""
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


def draw(job: Job) -> None:
    """Draw all figures of the study; writes figures/FIGURE.svg and .png."""
    matplotlib.use("Agg")
    sns.set_theme(context="paper", style="ticks", palette="colorblind", rc=STYLE)
    for name, plugin in job.study.settings.figures.items():
        with blaming(job, [plugin]):
            figure = plugin.draw(job.read)
            if not isinstance(figure, matplotlib.figure.Figure):
                kind = type(figure).__name__
                raise UserError(f"{described(plugin)}: gave no matplotlib Figure, but {kind}")
        _save(figure, job.folder / "figures" / name)
        plt.close(figure)
        job.reporter.line(f"drew {name}")


def _save(figure: matplotlib.figure.Figure, path: Path) -> None:
    """Write PATH.png and PATH.svg."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    # laid out once: solving the layout takes as long as drawing
    figure.set_layout_engine("none")
    with store.replacing(path.with_suffix(".png")) as temporary:
        pixels = canvas.buffer_rgba()
        plt.imsave(temporary, pixels, format="png", dpi=DPI, metadata={"Software": None})
    with store.replacing(path.with_suffix(".svg")) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
