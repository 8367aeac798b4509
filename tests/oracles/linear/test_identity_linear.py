"""Residual linear networks: factorization, critical points, descent from the identity."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm
from studies import AGREE, assert_drawn, complete, verdicts

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


def network(**settings):
    return registry().get("models", "residual_linear_network")(**settings)


def factorization():
    registry()
    from nnflow_plugins.linear.residual.analyses import _identity_factors

    return _identity_factors


def product(factors):
    whole = np.eye(factors.shape[-1])
    for factor in factors:
        whole = whole + factor @ whole
    return whole


def norm(factors):
    return np.linalg.norm(factors, ord=2, axis=(1, 2)).max()


# The factorization


@given(seed=st.integers(0, 10_000), size=st.integers(1, 6), depth=st.integers(1, 40))
def test_factors_multiply_to_the_matrix(seed, size, depth):
    matrix = np.random.default_rng(seed).normal(size=(size, size))
    matrix[0] *= np.sign(np.linalg.det(matrix))
    factors = factorization().identity_factors(matrix, depth, "test")
    assert factors.shape == (depth, size, size)
    np.testing.assert_allclose(product(factors), matrix, atol=1e-10 * np.abs(matrix).max())


def test_norms_tend_to_twice_the_largest_angle_or_logarithm():
    module = factorization()
    stretch = np.diag([2.0, 1.0, 0.5])
    turn = expm(np.array([[0, -1.1, 0], [1.1, 0, 0], [0, 0, 0]]))
    for matrix, limit in ((stretch, 2 * np.log(2)), (turn, 2.2), (stretch @ turn, 2.2)):
        assert module.norm_limit(matrix) == pytest.approx(limit, abs=1e-12)
        scaled = [k * norm(module.identity_factors(matrix, k, "test")) for k in (64, 1024)]
        assert scaled[1] == pytest.approx(limit, rel=2e-3)
        assert abs(scaled[1] - limit) < abs(scaled[0] - limit)


def test_half_turns_are_taken_in_pairs():
    module = factorization()
    mirror = np.diag([-1.0, 1.0, -1.0, 2.0])
    factors = module.identity_factors(mirror, 100, "test")
    np.testing.assert_allclose(product(factors), mirror, atol=1e-12)
    assert 100 * norm(factors) == pytest.approx(2 * np.pi, rel=1e-3)


@pytest.mark.parametrize("matrix", [np.diag([1.0, -1.0]), np.zeros((2, 2)), np.diag([-1.0])])
def test_a_determinant_that_is_not_positive_is_refused(matrix):
    with pytest.raises(UserError, match=r"study.yaml: analyses: x: det A = -?[01]"):
        factorization().identity_factors(matrix, 4, "study.yaml: analyses: x")


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.full((2, 2), np.nan)])
def test_what_is_no_matrix_is_refused(matrix):
    with pytest.raises(UserError, match="square matrix of finite numbers"):
        factorization().identity_factors(matrix, 4, "x")


def test_a_given_matrix_of_negative_determinant_is_named():
    plugin = registry().get("analyses", "identity_factors")
    study = SimpleNamespace(file="study.yaml", settings=SimpleNamespace(seed=1))
    analysis = plugin(size=2, count=2, matrices=[[[0, 1], [1, 0]]])
    with pytest.raises(UserError, match=r"study.yaml: analyses: identity_factors: det A = -1"):
        analysis.compute(SimpleNamespace(study=study, configurations=()))


# The model


def test_loss_is_the_expected_square_with_noise():
    model = network(
        depth=3, values=(2, 1, 0.5), rotation=1.0, covariance=(2, 1, 0.5), noise=0.3, factor=1
    )
    random = np.random.default_rng(4)
    weights = 0.3 * random.normal(size=(1, 3, 3, 3))
    covariance = network_covariance(model)
    inputs = random.multivariate_normal(np.zeros(3), covariance, size=400_000)
    targets = inputs @ model.target().T + np.sqrt(0.3) * random.normal(size=inputs.shape)
    squares = ((targets - inputs @ product(weights[0]).T) ** 2).sum(axis=1)
    found = model.loss({"v": torch.as_tensor(weights)}, {}).item()
    assert abs(squares.mean() - found) < 4 * squares.std() / np.sqrt(len(squares))
    assert model.infimum() == pytest.approx(0.9)


def network_covariance(model):
    """Σ, from the loss of a linear change: L(V) − C is tr(ΔΣΔᵀ) with Δ = I + V − R."""
    single = model.model_copy(update={"depth": 1, "factor": 1.0, "noise": 0.0})
    shift = single.target() - np.eye(3)

    def form(row):
        change = np.zeros((3, 3))
        change[0] = row
        return single.loss({"v": torch.as_tensor(shift + change)[None, None]}, {}).item()

    unit = np.eye(3)
    return np.array([[(form(a + b) - form(a) - form(b)) / 2 for b in unit] for a in unit])


def test_gradient_is_hardt_and_mas_formula():
    model = network(depth=3, values=(2, 1, 0.5), rotation=1.0, covariance=(2, 1, 0.5))
    random = np.random.default_rng(5)
    v = 0.4 * random.normal(size=(3, 3, 3))
    w1, w2, w3 = np.eye(3) + v
    slope = (w3 @ w2 @ w1 - model.target()) @ network_covariance(model)
    expected = [w2.T @ w3.T @ slope, w3.T @ slope @ w1.T, slope @ w1.T @ w2.T]
    found = model.gradient({"v": torch.as_tensor(v)[None]}, {})["v"][0]
    np.testing.assert_allclose(found, np.stack(expected), atol=1e-12)


def test_target_is_a_stretch_and_a_rotation():
    target = network(depth=2, values=(3, 1, 0.25), rotation=0.8).target()
    np.testing.assert_allclose(np.linalg.svd(target)[1], [3, 1, 0.25], rtol=1e-13)
    assert factorization().norm_limit(target) == pytest.approx(2 * np.log(4), rel=1e-12)
    symmetric = network(depth=2, values=(2, 1, -0.5)).target()
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-15)
    np.testing.assert_allclose(np.linalg.eigvalsh(symmetric), [-0.5, 1, 2], atol=1e-14)


def test_two_zero_layers_make_a_critical_point_outside_of_the_ball():
    model = network(depth=3, values=(2, 1), rotation=0.5)
    v = torch.tensor([[[0.3, 1], [0, 2]], [[-1, 0], [0, -1]], [[-1, 0], [0, -1]]]).double()[None]
    objective = Objective(model, {}, Streams(0, "all", np.arange(1), "train"))
    assert objective.gradient(v.flatten(1)).abs().max() == 0
    assert objective.loss(v.flatten(1)).item() > 1


def test_eigenvalues_of_the_covariance_must_fit():
    with pytest.raises(ValueError, match="covariance: 1 eigenvalues for a width of 2"):
        network(depth=2, values=(2, 1), covariance=(1.0,))


# The flow of one mode


def mode_flow():
    registry()
    from nnflow_plugins.linear.residual.analyses.identity_descent import mode_flow

    return mode_flow


def test_flow_for_a_target_of_zero_is_exact():
    times = np.concatenate([[0], np.geomspace(1e-3, 1e6, 40)])
    for depth in (2, 3, 7):
        expected = -np.log1p((2 * depth - 2) * times) / (2 * depth - 2)
        np.testing.assert_allclose(mode_flow()(0.0, depth, times), expected, atol=1e-8)


@given(target=st.floats(-2, 3), depth=st.integers(2, 8))
def test_flow_solves_its_equation(target, depth):
    times = np.linspace(0, 2, 4001)
    weight = np.exp(mode_flow()(target, depth, times))
    slope = (weight[2:] - weight[:-2]) / (times[2] - times[0])
    middle = weight[1:-1]
    np.testing.assert_allclose(
        slope, middle ** (depth - 1) * (target - middle**depth), atol=2e-2 * depth**2
    )


def test_flow_of_two_layers_is_logistic():
    # q = w² has dq/dt = 2q(r − q)
    times, r = np.linspace(0, 5, 50), 2.0
    expected = r / (1 + (r - 1) * np.exp(-2 * r * times))
    np.testing.assert_allclose(np.exp(2 * mode_flow()(r, 2, times)), expected, rtol=1e-8)


def test_a_third_layer_makes_decay_a_power_of_time():
    # facts of Bartlett et al.'s dynamics: r = −1, K = 3, t = 200: 1/200 but for a few per cent
    weight = np.exp(mode_flow()(-1.0, 3, np.array([0, 200.0, 2e4]))[1:])
    assert weight[0] == pytest.approx(0.00497, abs=1e-5)
    assert weight[1] * 2e4 == pytest.approx(1, abs=1e-3)


# The study


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with fewer runs, after all its stages."""
    study = load_study(study_file("identity_linear", root / "config/studies"))
    configurations = tuple(
        dataclasses.replace(
            configuration,
            settings=configuration.settings.model_copy(
                update={"runs": min(20, configuration.settings.runs)}
            ),
        )
        for configuration in study.configurations
    )
    return complete(
        dataclasses.replace(study, configurations=configurations),
        tmp_path_factory.mktemp("identity"),
    )


