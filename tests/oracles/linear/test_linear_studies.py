"""The studies of deep linear networks, and their analyses on data of known content."""

import csv
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from studies import assert_drawn, complete, module

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.critical import inertia
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

TARGET = np.random.default_rng(4).normal(size=(3, 5))


def plugin(kind, name, **settings):
    return registry().get(kind, name)(**settings)


# The combinatorial prediction


@pytest.mark.parametrize("layers", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("hidden", [[2] * 4, [3] * 4, [4] * 4, [6] * 4, [4, 6, 3, 5]])
def test_index_nullity_and_value_of_all_constructed_points(layers, hidden):
    widths = [5, *hidden[: layers - 1], 3]
    model = plugin("models", "linear_network", widths=widths, target=TARGET.tolist())
    starts = plugin("initializers", "linear_critical_points", target=TARGET.tolist())
    patterns = starts.patterns(model.shapes())
    drawn = starts.draw(model.shapes(), Streams(0, "all", np.arange(len(patterns)), "initialize"))
    weights = {name: torch.as_tensor(value) for name, value in drawn.items()}
    values = np.linalg.svd(TARGET, compute_uv=False)
    expected = [sum(np.delete(values, p.kept) ** 2) / 2 for p in patterns]
    np.testing.assert_allclose(model.loss(weights, {}), expected, atol=1e-12)
    stationary = [i for i, p in enumerate(patterns) if layers > 1 or len(p.kept) == 3]
    for part in model.gradient(weights, {}).values():
        assert float(part[stationary].abs().max()) < 1e-12
    eigenvalues = torch.linalg.eigvalsh(model.hessian(weights, {})).numpy()
    index, nullity = inertia(eigenvalues, 1e-7)
    predicted = [pattern.inertia(widths, values) for pattern in patterns]
    found = list(zip(index.tolist(), nullity.tolist(), strict=True))
    assert [found[i] for i in stationary] == [tuple(map(int, predicted[i])) for i in stationary]


def test_known_points_of_the_network_5_4_4_3():
    """Indices by hand: Y = diag(3, 2, 1), three matrices, all zero beside the kept modes."""
    starts = plugin("initializers", "linear_critical_points", target=np.eye(3, 5).tolist())
    shapes = {"w1": (4, 5), "w2": (4, 4), "w3": (3, 4)}
    plain = {p.kept: p for p in starts.patterns(shapes) if p.zero == (1, 2, 3)}
    index = {kept: p.inertia([5, 4, 4, 3], np.array([3, 2, 1]))[0] for kept, p in plain.items()}
    assert index == {
        (): 0, (0,): 0, (1,): 1, (2,): 2, (0, 1): 0, (0, 2): 1, (1, 2): 2, (0, 1, 2): 0,
    }  # fmt: skip
    _, nullity = plain[(0, 1, 2)].inertia([5, 4, 4, 3], np.array([3, 2, 1]))
    assert nullity == 33


@pytest.mark.parametrize(("layers", "kinds"), [(2, 0), (3, 3), (4, 15), (5, 48)])
def test_kinds_without_a_negative_eigenvalue(layers, kinds):
    """d_y(2^K − 1 − K − K(K − 1)/2) by the eigenvalues alone, and a curve that leaves each."""
    widths = [5, *[4] * (layers - 1), 3]
    model = plugin("models", "linear_network", widths=widths, target=TARGET.tolist())
    starts = plugin("initializers", "linear_critical_points", target=TARGET.tolist())
    shapes, patterns = model.shapes(), starts.patterns(model.shapes())
    assert len(patterns) == (7 * (2**layers - 1 - layers) + 1)
    streams = Streams(0, "all", np.arange(len(patterns)), "initialize")
    weights = [
        {name: torch.as_tensor(value) for name, value in starts.beside(shapes, streams, e).items()}
        for e in (0.0, 0.3)
    ]
    loss, lower = (model.loss(each, {}).numpy() for each in weights)
    eigenvalues = torch.linalg.eigvalsh(model.hessian(weights[0], {}))[:, 0].numpy()
    bad = (eigenvalues > -1e-9) & (loss > 1e-9)
    assert bad.sum() == kinds
    values = np.linalg.svd(TARGET, compute_uv=False)
    for at in np.flatnonzero(bad):
        assert patterns[at].keeps_top() and len(patterns[at].zero) >= 3
        power = 0.3 ** len(patterns[at].zero)
        fall = values[len(patterns[at].kept)] * power - power**2 / 2
        assert loss[at] - lower[at] == pytest.approx(fall, rel=1e-9)


def sparse_critical_point(random, layers, kept, unseen):
    """Matrices for Y = (diag(3, 2, 1) 0), 5-4-…-4-3, that keep the top modes beside random sparse
    blocks; a critical point where the products that the gradient consists of are zero beside the
    kept modes. unseen: the rank of the first layer lies on inputs that Y maps to 0."""
    widths, values = [5, *[4] * (layers - 1), 3], np.array([3.0, 2, 1])
    weights = []
    for k in range(1, layers + 1):
        block = np.zeros((widths[k], widths[k - 1]))
        block[range(kept), range(kept)] = values[:kept] ** (1 / layers)
        rest = (widths[k] - kept, widths[k - 1] - kept)
        block[kept:, kept:] = random.normal(size=rest) * (random.random(rest) < 0.25)
        weights.append(block[None])
    if unseen:
        weights[0][:, kept:, kept:3] = 0
    return weights


@pytest.mark.parametrize("layers", [2, 3, 4, 5])
def test_the_rule_of_ranks_at_random_critical_points(layers):
    random, count = np.random.default_rng(layers), 0
    widths = [5, *[4] * (layers - 1), 3]
    model = plugin("models", "linear_network", widths=widths, singular_values=[3, 2, 1])
    has_descent = module("_matrices").has_descent
    seen = set()
    while count < 150:
        kept = int(random.integers(0, 3))
        matrices = sparse_critical_point(random, layers, kept, unseen=random.random() < 0.5)
        weights = {f"w{k}": torch.as_tensor(m) for k, m in enumerate(matrices, 1)}
        if max(float(part.abs().max()) for part in model.gradient(weights, {}).values()) > 1e-12:
            continue
        lowest = float(torch.linalg.eigvalsh(model.hessian(weights, {}))[0, 0])
        steep = bool(has_descent(matrices, model.y, kept)[0])
        assert steep == (lowest < -1e-9), (kept, lowest)
        seen.add(steep)
        count += 1
    assert seen == ({True} if layers == 2 else {True, False})


def test_a_target_of_another_shape_is_refused():
    starts = plugin("initializers", "linear_critical_points", target=[[1.0, 2.0]])
    with pytest.raises(UserError, match=r"shape is \(1, 2\), the network maps 3 inputs"):
        starts.draw({"w1": (2, 3), "w2": (1, 2)}, Streams(0, "", np.arange(1), ""))


def test_critical_values():
    values = module("_matrices").critical_values(np.array([3.0, 2, 1]), 3)
    assert values.tolist() == [0, 0.5, 2, 2.5, 4.5, 5, 6.5, 7]
    assert module("_matrices").critical_values(np.array([3.0, 2, 1]), 0).tolist() == [7]


# Saxe's solutions


@pytest.mark.parametrize("layers", [1, 2, 3, 5])
@pytest.mark.parametrize("first", [0.01, 4.0])
def test_times_solve_the_differential_equation(layers, first):
    s = 2.0

    def slope(t, u):
        return layers * u ** (2 - 2 / layers) * (s - u)

    exact = solve_ivp(
        slope, (0, 2), [first], "DOP853", np.linspace(0.1, 2, 9), rtol=1e-12, atol=1e-14
    )
    moving = np.abs(exact.y[0] - s) > 1e-5
    found = module("saxe_modes").times(exact.y[0, moving], first, s, layers)
    assert moving.sum() > 2
    np.testing.assert_allclose(found, exact.t[moving], rtol=1e-6)


# What keeps the flow bounded


@given(
    widths=st.sampled_from([[3, 4, 2], [4, 3, 2, 3], [2, 5, 4, 3, 2], [3, 2, 2, 2, 4, 3]]),
    seed=st.integers(0, 1000),
    scale=st.floats(0.05, 20),
)
def test_the_norm_of_the_last_layer_keeps_its_bound_at_any_weights(widths, seed, scale):
    """dg/dt = 2⟨W_K, dW_K/dt⟩, by the model's gradient, for g = ‖W_K‖²."""
    bounded = module("_boundedness")
    generator = np.random.default_rng(seed)
    model = plugin("models", "linear_network", widths=widths, singular_values=[2, 0.5])
    weights = {
        name: torch.as_tensor(scale * generator.normal(size=(20, *shape)))
        for name, shape in model.shapes().items()
    }
    # layers of very different sizes: far from balanced
    weights["w1"] *= torch.as_tensor(generator.uniform(0, 3, (20, 1, 1)))
    seen = {name: value.numpy() for name, value in model.observables(weights, {}).items()}
    last = f"w{len(widths) - 1}"
    slope = -2 * (weights[last] * model.gradient(weights, {})[last]).sum((1, 2)).numpy()
    target = np.linalg.norm(model.y)
    first, second = bounded.constants(widths, target, seen["imbalance"], seen["squared_norm"])
    g, layers = seen["squared_norm"][:, -1], len(widths) - 1
    bound = -first * g**layers + second * (1 + g ** (layers - 1))
    assert (slope <= bound + 1e-12 * np.abs(bound)).all()
    root = bounded.barrier(first, second, layers)
    rest = -first * root**layers + second * (1 + root ** (layers - 1))
    assert (np.abs(rest) <= 1e-9 * first * root**layers).all()


def test_imbalances_are_those_of_the_observable():
    model = plugin("models", "linear_network", widths=[3, 4, 2, 3], singular_values=[1, 1])
    weights = {n: torch.randn(5, *s, dtype=torch.float64) for n, s in model.shapes().items()}
    entries = model.observables(weights, {})["imbalance"].numpy()
    found = module("_boundedness").imbalances([3, 4, 2, 3], entries)
    for k, matrix in enumerate(found, start=1):
        upper, lower = weights[f"w{k + 1}"], weights[f"w{k}"]
        expected = upper.mT @ upper - lower @ lower.mT
        np.testing.assert_allclose(matrix, expected, atol=1e-14)


@pytest.mark.parametrize(("start", "runs"), [(0.9, 2), (0.2, np.nan)])
def test_a_deficiency_margin_bounds_the_rate(start, runs):
    """One 1 × 1 matrix after another, u' = 2u(s − u) with s = 1: c = u₀, and the
    loss falls at a rate between 4u₀ and 4."""
    time = np.linspace(0, 8, 33)
    u = 1 / (1 + (1 / start - 1) * np.exp(-2 * time))
    trained = xr.Dataset(
        {"trace_loss": (("run", "trace_step"), np.tile((1 - u) ** 2 / 2, (2, 1)))},
        {"trace_step": np.arange(33)},
    )
    model = plugin("models", "linear_network", widths=[1, 1, 1], singular_values=[1])
    experiment = SimpleNamespace(model=model, optimizer=SimpleNamespace(interval=0.25))
    # the second start is unbalanced by more than the theorem allows
    ratio = 1.0 if start == 0.9 else 1.1
    layers = [np.full((2, 1, 1), start**0.5 * ratio), np.full((2, 1, 1), start**0.5 / ratio)]
    found = module("linear_rate")._margin_row(SimpleNamespace(settings=experiment), layers, trained)
    assert found.get("margin_runs", np.nan) == pytest.approx(runs, nan_ok=True)
    if found:
        assert found["margin_violations"] == 0 and 4 < found["rate_over_margin"] < 4 / start


# The analyses


def results(trained, **experiment):
    configuration = SimpleNamespace(label="all", settings=SimpleNamespace(**experiment))
    return SimpleNamespace(
        configurations=(configuration,),
        each=lambda name: [(configuration, trained)],
        at=lambda name, label: trained,
    )


def test_drift_is_the_largest_change_of_an_entry():
    trained = xr.Dataset(
        {
            "trace_imbalance": (
                ("run", "trace_step", "number"),
                [[[1.0, 2], [1.5, 2], [np.nan, np.nan]], [[0, 0], [0, -3], [0, 1]]],
            ),
            "trace_squared_norm": (
                ("run", "trace_step", "layer"),
                [[[1.0, 2], [2, 2], [np.nan, np.nan]], [[1, 1], [1, 1], [1, 1]]],
            ),
        }
    )
    optimizer = SimpleNamespace(name="gradient_flow")
    table = plugin("analyses", "linear_invariants").compute(results(trained, optimizer=optimizer))
    assert (float(table["drift"][0]), float(table["norm_drift"][0])) == (3, 1)
    assert table["run_drift"].values.tolist() == [0.5, 3]


@pytest.mark.parametrize(("scale", "slope"), [(1.0, 1.0), (1e-13, np.nan)])
def test_drifts_in_proportion_to_the_rate_have_slope_one_and_rounding_has_none(scale, slope):
    configurations, found = [], {}
    for rate in (0.01, 0.02):
        optimizer = SimpleNamespace(name="gradient_descent", rate=rate)
        experiment = SimpleNamespace(model="m", initializer="i", runs=2, optimizer=optimizer)
        configurations.append(SimpleNamespace(label=f"{rate}", settings=experiment))
        drift = scale * rate * np.array([[[0.0], [1]], [[0], [3]]])
        axes = ("run", "trace_step")
        found[f"{rate}"] = xr.Dataset(
            {
                "trace_imbalance": ((*axes, "number"), drift),
                "trace_squared_norm": ((*axes, "layer"), np.ones((2, 2, 2))),
            }
        )
    given = SimpleNamespace(
        configurations=configurations,
        each=lambda name: [
            (configuration, found[configuration.label]) for configuration in configurations
        ],
    )
    table = plugin("analyses", "linear_invariants").compute(given)
    slopes = table["drift_slope"] if "drift_slope" in table else np.full(2, np.nan)
    assert np.allclose(slopes, slope, equal_nan=True)


def test_alphas_are_the_eigenvalues_of_the_published_order():
    w1 = np.zeros((1, 3, 4))
    w2 = np.diag([3.0, 2, 1])[None, :2]
    alphas = module("linear_rate")._alphas([4, 3, 2], [w1, w2])
    assert alphas.tolist() == [[4]]


def test_passage_is_between_recorded_steps():
    trained = xr.Dataset(
        {"trace_loss": (("run", "trace_step"), [[4.0, 3, 1], [4, 4, 4]])}, {"trace_step": [0, 2, 6]}
    )
    steps = module("linear_plateaus")._passage(trained, np.array([2.5, 2.0]))
    assert steps[0] == 3 and np.isnan(steps[1])


def test_ranks():
    layers = [np.ones((1, 4, 5)), np.diag([1.0, 1, 0, 0])[None], np.diag([0.0, 1, 1, 1])[None, :3]]
    rank_r, rank_z = module("_matrices").ranks(layers)
    assert (rank_r.tolist(), rank_z.tolist()) == ([1], [2])


# The studies


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear_flow", "linear_landscape"])
def test_every_claim_holds(name, root, tmp_path):
    study = load_study(study_file(f"{name}", root / "config/studies"))
    # all patterns of the deepest networks are needed, but not that many random starts
    fewer = {"runs": 16} if name == "linear_flow" else {"runs": 183}
    configurations = tuple(
        dataclasses.replace(configuration, settings=configuration.settings.model_copy(update=fewer))
        for configuration in study.configurations
    )
    study = dataclasses.replace(study, configurations=configurations)
    job = complete(study, tmp_path)
    with (job.folder / "claims.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row for row in rows if row["verdict"] in ("differs", "undecided", "not_measured")] == []
    corrected = {row["claim"] for row in rows if row["verdict"] == "corrected"}
    assert corrected == {claim.claim for claim in study.settings.claims if claim.corrected}
    assert_drawn(job.folder, job.study.settings.figures)
