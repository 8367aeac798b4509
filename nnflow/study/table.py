"""Tables with one row per configuration, as analyses give them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import xarray as xr

Cell = float | int | str | tuple[float, float, float]
"""A number, a text, or a number with the ends of its interval: (value, low, high)."""


class Table:
    """Columns over `configuration`, filled row by row.

    labels: of the configurations, in order. columns: {name: what the column holds}. A number with
    an interval fills NAME, NAME_low and NAME_high. What no row gives is NaN, or "" among texts.

        table = Table(results, {"loss": "mean loss", "runs": "runs"})
        for configuration, critical in results.each("critical_points"):
            table.row(configuration, loss=mean(critical["loss"].values), runs=critical.sizes["run"])
        return table.dataset()
    """

    def __init__(self, results: Any, columns: Mapping[str, str]) -> None:
        self.labels = [configuration.label for configuration in results.configurations]
        self.columns = dict(columns)
        self._rows: dict[str, dict[str, Cell]] = {label: {} for label in self.labels}

    def row(self, configuration: Any, **values: Cell) -> None:
        """Numbers of one configuration. Raises KeyError for a column that was not announced, or a
        configuration that the study has not."""
        self._fill(self._rows[configuration.label], values)

    def everywhere(self, **values: Cell) -> None:
        """The same numbers in every row. Raises KeyError as `row` does."""
        for row in self._rows.values():
            self._fill(row, values)

    def _fill(self, row: dict[str, Cell], values: Mapping[str, Cell]) -> None:
        for name in values:
            if name not in self.columns:
                raise KeyError(f"no column {name!r} was announced")
        row.update(values)

    def dataset(self) -> xr.Dataset:
        """The columns over the dimension `configuration`."""
        import xarray as xr

        variables = {}
        for name, meaning in self.columns.items():
            cells = [row.get(name) for row in self._rows.values()]
            values = [cell[0] if isinstance(cell, tuple) else cell for cell in cells]
            variables[name] = ("configuration", _filled(values), {"long_name": meaning})
            if any(isinstance(cell, tuple) for cell in cells):
                for place, end in ((1, "low"), (2, "high")):
                    ends = [cell[place] if isinstance(cell, tuple) else None for cell in cells]
                    text = f"{meaning}: {'lower' if end == 'low' else 'upper'} end of its interval"
                    variables[f"{name}_{end}"] = (
                        "configuration", _filled(ends), {"long_name": text}
                    )  # fmt: skip
        return xr.Dataset(variables, {"configuration": self.labels})

    def joined(self, parts: Iterable[xr.Dataset]) -> xr.Dataset:
        """The columns beside further variables over `configuration`. parts: a dataset of each
        configuration, in order; along axes that differ what is missing is NaN."""
        import xarray as xr

        beside = xr.concat(list(parts), "configuration", join="outer", combine_attrs="override")
        return xr.merge([beside.assign_coords(configuration=self.labels), self.dataset()])


def _filled(values: Iterable[Any]) -> np.ndarray:
    """The values with something for what is missing."""
    values = list(values)
    missing = "" if any(isinstance(value, str) for value in values) else np.nan
    return np.array([missing if value is None else value for value in values])
