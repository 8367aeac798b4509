"""The columns of network_ends from datasets whose means are known."""

import numpy as np
import pytest
import xarray as xr
from handmade import Handmade, analysis

from nnflow.base.store import flags

NAN = np.nan

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")


@pytest.fixture
def row():
    """The row of one point with three runs, the second of which ended early and the third
    of which diverged."""
    ends = xr.Dataset(
        {
            "loss": ("run", [1.0, 3.0, NAN]),
            "gradient_norm": ("run", [0.1, 0.3, NAN]),
            "min_eigenvalue": ("run", [-1.0, -1.0, NAN]),
            "max_eigenvalue": ("run", [4.0, 6.0, NAN]),
            "kind": flags([0, 5, 5], KINDS),
        }
    )
    accuracy = [[0.1, 0.5, 0.9], [0.1, 0.7, NAN], [NAN, NAN, NAN]]
    trained = xr.Dataset({"trace_accuracy": (("run", "trace_step"), accuracy)})
    spectra = xr.Dataset(
        {
            "eigenvalue": (("run", "mode"), [[-1.0, 4.0], [-1.0, 6.0]]),
            "residual": (("run", "mode"), [[1e-9, 2e-9], [3e-9, NAN]]),
            "dense_eigenvalue": (("run", "mode"), [[-1.25, 4.0], [NAN, NAN]]),
        }
    )
    datasets = {"critical_points": ends, "training": trained, "spectra": spectra}
    results = Handmade(datasets={name: {"all": dataset} for name, dataset in datasets.items()})
    return analysis("network_ends").compute(results).sel(configuration="all")


def test_means_leave_out_what_diverged(row):
    assert row["runs"] == 3
    assert row["loss"] == 2.0
    assert row["max_eigenvalue"] == 5.0
    # Student's interval of two values a, b at 99 %: half-width 63.657·|a − b|/2
    np.testing.assert_allclose(row["loss_high"] - row["loss"], 63.6567, rtol=1e-5)
    assert row["min_eigenvalue_low"] == row["min_eigenvalue_high"] == -1.0


def test_accuracies_are_those_of_the_last_recorded_step(row):
    np.testing.assert_allclose(row["accuracy"], (0.9 + 0.7) / 2)
    assert np.isnan(row["test_accuracy"])


def test_shares_of_kinds_with_their_intervals(row):
    np.testing.assert_allclose(row["share_not_critical"], 2 / 3)
    assert row["share_saddle"] == 0
    # Clopper–Pearson for none of three: 1 − 0.005^(1/3)
    np.testing.assert_allclose(row["share_saddle_high"], 1 - 0.005 ** (1 / 3))


def test_errors_are_the_largest_ones_known(row):
    assert row["largest_residual"] == 3e-9
    assert row["dense_difference"] == 0.25
