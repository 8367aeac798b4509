"""Published results, and what is checked of them."""

import json
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from nnflow import cli
from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.stages import verify
from nnflow.stages.publish import CHECKLIST, publish
from nnflow.stages.verify import checks, opened
from nnflow.workflow.plan import Plan

rocrate = pytest.importorskip("rocrate.rocrate")

PLUGINS = '''
import nnflow
import xarray as xr
from nnflow import Analysis


class Sealed(Analysis):
    """√2 lies between two numbers, which is proved again from the file."""

    columns = {"low": "below √2"}

    def compute(self, results):
        labels = [one.label for one in results.configurations]
        bounds = xr.Dataset(
            {"root": ("certificate", [1.41]), "low": ("configuration", [1.41])},
            {"configuration": labels},
            {"analysis": self.model_dump_json()},
        )
        return nnflow.sealed(bounds)

    def check(self, dataset):
        for bound in dataset["root"].values:
            yield "√2", bool(bound**2 < 2), f"{bound}"


@nnflow.hookimpl
def nnflow_register(register):
    register("sealed", Sealed)
'''
STUDY = """
title: A root
seed: 7
analyses: {sealed: }
claims:
  - {claim: root, statement: √2 is 1.41, source: a table, value: low, published: 1.41, basis: ours}
"""


@pytest.fixture
def project(plugins, tmp_path, monkeypatch):
    """A finished study in the working folder."""
    plugins.write("sealed.py", PLUGINS)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/studies/root.yaml").write_text(STUDY)
    for stage in ("analyze", "summarize"):
        cli.app([stage, "root"], standalone_mode=False)
    return tmp_path


def said(crate):
    with opened(crate) as folder:
        return list(checks(folder))


GOOD = [
    (True, "root: 1 claims judged again: as published"),
    (True, "quick/root/analyses/sealed.nc: 1 certificates proved again"),
]


@pytest.mark.parametrize("name", ["crate", "crate.zip"])
def test_what_is_published_is_verified(project, name):
    count = publish(Plan(("root",)), project / name)
    (sums, files), *others = said(project / name)
    assert sums and files.endswith("files have the content that was published")
    assert others == GOOD
    if name.endswith(".zip"):
        assert len(zipfile.ZipFile(project / name).namelist()) == count + 1
        return
    crate = rocrate.ROCrate(project / name)  # the library reads what it is given
    assert crate.mainEntity.id == "Snakefile" and crate.license
    assert {entity.id for entity in crate.data_entities} >= {
        "Snakefile",
        CHECKLIST,
        "config/studies/root.yaml",
        "results/quick/root/summary.nc",
        "results/quick/root/analyses/sealed.nc",
        "results/quick/root/claims.csv",
    }
    # every file has a sum, the checklist too
    assert all("sha256" in entity for entity in crate.data_entities)
    (action,) = crate.get_by_type("CreateAction")
    assert "cores" in action["description"] and action["instrument"].id == "Snakefile"
    listed = (project / name / CHECKLIST).read_text()
    assert "**Seeds**: root 7" in listed and "torch 2.13.0" in listed


def test_what_was_altered_is_told(project):
    """A number, its seal, and the verdict that goes with it."""
    publish(Plan(("root",)), project / "crate")
    folder = project / "crate/results/quick/root"
    for file in (folder / "summary.nc", folder / "analyses/sealed.nc"):
        data = store.read(file)[""]
        told = dict(data.attrs)
        data["low"] = ("configuration", np.array([1.5]))
        if "root" in data:
            data["root"] = ("certificate", np.array([1.5]))
        file.unlink()
        store.write(file, {"": data}, told)
    (sums, text), *others = said(project / "crate")
    assert not sums
    assert text.endswith(
        "; not: results/quick/root/analyses/sealed.nc, results/quick/root/summary.nc"
    )
    assert others == [
        (False, "root: 1 claims judged again: NOT as published"),
        (
            False,
            "quick/root/analyses/sealed.nc: 0 certificates proved again; REFUSED: certificate 0",
        ),
    ]


def test_the_command_ends_with_1_where_a_check_fails(project, capsys):
    assert cli.app(["publish", "root", "--to", "crate"], standalone_mode=False) in (0, None)
    assert capsys.readouterr().out.endswith(" files to crate\n")
    assert cli.app(["verify", "crate"], standalone_mode=False) in (0, None)
    (project / "crate/results/quick/root/claims.csv").unlink()
    (project / "crate/results/quick/root/summary.nc").unlink()
    assert cli.app(["verify", "crate"], standalone_mode=False) == 1
    assert "✗ " in capsys.readouterr().out


@pytest.mark.parametrize("status", [0, 1])
def test_a_new_run_is_that_of_the_same_studies_at_the_same_scale(monkeypatch, tmp_path, status):
    for study in ("one", "two"):
        (tmp_path / "results/paper" / study).mkdir(parents=True)
        (tmp_path / "results/paper" / study / "summary.nc").touch()
    (tmp_path / "Snakefile").touch()
    called = []

    def run(command, cwd, check):
        called.append(command[3:])
        assert (cwd / "Snakefile").exists() and not (cwd / "results").exists()
        return SimpleNamespace(returncode=status)

    monkeypatch.setattr(verify.subprocess, "run", run)
    monkeypatch.setattr(verify, "compare", lambda old, new: {"one": [], "two": ["loss differs"]})
    if status:
        with pytest.raises(UserError, match="its workflow fails here"):
            list(verify._run_again(tmp_path, "3"))
    else:
        assert list(verify._run_again(tmp_path, "3")) == [
            (True, "one: a new run gives the same numbers to the last bit"),
            (False, "two: loss differs"),
        ]
    options = ["--cores", "3", "--config", "scale=paper", "results=results"]
    assert called == [["run", "one", "two", *options]]


def test_an_altered_checklist_is_told(project):
    publish(Plan(("root",)), project / "crate")
    (project / "crate" / CHECKLIST).write_text("- [x] all is well\n")
    (sums, text), *_ = said(project / "crate")
    assert not sums and text.endswith(f"; not: {CHECKLIST}")


def test_only_finished_results_are_published(project):
    (project / "crate").mkdir()
    with pytest.raises(UserError, match="crate: exists"):
        publish(Plan(("root",)), project / "crate")
    study = project / "config/studies/root.yaml"
    study.write_text(STUDY.replace("seed: 7", "seed: 8"))
    with pytest.raises(UserError, match="root: its results are stale; `nnflow run root`"):
        publish(Plan(("root",)), project / "new")
    assert not (project / "new").exists()


def test_what_is_no_crate_is_one_line(project):
    (project / "empty").mkdir()
    for name, message in {
        "empty": "no RO-Crate",
        "nothing": "no such file or folder",
        "config/studies/root.yaml": "can't be unpacked",
    }.items():
        with pytest.raises(UserError, match=message):
            said(project / name)
    (project / "empty/ro-crate-metadata.json").write_text(
        json.dumps({"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": []})
    )
    with pytest.raises(UserError, match=r"no RO-Crate|no crate that nnflow"):
        said(project / "empty")
