"""Curvature along trajectories against dense Hessians, and limits against quadratics."""

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Handmade, analysis, assert_columns
from networks import problem
from studies import module

from nnflow import Streams, mean
from nnflow.base.errors import UserError
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import unflatten
from nnflow.interfaces.registry import registry
from nnflow.study.vary import Grid

LIMITED = {
    "gradient_descent": {"rate": 0.3},
    "projected_gradient_descent": {"rate": 0.3},
    "riemannian_gradient_descent": {"rate": 0.3},
    "heavy_ball": {"rate": 0.3, "momentum": 0.6},
    "nesterov": {"rate": 0.3, "momentum": 0.6},
    "delayed_momentum": {"rate": 0.3, "momentum": 0.6},
}


class Bowl:
    """½λw²."""

    samples = 4

    def __init__(self, curvature):
        self.curvature = curvature

    def gradient(self, weights):
        return self.curvature * weights

    def retract(self, weights):
        return weights

    def minibatch(self, samples):
        return self

    class streams:
        @staticmethod
        def permutation(count, draw):
            return np.tile(np.arange(count), (*np.shape(draw), 1))

        in_turn = staticmethod(Streams.in_turn)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_preconditioned_limit_is_that_of_the_preconditioned_curvature(momentum):
    """Where ε is large the preconditioner is ε, and the limit 2(1 + β)/(1 − β)/α: 38/α for 0.9."""
    adam = registry().get("optimizers", "adam")(
        rate=0.3, momentum=momentum, memory=0.9, epsilon=1e3
    )
    limit = adam.stable_curvature()
    assert limit == pytest.approx((38 if momentum else 2) / 0.3)
    for factor, grows in ((0.98, False), (1.02, True)):
        weights = torch.full((1, 1), 1e-25, dtype=torch.float64)
        state = adam.start(weights, torch.ones(1, dtype=torch.float64))
        size = []  # the first steps grow: the preconditioner begins with 1 − β of itself
        for _ in range(500):
            weights, state = adam.step(Bowl(1e3 * factor * limit), weights, state)
            size.append(abs(float(weights)))
        assert grows or float(adam.preconditioner(state)) == pytest.approx(1e3, rel=1e-3)
        assert (max(size[-50:]) > max(size[200:250])) == grows


@pytest.mark.parametrize("name", [*LIMITED, "sgd"])
def test_below_its_limit_an_optimizer_converges_and_above_it_does_not(name):
    settings = LIMITED.get(name, {"rate": 0.3, "momentum": 0.6, "minibatch": 4})
    optimizer = registry().get("optimizers", name)(**settings)
    limit = optimizer.stable_curvature()
    for factor, grows in ((0.98, False), (1.02, True)):
        weights = torch.ones(1, 1, dtype=torch.float64)
        state = optimizer.start(weights, torch.ones(1, dtype=torch.float64))
        for _ in range(3000):
            weights, state = optimizer.step(Bowl(factor * limit), weights, state)
        assert (abs(float(weights)) > 1e3 or not np.isfinite(float(weights))) == grows
        assert grows or abs(float(weights)) < 1e-3


def test_who_has_no_limit_tells_none():
    for name, settings in (
        ("newton", {}),
        ("gradient_flow", {}),
        ("sgd", {"rate": 1, "minibatch": 2, "schedule": "cosine", "total_steps": 5}),
    ):
        assert registry().get("optimizers", name)(**settings).stable_curvature() is None


def ways(objective, weights, scales):
    """Kept weights of runs: the given ones times each scale, NaN from the place of the last."""
    kept = weights[:, None] * torch.as_tensor(scales, dtype=torch.float64)[:, :, None]
    return {
        f"kept_{name}": (
            ("run", "kept_step", *(f"{name}{i}" for i in range(part.ndim - 2))),
            part.numpy(),
        )
        for name, part in unflatten(kept, objective.model).items()
    }


