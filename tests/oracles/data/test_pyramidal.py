"""Pyramidal networks: the model, the counter-examples, the columns and the study."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.base.automatic import automatic_gradient
from nnflow.engine.objective import automatic_hessian, flatten, unflatten
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

CASES = ("dependent", "rank", "dead", "sine")
KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"


def pyramid(**settings):
    return registry().get("models", "pyramid")(**settings)


def drawn(model, runs, seed=0):
    random = np.random.default_rng(seed)
    return {name: random.normal(size=(runs, *shape)) for name, shape in model.shapes().items()}


def test_loss_is_that_of_the_network_written_out():
    model = pyramid(widths=[3, 2, 2], samples=4)
    weights = drawn(model, 2)
    inputs, targets = model.data()
    losses = model.loss({name: torch.tensor(part) for name, part in weights.items()}, {})
    for run in range(2):
        total = 0
        for x, y in zip(inputs.T, targets.T, strict=True):
            hidden = np.tanh(weights["w1"][run] @ x + weights["b1"][run])
            total += ((weights["w2"][run] @ hidden + weights["b2"][run] - y) ** 2).sum()
        assert losses[run].item() == pytest.approx(total / 8, rel=1e-13)


@pytest.mark.parametrize(
    "settings",
    [
        {"widths": [4, 4, 3, 2]},
        {"widths": [2, 1, 2], "samples": 3},
        {"widths": [3, 3, 2, 4, 3], "samples": 4, "activation": "sigmoid"},
        {"widths": [3, 2, 2], "activation": "identity"},
        {"widths": [3, 2, 2], "activation": "gelu"},  # which has no closed derivatives
    ],
)
def test_derivatives_are_those_of_automatic_differentiation(settings):
    model = pyramid(**settings)
    weights = flatten({n: torch.tensor(w) for n, w in drawn(model, 3).items()})

    def loss(flat):
        return model.loss(unflatten(flat, model), {})

    gradient = flatten(model.gradient(unflatten(weights, model), {}))
    torch.testing.assert_close(gradient, automatic_gradient(loss, weights), rtol=0, atol=1e-13)
    hessian = model.hessian(unflatten(weights, model), {})
    if settings.get("activation") == "gelu":
        assert hessian is None
        return
    torch.testing.assert_close(hessian, automatic_hessian(loss, weights), rtol=0, atol=1e-12)


def test_counter_examples_by_hand():
    """dependent: f = 0, L = ½ mean y². The others: f = 1 at y = 0, 2."""
    cases = module("_cases")
    expected = {"dependent": 1.0, "rank": 0.5, "dead": 0.5, "sine": 0.5}
    for name, case in cases.CASES.items():
        loss, gradient = cases.evaluate(case)
        assert loss == pytest.approx(expected[name], abs=1e-15) and gradient < 1e-15
    assert cases.extended_ranks_are_full(cases.CASES["rank"])
    no_bias = cases.CASES["rank"]._replace(weights=([[0.0]], [0.0], [[0.0]], [1.0]))
    assert not cases.extended_ranks_are_full(no_bias)


def test_a_shifted_case_is_not_stationary():
    cases = module("_cases")
    for case in cases.CASES.values():
        first, shift, second, last = case.weights
        moved = case._replace(weights=(first, shift, second, [last[0] + 0.1]))
        assert cases.evaluate(moved)[1] > 0.05


def test_outputs_of_a_wide_last_layer_are_free():
    thin = module("pyramid_bound")._thin_infimum
    left = [thin(pyramid(widths=[2, n, 2], samples=3)) for n in (1, 2, 3)]
    assert left[0] > 0 and left[1:] == [0, 0]


def test_columns_of_pyramid_bound():
    """Two points of 2-1-2: one called stationary, where it is not, and one that isn't."""
    model = pyramid(widths=[2, 1, 2], samples=3)
    weights = drawn(model, 2)
    parts = {
        name: (("run", *(f"{name}{k}" for k in range(part.ndim - 1))), part)
        for name, part in weights.items()
    }
    losses = model.loss({name: torch.tensor(part) for name, part in weights.items()}, {}).numpy()
    critical = xr.Dataset(
        {**parts, "loss": ("run", losses), "kind": flags(["saddle", "not_critical"], KINDS)}
    )
    datasets = {"initialization": {"all": critical}, "critical_points": {"all": critical}}
    _, targets = model.data()
    centered = targets - targets.mean(axis=1, keepdims=True)
    infimum = np.linalg.svd(centered)[1][1] ** 2 / 6
    assert infimum < losses.min()
    expected = {
        "points": [0],  # three samples are too many for layer 2, W_2 too thin for layer 1
        "violations": [(np.nan, np.nan, np.nan)],
        "runs": [2],
        "stationary": [1],
        "lossy": [1],
        "lowest_loss": [losses.min()],
        "searches": [0],
        "search_points": [0],
        "search_violations": [np.nan],
        "search_closest": [np.nan],
        "thin_infimum": [infimum],
        "thin_loss": [loss_by_hand(model, 0)],
        "thin_gradient": [Between(0, 1e-14)],
        "thin_eigenvalue": [Between(-0.5, -0.1)],
        "thin_margin": [Between(0.05, 0.5)],
        "thin_better": [infimum],
        "thin_better_gradient": [Between(0, 1e-14)],
        "thin_excess": [loss_by_hand(model, 0) - infimum],
        "thin_gap": [Between(-1e-14, 1e-14)],
        "lossy_bound": [0],  # W_2ᵀ has a kernel
        "extended_exceptions": [1],
        **{f"{name}_loss": [1 if name == "dependent" else 0.5] for name in CASES},
        **{f"{name}_gradient": [Between(0, 1e-15)] for name in CASES},
    }
    dataset = assert_columns(
        analysis("pyramid_bound"), Handmade({"all": {"model": model}}, datasets), expected
    )
    assert dataset["norm"].shape == (4,)


