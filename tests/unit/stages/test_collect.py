"""The stage collect: families of critical points. Joining is tested in base/test_joining.py."""

import numpy as np

from nnflow.engine.critical import KINDS
from nnflow.stages.collect import family_numbers
from nnflow.study.types import Configuration, ConfigurationSettings

CONFIGURATION = Configuration("all", {}, ConfigurationSettings())


def numbers(rows):
    """Families of rows (kind, loss, invariant)."""
    kinds, losses, invariants = zip(*rows, strict=True)
    kind = np.array([KINDS.index(kind) for kind in kinds])
    invariant = np.array(invariants)[:, None]
    return family_numbers(CONFIGURATION, kind, np.array(losses), invariant).tolist()


def test_isolated_points_of_one_loss_differ_by_their_invariants():
    """So do minima, saddles and maxima; points of continua are of one family by their loss."""
    for number, kind in enumerate(("minimum", "saddle", "maximum")):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 1.0, 1e-9), (kind, 0.5 - number, 0.0)]
        assert numbers(rows) == [1, 2, 1, 0], kind
    for kind in ("degenerate", "nonsmooth"):
        rows = [(kind, 1.0, 0.0), (kind, 1.0, 5.0), (kind, 0.5, 0.0)]
        assert numbers(rows) == [1, 1, 0], kind


def test_what_is_not_critical_has_no_family():
    rows = [("not_critical", 0.0, 0.0), ("minimum", 1.0, 0.0), ("not_critical", 1.0, 0.0)]
    assert numbers(rows) == [-1, 0, -1]
