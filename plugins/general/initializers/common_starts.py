"""The same first weights at every point of a study."""

from __future__ import annotations

from pydantic import Field

import nnflow
from nnflow import Initializer, Streams


class CommonStarts(Initializer):
    """Run i begins with the same weights at every point whose weights have the same shapes.

    Points are independent samples otherwise. With common starts, settings such as step sizes
    are compared run by run, free of the spread between starts.
    """

    law: Initializer = Field(examples=["normal"])
    """The law of the weights."""

    def draw(self, shapes, streams):
        return self.law.draw(shapes, Streams(streams.seed, "", streams.runs, streams.purpose))


@nnflow.hookimpl
def nnflow_register(register):
    register("common_starts", CommonStarts)
