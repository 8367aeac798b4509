"""The stage collect: families of critical points. Joining is tested in base/test_joining.py."""

import os
import tracemalloc
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.joining import Column
from nnflow.base.spilled import Spilled
from nnflow.engine.critical import KINDS, OBSTACLES, SENSITIVE
from nnflow.engine.families import JOINED
from nnflow.stages.collect import GONE, _sentences, _with_families, collect
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice

CONFIGURATION = Configuration("all", {}, ConfigurationSettings())


def critical(rows, straight=0, norm=1.0):
    """A dataset of (kind, loss, invariant)."""
    kinds, losses, invariants = zip(*rows, strict=True)
    kind = np.array([KINDS.index(kind) for kind in kinds])
    attributes = {"flag_meanings": " ".join(KINDS)}
    return xr.Dataset(
        {
            "kind": ("run", kind, attributes),
            "loss": ("run", np.array(losses)),
            "invariant": (("run", "number"), np.array(invariants)[:, None]),
            "straight": ("run", np.full(len(kind), straight)),
            "valley": (("run", "landmark", "mark"), np.full((len(kind), 2, 3), np.nan)),
            "index": ("run", np.zeros(len(kind), int)),
            "nullity": ("run", np.zeros(len(kind), int)),
            "min_eigenvalue": ("run", np.full(len(kind), -norm)),
            "max_eigenvalue": ("run", np.full(len(kind), norm)),
            "zero_range": (("run", "bound"), np.tile([0.0, 0.1], (len(kind), 1))),
            "obstacle": (
                "run",
                np.where(kind == KINDS.index("not_critical"), OBSTACLES.index("gradient"), 0),
                {"flag_meanings": " ".join(OBSTACLES)},
            ),
        }
    )


def judged(ends):
    """What is told of the runs of a dataset, with their counts."""
    with ExitStack() as files:
        found = {}
        for name, column in ends.items():
            rows = Spilled(Path.cwd(), column.shape[1:], column.dtype)
            files.enter_context(rows).add(column.values)
            found[name] = Column(rows, column.attrs)
        return _with_families(CONFIGURATION, found)[0]


def test_isolated_points_of_one_loss_differ_by_their_invariants():
    """So do minima, saddles and maxima; points of continua are of one family by their loss."""
    for number, kind in enumerate(("minimum", "saddle", "maximum")):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 1.0, 1e-9), (kind, 0.5 - number, 0.0)]
        family = judged(critical(rows))["family"]
        assert family.values.tolist() == [1, 2, 1, 0], kind
    for kind in ("degenerate", "nonsmooth"):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 0.5, 0.0)]
        found = judged(critical(rows))
        assert found["family"].values.tolist() == [1, 1, 0], kind
        assert [JOINED[j] for j in found["joined"].values] == ["unknown", "unknown", "yes"]


def test_what_is_not_critical_has_no_family():
    rows = [("not_critical", 0.0, 0.0), ("minimum", 1.0, 0.0), ("not_critical", 1.0, 0.0)]
    found = judged(critical(rows))
    assert found["family"].values.tolist() == [-1, 0, -1]


def test_straight_valleys_are_told_apart():
    rows = [("degenerate", 1.0, 0.0), ("degenerate", 1.0, 5.0), ("degenerate", 1.0, 1e-9)]
    found = judged(critical(rows, straight=1))
    assert found["family"].values.tolist() == [0, 1, 0]


@pytest.mark.parametrize(("norm", "families"), [(1.0, [0, 0]), (1e-10, [0, 1]), (np.nan, [0, 0])])
def test_levels_of_degenerate_points_are_of_the_unit_that_the_curvature_shows(norm, families):
    rows = [("degenerate", 1e-10, 0.0), ("degenerate", 2e-10, 0.0)]
    found = judged(critical(rows, norm=norm))
    assert found["family"].values.tolist() == families


