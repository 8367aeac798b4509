"""The summary of a study's analyses."""

from types import SimpleNamespace

import pytest
import xarray as xr

from nnflow import UserError
from nnflow.stages.summarize import summarize


def job(folder, **analyses):
    """Of a study of two configurations without claims; analyses: {name: columns}."""
    written, labels = {}, [SimpleNamespace(label=label) for label in "ab"]
    read = {
        name: xr.Dataset({column: ("configuration", values) for column, values in one.items()})
        for name, one in analyses.items()
    }
    return SimpleNamespace(
        study=SimpleNamespace(
            name="study", file="study.yaml", configurations=labels,
            settings=SimpleNamespace(analyses=dict.fromkeys(analyses), claims=[]),
        ),
        read=read,
        folder=folder,
        write=lambda path, groups, kind: written.update(groups[""]),
        written=written,
    )  # fmt: skip


def test_columns_of_all_analyses(tmp_path):
    nan = float("nan")
    one = job(tmp_path, first={"x": [1, 2], "y": [nan, 0]}, second={"y": [nan, 0], "z": [3, 4]})
    summarize(one)
    assert sorted(map(str, one.written)) == ["x", "y", "z"]


def test_a_column_with_two_meanings_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"study.yaml: analyses: 'first' and 'second' both give"):
        summarize(job(tmp_path, first={"x": [1, 2]}, second={"x": [1, 3]}))
