"""Tables that are never wider than a page."""

import numpy as np
import pytest
import xarray as xr

from nnflow.report.tables import WIDEST, tables


def summary(columns: int, configurations: int) -> xr.Dataset:
    numbers = np.arange(columns * configurations, dtype=float).reshape(columns, configurations)
    return xr.Dataset(
        {f"column_{i}": ("configuration", row) for i, row in enumerate(numbers)},
        {"configuration": [f"k={j}" for j in range(configurations)]},
    )


@pytest.mark.parametrize(
    ("columns", "configurations"), [(43, 1), (2, 40), (12, 7), (7, 12), (1, 1)]
)
def test_each_number_stands_in_one_table_of_few_columns(columns, configurations):
    found = tables(summary(columns, configurations))
    assert all(len(one.heads) <= WIDEST for one in found)
    assert all(len(cells) == len(one.heads) for one in found for _, cells in one.rows)
    shown = [cell for one in found for _, cells in one.rows for cell in cells]
    assert sorted(map(int, shown)) == list(range(columns * configurations))


def test_a_number_stands_under_its_configuration():
    for one in tables(summary(12, 7)):
        for (head, _, _), cells in one.rows:
            for (label, _, _), cell in zip(one.heads, cells, strict=True):
                assert int(cell) == 7 * int(head.split()[1]) + int(label.removeprefix("k="))


def test_the_ends_of_an_interval_stand_with_its_number():
    data = xr.Dataset(
        {
            "share": ("configuration", [0.5], {"units": "1", "long_name": "share of runs"}),
            "share_low": ("configuration", [0.4]),
            "share_high": ("configuration", [0.6]),
            "range_low": ("configuration", [1.0]),
            "range_high": ("configuration", [2.0]),
        },
        {"configuration": ["all"]},
    )
    (one,) = tables(data)
    assert [(head, cells) for (head, _, _), cells in one.rows] == [
        ("share", ("0.50 (0.4–0.6)",)), ("range", ("1–2",)),
    ]  # fmt: skip
    assert one.rows[0][0] == ("share", "", "share of runs")


def test_a_name_in_words_is_no_meaning():
    data = xr.Dataset(
        {
            "gap_low": ("configuration", [1.0], {"long_name": "gap low"}),
            "gap_high": ("configuration", [2.0], {"long_name": "the upper end"}),
            "mean_loss": ("configuration", [1.0], {"long_name": "mean loss"}),
        },
        {"configuration": ["all"]},
    )
    (one,) = tables(data)
    assert [head for head, _ in one.rows] == [
        ("gap", "", "the upper end"), ("mean loss", "", ""),
    ]  # fmt: skip


def test_a_summary_without_columns_has_no_table():
    assert tables(summary(0, 3)) == []
