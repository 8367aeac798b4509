"""Tangent kernels against a referee's numbers, automatic differentiation and exact means."""

import numpy as np
import pytest
import torch
from handmade import Between, Handmade, analysis, assert_columns
from pydantic import ValidationError
from studies import AGREE, assert_drawn, complete, module, verdicts
from wide_networks import activation, moments

from nnflow import UserError
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

X = np.array([[1.0, 0, -1, 2], [0.5, 1, 1, -1]])


@pytest.mark.parametrize(
    ("name", "variances", "between", "own"),
    [
        ("relu", (2, 0),
         (-1.25, -0.19175907671244, 0.70116760902845, 1.5845547557031), (3, 6, 9, 12)),
        ("relu", (1.5, 0.1),
         (-0.8375, 0.039797997392334, 0.55761501124943, 0.88592994629587), None),
        ("erf", (1.5, 0.1),
         (-0.8375, -0.63748491669603, -0.49947072508288, -0.32673340586459),
         (2.35, 2.4174564082884, 2.8479205218527, 3.3833500697415)),
    ],
)  # fmt: skip
def test_the_recursion(name, variances, between, own):
    limit = module("_tangent_kernel").limit_kernels
    found = [limit(moments(name), *variances, X, hidden)[1] for hidden in range(4)]
    assert [theta[0, 1] for theta in found] == pytest.approx(between, abs=6e-14)
    if own is not None:
        assert [theta[0, 0] for theta in found] == pytest.approx(own, abs=6e-13)
    np.testing.assert_array_equal(found[-1], found[-1].T)


def drawn(widths, runs, standard=False, name="tanh", seed=0):
    sigma = module("_nonlinearity").nonlinearity(activation(name))
    return module("_fully_connected").random_layers(
        np.random.default_rng(seed), sigma, widths, runs, 1.5, 0.1, standard
    )


@pytest.mark.parametrize("standard", [False, True])
@pytest.mark.parametrize("name", ["tanh", "relu"])
def test_kernel_and_gradient_are_those_of_automatic_differentiation(name, standard):
    layers = drawn([4, 7, 5, 2], 3, standard, name)
    sigma = activation(name)
    x = torch.as_tensor(X)

    def outputs(weights, biases):
        values = x
        for layer, (w, b, scale) in enumerate(
            zip(weights, biases, layers.weight_scales, strict=True)
        ):
            values = sigma(values) if layer else values
            values = np.asarray(scale).item() * values @ w.T + layers.bias_scale * b
        return values

    for run in range(3):
        weights = [torch.as_tensor(w[run]) for w in layers.weights]
        biases = [torch.as_tensor(b[run]) for b in layers.biases]
        jacobian = torch.autograd.functional.jacobian(
            lambda *p: outputs(p[:3], p[3:]), (*weights, *biases)
        )
        rows = torch.cat([j.flatten(2) for j in jacobian], dim=-1)  # sample, output, weight
        for output in (0, 1):
            expected = rows[:, output] @ rows[:, output].T
            found = layers.kernel(X, output)[run]
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    weights, biases = layers.gradient(X, lambda f: f**2)  # that of Σ f³/3
    expected = torch.autograd.functional.vjp(
        lambda *p: (outputs(p[:3], p[3:]) ** 3).sum() / 3,
        tuple(torch.as_tensor(p[1]) for p in (*layers.weights, *layers.biases)),
    )[1]
    for one, other in zip([*weights, *biases], expected, strict=True):
        np.testing.assert_allclose(one[1], other, atol=1e-12)


def test_both_parametrizations_have_one_law_of_functions():
    for standard in (False, True):
        f = drawn([4, 30, 30, 1], 20_000, standard, "erf", seed=3).outputs(X)[..., 0]
        sigma = module("_tangent_kernel").limit_kernels(moments("erf"), 1.5, 0.1, X, 2)[0]
        covariance = f.T @ f / len(f)
        np.testing.assert_allclose(covariance, sigma, rtol=0.06, atol=0.03)


def test_one_hidden_layer_is_unbiased_at_width_three():
    for name in ("erf", "relu"):
        k = drawn([4, 3, 1], 200_000, name=name, seed=4).kernel(X)[:, 0, 1]
        theta = module("_tangent_kernel").limit_kernels(moments(name), 1.5, 0.1, X, 1)[1][0, 1]
        assert abs(k.mean() - theta) < 4 * k.std() / np.sqrt(len(k))


