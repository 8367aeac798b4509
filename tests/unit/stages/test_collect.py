"""The stage collect: batches joined, and families of critical points."""

import numpy as np
import xarray as xr

from nnflow.engine.critical import KINDS
from nnflow.stages.collect import _with_families
from nnflow.study.types import Configuration, ConfigurationSettings

CONFIGURATION = Configuration("all", {}, ConfigurationSettings())


def critical(rows):
    """A dataset of (kind, loss, invariant)."""
    kinds, losses, invariants = zip(*rows, strict=True)
    kind = np.array([KINDS.index(kind) for kind in kinds])
    attributes = {"flag_meanings": " ".join(KINDS)}
    return xr.Dataset(
        {
            "kind": ("run", kind, attributes),
            "loss": ("run", np.array(losses)),
            "invariant": (("run", "number"), np.array(invariants)[:, None]),
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
        family = _with_families(CONFIGURATION, critical(rows))["family"]
        assert family.values.tolist() == [1, 1, 0], kind


def test_what_is_not_critical_has_no_family_and_invariants_go():
    rows = [("not_critical", 0.0, 0.0), ("minimum", 1.0, 0.0), ("not_critical", 1.0, 0.0)]
    found = _with_families(CONFIGURATION, critical(rows))
    assert found["family"].values.tolist() == [-1, 0, -1]
    assert "invariant" not in found and found["loss"].values.tolist() == [0, 1, 1]