def test_every_claim_holds_or_is_corrected(done):
    found = verdicts(done)
    corrected = {name for name, verdict in found.items() if verdict == "corrected"}
    assert {name.split("[")[0] for name in corrected} == {"half"}
    others = {name: found[name] for name in found if name not in corrected}
    assert set(others.values()) <= AGREE, others


def test_search_finds_critical_points_on_both_sides(done):
    found = done.read["residual_critical_points"]
    label = "depth=2,covariance=2-1-0.5,initializer=normal,optimizer=levenberg_marquardt"
    at = found.sel(configuration=label)
    assert at["inside"] > 2 and at["elsewhere"] > 2
    assert at["elsewhere_norm"] >= 1
    assert at["elsewhere_value"] < 1e-6


def test_descent_is_nearer_the_identity_than_the_factorization(done):
    labels = [f"depth={depth},runs=1" for depth in (2, 4, 8, 16, 32)]
    norms = done.read["residual_critical_points"]["end_norm"].sel(configuration=labels).values
    factors = done.read["identity_factors"]["factor_norm"].sel(configuration=labels).values
    assert (np.diff(norms) < 0).all() and (norms < factors).all()


def test_descent_beside_its_flow(done):
    found = done.read["identity_descent"].sel(
        configuration="values=2-1-0.5--0.5,rotation=0,depth=4,runs=1"
    )
    # what is left to stall, as the power law has it
    assert float(found["excess"]) == pytest.approx(float(found["flow_excess"]), rel=0.01)
    assert float(found["excess"]) == pytest.approx(0.5 * (0.5 * 2 * 100) ** -2, rel=0.05)