def test_each_run_has_its_own_level_and_its_own_valley(monkeypatch):
    """In the order of losses, and of runs, and in pieces of one run."""
    monkeypatch.setattr("nnflow.base.spilled.HELD", 0)
    rows = [
        ("degenerate", 1 + 4e-10, 0.0),  # a level of its own, as its unit is 1e-6
        ("minimum", 0.5, 0.0),
        ("degenerate", 2 + 2e-10, 0.0),
        ("not_critical", 0.0, 0.0),
        ("degenerate", 1 + 2e-10, 0.0),
        ("degenerate", 2.0, 0.0),
        ("minimum", 0.5, 9.0),
    ]
    ends = critical(rows)
    ends["max_eigenvalue"][[0, 4]] = 1e-10
    ends["min_eigenvalue"][[0, 4]] = 1e-10
    ends["valley"][1], ends["valley"][6] = 0.0, 5.0
    found = judged(ends)
    assert found["family"].values.tolist() == [3, 0, 4, -1, 2, 4, 1]
    joined = [JOINED[j] for j in found["joined"].values]
    assert joined == ["yes", "yes", "unknown", "unknown", "yes", "unknown", "yes"]


def test_curved_valleys_that_walks_tell_apart_are_families():
    ends = critical([("degenerate", 1.0, float(number)) for number in range(4)])
    ends["valley"][:] = np.array([0.0, 0.0, 7.0, 7.0])[:, None, None]
    found = judged(ends)
    assert found["family"].values.tolist() == [0, 0, 1, 1]
    assert not any("several valleys" in line for line in _sentences("all", found))
    ends["valley"][3] = 8.0
    found = judged(ends)
    assert found["family"].values.tolist() == [0, 0, 0, 0]
    assert "all: families that may be several valleys of one loss: 0" in _sentences("all", found)


def test_a_family_of_two_kinds_is_degenerate_and_hangs_on_the_threshold():
    rows = [("minimum", 1.0, 0.0), ("saddle", 1.0, 0.0), ("minimum", 2.0, 0.0)]
    found = judged(critical(rows))
    assert [KINDS[k] for k in found["kind"].values] == ["degenerate", "degenerate", "minimum"]
    assert [SENSITIVE[k] for k in found["sensitive"].values] == ["yes", "yes", "no"]
    assert _sentences("all", found) == ["all: families that depend on classify.zero_below: 0"]


def test_a_minimum_where_another_run_is_degenerate_is_degenerate():
    rows = [("degenerate", 1.0, 0.0), ("minimum", 1.0, 1e-9), ("minimum", 1.0, 3.0)]
    found = judged(critical(rows))
    assert [KINDS[k] for k in found["kind"].values] == ["degenerate", "degenerate", "minimum"]
    assert found["family"].values.tolist() == [0, 0, 1]


def test_a_family_hangs_on_the_threshold_if_a_run_of_it_does():
    ends = critical([("minimum", 1.0, 0.0)] * 2 + [("minimum", 2.0, 0.0)])
    ends["zero_range"][0] = [0.0, 2e-7]
    found = judged(ends)
    assert [SENSITIVE[k] for k in found["sensitive"].values] == ["yes", "yes", "no"]


def test_runs_that_are_not_critical_are_counted_with_their_reasons():
    ends = critical([("not_critical", 1.0, 0.0)] * 3 + [("minimum", 1.0, 0.0)])
    ends["obstacle"][1] = OBSTACLES.index("not_finite")
    assert _sentences("rate=1", judged(ends)) == [
        "rate=1: 3 of 4 runs are not critical: 2 with a gradient that is not below"
        " classify.critical_below, 1 not finite"
    ]
    assert _sentences("all", judged(critical([("minimum", 1.0, 0.0)]))) == []


class Told:
    """A job that joins batches of one configuration, and what it notes."""

    def __init__(self, folder, batches):
        """batches: datasets, of which each is written once, however often it stands there."""
        paths, self.notes, first = {}, [], 0
        for ends in batches:
            if id(ends) not in paths:
                paths[id(ends)] = folder / "batches" / f"{len(paths)}.nc"
                store.write(paths[id(ends)], {"": ends}, {})
        self.folder, self.path = folder, [paths[id(ends)] for ends in batches]
        slices = []
        for ends in batches:
            slices.append((RunSlice(CONFIGURATION, first, first + ends.sizes["run"]),))
            first += ends.sizes["run"]
        self.study = SimpleNamespace(name="s", configurations=[CONFIGURATION], batches=slices)
        self.reporter = SimpleNamespace(note=self.notes.append)

    def batch_path(self, dataset, number):
        return self.path[number]

    def check(self, study, path):
        pass

    def file_attributes(self, title):
        return {"title": title}

    def collected(self):
        collect(self, "critical_points")
        return store.read(self.folder / "critical_points.nc")[""]


