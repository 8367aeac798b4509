"""Results of studies that never ran: hand-made datasets, and the columns that come of them."""

import inspect
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nnflow.interfaces.registry import registry
from nnflow.study.results import Results


class Handmade:
    """What an analysis reads. datasets: {name: {label: dataset}}; settings: {label: parts}, each
    the parts of a configuration (model, initializer, optimizer, …)."""

    def __init__(self, settings=None, datasets=None, seed=1):
        self.configurations = tuple(
            SimpleNamespace(label=label, settings=SimpleNamespace(**parts))
            for label, parts in (settings or {"all": {}}).items()
        )
        self.study = SimpleNamespace(file="study.yaml", settings=SimpleNamespace(seed=seed))
        self._datasets = datasets or {}
        self._done = {}
        self.told = False

    def each(self, name):
        return [(one, self._datasets[name][one.label]) for one in self.configurations]

    def at(self, name, label):
        return self._datasets[name][label]

    last = Results.last

    def progress(self, done, total, detail=""):
        """Whole numbers that only grow, as a bar shows them."""
        assert all(isinstance(number, (int, np.integer)) for number in (done, total))
        assert self._done.get(detail, 0) <= done <= total
        self.told = True
        self._done[detail] = done


def analysis(name, **settings):
    return registry().get("analyses", name)(**settings)


def flags(values, meanings):
    """A categorical variable over runs; values: words."""
    words = meanings.split()
    return xr.DataArray(
        np.array([words.index(value) for value in values]),
        dims="run",
        attrs={"flag_meanings": meanings},
    )


def assert_columns(plugin, results, expected):
    """That the columns are these and no others; expected: {column: a value for each
    configuration}, where an interval (value, low, high) stands for three columns. NaN is equal
    to NaN. The dataset."""
    dataset = plugin.compute(results)
    if "results.progress(" in inspect.getsource(inspect.getmodule(type(plugin))):
        assert results.told, "no progress is shown"
    columns = {name: dataset[name] for name in dataset if dataset[name].dims == ("configuration",)}
    assert set(plugin.columns) == set(expected)
    assert all(columns[name].attrs["long_name"] == plugin.columns[name] for name in expected)
    wanted = {}
    for name, values in expected.items():
        if isinstance(values[0], tuple):
            for end, part in zip(("", "_low", "_high"), zip(*values, strict=True), strict=True):
                wanted[name + end] = list(part)
        else:
            wanted[name] = values
    assert set(columns) == set(wanted)
    for name in expected:
        if f"{name}_low" in columns:
            low, value, high = (columns[f"{name}{end}"].values for end in ("_low", "", "_high"))
            assert not ((low > value) | (value > high)).any(), f"{name}: outside of its interval"
    for name, values in wanted.items():
        found = columns[name].values.tolist()
        assert found == [_close(value) for value in values], f"{name}: {found}, not {values}"
    return dataset


def _close(value):
    """A number to be met closely, or something that compares itself (pytest.approx, Below)."""
    return pytest.approx(value, rel=1e-9, abs=1e-12, nan_ok=True) if _plain(value) else value


def _plain(value):
    return isinstance(value, (int, float, np.number))


class Between:
    """Equal to every number from low to high."""

    def __init__(self, low, high):
        self.low, self.high = low, high

    def __eq__(self, value):
        return self.low <= value <= self.high

    def __repr__(self):
        return f"Between({self.low}, {self.high})"