def test_figures_are_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)


# The analysis of critical points, on a made-up counterexample


def test_a_counterexample_would_be_counted():
    import xarray as xr

    names = "minimum saddle maximum degenerate nonsmooth not_critical"
    values = np.zeros((3, 2, 2, 2))
    values[1] += 0.3 * np.eye(2)
    values[2] -= np.eye(2)
    flag = np.array([3, 1, 1], dtype=np.int8)
    ends = xr.Dataset(
        {
            "v": (("run", "layer", "output", "input"), values),
            "loss": ("run", [0.0, 1.0, 2.0]),
            "kind": ("run", flag, {"flag_values": np.arange(6), "flag_meanings": names}),
            "is_global": (
                "run",
                np.array([1, 0, 0]),
                {"flag_values": np.arange(3), "flag_meanings": "no yes unknown"},
            ),
        }
    )
    model = network(depth=2, values=(1, 1))
    configuration = SimpleNamespace(label="all", settings=SimpleNamespace(model=model))
    results = SimpleNamespace(
        configurations=(configuration,), each=lambda name: [(configuration, ends)]
    )
    plugin = registry().get("analyses", "residual_critical_points")()
    table = plugin.compute(results).sel(configuration="all")
    expected = {
        "critical": 3, "inside": 2, "counterexamples": 1, "elsewhere": 2, "regular_elsewhere": 1,
        "elsewhere_norm": 0.3, "elsewhere_value": 1.3, "end_norm": 0,
    }  # fmt: skip
    assert {name: pytest.approx(float(table[name])) for name in expected} == expected
    assert table["counterexample_share_low"] > 0


def test_hessians_of_no_runs():
    # the spectra of a point of which no run reached a critical point
    objective = Objective(network(depth=2, values=(1, 1)), {}, Streams(0, "all", [], "train"))
    assert objective.hessian(torch.empty(0, 8, dtype=torch.float64)).shape == (0, 8, 8)


@pytest.mark.parametrize(("depth", "holds"), [(5, False), (6, True)])
def test_the_bound_is_stated_from_three_times_the_spread_of_logarithms_on(depth, holds):
    """diag(e², 1) has the spread 2: the theorem speaks of six factors and more."""
    registry()
    from nnflow_plugins.linear.residual.analyses import identity_factors

    norm, error, bound = identity_factors._measured(np.diag([np.exp(2.0), 1.0]), depth, "test")
    told = 2 * (np.sqrt(np.pi) + np.sqrt(6)) ** 2 / depth if holds else np.inf
    assert bound == pytest.approx(told)
    assert norm < bound
    assert error < 1e-12
