"""The summary of a study's analyses."""

from types import SimpleNamespace

import pytest
import xarray as xr

from nnflow import UserError
from nnflow.stages.summarize import summarize
from nnflow.study.claims import Claim


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
        reporter=SimpleNamespace(line=lambda text: None),
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


def test_it_says_last_what_its_claims_say_each_statement_once(tmp_path):
    """Two bounds on one statement, one of which fails, and a cross-check."""
    common = {"statement": "s", "source": "t", "value": "x"}
    claims = [
        Claim(claim="above", above=0, counts_as="one", **common),
        Claim(claim="below", below=1, counts_as="one", **common),
        Claim(claim="ours", published=2, basis="ours", **common),
    ]
    lines = []
    found = xr.Dataset({"x": ("configuration", [2.0])}, {"configuration": ["all"]})
    settings = SimpleNamespace(analyses={"a": None}, claims=claims)
    study = SimpleNamespace(
        name="s", settings=settings, configurations=[SimpleNamespace(label="all")]
    )
    summarize(
        SimpleNamespace(
            study=study,
            read={"a": found},
            folder=tmp_path,
            write=lambda file, sets, title: None,
            reporter=SimpleNamespace(line=lines.append, note=lines.append),
        )
    )
    assert lines[-1] == "bounds: 1 differs; cross-checks: 1 reproduced"
    assert lines[0].startswith("differs: below")
