"""What every stage is given: its folder, its checkpoints, its provenance."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.stages.job import Job, pick_device, run_coordinates
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice, Study, StudySettings


@pytest.fixture
def job(tmp_path):
    settings = ConfigurationSettings(runs=3)
    configurations = tuple(Configuration(label, {}, settings) for label in ("k=1", "k=2"))
    study = Study("one", "one.yaml", "quick", StudySettings(title="One"), configurations)
    told = {"commit": "c", "provenance": {"code": "old", "study": "one"}}
    return Job(study, tmp_path, tmp_path, 0, told, Reporter("test", None), depends="settings")


def test_a_checkpoint_depends_on_all_that_its_bits_depend_on(job, tmp_path):
    read = tmp_path / "input"
    read.write_text("first weights")
    first = job.checkpoint("train", 0, read).path
    assert first.parent == job.folder / "checkpoints"
    assert job.checkpoint("train", 0, read).path == first
    others = [
        replace(job, gpus=1).checkpoint("train", 0, read),
        replace(job, depends="other settings").checkpoint("train", 0, read),
        job.checkpoint("train", 1, read),
        job.checkpoint("classify", 0, read),
        job.checkpoint("train", 0),
    ]
    read.write_text("other weights")
    others.append(job.checkpoint("train", 0, read))
    assert len({first, *(other.path for other in others)}) == 7


def test_slices_are_written_and_read_in_their_order(job):
    second, first = (
        RunSlice(configuration, 0, 2) for configuration in reversed(job.study.configurations)
    )
    path = job.batch_path("training", 4)
    assert path == job.results / "quick" / "one" / "batches" / "training-4.nc"
    parts = [xr.Dataset({"loss": ("run", [value, 0.0])}) for value in (2.0, 1.0)]
    job.write_slices(path, (second, first), parts, "a title")
    read = job.read_slices(path, (first, second))
    assert [part["loss"].values[0] for part in read] == [1.0, 2.0]
    with xr.open_dataset(path) as written:
        assert written.attrs["title"] == "One: a title" and written.attrs["commit"] == "c"
    job.write_slices(path, (second,), parts[:1], "a title")
    (alone,) = job.read_slices(path, (second,))
    assert alone["loss"].values[0] == 2.0


def test_a_stale_input_is_refused_before_its_configurations_are_asked_for(job):
    def check(study, file):
        raise UserError(f"{study}: {file.name} is of other settings")

    path = job.batch_path("training", 0)
    job.write(path, {"another": xr.Dataset({"x": 1.0}), "third": xr.Dataset({"x": 1.0})}, "a title")
    two = [
        SimpleNamespace(configuration=SimpleNamespace(label=name)) for name in ("first", "second")
    ]
    with pytest.raises(UserError, match=r"one: training-0\.nc is of other settings"):
        replace(job, check=check).read_slices(path, tuple(two))


def test_the_code_of_an_analysis_is_in_its_provenance_alone(job):
    other = job.with_code_hash("new")
    assert other.provenance["provenance"] == {"code": "new", "study": "one"}
    assert job.provenance["provenance"] == {"code": "old", "study": "one"}
    other.write(job.folder / "a.nc", {"": xr.Dataset({"x": 1.0})}, "a title")
    told = store.read(job.folder / "a.nc")[""].attrs["provenance"]
    assert json.loads(told)["code"] == "new"


def test_coordinates_name_runs_and_what_varies():
    settings = ConfigurationSettings(runs=2, vary={"optimizer.rate": [0.5, 0.25]})
    configuration = Configuration("all", {}, settings)
    found = xr.Dataset(coords=run_coordinates(configuration, 1, 4))
    assert found["run"].values.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(found["rate"], [0.5, 0.25, 0.25])


def test_the_device_of_a_job(monkeypatch):
    import torch

    assert pick_device(0) == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert (pick_device(0), pick_device(1)) == ("cpu", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="given a GPU"):
        pick_device(1)
