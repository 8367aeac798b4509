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
