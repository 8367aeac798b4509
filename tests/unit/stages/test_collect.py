"""The stage collect: families of critical points. Joining is tested in base/test_joining.py."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nnflow.engine.critical import KINDS, OBSTACLES, SENSITIVE
from nnflow.engine.families import JOINED
from nnflow.stages import collect
from nnflow.stages.collect import _sentences, _with_families
from nnflow.study.types import Configuration, ConfigurationSettings

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


def test_isolated_points_of_one_loss_differ_by_their_invariants():
    """So do minima, saddles and maxima; points of continua are of one family by their loss."""
    for number, kind in enumerate(("minimum", "saddle", "maximum")):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 1.0, 1e-9), (kind, 0.5 - number, 0.0)]
        family = _with_families(CONFIGURATION, critical(rows))["family"]
        assert family.values.tolist() == [1, 2, 1, 0], kind
    for kind in ("degenerate", "nonsmooth"):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 0.5, 0.0)]
        found = _with_families(CONFIGURATION, critical(rows))
        assert found["family"].values.tolist() == [1, 1, 0], kind
        assert [JOINED[j] for j in found["joined"].values] == ["unknown", "unknown", "yes"]


def test_what_is_not_critical_has_no_family_and_invariants_go():
    rows = [("not_critical", 0.0, 0.0), ("minimum", 1.0, 0.0), ("not_critical", 1.0, 0.0)]
    found = _with_families(CONFIGURATION, critical(rows))
    assert found["family"].values.tolist() == [-1, 0, -1]
    assert "invariant" not in found and found["loss"].values.tolist() == [0, 1, 1]


def test_straight_valleys_are_told_apart():
    rows = [("degenerate", 1.0, 0.0), ("degenerate", 1.0, 5.0), ("degenerate", 1.0, 1e-9)]
    found = _with_families(CONFIGURATION, critical(rows, straight=1))
    assert found["family"].values.tolist() == [0, 1, 0] and "straight" not in found


@pytest.mark.parametrize(("norm", "families"), [(1.0, [0, 0]), (1e-10, [0, 1]), (np.nan, [0, 0])])
def test_levels_of_degenerate_points_are_of_the_unit_that_the_curvature_shows(norm, families):
    rows = [("degenerate", 1e-10, 0.0), ("degenerate", 2e-10, 0.0)]
    found = _with_families(CONFIGURATION, critical(rows, norm=norm))
    assert found["family"].values.tolist() == families


def test_curved_valleys_that_walks_tell_apart_are_families():
    ends = critical([("degenerate", 1.0, float(number)) for number in range(4)])
    ends["valley"][:] = np.array([0.0, 0.0, 7.0, 7.0])[:, None, None]
    found = _with_families(CONFIGURATION, ends)
    assert found["family"].values.tolist() == [0, 0, 1, 1] and "valley" not in found
    assert not any("several valleys" in line for line in _sentences("all", found))
    ends["valley"][3] = 8.0
    found = _with_families(CONFIGURATION, ends)
    assert found["family"].values.tolist() == [0, 0, 0, 0]
    assert "all: families that may be several valleys of one loss: 0" in _sentences("all", found)


def test_a_family_of_two_kinds_is_degenerate_and_hangs_on_the_threshold():
    rows = [("minimum", 1.0, 0.0), ("saddle", 1.0, 0.0), ("minimum", 2.0, 0.0)]
    found = _with_families(CONFIGURATION, critical(rows))
    assert [KINDS[k] for k in found["kind"].values] == ["degenerate", "degenerate", "minimum"]
    assert [SENSITIVE[k] for k in found["sensitive"].values] == ["yes", "yes", "no"]
    assert _sentences("all", found) == ["all: families that depend on classify.zero_below: 0"]


def test_a_minimum_where_another_run_is_degenerate_is_degenerate():
    rows = [("degenerate", 1.0, 0.0), ("minimum", 1.0, 1e-9), ("minimum", 1.0, 3.0)]
    found = _with_families(CONFIGURATION, critical(rows))
    assert [KINDS[k] for k in found["kind"].values] == ["degenerate", "degenerate", "minimum"]
    assert found["family"].values.tolist() == [0, 0, 1]


def test_a_family_hangs_on_the_threshold_if_a_run_of_it_does():
    ends = critical([("minimum", 1.0, 0.0)] * 2 + [("minimum", 2.0, 0.0)])
    ends["zero_range"][0] = [0.0, 2e-7]
    found = _with_families(CONFIGURATION, ends)
    assert [SENSITIVE[k] for k in found["sensitive"].values] == ["yes", "yes", "no"]


def test_runs_that_are_not_critical_are_counted_with_their_reasons():
    ends = critical([("not_critical", 1.0, 0.0)] * 3 + [("minimum", 1.0, 0.0)])
    ends["obstacle"][1] = OBSTACLES.index("not_finite")
    assert _sentences("rate=1", _with_families(CONFIGURATION, ends)) == [
        "rate=1: 3 of 4 runs are not critical: 2 with a gradient that is not below"
        " classify.critical_below, 1 not finite"
    ]
    assert _sentences("all", _with_families(CONFIGURATION, critical([("minimum", 1.0, 0.0)]))) == []


def test_what_is_to_be_known_of_families_is_told(monkeypatch):
    """And the columns are those of the families of each configuration."""
    ends, told = critical([("minimum", 1.0, 0.0), ("saddle", 1.0, 0.0)]), []
    monkeypatch.setattr(collect, "rows", lambda pieces, names, sources: [("all", ends)])
    monkeypatch.setattr(collect, "_dataset", lambda found: found)
    study = SimpleNamespace(configurations=[CONFIGURATION])
    job = SimpleNamespace(study=study, reporter=SimpleNamespace(line=told.append, note=told.append))
    ((label, columns),) = collect._families(job, {}, None)
    assert (label, told) == ("all", ["all: families that depend on classify.zero_below: 0"])
    assert set(columns) == {"index", "nullity", "kind", "family", "joined", "sensitive"}
    assert columns["family"].values.tolist() == [0, 0]
