"""Momentum: recursions against their companion matrices, the optimizers and exact borders."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import Streams, share
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file
from nnflow.study.vary import Grid

STATUS = "converged step_limit diverged"
OPTIMIZERS = {
    "heavy_ball": "heavy_ball",
    "delayed": "delayed_momentum",
    "nesterov": "nesterov",
}


def companion(method, s, beta):
    """The 2 × 2 matrices of the three recursions in (x_n, x_{n−1})."""
    return {
        "heavy_ball": [[1 + beta - s, -beta], [1, 0]],
        "delayed": [[1 + beta, -(beta + s)], [1, 0]],
        "nesterov": [[(1 + beta) * (1 - s), -beta * (1 - s)], [1, 0]],
    }[method]


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_radii_are_those_of_the_companion_matrices(method):
    recursions = module("_recursions")
    s, beta = np.meshgrid(np.linspace(0.01, 4.2, 40), np.linspace(0, 0.99, 30))
    expected = [
        np.abs(np.linalg.eigvals(companion(method, *pair))).max()
        for pair in zip(s.flat, beta.flat, strict=True)
    ]
    np.testing.assert_allclose(recursions.radius(method, s, beta).ravel(), expected, atol=1e-7)
    stable = recursions.radius(method, s, beta) < 1
    away = np.abs(s - recursions.BORDERS[method](beta)) > 1e-9
    assert (stable == (s < recursions.BORDERS[method](beta)))[away].all()


@pytest.mark.parametrize("method", OPTIMIZERS)
def test_recursions_are_the_optimizers(method):
    """Ten steps on a curvature 1, to rounding."""
    model = registry().get("models", "separable")(curvatures=[1])
    optimizer = registry().get("optimizers", OPTIMIZERS[method])(rate=0.3, momentum=0.6)
    objective = Objective(model, {}, Streams(0, "", np.arange(1), ""))
    w = torch.ones((1, 1), dtype=torch.float64)
    state, x, v = optimizer.start(w, torch.ones(1, dtype=torch.float64)), 1.0, 0.0
    for _ in range(10):
        w, state = optimizer.step(objective, w, state)
        x, v = module("_recursions").STEPS[method](x, v, 0.3, 0.6)
        assert w.item() == pytest.approx(x, abs=1e-14)


def test_a_mode_at_rest_does_not_count():
    """αM = 1 without momentum stops the mode M in one step; the other decays by 1 − 1/κ."""
    found = module("_recursions").measured("heavy_ball", 1.0, 0.0, 10.0, 100)
    assert found == pytest.approx(0.9, abs=1e-12)


def test_columns_of_momentum_map():
    root = np.sqrt(10)
    expected = {
        **{f"{name}_error": [Between(1e-5, 0.05)] for name in OPTIMIZERS},
        **{f"{name}_misjudged": [Between(0, 0.03)] for name in OPTIMIZERS},
        "heavy_ball_border": [pytest.approx(3.8, abs=1e-3)],
        "delayed_border": [pytest.approx(0.1, abs=1e-3)],
        "nesterov_border": [pytest.approx(3.8 / 2.8, abs=1e-3)],
        **{f"{name}_effective": [Between(1.001, 1.005)] for name in OPTIMIZERS},
        "descent_best": [pytest.approx(9 / 11, abs=1e-5)],
        "heavy_ball_best": [pytest.approx((root - 1) / (root + 1), abs=1e-5)],
        "nesterov_best": [pytest.approx(1 - 2 / np.sqrt(31), abs=1e-5)],
        "delayed_best": [pytest.approx(10 / 11, abs=1e-5)],
        "delayed_best_momentum": [Between(0, 1e-5)],
        "delayed_gains": [0],
    }
    found = assert_columns(
        analysis("momentum_map", size=20, steps=300), Handmade({"all": {}}), expected
    )
    assert found["measured_rate"].dims == ("recursion", "rate", "momentum")
    assert found["measured_rate"].shape == (3, 20, 20)
    for beta in found["case"].values:
        s = found["speed"].values * (1 - np.sqrt(beta)) ** 2
        exact = -np.log(module("_recursions").radius("heavy_ball", s, beta)) / (s / (1 - beta))
        real = found["speed"].values < 0.9  # roots that are far enough apart for so few steps
        np.testing.assert_allclose(found["decay"].sel(case=beta)[real], exact[real], rtol=0.02)
        np.testing.assert_allclose(found["decay"].sel(case=beta), exact, rtol=0.2, atol=0.1)


def test_misjudged_settings_are_counted():
    s, beta = np.array([0.5, 1.0, 1.5]), np.array([0.0])
    judged = module("momentum_map").misjudged
    border = lambda beta: 1.25 + 0 * beta  # noqa: E731 - 1 and 1.5 lie within a step of it
    assert judged(np.array([[0.9], [2.0], [0.5]]), s, beta, border) == 0
    assert judged(np.array([[1.1], [2.0], [0.5]]), s, beta, border) == 1


def test_columns_of_momentum_network():
    """Heavy ball; borders 2 and 3 at β = 0 and .5. The third run has converged where it can't."""
    grid = Grid({"optimizer.rate": [1.0, 4.0], "optimizer.momentum": [0.0, 0.5]}, 1)
    settled = ["converged", "step_limit", "converged", "converged"]
    trained = xr.Dataset(
        {
            "status": flags(settled, STATUS),
            "loss": ("run", [1.0, 2.0, 3.0, 4.0]),
            "w": (("run", "weight"), np.array([1.5, 9.0, 0.75, 0.6])[:, None]),
        },
        {"rate": ("run", [1.0, 1, 4, 4]), "momentum": ("run", [0, 0.5, 0, 0.5])},
    )
    optimizer = registry().get("optimizers", "heavy_ball")(rate=1)
    results = Handmade({"all": {"optimizer": optimizer}}, {"training": {"all": trained}})
    # the larger eigenvalue is the weight, the other one −2
    results.objective = lambda configuration: SimpleNamespace(
        hessian=lambda points: points[:, :, None] * np.diag([0, 1]) - np.diag([2, 0])
    )
    results.configurations[0].grid = grid
    expected = {
        "converged_share": [share(3, 4)],
        "above_border": [share(1, 3)],
        "highest": [1.5],
        "border_curvature": [1.5],
    }
    found = assert_columns(analysis("momentum_network"), results, expected)
    np.testing.assert_array_equal(found["end_loss"].values, [[[1, np.nan], [3, 4]]])


