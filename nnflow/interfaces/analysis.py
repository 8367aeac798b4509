"""What an analysis is: datasets in, one dataset out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, ClassVar

from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import xarray as xr

    from nnflow.interfaces.protocols import ResultsView, StudyView


class Analysis(Plugin):
    """A function of a study's datasets.

    Variables of the result whose only axis is `configuration` become columns of the study's
    summary table; `x_low` and `x_high` beside `x` are the ends of its interval.
    """

    kind: ClassVar[str] = "analyses"

    models: ClassVar[tuple[str, ...]] = ()
    """Names of the models it knows, one of which each configuration must have; none: any model."""
    columns: ClassVar[Mapping[str, str]] = {}
    """{column: what it holds} of the result's columns over `configuration`, or a property where
    settings decide. `nnflow.Table(results, self.columns)` makes them."""

    needs: ClassVar[tuple[str, ...]] = ()
    """What is read: any of initialization, training, critical_points, certificates, spectra, the
    names of other analyses of the study, and `objective`, the loss with the data."""

    def parts(self, study: StudyView) -> int:
        """How many parts a long computation is cut into; 0: none. Each is a job of its own: parts
        run side by side, and one that is finished is not done again."""
        return 0

    def part(self, results: ResultsView, number: int) -> xr.Dataset:
        """One of the parts 0, 1, …; it may read datasets of stages, and no other analysis.
        `results.parts(self)` gives all of them to `compute`."""
        raise NotImplementedError

    def check(self, dataset: xr.Dataset) -> Iterator[tuple[str, bool, str]]:
        """For an analysis that proves: (name, proved, text) of each statement of a dataset that it
        wrote, proved again from the dataset alone. `nnflow certificate check` calls it for a
        dataset that was `nnflow.sealed`, with this analysis as its attribute `analysis`."""
        raise NotImplementedError

    def compute(self, results: ResultsView) -> xr.Dataset:
        """The result. `results.configurations` are those of the study,
        `results.each("training")` yields (configuration, Dataset), `results.study` the study, and
        `results.progress(done, total)` shows the progress of a long computation."""
        raise NotImplementedError