class Trained(Handmade):
    """Three runs, of two rates, on the way; the third one ended early."""

    def __init__(self, optimizer="gradient_descent", kept=True, preconditioner=None):
        objective, weights = problem(widths=[5, 4, 3])
        scales = [[0.5, 1.0, 1.5, 2.0], [0.4, 0.8, 1.2, 1.6], [1.0, 2.0, np.nan, np.nan]]
        self.points = weights[:, None].numpy() * np.array(scales)[:, :, None]
        plugin = registry().get("optimizers", optimizer)
        settings = {"rate": 0.5} if optimizer == "gradient_descent" else {}
        trained = xr.Dataset(
            {
                **(ways(objective, weights, scales) if kept else {}),
                "trace_loss": (
                    ("run", "trace_step"),
                    [[9.0, 8, 7, 4], [9, 9, 9, 3], [5, 4, np.nan, np.nan]],
                ),
            },
            {
                "kept_step": [0, 10, 20, 40],
                "trace_step": [0, 5, 20, 40],
                "start": ("run", [0, 1, 0]),
            },
        )
        if preconditioner is not None:
            axes = ("run", "kept_step", "flat_weight")
            trained["preconditioner"] = (axes, preconditioner)
        super().__init__(
            {"all": {"model": objective.model, "optimizer": plugin(**settings)}},
            {"training": {"all": trained}},
        )
        varied = {"optimizer.rate": [5.0, 6.0, 7.0]} if optimizer == "gradient_descent" else {}
        self.configurations[0].grid = Grid(varied, 1 if varied else 3)
        self.dense = Landscape(objective)
        self.objective = lambda configuration: self.dense


def test_columns_are_those_of_dense_hessians():
    results = Trained()
    plugin = analysis("curvature_along_training", count=3, tolerance=1e-9, trace_error=1e-9)
    sharp, trace = np.full((3, 4, 3), np.nan), np.full((3, 4), np.nan)
    for run in range(3):
        for step in range(4 if run < 2 else 2):
            hessian = results.dense.hessian(results.points[run, step])[0]
            sharp[run, step] = np.linalg.eigvalsh(hessian)[::-1][:3]
            trace[run, step] = np.trace(hessian)
    ratios = sharp[..., 0] * np.array([5.0, 6.0, 7.0])[:, None] / 2
    settled = np.array([ratios[0, 2:].mean(), ratios[1, 2:].mean(), ratios[2, 1]])
    by_start = [(values[[0, 2]].mean(), values[1]) for values in (ratios[:, 0], settled)]
    reached = np.nanmax(ratios, axis=1) >= 0.99
    falls = []
    for run, last in enumerate((4.0, 3.0, 4.0)):
        if reached[run]:
            step = [0, 10, 20, 40][np.argmax(ratios[run] >= 0.99)]
            there = {0: 0, 10: 1, 20: 2, 40: 3}[step]
            losses = [[9.0, 8, 7, 4], [9, 9, 9, 3], [5, 4, 4, 4]][run]
            falls.append(last / losses[there])
    late = np.array(
        [np.nanmax(part) >= 0.99 for part in (ratios[0, 2:], ratios[1, 2:], ratios[2, 1:])]
    )
    assert reached.sum() > 0
    dataset = assert_columns(
        plugin,
        results,
        {
            "start_ratio": [mean(by_start[0])],
            "settled_ratio": [mean(by_start[1])],
            "settled_lowest": [settled.min()],
            "settled_highest": [settled.max()],
            "unreached": [(~late).sum()],
            "runs": [3],
            "loss_ratio": [max(falls)],
            "largest_residual": [pytest.approx(0, abs=1e-8)],
        },
    )
    np.testing.assert_allclose(dataset["eigenvalue"][0], sharp, rtol=1e-9)
    np.testing.assert_allclose(dataset["trace"][0], trace, rtol=1e-8)
    np.testing.assert_allclose(dataset["limit"][0], [2 / 5, 2 / 6, 2 / 7])
    low, high = dataset["trace_low"][0].values, dataset["trace_high"][0].values
    assert ((low <= trace) & (trace <= high))[np.isfinite(trace)].all()


