"""What optimizers, analyses and figures are given, as they see it; the engine and the study provide
it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import torch
    import xarray as xr

    from nnflow.base.side_by_side import LaneGradient
    from nnflow.base.streams import Streams
    from nnflow.interfaces.optimizer import Descended, Descent


class ObjectiveView(Protocol):
    """L as a function of flat weights (run, weight), as an optimizer sees it."""

    streams: Streams

    def loss(self, weights: torch.Tensor) -> torch.Tensor:
        """L, (run,)."""

    def gradient(self, weights: torch.Tensor) -> torch.Tensor:
        """∇L, (run, weight)."""

    def descend(self, weights: torch.Tensor, descent: Descent) -> Descended | None:
        """Weights and velocity after many steps; None where the model knows no way faster than
        step by step."""

    def lane_gradient(self, weights: torch.Tensor) -> LaneGradient | None:
        """∇L as compiled code takes it, for an optimizer whose steps are compiled; None where the
        model has none."""

    def hessian(self, weights: torch.Tensor) -> torch.Tensor:
        """∇²L, (run, weight, weight)."""

    def hessian_vector(self, weights: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor]:
        """v ↦ ∇²L v for vectors (run, weight), without forming ∇²L."""

    def retract(self, weights: torch.Tensor) -> torch.Tensor:
        """Weights near the model's manifold or convex set onto it."""

    def minibatch(self, samples: torch.Tensor) -> ObjectiveView:
        """The loss over the given samples of each run, (run, sample) indices."""


class StudyView(Protocol):
    """A study at one scale, with settings and configurations."""

    name: str
    scale: str
    settings: Any
    configurations: tuple[Any, ...]


class ResultsView(Protocol):
    """A study's results, as analyses and figures read them."""

    study: Any
    configurations: tuple[Any, ...]

    def each(self, name: str) -> Iterator[tuple[Any, xr.Dataset]]:
        """(configuration, dataset) of a stage."""

    def at(self, name: str, label: str) -> xr.Dataset:
        """A stage's dataset at the configuration with this label."""

    def configuration(self, label: str) -> Any:
        """The configuration with this label."""

    def __getitem__(self, name: str) -> xr.Dataset:
        """The dataset of an analysis, or `summary`."""

    def parts(self, analysis: Any) -> list[xr.Dataset]:
        """The parts of an analysis, in order."""

    def of(self, name: str) -> ResultsView:
        """The results of a study that this one uses."""

    def objective(self, configuration: Any) -> Any:
        """The loss of a configuration with its data."""

    def last(self, variable: str, label: str) -> np.ndarray:
        """The last recorded value of an observable of each run."""

    def measure(
        self, name: str, function: Callable[[], Any], repeats: int = 7, **numbers: float | str
    ) -> Any:
        """What the function gives; how long it takes goes into timings.json."""

    def timings(self, analysis: str) -> pd.DataFrame:
        """What an analysis measured."""

    def progress(self, done: int, total: int, detail: str = "") -> None:
        """Show the progress of a long computation."""
