"""What an initializer is: the law of the first weights."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from nnflow.base.streams import Streams
from nnflow.interfaces.model import Shapes
from nnflow.interfaces.plugin import Plugin


class Initializer(Plugin):
    """The law that a run's first weights are drawn from."""

    kind: ClassVar[str] = "initializers"

    def draw(self, shapes: Shapes, streams: Streams) -> dict[str, np.ndarray]:
        """First weights {name: (run, *shape)} of the runs `streams.runs`, float64.

        All randomness comes from `streams`; `streams.normal(size, draw=i)` with another
        i gives fresh numbers.
        """
        raise NotImplementedError
