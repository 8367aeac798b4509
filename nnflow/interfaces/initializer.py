"""What an initializer is: the distribution of the first weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.interfaces.model import Model, Shapes
from nnflow.interfaces.plugin import Plugin


@dataclass(frozen=True)
class Start:
    """What first weights may be made from.

    shapes: of the model's weights. streams: the random streams of the runs `streams.runs`.
    model: the model itself. label: of the configuration. load: gives the arrays of the study's
    dataset, {} where it has none. used: results of the studies that the study uses, by name.
    """

    shapes: Shapes
    streams: Streams
    model: Model
    label: str
    load: Callable[[], dict[str, np.ndarray]]
    used: Mapping[str, Any]

    def of(self, study: str) -> Any:
        """The results of a study that this one uses. Raises UserError where it uses none of that
        name."""
        if study not in self.used:
            raise UserError(f"uses: the study {study!r} is not named there")
        return self.used[study]


class Initializer(Plugin):
    """The distribution that a run's first weights are drawn from."""

    kind: ClassVar[str] = "initializers"

    def draw(self, shapes: Shapes, streams: Streams) -> dict[str, np.ndarray]:
        """First weights {name: (run, *shape)} of the runs `streams.runs`, float64.

        All randomness comes from `streams`; `streams.normal(size, draw=i)` with another
        i gives fresh numbers.
        """
        raise NotImplementedError

    def count(self) -> int | None:
        """How many runs it has weights for, where it draws none; None: as many as are wanted."""
        return None

    def start(self, start: Start) -> dict[str, np.ndarray]:
        """The same for an initializer that depends on the model, the data or the results of
        another study; by default `draw`."""
        return self.draw(start.shapes, start.streams)
