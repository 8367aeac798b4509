"""Random networks of finite width against expansions in 1/n and exact moments."""

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from pydantic import ValidationError
from studies import AGREE, assert_drawn, complete, module, verdicts
from wide_networks import propagation

from nnflow import UserError
from nnflow.study.loading import load_study, study_file

TANH = {"activation": "tanh", "weight_variance": 1.69, "bias_variance": 0.09}


@pytest.mark.parametrize(
    ("weights", "bias", "variance"), [(1.3, -0.160152, 0.273859), (2.5, -0.242384, 5.073726)]
)
def test_the_terms_of_order_one_over_n(weights, bias, variance):
    maps = propagation("tanh", weights**2, 0.09)
    (point,) = maps.fixed_points()
    found = module("_finite_width").corrections(maps, point.q.value)
    assert found.bias == pytest.approx(bias, abs=1e-6)
    assert found.variance == pytest.approx(variance, abs=6e-7)


def test_relu_moments_are_exact():
    """α_w² = 2, α_h = 0: E K = K₀ and E K² = (1 + 5/n)^L."""
    maps = propagation("relu", 2, 0)
    width, depth, runs = 20, 4, 200_000
    k = module("_finite_width").lengths(maps, np.random.default_rng(0), width, depth, runs, 1.0)
    for layer in range(depth + 1):
        square = (1 + 5 / width) ** layer
        at = k[:, layer]
        assert abs(at.mean() - 1) <= 4 * np.sqrt((square - 1) / runs) + 1e-15
        assert at.var() + at.mean() ** 2 == pytest.approx(square, rel=0.03)


def test_drawing_sums_is_drawing_matrices():
    """In law: mean, variance and third moment of K after three layers, width 5."""
    maps, width = propagation("tanh", 2.0, 0.3), 5
    finite = module("_finite_width")
    direct = finite.lengths(maps, np.random.default_rng(1), width, 3, 40_000, 0.7)[:, -1]
    drawn = finite.lengths_of_matrices(
        maps, np.random.default_rng(2), "gaussian", width, 3, 40_000, 0.7
    )[:, -1]
    for power in (1, 2, 3):
        a, b = direct**power, drawn**power
        error = np.sqrt((a.var() + b.var()) / len(a))
        assert abs(a.mean() - b.mean()) < 4 * error


@pytest.mark.parametrize("law", ["gaussian", "uniform", "orthogonal"])
def test_matrices_have_the_variance_of_their_law(law):
    matrix = module("_finite_width")._matrix(law, np.random.default_rng(3), (300, 8, 8))
    assert (matrix**2).mean() == pytest.approx(1 / 8, rel=0.03)
    assert abs(matrix.mean()) < 0.01
    if law == "orthogonal":
        np.testing.assert_allclose(
            matrix @ matrix.mT, np.broadcast_to(np.eye(8), (300, 8, 8)), atol=1e-13
        )
        assert abs(np.trace(matrix, axis1=1, axis2=2).mean()) < 0.25  # uniform: E tr Q = 0
    if law == "uniform":
        assert np.abs(matrix).max() <= np.sqrt(3 / 8)


def test_the_control_variate_has_the_mean_of_the_bias():
    """At width 30, where plain means see the bias, too; it has far less spread."""
    maps = propagation("tanh", 1.69, 0.09)
    (point,) = maps.fixed_points()
    finite = module("_finite_width")
    limit = finite.corrections(maps, point.q.value)
    k = finite.lengths(maps, np.random.default_rng(4), 30, 8, 60_000, limit.q)
    plain, controlled = k[:, -1] - limit.q, finite.controlled_bias(maps, limit, k)[:, -1]
    assert controlled.std() < plain.std() / 4
    error = np.hypot(plain.std(), controlled.std()) / np.sqrt(len(k))
    assert abs(plain.mean() - controlled.mean()) < 4 * error
    assert 30 * controlled.mean() == pytest.approx(limit.bias, rel=0.1)


