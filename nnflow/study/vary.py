"""Settings that differ from run to run inside one configuration.

`vary` lays a grid of numbers over the runs of one batch: with S settings and `runs: R`, run i has
setting i // R and start number i % R. Random streams depend on the start number, so that every
setting meets the same R starts: what differs on a map is the setting alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from nnflow.base.errors import UserError
from nnflow.base.settings import Settings, explain
from nnflow.interfaces.plugin import look_up

PARTS = {"optimizer": "optimizers", "initializer": "initializers", "model": "models"}
"""The plugins whose settings may differ from run to run, and their kinds."""
MOST = 10_000_000
"""Most runs of one configuration; more would not fit the memory of a job."""
RESERVED = {
    "run", "loss", "gradient_norm", "steps", "restarts", "status", "stopped_by", "trace_step",
    "kept_step", "distance", "kind", "index", "nullity", "min_eigenvalue", "max_eigenvalue",
    "zero_range", "is_global", "family", "eigenvalue", "residual", "dense_eigenvalue", "count",
    "mode", "invariant", "start", "obstacle", "sensitive", "straight", "joined",
    "valley", "landmark", "mark", "preconditioner",
}  # fmt: skip
"""Names that the datasets give to other things than weights and varied settings."""


class Range(Settings):
    """`count` numbers from the first to the last, both included."""

    model_config = ConfigDict(serialize_by_alias=True)

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


def _understood(value: Any) -> Range | list[float]:
    """A range or a list, from what a study file says."""
    if isinstance(value, dict):
        try:
            return Range.model_validate(value)
        except ValidationError as error:
            raise ValueError(explain(error, Range)) from None
    try:
        if isinstance(value, list) and any(isinstance(number, bool) for number in value):
            raise ValueError  # true is no number
        return _LIST.validate_python(value)
    except ValueError:
        keys = "{from, to, count, spacing}"
        raise ValueError(f"expected a list of finite numbers, or a range {keys}") from None


_LIST = TypeAdapter(Annotated[list[FiniteFloat], Field(min_length=1)])
Numbers = Annotated[Range | list[float], BeforeValidator(_understood)]


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
        """Coordinates over `run` for the datasets: each varied setting and the start number. None
        without varied settings."""
        if not self.axes:
            return {}
        places = np.unravel_index(np.asarray(runs), self.shape)
        return {
            name: ("run", numbers[place], attributes)
            for (name, (numbers, attributes)), place in zip(
                self.dimensions().items(), places, strict=True
            )
        }

    def dimensions(self) -> dict[str, tuple[np.ndarray, dict[str, str]]]:
        """{name: (numbers, attributes)} of each varied setting and of the starts, in the order of
        `shape`."""
        found = {
            self.name(key): (numbers, {"long_name": f"setting {key}"})
            for key, numbers in self.axes.items()
        }
        text = "number of the start: runs of one number share their random streams"
        return {**found, "start": (np.arange(self.starts), {"long_name": text})}

    def name(self, key: str) -> str:
        """What a varied setting is called in the datasets: the last part of its key; the whole key
        where two have the same end or the datasets call something else so."""
        last = key.rsplit(".", 1)[-1]
        same_end = [other for other in self.axes if other.rsplit(".", 1)[-1] == last]
        return last if len(same_end) == 1 and last not in RESERVED else key.replace(".", "_")


def with_varied(raw: dict[str, Any], swept: Iterable[str] = ()) -> dict[str, Any]:
    """Untyped settings of a configuration in which each plugin has the settings that `vary` gives
    it: the first number, where the plugin itself names none. What is not understood is left to the
    checks. Raises ValueError where a swept key varies, too."""
    vary = raw.get("vary")
    if not isinstance(vary, dict):
        return raw
    for key in swept:
        if key in vary:
            raise ValueError(f"sweep.{key}: this setting already varies from run to run (vary)")
    filled = dict(raw)
    for key, numbers in vary.items():
        part, _, setting = str(key).partition(".")
        plugin = filled.get(part)
        plugin = {"name": plugin} if isinstance(plugin, str) else plugin
        first = _first(numbers)
        if first is None or not isinstance(plugin, dict) or setting in plugin:
            continue
        if setting in _varies(part, plugin.get("name")):
            filled[part] = {**plugin, setting: first}
    return filled


def _first(numbers: Any) -> Any:
    """The first of some untyped numbers; None where there is none."""
    if isinstance(numbers, dict):
        return numbers.get("from")
    return numbers[0] if isinstance(numbers, list) and numbers else None


def _varies(part: str, name: Any) -> tuple[str, ...]:
    """The settings of a plugin that may vary; none where there is no such plugin, or no name."""
    if part not in PARTS or not isinstance(name, str):
        return ()
    try:
        return look_up(PARTS[part], name).varies
    except UserError:
        return ()
