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
        "thin_infimum": [infimum],
        "lossy_bound": [0],  # W_2ᵀ has a kernel
        "extended_exceptions": [1],
        **{f"{name}_loss": [1 if name == "dependent" else 0.5] for name in CASES},
        **{f"{name}_gradient": [Between(0, 1e-15)] for name in CASES},
    }
    dataset = assert_columns(
        analysis("pyramid_bound"), Handmade({"all": {"model": model}}, datasets), expected
    )
    assert dataset["norm"].shape == (4,)


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
    outputs, slopes = module("pyramid_bound")._tanh(values)
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