def loss_by_hand(model, which):
    """Of the network whose outputs leave out one principal axis of the targets."""
    return np.linalg.eigvalsh(np.cov(model.data()[1]))[::-1][which] * (1 - 1 / model.samples) / 2


def test_stationary_points_of_a_thin_network_against_a_solver():
    """The best end of least squares is the better point; the worse leaves the first axis."""
    from scipy.optimize import least_squares

    model = pyramid(widths=[2, 1, 2], samples=3)
    worse, better = module("_thin").stationary_points(model)
    inputs, targets = model.data()

    def residual(p):
        hidden = np.tanh(p[:2] @ inputs + p[2])
        return ((p[3:5, None] * hidden + p[5:, None] - targets) / np.sqrt(3)).ravel()

    ends = [
        least_squares(residual, start, xtol=1e-14, ftol=1e-14, gtol=1e-14).cost
        for start in np.random.default_rng(0).normal(size=(12, 7))
    ]
    assert min(ends) == pytest.approx(better.loss, abs=1e-9)
    assert worse.loss == pytest.approx(loss_by_hand(model, 0), rel=1e-12)
    assert worse.loss > better.loss + 0.4
    assert worse.eigenvalue < -0.1 and better.eigenvalue > -1e-12


def test_which_networks_are_thin():
    thin = module("_thin").is_thin
    assert thin(pyramid(widths=[2, 1, 2], samples=3))
    assert thin(pyramid(widths=[5, 2, 3], samples=6))
    assert not thin(pyramid(widths=[2, 1, 2], samples=4))  # (x, 1) depend on one another
    assert not thin(pyramid(widths=[2, 2, 2], samples=3))  # pyramidal
    assert not thin(pyramid(widths=[5, 2, 3], samples=3))  # two neurons fit all centered targets
    assert not thin(pyramid(widths=[2, 1, 1, 2], samples=3))


@pytest.mark.parametrize("widths", [[2, 1, 2], [5, 2, 4]])
def test_margin_and_losses_of_stationary_points(widths):
    """Of four axes with two neurons: s_1² + s_2² is left by the worse, s_3² + s_4² by the other."""
    model = pyramid(widths=widths, samples=widths[0] + 1, seed=3)
    _, targets = model.data()
    values = np.linalg.svd(targets - targets.mean(axis=1, keepdims=True))[1]
    kept = widths[1]
    worse, better = module("_thin").stationary_points(model)
    assert worse.loss == pytest.approx((values[:-kept] ** 2).sum() / (2 * model.samples))
    assert better.loss == pytest.approx((values[kept:] ** 2).sum() / (2 * model.samples))
    for point in (worse, better):
        assert point.gradient < 1e-13 and 0 < point.margin <= 0.75
        assert point.margin <= np.linalg.svd(np.vstack([model.data()[0], np.ones(model.samples)]))[
            1
        ].min() * (1 + 1e-12)


