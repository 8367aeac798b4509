"""Deep linear networks: derivatives, infimum, reduction, and the gradient flow."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.integrate import solve_ivp

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.checks.contract_tests import check_initializer, check_model, check_optimizer
from nnflow.engine.objective import Objective, flatten
from nnflow.interfaces.registry import registry

GENERATOR = np.random.default_rng(5)
X, Y = GENERATOR.normal(size=(3, 6)), GENERATOR.normal(size=(2, 6))
NETWORKS = {
    "one matrix": {"widths": [3, 2], "singular_values": [2.0, 1.0]},
    "two": {"widths": [3, 4, 2], "singular_values": [2.0, 1.0], "singular_vectors": 4},
    "four": {"widths": [4, 3, 5, 2, 3], "singular_values": [3.0, 2.0, 1.0]},
    "data": {"widths": [3, 2, 4, 2], "target": Y.tolist(), "inputs": X.tolist()},
}


def network(**settings):
    return registry().get("models", "linear_network")(**settings)


def random_weights(model, runs=3, seed=0):
    streams = Streams(seed, "test", np.arange(runs), "test")
    return {
        name: torch.as_tensor(streams.normal(a * b, draw=i).reshape(runs, a, b))
        for i, (name, (a, b)) in enumerate(model.shapes().items())
    }


@pytest.fixture(params=NETWORKS)
def model(request):
    return network(**NETWORKS[request.param])


def test_oracles(model):
    findings = list(check_model(model, {}))
    assert [str(f) for f in findings if f.passed is False] == []
    assert not any("not bit-identical" in f.detail for f in findings)


def test_loss_of_one_run(model):
    weights = random_weights(model)
    whole = np.linalg.multi_dot([*(w[1].numpy() for w in reversed(weights.values())), model.x])
    expected = ((model.y - whole) ** 2).sum() / 2
    assert float(model.loss(weights, {})[1]) == pytest.approx(expected, rel=1e-13)


def test_hessian_vector_is_the_hessian_times_the_vector(model):
    weights, vectors = random_weights(model), random_weights(model, seed=1)
    product = flatten(model.hessian_vector(weights, vectors))
    expected = (model.hessian(weights, {}) @ flatten(vectors)[..., None]).squeeze(-1)
    torch.testing.assert_close(product, expected, rtol=1e-12, atol=1e-11)


def test_infimum_is_that_of_the_best_map_of_the_narrowest_rank():
    model = network(**NETWORKS["data"])
    best = np.linalg.lstsq(X.T, Y.T, rcond=None)[0].T
    assert model.infimum() == pytest.approx(((Y - best @ X) ** 2).sum() / 2, rel=1e-12)
    narrow = network(widths=[4, 1, 3], singular_values=[3.0, 2.0, 1.0])
    assert narrow.infimum() == pytest.approx((4 + 1) / 2)


def test_singular_values_are_those_asked_for():
    model = network(**NETWORKS["two"])
    assert np.linalg.svd(model.y, compute_uv=False) == pytest.approx([2, 1])
    assert np.abs(model.y[0, 1]) > 1e-3


def test_invariants_do_not_see_hidden_bases():
    model = network(**NETWORKS["four"])
    weights = random_weights(model, runs=1)
    turn = torch.linalg.qr(torch.randn(5, 5, generator=torch.Generator().manual_seed(1)).double())[
        0
    ]
    turned = {**weights, "w2": turn @ weights["w2"], "w3": weights["w3"] @ turn.T}
    torch.testing.assert_close(model.invariants(turned), model.invariants(weights))


def test_observables_at_known_weights():
    model = network(widths=[2, 1, 2], singular_values=[3.0, 1.0])
    weights = {
        "w1": torch.tensor([[[2.0, 0.0]]]).double(),
        "w2": torch.tensor([[[3.0], [1]]]).double(),
    }
    observed = model.observables(weights, {})
    assert observed["squared_norm"].tolist() == [[4, 10]]
    assert observed["imbalance"].tolist() == [[10 - 4]]
    assert observed["strength"].tolist() == [[6, 0]]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"widths": [3, 2]}, "give either this or 'singular_values'"),
        ({"widths": [3, 2], "singular_values": [1, 1, 1]}, "at most 2"),
        ({"widths": [3, 2], "target": [[1, 2], [3, 4]]}, "expected 2 rows of 3 numbers"),
        ({"widths": [3, 2], "target": [[1], [2]], "inputs": [[1], [2]]}, "expected 3 rows"),
        ({"widths": [1, 1], "target": [[1]], "singular_vectors": 1}, "known where 'target'"),
        ({"widths": [2, 1], "singular_values": [1], "inputs": [[1, 2], [3]]}, "equal length"),
    ],
)
def test_settings_that_do_not_fit(settings, reason):
    with pytest.raises(ValidationError, match=reason):
        network(**settings)


# The reduction to X = I and Y = (D 0)


@given(st.integers(0, 1000), st.integers(1, 4))
def test_reduction_there_and_back(seed, layers):
    generator = np.random.default_rng(seed)
    widths = [3, *generator.integers(2, 5, size=layers - 1).tolist(), 2]
    x, y = generator.normal(size=(3, 5)), generator.normal(size=(2, 5))
    model = network(widths=widths, target=y.tolist(), inputs=x.tolist())
    reduced, reduction = model.reduced(), model.reduction()
    assert np.array_equal(reduced.x, np.eye(3))
    assert np.all(np.diag(np.diag(reduced.y[:, :2])) == reduced.y[:, :2])
    weights = random_weights(model, seed=seed)
    there = reduction.forth(weights)
    loss = reduced.loss(there, {}) + reduction.constant
    torch.testing.assert_close(loss, model.loss(weights, {}), rtol=1e-11, atol=0)
    for name, back in reduction.back(there).items():
        torch.testing.assert_close(back, weights[name], rtol=1e-8, atol=1e-8)


def test_inputs_without_full_rank_have_no_reduction():
    model = network(widths=[2, 1], target=[[1.0, 2.0]], inputs=[[1.0, 2.0], [2.0, 4.0]])
    with pytest.raises(UserError, match="rank below its 2 rows"):
        model.reduced()


# The gradient flow


def flow(**settings):
    return registry().get("optimizers", "gradient_flow")(**settings)


def test_flow_passes_the_oracles_of_optimizers():
    assert [f for f in check_optimizer(flow()) if f.passed is not True] == []


@pytest.mark.parametrize("length", [0.03, 2.0])
def test_flow_is_that_of_scipy(length):
    model = network(**NETWORKS["four"])
    objective = Objective(model, {}, Streams(0, "", np.arange(3), ""))
    weights = 0.6 * flatten(random_weights(model))
    optimizer = flow(interval=length)
    state = optimizer.start(weights, torch.ones(3).double())
    ends, state = optimizer.step(objective, weights, state)
    again, _ = optimizer.step(objective, ends, state)
    for run in range(3):
        exact = solve_ivp(
            lambda t, w: -objective.gradient(torch.as_tensor(w)[None])[0].numpy(),
            (0, 2 * length), weights[run].numpy(), "DOP853", [length, 2 * length],
            rtol=1e-12, atol=1e-14,
        )  # fmt: skip
        np.testing.assert_allclose(ends[run], exact.y[:, 0], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(again[run], exact.y[:, 1], rtol=1e-9, atol=1e-9)


def test_flow_of_a_quadratic():
    """dW/dt = Y − W with one matrix: W(t) = Y + e^{−t}(W(0) − Y)."""
    model = network(**NETWORKS["one matrix"])
    objective = Objective(model, {}, Streams(0, "", np.arange(3), ""))
    weights = random_weights(model)
    optimizer = flow(interval=1.5)
    ends, _ = optimizer.step(
        objective, flatten(weights), optimizer.start(flatten(weights), torch.ones(3).double())
    )
    expected = model.y + np.exp(-1.5) * (weights["w1"].numpy() - model.y)
    np.testing.assert_allclose(ends.reshape(3, 2, 3), expected, atol=1e-12)


def test_flow_leaves_runs_that_are_not_finite_to_the_stop_rules():
    model = network(**NETWORKS["two"])
    objective = Objective(model, {}, Streams(0, "", np.arange(2), ""))
    weights = flatten(random_weights(model, runs=2))
    weights[1] = torch.inf
    state = flow().start(weights, torch.ones(2).double())
    ends, _ = flow().step(objective, weights, state)
    assert ends[0].isfinite().all() and not ends[1].isfinite().all()


# Starts


SHAPES = {"w1": (4, 3), "w2": (5, 4), "w3": (3, 5)}
INITIALIZERS = {
    "balanced_layers": {"strengths": [0.3, 0.1]},
    "linear_critical_points": {"target": [[2.0, 0, 0], [0, 1, 0], [0, 0, 0.5]]},
    "common_starts": {"law": "normal"},
}


def starts(name, **settings):
    return registry().get("initializers", name)(**settings)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_starts_pass_the_oracles(name):
    findings = check_initializer(starts(name, **INITIALIZERS[name]), SHAPES, "all")
    assert [f for f in findings if f.passed is not True] == []


def test_balanced_layers_are_balanced():
    drawn = starts("balanced_layers", strengths=[0.3, 0.1, 0.2]).draw(
        SHAPES, Streams(0, "", np.arange(4), "")
    )
    w1, w2, w3 = drawn.values()
    for upper, lower in ((w2, w1), (w3, w2)):
        left, right = np.swapaxes(upper, 1, 2) @ upper, lower @ np.swapaxes(lower, 1, 2)
        np.testing.assert_allclose(left, right, atol=1e-14)
    expected = np.zeros((3, 3))
    np.fill_diagonal(expected, [0.3, 0.1, 0.2])
    np.testing.assert_allclose(w3 @ w2 @ w1, np.broadcast_to(expected, (4, 3, 3)), atol=1e-14)


def test_more_modes_than_the_narrowest_layer_has_are_refused():
    with pytest.raises(UserError, match="4 modes do not fit"):
        starts("balanced_layers", strengths=[1] * 4).draw(SHAPES, Streams(0, "", np.arange(1), ""))


def test_common_starts_do_not_depend_on_the_point():
    plugin = starts("common_starts", law={"name": "normal"})
    one, other = (plugin.draw(SHAPES, Streams(3, p, np.arange(2), "initialize")) for p in "ab")
    assert all(np.array_equal(one[name], other[name]) for name in SHAPES)
    assert not np.array_equal(one["w1"][0], one["w1"][1])