@pytest.mark.parametrize(
    ("name", "hidden", "bias", "known", "spread"),
    [("relu", 2, -0.40, 0.03, 1.50), ("relu", 3, -0.50, 0.05, 2.5), ("erf", 3, 0.13, 0.03, 2.0)],
)
def test_two_hidden_layers_are_not(name, hidden, bias, known, spread):
    """n·bias and √n × standard deviation as an independent Monte Carlo has them, ± `known`."""
    k = np.concatenate(
        [drawn([4, *[20] * hidden, 1], 25_000, name=name, seed=50 + part).kernel(X)[:, 0, 1]
         for part in range(4)]
    )  # fmt: skip
    theta = module("_tangent_kernel").limit_kernels(moments(name), 1.5, 0.1, X, hidden)[1][0, 1]
    error = 20 * k.std() / np.sqrt(len(k))
    assert abs(20 * (k.mean() - theta) - bias) < 2.6 * np.hypot(error, known)
    assert np.sqrt(20) * k.std() == pytest.approx(spread, rel=0.06)


def network(widths, activation_name="tanh"):
    return registry().get("models", "mlp")(
        widths=widths, activation=activation_name, loss_function="squared"
    )


def weights_of(model, runs, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn((runs, *shape), generator=generator, dtype=torch.float64)
        for name, shape in model.shapes().items()
    }


@pytest.mark.parametrize("widths", [[3, 5, 2], [3, 4, 6, 1]])
def test_ntk_of_a_model_plugin(widths, monkeypatch):
    """By Gram matrices in blocks, and by torch.func's Jacobian: the same, in the same order."""
    tangent = module("_tangent_kernel")
    model = network(widths)
    weights, inputs = weights_of(model, 2), torch.randn(7, 3, dtype=torch.float64)
    rates = dict.fromkeys(model.shapes(), 1.0)
    expected = tangent._jacobian_kernel(model, weights, inputs, rates, None)
    close = {"rtol": 1e-11, "atol": 1e-11}
    np.testing.assert_allclose(tangent.ntk(model, inputs, weights), expected, **close)
    monkeypatch.setattr(tangent, "BLOCK", 4)
    np.testing.assert_allclose(tangent.ntk(model, inputs, weights), expected, **close)
    rates = {"w1": 0.3, "b2": 2.0}
    np.testing.assert_allclose(
        tangent.ntk(model, inputs, weights, rates=rates),
        tangent._jacobian_kernel(model, weights, inputs, rates, None), **close,
    )  # fmt: skip
    single = tangent.ntk(model, inputs, weights, dtype=np.float32)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-3, atol=1e-2)


def test_rates_make_the_ntk_parametrization():
    """Of wide ordinary layers with weights of variance α_w²/n: the kernel of the recursion."""
    tangent, model = module("_tangent_kernel"), network([4, 3000, 1], "erf")
    draw = np.random.default_rng(7)
    weights = {
        name: (
            draw.standard_normal((1, *shape)) * np.sqrt(0.1 if len(shape) == 1 else 1.5 / shape[1])
        )
        for name, shape in model.shapes().items()
    }
    found = tangent.ntk(model, X, weights, rates=tangent.ntk_rates(model, 1.5, 0.1))[0]
    limit = tangent.limit_kernels(moments("erf"), 1.5, 0.1, X, 1)[1]
    np.testing.assert_allclose(found, limit, atol=4 * 1.6 / np.sqrt(3000))
    assert np.abs(tangent.ntk(model, X, weights)).max() > 100  # in its own it grows with n


def by_hand(function, weight, inputs):
    """Θ of a function of one weight, by autograd."""
    jacobian = torch.autograd.functional.jacobian(lambda w: function(w, inputs), weight)
    rows = jacobian.reshape(-1, weight.numel())
    return rows @ rows.T