def test_the_least_loss_of_the_runs_at_a_setting_is_shown():
    """Two runs at each; the highest of three eigenvalues counts."""
    trained = xr.Dataset(
        {
            "status": flags(["converged", "converged", "step_limit", "converged"], STATUS),
            "loss": ("run", [3.0, 1.0, 0.5, 2.0]),
            "w": (("run", "weight"), np.arange(12.0).reshape(4, 3)),
        },
        {"rate": ("run", [1.0, 1, 2, 2]), "momentum": ("run", [0.5] * 4)},
    )
    optimizer = registry().get("optimizers", "heavy_ball")(rate=1)
    results = Handmade({"all": {"optimizer": optimizer}}, {"training": {"all": trained}})
    results.objective = lambda configuration: SimpleNamespace(
        hessian=lambda points: points[:, :, None] * np.eye(3)
    )
    results.configurations[0].grid = Grid(
        {"optimizer.rate": [1.0, 2.0], "optimizer.momentum": [0.5]}, 2
    )
    found = analysis("momentum_network").compute(results)
    assert found["end_loss"].values.tolist() == [[[1], [2]]]
    assert found["border_curvature"].item() == 2


def test_a_border_is_exceeded_by_more_than_a_millionth():
    part = module("momentum_network")
    curvature = 2 * (1 + np.array([-0.5e-6, 0.5e-6, 1.5e-6]))
    found = part.settled_below(
        np.full(3, True), np.ones(3), np.zeros(3), curvature, lambda beta: 2 + beta
    )
    assert found["above_border"] == share(1, 3)


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("momentum", root / "config/studies"))
    job = complete(study, tmp_path)
    found = verdicts(job)
    named = {name for name, verdict in found.items() if verdict == "corrected"}
    assert {name.split("[")[0] for name in named} == {"named_heavy_ball", "named_nesterov"}
    few = {name for name in found if name.startswith("network_border")}
    assert {found[name] for name in few} <= {"undecided", *AGREE}
    assert {found[name] for name in set(found) - named - few} <= AGREE
    assert_drawn(job.folder, study.settings.figures)