def test_the_largest_residual_is_that_of_the_highest_eigenvalues():
    """.2 of 4 and .3 of −2; the second mode's are larger."""
    axes = ("run", "kept_step", "mode")
    part = xr.Dataset(
        {
            "eigenvalue": (axes, [[[4.0, 1.0], [-2.0, -3.0], [np.nan, np.nan]]]),
            "residual": (axes, [[[0.2, 9.0], [0.3, 9.0], [np.nan, np.nan]]]),
            "limit": ("run", [np.nan]),
        }
    )
    found = analysis("curvature_along_training")._summary(part, None)
    assert found == {"runs": 1, "largest_residual": pytest.approx(0.15)}


def test_a_run_reaches_its_limit_at_one_point_of_the_last_part():
    """Of two runs that settle at ½ and 1.2, and at ½ and 0.98 limits; both begin beyond it."""
    axes = ("run", "kept_step", "mode")
    part = xr.Dataset(
        {
            "eigenvalue": (axes, np.array([[1.5, 0.5, 1.2], [1.5, 0.5, 0.98]])[..., None]),
            "residual": (axes, np.zeros((2, 3, 1))),
            "limit": ("run", [1.0, 1.0]),
        },
        {"kept_step": [0, 10, 20]},
    )
    traces = (("run", "trace_step"), [[4.0, 3, 2], [4, 3, 1]])
    trained = xr.Dataset({"trace_loss": traces}, {"trace_step": [0, 10, 20]})
    found = analysis("curvature_along_training")._summary(part, trained)
    assert found["unreached"] == 1 and found["loss_ratio"] == 0.5
    assert (found["settled_lowest"], found["settled_highest"]) == pytest.approx((0.74, 0.85))


def test_a_point_of_which_one_weight_is_unknown_is_left_out():
    results = Trained()
    trained = results.at("training", "all")
    name = next(name for name in trained if name.startswith("kept_"))
    trained[name].values[0, 1].flat[0] = np.nan
    found = analysis("curvature_along_training").compute(results)["eigenvalue"].values[0]
    assert np.isnan(found[0, 1]).all() and np.isfinite(found[0, [0, 2, 3]]).all()


def test_means_are_over_the_runs_of_each_start():
    by_start = module("curvature_along_training")._by_start
    assert by_start(np.array([1.0, 2, 6]), np.array([0, 1, 0])).tolist() == [3.5, 2]


def test_with_a_preconditioner_they_are_those_of_the_preconditioned_hessian():
    plain = Trained()
    scales = np.random.default_rng(0).uniform(0.5, 4, plain.points.shape)
    scales[:, 0] = np.nan  # before the first step
    results = Trained(preconditioner=scales)
    found = analysis("curvature_along_training", tolerance=1e-9).compute(results)
    assert np.isnan(found["eigenvalue"][0, :, 0]).all()
    ratios = np.full(3, np.nan)
    for run in range(3):
        hessian = results.dense.hessian(results.points[run, 1])[0]
        root = scales[run, 1] ** -0.5
        exact = np.linalg.eigvalsh(root[:, None] * hessian * root)[::-1][:2]
        np.testing.assert_allclose(found["eigenvalue"][0, run, 1], exact, rtol=1e-9)
        ratios[run] = exact[0] * [5, 6, 7][run] / 2
    expected = mean(np.array([ratios[[0, 2]].mean(), ratios[1]]))[0]
    assert float(found["start_ratio"][0]) == pytest.approx(expected)
    assert "preconditioned" in found["eigenvalue"].attrs["long_name"]


def test_an_optimizer_without_a_limit_has_no_ratios():
    found = analysis("curvature_along_training").compute(Trained("newton"))
    assert np.isnan(found["settled_ratio"]).all() and np.isnan(found["limit"]).all()
    assert np.isfinite(found["eigenvalue"].values[:, 0]).all()


def test_kept_weights_are_needed():
    with pytest.raises(UserError, match=r"it needs `trace: \{weights: N\}`"):
        analysis("curvature_along_training").compute(Trained(kept=False))