def test_ntk_of_other_models():
    tangent, get = module("_tangent_kernel"), registry().get
    x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    w = torch.randn(4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    students = get("models", "relu_teacher_student")(k=3, n=4)
    np.testing.assert_allclose(
        tangent.ntk(students, x, {"w": w[None]})[0],
        by_hand(lambda w, x: torch.relu(x @ w.T).sum(1), w, x), atol=1e-12,
    )  # fmt: skip
    linear = get("models", "linear_network")(widths=[3, 2], singular_values=[2.0, 1.0])
    np.testing.assert_allclose(
        tangent.ntk(linear, x, {"w1": w[None, :2]})[0],
        by_hand(lambda w, x: x @ w.T, w[:2], x), atol=1e-12,
    )  # fmt: skip
    inner = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh(), torch.nn.Linear(4, 2))
    own = get("models", "torch_module").of(inner.double(), "squared")
    same = network([3, 4, 2])
    names = dict(zip(own.shapes(), ["w1", "b1", "w2", "b2"], strict=True))
    weights = {name: torch.as_tensor(values) for name, values in own.present().items()}
    np.testing.assert_allclose(
        tangent.ntk(own, x, weights),
        tangent.ntk(same, x, {names[name]: values for name, values in weights.items()}),
        atol=1e-12,
    )  # fmt: skip


def test_ntk_draws_a_network_where_none_is_given():
    tangent, model = module("_tangent_kernel"), network([4, 6, 2])
    found = tangent.ntk(model, X)
    assert found.shape == (1, 4, 4) and np.linalg.eigvalsh(found[0]).min() > 0
    np.testing.assert_array_equal(found, tangent.ntk(model, X))


def test_a_model_that_is_no_function_of_inputs_has_no_kernel():
    himmelblau = registry().get("models", "himmelblau")()
    ntk = module("_tangent_kernel").ntk
    with pytest.raises(UserError, match=r"^model 'himmelblau': is no function of inputs"):
        ntk(himmelblau, torch.zeros(1, 1))
    with pytest.raises(UserError, match=r"^model 'mlp': rates: has no weight 'w9'"):
        ntk(network([4, 3, 1]), X, rates={"w9": 1.0})


def test_linear_networks_train_exactly_as_predicted():
    """f is linear in the readout, and with a step of 0 nothing moves: the lazy curve is exact where
    the kernel can't change, a network without hidden layers."""
    plugin = analysis("tangent_kernel", activations=["identity"], samples=4, steps=30)
    layers = drawn([4, 1], 3, name="identity")
    y = np.arange(4.0)
    moved, _, losses, lazy = plugin._descent(layers, np.eye(4) + 0.1, y)
    np.testing.assert_allclose(losses, lazy, rtol=1e-10)
    assert moved.max() < 1e-12 and losses[-1] < losses[0]


def test_columns_of_tangent_kernel():
    plugin = analysis(
        "tangent_kernel", activations=["erf"], widths=[16, 64], runs=200, trained_widths=[64, 512],
        trained_runs=6, samples=5, steps=60,
    )  # fmt: skip
    near = (Between(0.7, 1.3), Between(0.3, 1.1), Between(0.9, 2))
    slope = (Between(-0.7, -0.3), Between(-0.9, -0.4), Between(-0.6, -0.1))
    spreads = {1: 1.13, 2: 1.6, 3: 2.0}
    expected = {
        "standard_ratio": [near],
        **{f"erf_mean_{hidden}": [near] for hidden in (1, 2, 3)},
        **{f"erf_spread_{hidden}": [tuple(Between(0.6 * s, 1.5 * s) for _ in range(3))]
           for hidden, s in spreads.items()},
        **{f"erf_spread_slope_{hidden}": [slope] for hidden in (1, 2, 3)},
        "erf_change_slope": [(Between(-1.3, -0.7), Between(-2, -0.8), Between(-1.2, -0.2))],
        "erf_weight_slope": [slope],
        "erf_final_loss": [Between(0, 0.5)],
        "erf_lazy_error": [Between(0, 0.05)],
    }  # fmt: skip
    assert_columns(plugin, Handmade(), expected)


def test_bad_input():
    with pytest.raises(ValidationError, match="greater than 0"):
        analysis("tangent_kernel", activations=["erf"], widths=[0, 10])
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        analysis("tangent_kernel", activations=["erf"], bias_variance=-0.1)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("tangent_kernel", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("tangent"))


def test_every_claim_holds(done):
    found = verdicts(done)
    assert set(found.values()) <= AGREE, found


def test_the_figure_shows_data(done):
    assert_drawn(done.folder, ("tangent_kernel",))
