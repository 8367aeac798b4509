"""Settings that differ from run to run inside one configuration.

`vary` lays a grid of numbers over the runs of one batch: with S settings and `runs: R`, run i has
setting i // R and start number i % R. Random streams depend on the start number, so that every
setting meets the same R starts: what differs on a map is the setting alone.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import ConfigDict, Field, model_validator

from nnflow.base.settings import Settings

MOST = 10_000_000
"""Most settings of one configuration; more would not fit the memory of a job."""


class Range(Settings):
    """`count` numbers from the first to the last, both included."""

    model_config = ConfigDict(populate_by_name=True, serialize_by_alias=True)

    first: float = Field(alias="from")
    """The first number."""
    last: float = Field(alias="to")
    """The last number."""
    count: Annotated[int, Field(ge=1, le=MOST)]
    """How many numbers."""
    spacing: Literal["linear", "log"] = "linear"
    """Equal differences, or equal ratios."""

    @model_validator(mode="after")
    def _positive(self):
        if self.spacing == "log" and min(self.first, self.last) <= 0:
            raise ValueError("spacing: log needs numbers above 0")
        return self

    def numbers(self) -> np.ndarray:
        """The numbers, (count,)."""
        space = np.geomspace if self.spacing == "log" else np.linspace
        return space(self.first, self.last, self.count)


Numbers = Range | Annotated[list[float], Field(min_length=1)]


def axis(numbers: Numbers) -> np.ndarray:
    """The numbers of one varied setting."""
    return numbers.numbers() if isinstance(numbers, Range) else np.array(numbers, dtype=float)


class Grid:
    """The settings of all runs of a configuration: a grid, its last key running fastest.

    axes: {key: (number,)}, such as {"optimizer.rate": …}. starts: runs of each setting.
    """

    def __init__(self, vary: dict[str, Numbers], starts: int) -> None:
        self.axes = {key: axis(numbers) for key, numbers in vary.items()}
        self.starts = starts

    @property
    def shape(self) -> tuple[int, ...]:
        """Numbers of each setting, in order, and the starts."""
        return (*(len(numbers) for numbers in self.axes.values()), self.starts)

    @property
    def runs(self) -> int:
        """All runs of the configuration."""
        return int(np.prod([float(n) for n in self.shape]))

    def start_of(self, runs: np.ndarray) -> np.ndarray:
        """The start number of each run, which its random streams depend on."""
        return runs % self.starts if self.axes else runs

    def values(self, part: str, runs: np.ndarray) -> dict[str, np.ndarray]:
        """{setting: (run,)} of one plugin (optimizer, initializer or model) for the given runs."""
        places = np.unravel_index(np.asarray(runs), self.shape)
        return {
            key.split(".", 1)[1]: numbers[place]
            for (key, numbers), place in zip(self.axes.items(), places, strict=False)
            if key.split(".", 1)[0] == part
        }

    def coordinates(self, runs: np.ndarray) -> dict[str, tuple[str, np.ndarray, dict[str, str]]]:
        """Coordinates over `run` for the datasets: each varied setting by the last part of its key,
        or its whole key where two end alike, and the start number. None without varied settings."""
        if not self.axes:
            return {}
        places = np.unravel_index(np.asarray(runs), self.shape)
        found = {}
        for (key, numbers), place in zip(self.axes.items(), places, strict=False):
            found[self.name(key)] = ("run", numbers[place], {"long_name": f"setting {key}"})
        text = "number of the start: runs of one number share their random streams"
        found["start"] = ("run", places[-1], {"long_name": text})
        return found

    def name(self, key: str) -> str:
        """What a varied setting is called in the datasets."""
        last = key.rsplit(".", 1)[-1]
        alike = [other for other in self.axes if other.rsplit(".", 1)[-1] == last]
        return last if len(alike) == 1 else key.replace(".", "_")
