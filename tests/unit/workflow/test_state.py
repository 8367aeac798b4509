"""What there is of a study's results."""

import os
from datetime import datetime

import pytest

from nnflow.stages.analyze import analyze
from nnflow.stages.opening import open_job
from nnflow.stages.summarize import summarize
from nnflow.workflow.plan import Plan
from nnflow.workflow.state import State, duration, run_seconds, state

PLUGINS = '''
import nnflow
import xarray as xr
from nnflow import Analysis


class Line(Analysis):
    """So many numbers."""

    size: int

    def compute(self, results):
        return xr.Dataset({"x": ("point", [0.0] * self.size)})


@nnflow.hookimpl
def nnflow_register(register):
    register("line", Line)
'''
STUDY = "title: A line\nanalyses: {line: {size: 5}}\n"


@pytest.fixture
def project(plugins, tmp_path, monkeypatch):
    plugins.write("line.py", PLUGINS)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/studies/line.yaml").write_text(STUDY)
    return tmp_path


def plan():
    return Plan(("line",))


def test_from_nothing_to_done_to_stale(project):
    assert state(plan(), "line") == State("missing")
    job = open_job("analyze", "line")
    analyze(job, {"line": ""})
    assert state(plan(), "line").word == "unfinished"
    summarize(open_job("summarize", "line"))
    folder = project / "results/quick/line"
    for second, file in enumerate(sorted(folder.rglob("*.nc"))):
        os.utime(file, (1000 + second, 1000 + second))
    written = datetime.fromtimestamp(1001)
    assert state(plan(), "line") == State("done", written)
    (folder / "benchmarks").mkdir()
    (folder / "benchmarks/analyze.tsv").write_text("s\th:m:s\n1.5\t0:00:01\n")
    assert state(plan(), "line") == State("done", written, 1.5)
    study = project / "config/studies/line.yaml"
    study.write_text(STUDY.replace("size: 5", "size: 7"))
    assert state(plan(), "line").word == "stale"
    (folder / "summary.nc").unlink()
    assert state(plan(), "line").word == "stale"


def test_what_is_stale_is_stale_however_much_is_missing(project):
    """Three datasets, of which one is there, made with other settings."""
    file = project / "config/studies/line.yaml"
    file.write_text(
        STUDY.replace("{line: {size: 5}}", "{line: {size: 5}, other: {name: line, size: 2}}")
    )
    analyze(open_job("analyze", "line"), {"line": ""})
    assert state(plan(), "line").word == "unfinished"
    file.write_text(file.read_text().replace("size: 5", "size: 7"))
    assert state(plan(), "line").word == "stale"


def test_jobs_are_added_up(tmp_path):
    for name, text in {
        "train-0.tsv": "s\th:m:s\n1.5\t0:00:01\n",
        "analyze/part-0.tsv": "s\th:m:s\n2.5\t0:00:02\n",
        "draw.tsv": "s\n",
        "odd.tsv": "s\nNA\n",
    }.items():
        file = tmp_path / "benchmarks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert run_seconds(tmp_path) == 4.0
    assert run_seconds(tmp_path / "benchmarks") is None


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.23, "4.2 s"), (42.4, "42 s"), (200, "3 min 20 s"), (3900, "1 h 5 min")]
)
def test_a_time_is_said_in_few_digits(seconds, text):
    assert duration(seconds) == text