def test_width_4000_by_one_joint_test():
    """Mean K − q* − B/n over three networks is χ²; five standard errors more are seen. The control
    variate sees B itself."""
    from scipy.special import gammaincc

    finite, chi2, shifted = module("_finite_width"), 0.0, 0.0
    for place, (name, w, h) in enumerate(
        (("tanh", 1.69, 0.09), ("tanh", 6.25, 0.09), ("erf", 2.25, 0.04))
    ):
        maps = propagation(name, w, h)
        (point,) = maps.fixed_points()
        limit = finite.corrections(maps, point.q.value)
        k = finite.lengths(maps, np.random.default_rng(40 + place), 4000, 8, 100, limit.q)
        error = k[:, -1].std(ddof=1) / 10
        apart = k[:, -1].mean() - limit.q - limit.bias / 4000
        chi2 += (apart / error) ** 2
        shifted += (apart / error + 5) ** 2
        bias = finite.controlled_bias(maps, limit, k)[:, -1]
        assert abs(4000 * bias.mean() / limit.bias - 1) < 4 * bias.std() / 10 * 4000 / -limit.bias
    assert gammaincc(1.5, chi2 / 2) > 1e-3 > gammaincc(1.5, shifted / 2)


def test_correlations_follow_the_map():
    maps = propagation("tanh", 6.25, 0.09)
    (point,) = maps.fixed_points()
    q = point.q.value
    found = module("_finite_width").pairs(maps, np.random.default_rng(5), 2000, 6, 100, q, 0.5)
    c = 0.5
    for layer in range(7):
        error = found[:, layer].std() / 10 + 1e-12
        assert abs(found[:, layer].mean() - c) < 4 * error + 2 / 2000
        c = float(maps.correlation(c, q))


def test_uniform_biases_by_drawing_them():
    maps = propagation("tanh", 1.0, 0.5)
    found = module("_finite_width").lengths_with_uniform_biases(
        maps, np.random.default_rng(6), 2000, 12, 200, 0.8
    )
    error = found.std() / np.sqrt(200)
    assert abs(found.mean() - 0.88750886) < 4 * error + 1e-3
    assert abs(found.mean() - 0.86886873) > 6 * error


def test_columns_of_random_networks():
    plugin = analysis(
        "random_networks", networks=[TANH], widths=[20, 80], depth=8, runs=400,
        relu_widths=[40, 200], relu_depth=10, matrix_width=20, matrix_runs=50,
    )  # fmt: skip
    slope = (Between(-0.6, -0.4), Between(-0.8, -0.4), Between(-0.6, -0.2))
    near = (Between(0.7, 1.3), Between(0.3, 1.1), Between(0.9, 2))
    expected = {
        "joint_p": [Between(1e-4, 1)], "joint_runs": [400],
        "relu_square_ratio": [near], "relu_end_mean": [near], "relu_spread_slope": [slope],
        "relu_median": [(Between(0.4, 0.8), Between(0.3, 0.7), Between(0.4, 0.9))],
        "relu_log_ratio": [near], "uniform_bias_limit": [pytest.approx(0.88750886, abs=5e-9)],
        "uniform_bias_length": [(Between(0.8, 0.95), Between(0.8, 0.95), Between(0.8, 0.95))],
        "c_largest": [Between(0, 12)], "c_error": [Between(0, 0.1)],
        "sum_square": [(Between(3.3, 4.9), Between(2.5, 4.5), Between(3.7, 5.7))],
        "variance_slope_0": [slope], "variance_0": [near],
        "bias_slope_0": [(Between(-1.3, -0.7), Between(-1.8, -0.8), Between(-1.2, -0.4))],
        "bias_0": [near],
        **{f"{law}_mean": [near] for law in ("gaussian", "uniform", "orthogonal")},
    }  # fmt: skip
    assert_columns(plugin, Handmade(), expected)


def test_networks_without_a_fixed_point_are_named():
    for network, label in (({"activation": "relu", "weight_variance": 3, "bias_variance": 0.1},
                            "relu 3 0.1"), ({**TANH, "weight_variance": 0.5, "bias_variance": 0},
                                            "tanh 0.5 0")):  # fmt: skip
        plugin = analysis("random_networks", networks=[network], widths=[5, 10])
        with pytest.raises(UserError, match=f"^network '{label}': .* no stable fixed point above"):
            plugin.compute(Handmade())


def test_a_width_of_zero():
    with pytest.raises(ValidationError, match="greater than 0"):
        analysis("random_networks", networks=[TANH], widths=[0, 100])
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        analysis("random_networks", networks=[{**TANH, "bias_variance": -1}], widths=[10, 100])


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("random_networks", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("random"))


def test_every_claim_holds_or_is_corrected(done):
    found = verdicts(done)
    assert {name for name, verdict in found.items() if verdict == "corrected"} == {"law_of_sums"}
    assert set(found.values()) <= AGREE | {"corrected"}, found


def test_the_figure_shows_data(done):
    assert_drawn(done.folder, ("random_networks",))
