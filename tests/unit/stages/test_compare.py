"""Two folders of results beside one another."""

import json
import shutil

import numpy as np
import pytest
import xarray as xr

from nnflow import cli
from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages.compare import compare, counted, results_differ
from nnflow.study.claims import to_csv

SETTINGS = {
    "seed": 1,
    "description": "words",
    "configurations": [{"label": "k=6", "optimizer": {"name": "gd", "rate": 0.1}}],
}


def provenance(settings=SETTINGS, **told):
    return {
        "settings": settings,
        "packages": {"torch": "2.13.0"},
        "codes": {"train": "a"},
        "commit": "one",
        **told,
    }


def write(folder, loss=(1.0, np.nan, -0.0), settings=SETTINGS, **told):
    data = xr.Dataset({"loss": ("run", np.array(loss)), "name": ("run", ["a", "b", "c"])})
    attributes = {"provenance": json.dumps(provenance(settings, **told))}
    store.write(folder / "training.nc", {"k=6": data, "k=7": data}, attributes)
    store.write(folder / "summary.nc", {"all": data}, attributes)


def row(**told):
    return {
        "claim": "minima", "study": "bowl", "kind": "number", "source": "", "statement": "",
        "configuration": "k=6", "column": "minima", "comparison": "=", "published": 4.0,
        "tolerance": "0", "measured": 4.0, "low": 3.0, "high": 5.0, "verdict": "reproduced",
        "note": "", **told,
    }  # fmt: skip


@pytest.fixture
def folders(tmp_path):
    """Two folders with the same study."""
    write(tmp_path / "a/quick/bowl")
    (tmp_path / "a/quick/bowl/claims.csv").write_text(to_csv([row()]))
    (tmp_path / "a/quick/logs").mkdir()
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a/quick", tmp_path / "b/quick"


def test_copies_are_the_same(folders):
    assert compare(*folders) == {"bowl": []}
    # the study's own folders likewise
    assert compare(*(folder / "bowl" for folder in folders)) == {"bowl": []}


def test_numbers_that_differ_are_counted_and_measured(folders):
    """NaN is NaN, 0 is −0, and the largest gap is told beside the largest number."""
    write(folders[1] / "bowl", loss=(1.0, np.nan, 0.5))
    assert compare(*folders)["bowl"] == [
        f"{place}loss: 1 of 3 values differ, by at most 0.5 where the largest is 1"
        for place in ("summary.nc: ", "training.nc: k=6: ", "training.nc: k=7: ")
    ]
    write(folders[1] / "bowl", loss=(1.0, 2.0, -0.0))
    assert compare(*folders)["bowl"][0] == "summary.nc: loss: 1 of 3 values differ"


def test_settings_versions_and_code_are_told_and_prose_is_not(folders):
    rate = {"label": "k=6", "optimizer": {"name": "gd", "rate": 0.2}}
    write(
        folders[1] / "bowl",
        settings=SETTINGS | {"description": "other words", "seed": 2, "configurations": [rate]},
        packages={"torch": "2.14.0"},
        codes={"train": "b"},
        commit="two",
    )
    assert compare(*folders)["bowl"] == [
        "settings: optimizer.rate 0.1 → 0.2",
        "settings: seed 1 → 2",
        "packages: torch 2.13.0 → 2.14.0",
        "code: train",
    ]


def test_what_only_one_has(folders):
    first, second = folders
    write(first / "extra")
    (second / "bowl/training.nc").unlink()
    data = xr.Dataset({"loss": ("run", np.ones(2)), "steps": ("run", np.ones(2))})
    store.write(second / "bowl/summary.nc", {"all": data}, {"provenance": json.dumps(provenance())})
    assert compare(first, second) == {
        "bowl": [
            "summary.nc: loss: float64 (3,) → float64 (2,)",
            "summary.nc: name: only in the first",
            "summary.nc: steps: only in the second",
            f"training.nc: missing in {second / 'bowl'}",
        ],
        "extra": [f"only in {first}"],
    }
    assert compare(second, first)["extra"] == [f"only in {first}"]


def test_configurations_that_only_one_has(folders):
    data = xr.Dataset({"loss": ("run", np.ones(3)), "name": ("run", ["a", "b", "c"])})
    told = {"provenance": json.dumps(provenance())}
    store.write(folders[1] / "bowl/training.nc", {"k=7": data, "k=8": data}, told)
    assert compare(*folders)["bowl"] == [
        "training.nc: k=6: only in the first",
        "training.nc: k=7: loss: 2 of 3 values differ, by at most 1 where the largest is 1",
        "training.nc: k=8: only in the second",
    ]


def test_verdicts(folders):
    now = [row(verdict="undecided", low=1.0), row(claim="saddles", configuration="")]
    (folders[1] / "bowl/claims.csv").write_text(to_csv(now))
    assert compare(*folders)["bowl"] == [
        "claim minima at k=6: reproduced (4 (3–5)) → undecided (4 (1–5))",
        "claim saddles: only in the second",
    ]


def test_a_study_beside_one_derived_from_it(folders):
    shutil.move(folders[1] / "bowl", folders[1] / "bowl_fast")
    assert compare(folders[0] / "bowl", folders[1] / "bowl_fast") == {"bowl": []}


def test_a_folder_without_results(folders, tmp_path):
    with pytest.raises(UserError, match="no results here; expected results/quick"):
        compare(folders[0], tmp_path / "empty")


def test_numbers_verdicts_and_how_they_were_made_are_counted_apart(folders, capsys):
    """The exit status is about results: other code alone leaves it at 0."""
    first, second = folders
    for name in ("moved", "judged", "alone"):
        shutil.copytree(first / "bowl", first / name)
    for name in ("moved", "judged"):
        shutil.copytree(first / "bowl", second / name)
    write(second / "bowl", codes={"train": "b"})
    found = compare(first / "bowl", second / "bowl")
    assert found == {"bowl": ["code: train"]} and not results_differ(found["bowl"])
    assert counted(found) == (
        "of 1 study the same: numbers in 1; verdicts in 1; settings, versions and code in 0"
        " (numbers: to the last bit)"
    )
    pair = [str(first / "bowl"), str(second / "bowl")]
    assert cli.app(["diff", *pair], standalone_mode=False) in (0, None)
    write(second / "moved", loss=(1.0, np.nan, 0.5))
    (second / "judged/claims.csv").write_text(to_csv([row(verdict="undecided", low=1.0)]))
    assert counted(compare(first, second)) == (
        "of 4 studies the same: numbers in 2; verdicts in 2; settings, versions and code in 2"
        " (numbers: to the last bit)"
    )
    for name in ("moved", "judged"):
        pair = [str(first / name), str(second / name)]
        assert cli.app(["diff", *pair], standalone_mode=False) == 1
    assert "code: train" in capsys.readouterr().out