# The attempt to break the bound


def test_ratio_in_torch_is_that_of_the_bound():
    adversaries, search = module("_adversaries"), module("_bound_search")
    bound = module("_gradient_bound").gradient_bound
    model = pyramid(widths=[4, 4, 3, 2])
    weights, biases = adversaries.starts(model, streams(24))
    data = model.data()
    for layer in (1, 2):
        found = bound(weights, *data, adversaries.tanh, layer, biases)
        ratios = search.log_ratio(
            *([torch.tensor(part) for part in parts] for parts in (weights, biases)),
            *(torch.as_tensor(part) for part in data),
            adversaries.log_tanh,
            layer,
        )
        clear = found.bound > 1e-9
        assert clear.sum() >= 8
        np.testing.assert_allclose(
            ratios.numpy()[clear], np.log(found.norm / found.bound)[clear], rtol=1e-6
        )


def test_log_of_the_slope_of_tanh():
    values = torch.tensor([0.0, 0.5, -2, 20, -400], dtype=torch.float64)
    outputs, logs = module("_adversaries").log_tanh(values)
    torch.testing.assert_close(outputs, values.tanh())
    expected = np.log1p(-(np.tanh([0, 0.5, -2]) ** 2))
    np.testing.assert_allclose(logs[:3], expected, atol=1e-15)
    np.testing.assert_allclose(logs[3:], [np.log(4) - 40, np.log(4) - 800], rtol=1e-12)


def streams(count):
    from nnflow import Streams

    return Streams(1, "widths=4-4-3-2", np.arange(count), "break_the_bound")


def test_starts_are_random_nearly_singular_and_saturated():
    adversaries = module("_adversaries")
    model = pyramid(widths=[4, 4, 3, 2])
    weights, biases = adversaries.starts(model, streams(3000))
    assert [part.shape[1:] for part in weights] == [(4, 4), (3, 4), (2, 3)]
    assert [part.shape[1:] for part in biases] == [(4,), (3,), (2,)]
    smallest = [np.linalg.svd(part.mT, compute_uv=False)[:, -1] for part in weights]
    for k in (1, 2):
        assert np.median(smallest[k][1::3]) < 1e-2 < np.median(smallest[k][::3])
    for part, scale in ((weights[0], 0.5), (biases[0], 1.0)):
        assert part[::3].std() == pytest.approx(scale, rel=0.05)
        assert part[1::3].std() == pytest.approx(scale, rel=0.05)
        assert part[2::3].std() == pytest.approx(5 * scale, rel=0.05)
    assert not np.allclose(weights[0][0, 0], weights[0][1, 0])


def test_searches_come_near_to_the_bound_and_not_below():
    model = pyramid(widths=[2, 6, 3, 2])
    (found,) = module("_adversaries").try_to_break(model, 1, "all", 12, 60)  # in layer 2 alone
    assert 1 <= found.closest < 1.3 and not found.broken.any()
    (unmoved,) = module("_adversaries").try_to_break(model, 1, "all", 12, 0)
    assert unmoved.points <= 12 < found.points and unmoved.closest > 2


def test_a_search_finds_where_a_false_bound_is_broken(monkeypatch):
    """A bound twice as large: a start that comes near to the right one breaks it, and is counted
    once, however often."""
    honest, part = module("_gradient_bound").gradient_bound, module("_bound_search")

    def doubled(*arguments):
        found = honest(*arguments)
        return found._replace(bound=2 * found.bound)

    monkeypatch.setattr(part, "gradient_bound", doubled)
    model = pyramid(widths=[2, 6, 3, 2])
    (found,) = module("_adversaries").try_to_break(model, 1, "all", 12, 60)
    assert found.broken.any() and found.closest < 0.65
    (unmoved,) = module("_adversaries").try_to_break(model, 1, "all", 12, 0)
    assert not unmoved.broken.any()


