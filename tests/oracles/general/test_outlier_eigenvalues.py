"""Outliers against dense Hessians, and the widest gap against lists made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from networks import problem
from studies import module
from test_curvature_along_training import ways

from nnflow import mean
from nnflow.base.errors import UserError
from nnflow.engine.landscape import Landscape

outliers = module("outlier_eigenvalues").outliers


def test_outliers_lie_above_the_widest_gap():
    highest = np.array([[9.0, 8, 7, 1, 0.9], [100, 1, 0.9, 0.8, 0.7], [4, 3, 2.9, 2.5, -1]])
    counts, gaps = outliers(highest)
    np.testing.assert_array_equal(counts, [3, 1, 4])
    np.testing.assert_allclose(gaps[:2], [7, 100])
    assert np.isfinite(gaps[2]) and gaps[2] > 1e300


class Trained(Handmade):
    def __init__(self, kept=True):
        objective, weights = problem(widths=[5, 4, 3])
        self.scales = np.array([[0.3, 0.5, 1.0, 2.0, np.nan]] * 2 + [[0.4, 0.6, 1.1, 1.5, 2.0]])
        self.points = weights[:, None].numpy() * self.scales[:, :, None]
        trained = xr.Dataset(
            ways(objective, weights, self.scales) if kept else {}, {"kept_step": [0, 1, 10, 50, 99]}
        )
        super().__init__({"all": {"model": objective.model}}, {"training": {"all": trained}})
        self.dense = Landscape(objective)
        self.objective = lambda configuration: self.dense


def test_columns_are_those_of_dense_hessians():
    """Of the first, the middle and the last of the weights that all runs kept."""
    results = Trained()
    plugin = analysis("outlier_eigenvalues", runs=2, steps=40, probes=2, tolerance=1e-9)
    highest, total, spread = np.empty((2, 3, 7)), np.empty((2, 3)), np.empty((2, 3))
    for run in range(2):
        for time, place in enumerate((0, 2, 3)):
            values = np.linalg.eigvalsh(results.dense.hessian(results.points[run, place])[0])
            highest[run, time], total[run, time] = values[::-1][:7], values.sum()
            spread[run, time] = np.linalg.norm(values)
    counts = np.array([[np.argmax(row[:-1] / row[1:]) + 1 for row in part] for part in highest])
    ratio = np.array([[(row[:-1] / row[1:]).max() for row in part] for part in highest])
    assert (highest > 0).all() and len(np.unique(counts)) > 1
    expected = {
        "classes": [3],
        "weights": [39],
        "runs": [2],
        "largest_residual": [Between(0, 1e-9)],
    }
    found = plugin.compute(Trained())  # shares depend on the trace, which two probes estimate
    for time, name in enumerate(("before", "during", "after")):
        expected[f"outliers_{name}"] = [mean(counts[:, time])]
        expected[f"excess_{name}"] = [mean(counts[:, time] - 3)]
        expected[f"gap_{name}"] = [mean(ratio[:, time])]
        inside = np.where(np.arange(7) < counts[:, [time]], highest[:, time], 0).sum(axis=1)
        nodes, parts = (found[f"density_{n}"].values[0, :, time] for n in ("node", "weight"))
        estimated = 39 * np.nansum(nodes * parts, axis=(1, 2)) / 2
        # steps as many as weights leave the error of 2 probes alone, ‖H‖ in Frobenius' norm
        assert (np.abs(estimated - total[:, time]) < 5 * spread[:, time]).all()
        expected[f"share_{name}"] = [mean(inside / estimated)]
    dataset = assert_columns(plugin, results, expected)
    np.testing.assert_allclose(dataset["eigenvalue"][0], highest, rtol=1e-8)
    np.testing.assert_array_equal(dataset["step"].values.ravel()[:3], [0, 10, 50])
    np.testing.assert_allclose(dataset["density_weight"].sum("node"), 1)


def test_residuals_are_relative_to_the_highest_and_half_of_the_weights_are_asked_for(monkeypatch):
    """Two classes, eight weights: 4 of the 6 eigenvalues that would be looked for."""
    asked = []

    class Told:
        data = {"targets": np.array([0, 1])}

        def ends(self, weights, lowest, highest, tolerance):
            asked.append((lowest, highest))
            values, residuals = np.array([0.5, 1, 2, 8]), np.array([0.8, 0.4, 0.2, 0.1])
            return SimpleNamespace(highest=values, highest_residual=residuals)

        def density(self, weights, steps, probes):
            return np.ones((2, 2, 4))

    part = module("outlier_eigenvalues")
    monkeypatch.setattr(part, "kept_weights", lambda *_: np.ones((1, 3, 8)))
    trained = xr.Dataset(coords={"kept_step": [0, 5, 9]})
    results = Handmade({"all": {}}, {"training": {"all": trained}})
    results.objective = lambda configuration: Told()
    found = analysis("outlier_eigenvalues", steps=4, probes=2).compute(results)
    assert asked == [(0, 4)] * 3
    assert found["largest_residual"].item() == pytest.approx(0.1)
    assert found["residual"].values[0, 0, 0].tolist() == [0.1, 0.2, 0.4, 0.8]
    # one eigenvalue is an outlier; the trace is 8·8/2
    assert found["share_before"].item() == pytest.approx(8 / 32)


def test_the_last_weights_are_the_last_that_all_runs_kept():
    """The third run kept its weights of step 99, the first two did not."""
    plugin = analysis("outlier_eigenvalues", runs=3, steps=4, probes=2)
    assert plugin.compute(Trained())["step"].values.ravel().tolist() == [0, 10, 50]


def test_kept_weights_are_needed():
    with pytest.raises(UserError, match=r"it needs `trace: \{weights: N\}`"):
        analysis("outlier_eigenvalues").compute(Trained(kept=False))
