"""Pyramidal networks: the model, the counter-examples, the columns and the study."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from studies import AGREE, assert_drawn, complete, module, verdicts

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