def test_columns_of_the_search(monkeypatch):
    """Two layers, 3 descents each, one of which broke the bound."""
    part, search = module("pyramid_bound"), module("_bound_search").Search
    asked = []

    def found(*arguments):
        asked.append(arguments[1:])
        return [
            search(10, np.array([False, True, False]), 0.9),
            search(5, np.zeros(3, bool), np.nan),
        ]

    monkeypatch.setattr(part, "try_to_break", found)
    columns = analysis("pyramid_bound", searches=3, search_steps=7)._search(None, 4, "label")
    assert asked == [(4, "label", 3, 7)]
    assert (columns["searches"], columns["search_points"]) == (6, 15)
    assert columns["search_violations"][0] == pytest.approx(1 / 6)
    assert columns["search_closest"] == 0.9


def test_the_bound_of_lossy_ends_is_the_largest_of_the_first_layer(monkeypatch):
    """Of three ends the last is not stationary; both layers are counted at starts and ends."""
    part, asked = module("pyramid_bound"), []

    def bound(model, points, layer):
        asked.append((points.sizes["run"], layer))
        levels = np.array([3.0, 5.0, 9.0][: points.sizes["run"]])
        return SimpleNamespace(informative=2, violations=1, norm=levels + 1, bound=levels)

    monkeypatch.setattr(part, "_bound", bound)
    critical = xr.Dataset(
        {
            "loss": ("run", [1.0, 1.5e-12, 2.0]),
            "kind": flags(["saddle", "minimum", "not_critical"], KINDS),
        }
    )
    starts = critical.isel(run=[0])
    datasets = {"initialization": {"all": starts}, "critical_points": {"all": critical}}
    model = pyramid(widths=[2, 1, 2], samples=3)
    found = analysis("pyramid_bound").compute(Handmade({"all": {"model": model}}, datasets))
    assert (found["lossy"].item(), found["lossy_bound"].item()) == (2, 5)
    assert (found["points"].item(), found["violations"].item()) == (8, 0.5)
    assert sorted(asked) == [(1, 1), (1, 1), (1, 2), (3, 1), (3, 1), (3, 2)]
    assert found["bound"].values.tolist() == [3, 3, 5, 9]


def test_the_slope_of_tanh_keeps_its_digits():
    """1/cosh², which is 4e^{−600} from 300 on."""
    values = np.array([0.0, 1, -1, 20, 300.5, -400])
    outputs, slopes = module("_adversaries").tanh(values)
    np.testing.assert_allclose(outputs[:4], np.tanh(values[:4]))
    slope = 1 - np.tanh(1) ** 2
    expected = [1, slope, slope, 4 * np.exp(-40), 4 * np.exp(-600), 4 * np.exp(-600)]
    np.testing.assert_allclose(slopes, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("at", "ranks", "count"),
    [((1, 0), True, 1), ((0, 0), True, 0), ((1, 1e-3), True, 0), ((1, 0), False, 0)],
)
def test_an_exception_has_a_loss_no_gradient_and_full_ranks(monkeypatch, at, ranks, count):
    part = module("pyramid_bound")
    monkeypatch.setattr(part, "evaluate", lambda case: at)
    monkeypatch.setattr(part, "extended_ranks_are_full", lambda case: ranks)
    assert part._exceptions() == count


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with fewer runs."""
    study = load_study(study_file("pyramidal", root / "config/studies"))
    few = tuple(
        dataclasses.replace(one, settings=one.settings.model_copy(update={"runs": 20}))
        for one in study.configurations
    )
    return complete(dataclasses.replace(study, configurations=few), tmp_path_factory.mktemp("p"))


def test_claims_agree_but_the_corrected_one(done):
    found = verdicts(done)
    corrected = {name.split("[")[0] for name, verdict in found.items() if verdict == "corrected"}
    assert corrected == {"extended_ranks"}
    assert set(found.values()) <= AGREE | {"corrected"}, found


def test_no_end_is_below_the_bound_of_its_outputs(done):
    found = done.read["pyramid_bound"].sel(configuration="widths=2-1-2,samples=3")
    assert 0 < found["thin_infimum"] <= found["lowest_loss"]


def test_figure_is_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)
