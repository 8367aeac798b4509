"""What a figure is: datasets in, a matplotlib Figure out."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import matplotlib.figure

    from nnflow.interfaces.protocols import ResultsView


class Figure(Plugin):
    """A picture of a study's datasets."""

    kind: ClassVar[str] = "figures"

    needs: ClassVar[tuple[str, ...]] = ()
    """Datasets read: any of initialization, training, critical_points, certificates,
    spectra, summary, and the names of the study's analyses."""

    caption: str = ""
    """What the report prints below the figure; empty: the plugin's first docstring line."""

    def draw(self, results: ResultsView) -> matplotlib.figure.Figure:
        """The figure; style and file formats are the framework's business."""
        raise NotImplementedError
