"""The stage analyze: what comes of an analysis is what it announced."""

from pathlib import Path

import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.interfaces import Analysis
from nnflow.stages.analyze import analyze
from nnflow.stages.job import Job
from nnflow.study.timings import read_timings, write_timings
from nnflow.study.types import Configuration, ConfigurationSettings, Study, StudySettings

LABELS = ("k=1", "k=2")


class Announced(Analysis):
    """Gives `columns` of its class to test."""

    name = "announced"
    columns = {"loss": "a loss", "share": "a share"}
    given: dict[str, list[float]]
    """What it gives over `configuration`."""
    further: dict[str, list[float]] = {}
    """What it gives over another dimension."""

    def compute(self, results):
        columns = {name: ("configuration", values) for name, values in self.given.items()}
        return xr.Dataset({**columns, **{n: ("grid", v) for n, v in self.further.items()}})


class Silent(Announced):
    """Announces nothing, so that it may give anything."""

    columns = {}


class Number(Announced):
    """Gives no dataset."""

    def compute(self, results):
        return 3


def job(folder: Path, plugin: Analysis) -> Job:
    settings = StudySettings(title="One").model_copy(update={"analyses": {"one": plugin}})
    configurations = tuple(Configuration(label, {}, ConfigurationSettings()) for label in LABELS)
    study = Study("one", "one.yaml", "quick", settings, configurations)
    return Job(study, folder, folder, 0, {"provenance": {"commit": "c"}}, Reporter("test", None))


COMPLETE = {"loss": [1.0, 2.0], "share": [0.5, 0.25]}


def test_announced_columns_are_written(tmp_path):
    further = {"curve": [1.0, 2.0, 3.0]}
    given = {**COMPLETE, "share_low": [0.0, 0.1], "share_high": [1.0, 0.5]}
    work = job(tmp_path, Announced(given=given, further=further))
    analyze(work, {"one": "a hash"})
    written = store.read(work.folder / "analyses" / "one.nc")[""]
    for name, values in {**given, **further}.items():
        assert written[name].values.tolist() == values
    assert '"code": "a hash"' in written.attrs["provenance"]


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        (Announced(given={"loss": [1, 2]}), "announces the column 'share', and gave none"),
        (Announced(given={**COMPLETE, "size": [1, 2]}), "gave the column 'size' unannounced"),
        (Announced(given={**COMPLETE, "size_low": [1, 2]}), "gave the column 'size_low' unann"),
        (
            Announced(given={"loss": [1, 2]}, further={"share": [1, 2]}),
            "announces the column 'share', and gave none",
        ),
        (
            Announced(given={name: [1.0] for name in COMPLETE}),
            "gave 1 rows along .*the study has 2",
        ),
        (Number(given={}), "gave no xarray.Dataset, but int"),
    ],
)
def test_what_was_not_announced_is_an_error(tmp_path, plugin, message):
    work = job(tmp_path, plugin)
    with pytest.raises(UserError, match=message):
        analyze(work, {"one": ""})
    assert not (work.folder / "analyses").exists()


def test_an_analysis_that_announces_nothing_may_give_anything(tmp_path):
    work = job(tmp_path, Silent(given={"size": [1.0, 2.0]}))
    analyze(work, {"one": ""})
    assert store.read(work.folder / "analyses" / "one.nc")[""]["size"].values.tolist() == [1, 2]


class Timed(Announced):
    """Measures what it computes."""

    columns = {}
    measures: bool = True

    def compute(self, results):
        if not self.measures:
            return super().compute(results)
        total = [
            results.measure("sum", lambda n=n: float(sum(range(n))), repeats=3, numbers=n)
            for n in (10, 1000)
        ]
        return xr.Dataset({"total": ("configuration", total)})


def test_measured_times_are_beside_the_dataset_and_not_in_it(tmp_path):
    work = job(tmp_path, Timed(given={}))
    analyze(work, {"one": ""})
    file = work.folder / "analyses" / "one.nc"
    written = store.read(file)[""]
    assert list(written) == ["total"] and written["total"].values.tolist() == [45.0, 499500.0]
    told = read_timings(work.folder)["one"]
    assert told["commit"] == "c" and told["machine"]["cores"] >= 1
    assert [row["name"] for row in told["measured"]] == ["sum", "sum"]
    table = work.read.timings("one")
    assert table["numbers"].tolist() == [10, 1000]
    assert (table["low"] > 0).all() and (table["low"] <= table["median"]).all()
    assert (table["median"] <= table["high"]).all() and (table["repeats"] == 3).all()
    assert table["median"][1] > table["median"][0]
    assert work.read.timings("two").empty
    before = file.read_bytes()
    analyze(work, {"one": ""})
    assert file.read_bytes() == before and len(read_timings(work.folder)["one"]["measured"]) == 2


def test_what_is_no_longer_measured_goes(tmp_path):
    write_timings(tmp_path / "quick" / "one", "another", [{"name": "kept"}], {"commit": "b"})
    analyze(job(tmp_path, Timed(given={})), {"one": ""})
    folder = tmp_path / "quick" / "one"
    assert set(read_timings(folder)) == {"one", "another"}
    analyze(job(tmp_path, Timed(given={"size": [1.0, 2.0]}, measures=False)), {"one": ""})
    assert set(read_timings(folder)) == {"another"}
    assert read_timings(folder)["another"]["commit"] == "b"


def test_nothing_is_written_where_nothing_is_measured(tmp_path):
    work = job(tmp_path, Announced(given=COMPLETE))
    analyze(work, {"one": ""})
    assert not (work.folder / "timings.json").exists() and read_timings(work.folder) == {}


def test_a_damaged_file_of_times_is_named(tmp_path):
    (tmp_path / "timings.json").write_text("{")
    with pytest.raises(UserError, match=r"timings\.json: not readable: .*; delete it and run"):
        read_timings(tmp_path)