def batch(seed, count=60):
    """Ends of all kinds and some losses, with valleys of which some are told apart."""
    random = np.random.default_rng(seed)
    kinds = random.choice(KINDS, count)
    place = random.integers(0, 3, count)
    ends = critical([(kind, float(p), p % 2.0) for kind, p in zip(kinds, place, strict=True)])
    ends["index"] = ("run", random.integers(0, 9, count), {"long_name": "i"})
    ends["nullity"] = ("run", place, {"long_name": "n"})
    ends["valley"][:] = random.integers(0, 2, count)[:, None, None]
    ends["w"] = (("run", "weight"), random.random((count, 5)))
    return ends


def test_a_file_has_the_families_of_all_batches_and_what_is_to_be_known_is_told(tmp_path):
    ends = critical([("minimum", 1.0, 0.0), ("saddle", 1.0, 0.0)])
    ends["index"][1] = 1
    ends["nullity"].attrs["long_name"] = "nullity"
    other = critical([("minimum", 2.0, 0.0), ("minimum", 0.5, 0.0)])
    job = Told(tmp_path, [ends, other])
    found = job.collected()
    assert job.notes == ["all: families that depend on classify.zero_below: 1"]
    assert [KINDS[k] for k in found["kind"].values] == ["degenerate"] * 2 + ["minimum"] * 2
    assert found["family"].values.tolist() == [1, 1, 2, 0]
    assert found["index"].values.tolist() == [-1, -1, 0, 0]
    assert found["nullity"].values.tolist() == [0, 0, 0, 0]
    assert found["nullity"].attrs == {"long_name": "nullity", "units": "1"}
    assert {"loss", "joined", "sensitive", "obstacle"} < set(found) and not set(GONE) & set(found)


def test_what_lies_on_disk_gives_what_memory_gives(tmp_path, monkeypatch):
    parts = [batch(0), batch(1, 33), batch(2)]
    expected = Told(tmp_path / "memory", parts).collected()
    whole = Told(tmp_path / "whole", [xr.concat(parts, "run")]).collected()
    monkeypatch.setattr("nnflow.base.spilled.HELD", 0)
    found = Told(tmp_path / "disk", parts).collected()
    xr.testing.assert_identical(found, expected)
    xr.testing.assert_identical(found, whole)
    contents = [
        (tmp_path / name / "critical_points.nc").read_bytes() for name in ("disk", "memory")
    ]
    assert contents[0] == contents[1]
    assert len(np.unique(expected["family"])) > 6 and -1 in expected["index"]


@pytest.mark.parametrize("fails", ["none", "split_valleys", "store"])
def test_nothing_stays_on_disk_but_the_result(tmp_path, monkeypatch, fails):
    def disk_full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nnflow.base.spilled.HELD", 0)
    job = Told(tmp_path, [batch(0)])
    before, opened = set(tmp_path.rglob("*")), os.listdir("/proc/self/fd")
    if fails == "none":
        job.collected()
    else:
        if fails == "split_valleys":
            monkeypatch.setattr("nnflow.stages.collect.split_valleys", disk_full)
        else:
            monkeypatch.setattr("nnflow.base.spilled.Spilled.add", disk_full)
        with pytest.raises(UserError, match=r"critical_points.nc: can't be written: No space left"):
            job.collected()
    made = {tmp_path / "critical_points.nc"} if fails == "none" else set()
    assert set(tmp_path.rglob("*")) == before | made
    assert len(os.listdir("/proc/self/fd")) == len(opened)


@pytest.mark.parametrize("kind", ["minimum", "degenerate"])
def test_memory_holds_a_few_numbers_of_each_run(tmp_path, monkeypatch, kind):
    """Of runs of one family with 60 invariants and 12 marks, 576 bytes: fewer than 100."""
    for place in ("joining.CHUNK", "spilled.HELD"):
        monkeypatch.setattr(f"nnflow.base.{place}", 2**16)
    monkeypatch.setattr("nnflow.engine.families.PIECE", 2**9)
    ends = critical([(kind, 1.0, 0.0)] * 1000)
    ends["invariant"] = (("run", "number"), np.ones((1000, 60)))
    ends["valley"] = (("run", "landmark", "mark"), np.ones((1000, 4, 3)))
    most = []
    for count in (6, 24):
        job = Told(tmp_path / str(count), [ends] * count)
        tracemalloc.start()
        collect(job, "critical_points")
        most.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert (most[1] - most[0]) / 18_000 < 100
