"""The strength of minibatch noise, by hand and against the variance of drawn minibatches."""

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from networks import problem
from studies import module

from nnflow.base.errors import UserError
from nnflow.engine.landscape import Landscape
from nnflow.interfaces.registry import registry

FACTORS = np.array([1.0, 2, 4, 9])


class Samples:
    """Gradients a_s·w of samples s, so that D = var(a)‖w‖² for minibatches of one sample."""

    def __init__(self, factors=FACTORS):
        self.factors, self.samples = factors, len(factors)

    def among(self, batch):
        return Samples(self.factors[batch])

    def gradient(self, points):
        return self.factors.mean() * points


def results_of(weights, steps, minibatch=1, loss=None):
    """Results with kept weights (run, kept step, weight)."""
    sgd = registry().get("optimizers", "sgd")(rate=0.1, minibatch=minibatch)
    trained = xr.Dataset(
        {"kept_w": (("run", "kept_step", "w_0"), weights)}, {"kept_step": np.array(steps)}
    )
    results = Handmade({"all": {"optimizer": sgd}}, {"training": {"all": trained}})
    results.objective = lambda configuration: loss or Samples()
    return results


def test_columns_of_noise_strength():
    """Run 1 stands at 1, 2, 4, 4 and 6, run 2 at twice that: D = var(a)·w², displacements 1, 2."""
    steps = [0, 1, 2, 4, 5]
    way = np.array([1.0, 2, 4, 4, 6])
    weights = np.stack([way, 2 * way])[:, :, None]
    variance = FACTORS.var(ddof=1)
    # after t_w = 0 the mean of w² over [0, 1] is 5/2, after t_w = 4 over [4, 5] it is 26
    runs = np.array([1, 4]) * variance
    early, late = 2.5 * runs, 26.0 * runs
    moved = {"early": 1.0, "late": 4.0}  # squared, of run 1; by D it is the same for run 2

    def around(value):
        return (value, Between(-np.inf, value), Between(value, np.inf))

    collapse = moved["late"] / 26 / (moved["early"] / 2.5)
    expected = {
        "noise_early": [around(early.mean())],
        "noise_late": [around(late.mean())],
        "noise_fall": [(10.4, pytest.approx(10.4), pytest.approx(10.4))],
        "noise_collapse": [(collapse, pytest.approx(collapse), pytest.approx(collapse))],
    }
    plugin = analysis("noise_strength", waiting=[1, 2, 4], lag=1)
    plugin = plugin.model_copy(update={"waiting": [0, 2, 4]})  # a wait of 0, for round numbers
    found = assert_columns(plugin, results_of(weights, steps), expected)
    # the only lag within both windows is 1, by the mean of D over each
    curve = found["noise_curve"].values[0, :, -1]
    assert curve == pytest.approx([1 / 2.5 / variance, 4 / 26 / variance])
    assert (
        found["noise_lag"].values[-1] == 1 and np.isnan(found["noise_curve"].values[0, :, 0]).all()
    )


def test_noise_curves_fall_together_where_motion_is_the_noise_alone():
    """Turning evenly on a circle, D and displacements are the same at any age. On a spiral that
    shrinks they are not in proportion: the statement is false there."""
    steps = np.arange(1.0, 41)
    plugin = analysis("noise_strength", waiting=[4, 16], lag=8)
    found = {}
    for name, turned, radius in (
        ("noise", 0.01 * steps, 1e3), ("other", np.sqrt(steps), 1 / steps[:, None])
    ):  # fmt: skip
        way = radius * np.stack([np.cos(turned), np.sin(turned)], axis=1)
        curve = plugin.compute(results_of(way[None], steps))["noise_curve"].values[0]
        found[name] = curve[1] / curve[0]
        assert np.isfinite(found[name]).sum() > 10
    assert np.nanmax(np.abs(found["noise"] - 1)) < 1e-9
    assert np.nanmin(np.abs(found["other"] - 1)) > 0.5


def test_noise_is_the_variance_over_minibatches():
    objective, weights = problem(runs=2)  # 25 samples
    loss = Landscape(objective)
    flat = weights.numpy()[:, None]
    results = results_of(flat, [1], minibatch=5, loss=loss)
    found = analysis("noise_strength", waiting=[1, 2], lag=1)._noise(
        results, results.configurations[0], flat
    )
    singles = np.stack([loss.among(np.array([s])).gradient(flat[:, 0]) for s in range(25)])
    variance = singles.var(axis=0, ddof=1).sum(axis=1) / 5
    # one partition has 4 degrees of freedom in each of many directions
    np.testing.assert_allclose(found[:, 0], variance, rtol=0.6)
    means = []
    for seed in range(200):
        order = np.random.default_rng(seed).permutation(25).reshape(5, 5)
        gradients = singles[order].mean(axis=1)
        means.append(gradients.var(axis=0, ddof=1).sum(axis=1))
    np.testing.assert_allclose(np.mean(means, axis=0), variance, rtol=0.05)


def test_too_few_kept_weights_are_refused():
    weights = np.ones((2, 3, 1))
    with pytest.raises(UserError, match="fewer than two of the kept weights lie between steps 2"):
        analysis("noise_strength", waiting=[2, 4], lag=1).compute(results_of(weights, [0, 2, 8]))


def test_time_averages():
    average = module("noise_strength")._average
    np.testing.assert_allclose(average(np.array([[0.0, 2, 2]]), np.array([0.0, 1, 3])), [5 / 3])


def test_samples_that_fill_no_minibatch_are_left_out():
    """Two minibatches of two of five samples."""
    flat = np.ones((1, 1, 1))
    results = results_of(flat, [1], minibatch=2, loss=Samples(np.array([1.0, 2, 4, 9, 7])))
    plugin = analysis("noise_strength", waiting=[1, 2], lag=1)
    found = plugin._noise(results, results.configurations[0], flat)
    pairs = {(a - b) ** 2 / 8 for a in range(2, 17) for b in range(2, 17)}  # halves of sums
    assert found.shape == (1, 1) and min(abs(found.item() - pair) for pair in pairs) < 1e-12
