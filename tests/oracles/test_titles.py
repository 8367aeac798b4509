"""What titles of figures say, on hand-made results on both sides of what decides it."""

from importlib import import_module

import numpy as np
import pytest
import xarray as xr

from nnflow.interfaces.registry import registry


def of(module):
    """A module of the figures, below nnflow_plugins."""
    registry()  # which makes nnflow_plugins
    return import_module(f"nnflow_plugins.{module}")


def intervals(name, *values, dim="configuration"):
    """A dataset of (value, low, high) of each configuration."""
    columns = np.array(values, dtype=float).T
    return xr.Dataset(
        {f"{name}{end}": (dim, c) for end, c in zip(("", "_low", "_high"), columns, strict=True)}
    )


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ((-0.2, -0.3, 0.1), "can't be told apart; annealing's mean training loss\nless descent's"),
        ((-0.2, -0.3, -0.1), "differ at 1 of 2 sizes"),
        ((0.2, 0.1, 0.3), "differ at 1 of 2 sizes"),
    ],
)
def test_annealing_and_descent_differ_where_the_interval_leaves_out_0(second, said):
    none = (np.nan, np.nan, np.nan)
    found = intervals("less_train", none, (0.1, -0.2, 0.4), none, second)
    title = of("data.size.figures.annealing_or_descent")._told(found, [2, 5])
    assert said in title and title.endswith("at 2 and 5 neurons") and "0.10 ± 0.30 and" in title


def test_a_glass_ages_where_the_whole_interval_is_below_1():
    panel = of("data.glass.figures._two_time_panel")
    aged = intervals("slowing", (0.5, -0.1, 0.99), (0.5, 0.1, 1.01))
    assert panel.ages(aged, 0) and not panel.ages(aged, 1)
    assert panel.told(aged, 0) == "0.50 (0.00 to 0.99)"


def boxes(*edges, eigenvalue=0.1, loss=0.1):
    low, high = zip(*edges, strict=True)
    ones = np.ones(len(edges))
    return xr.Dataset(
        {
            name: ("certificate", np.array(values, dtype=float))
            for name, values in {
                "low": low, "high": high, "eigenvalue_low": eigenvalue * ones,
                "loss_low": loss * ones,
            }.items()
        }
    )  # fmt: skip


def test_widths_are_proved_from_the_end_of_the_last_box_on():
    start = of("relu.spurious.figures.every_width")._start
    whole = (0, 0.2), (0.2, 100**-0.5 + 0.15)
    assert start(boxes((0, 0.1), (0.1, 0.25))) == 16
    assert start(boxes((0.1, 0.25), (0, 0.1))) == 16
    assert start(boxes((0, 0.1), (0.1, 0.3))) == 12  # 1/0.09 = 11.1
    assert start(boxes((0, 0.1), (0.11, 0.25))) == 0  # a gap
    assert start(boxes((0.01, 0.25))) == 0  # not up to infinity
    assert start(boxes(*whole, eigenvalue=-1e-9)) == 0
    assert start(boxes(*whole, loss=0.0)) == 0


def test_families_are_told_by_the_width_from_which_on_they_are_proved():
    told = of("relu.spurious.figures.every_width")._told
    assert told({"a": 6, "b": 1000, "c": 1000, "d": 0}).endswith(
        "1 family from k = 6 on, 2 families from k = 1000 on"
    )
    assert told({"a": 0}) == "Nothing is proved"


def test_of_formulas_only_those_with_solutions_are_told():
    told = of("descent.figures.sat_ends")._told
    found = xr.Dataset(
        {
            "solved_share": ("configuration", [0.9, 0.25, 0.0]),
            "satisfiable": ("configuration", [1, 1, 0]),
        }
    )
    assert "25 % to 90 % of the runs end at one" in told(found)
    assert told(found.isel(configuration=[2])) == "No formula can be satisfied"


@pytest.mark.parametrize(
    ("strict", "said"), [(0, "is flat or lies at a kink"), (2, "2 minima that are")]
)
def test_minima_that_are_neither_flat_nor_at_a_kink_are_told(strict, said):
    found = xr.Dataset({"strict": ("configuration", [0, strict])})
    assert said in of("descent.figures.multilinear_ends")._told(found)
