"""One sigmoid neuron: its loss, all its critical points, the columns and the study."""

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from scipy.optimize import brentq
from scipy.special import expit
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"


def neuron(**settings):
    return registry().get("models", "sigmoid_neuron")(**settings)


def slope(w, ratio, count):
    places = ratio ** np.arange(count)
    s = expit(places * w)
    return (2 * places * (s - 0.75) * s * (1 - s)).sum()


def test_loss_by_hand():
    w = np.array([[0.3, -0.2]])
    squared = neuron(scales=2, inputs=2, ratio=3).loss({"w": torch.tensor(w)}, {})
    sums = np.concatenate([w * 1, w * 3]).ravel()
    assert squared.item() == pytest.approx(((expit(sums) - 0.75) ** 2).mean(), rel=1e-14)
    matching = neuron(scales=2, inputs=2, ratio=3, loss_function="matching").loss(
        {"w": torch.tensor(w)}, {}
    )
    entropy = -0.75 * np.log(0.75) - 0.25 * np.log(0.25)
    crossed = -0.75 * np.log(expit(sums)) - 0.25 * np.log(expit(-sums)) - entropy
    assert matching.item() == pytest.approx(crossed.mean(), rel=1e-13)


@pytest.mark.parametrize("loss_function", ["squared", "matching"])
def test_gradient_of_the_matching_loss_is_the_error_and_hessians_are_diagonal(loss_function):
    model = neuron(scales=3, inputs=2, loss_function=loss_function)
    w = torch.tensor([0.05, 0.7], dtype=torch.float64)
    exact = torch.autograd.functional.hessian(lambda v: model.loss({"w": v[None]}, {})[0], w)
    torch.testing.assert_close(model.hessian({"w": w[None]}, {})[0], exact, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("ratio", "count", "minima"), [(3, 3, 1), (5, 3, 2), (6, 3, 3), (10, 4, 4)]
)
def test_critical_points_against_a_scan(ratio, count, minima):
    found = module("_dips").dips(ratio, count)
    grid = np.geomspace(1e-6, 10, 20_001)
    values = np.array([slope(w, ratio, count) for w in grid])
    crossings = np.flatnonzero(np.sign(values[1:]) != np.sign(values[:-1]))
    roots = [brentq(slope, grid[i], grid[i + 1], (ratio, count), xtol=1e-15) for i in crossings]
    assert found.proved and len(found.minima) == minima and len(found.maxima) == minima - 1
    intervals = sorted([*found.minima, *found.maxima])
    assert len(intervals) == len(roots)
    assert all(low < root < high for (low, high), root in zip(intervals, roots, strict=True))


def test_at_a_merging_pair_nothing_is_proved():
    """Where a minimum and a maximum meet, no piece can be decided."""
    low, high = module("_dips").exact_from(2, steps=45)
    assert high - low < 1e-9
    assert not module("_dips").dips((low + high) / 2, 2).proved


def test_threshold_is_where_the_second_minimum_appears():
    low, high = module("_dips").exact_from(2)
    counts = [len(module("_dips").dips(ratio, 2).minima) for ratio in (low, high)]
    assert counts == [1, 2] and 5.71 < low < high < 5.73


def test_columns_of_sigmoid_minima():
    """Runs at two of the three minima, at one place that is none, at a saddle and at none."""
    inside = [np.mean(interval) for interval in module("_dips").dips(10, 3).minima]
    critical = xr.Dataset(
        {
            "w": (
                ("run", "input"),
                np.array([[inside[0]], [inside[1]], [inside[1]], [5], [1], [2]]),
            ),
            "kind": flags(["minimum"] * 4 + ["saddle", "not_critical"], KINDS),
            "family": ("run", [0, 1, 1, 2, 3, -1]),
        }
    )
    settings = {
        "squared": {"model": neuron()},
        "matching": {"model": neuron(loss_function="matching")},
    }
    datasets = {"critical_points": dict.fromkeys(settings, critical)}
    expected = {
        "proved_minima": [3, np.nan],
        "proved_critical": [5, np.nan],
        "found_minima": [3, 3],
        "runs_at_minima": [4, 4],
        "outside": [(0.25, Between(0, 0.1), Between(0.7, 1)), (np.nan, np.nan, np.nan)],
        "runs": [6, 6],
        "threshold": [(Between(5.71, 5.73), Between(5.71, 5.73), Between(5.71, 5.73))] * 2,
        "exact_share": [0.5, 0.5],
        "tried_ratios": [2, 2],
    }
    plugin = analysis("sigmoid_minima", ratios=[5.0, 6.0], counts=[3])
    dataset = assert_columns(plugin, Handmade(settings, datasets), expected)
    assert dataset["ends"].shape == (1, 2)


def test_a_point_is_outside_if_one_coordinate_is():
    model = neuron(inputs=2)
    inside = np.mean(module("sigmoid_minima").dips(model.ratio, model.scales).minima[0])
    critical = xr.Dataset(
        {
            "w": (("run", "input"), [[inside, inside], [inside, 5], [5, inside], [5, 5]]),
            "kind": flags(["minimum"] * 4, KINDS),
            "family": ("run", [0, 1, 2, 3]),
        }
    )
    assert module("sigmoid_minima")._counts(model, critical)["outside"][0] == 0.75


@pytest.mark.parametrize("proved", [True, False])
def test_minima_of_two_inputs_are_pairs_and_count_where_they_are_proved(monkeypatch, proved):
    part, model = module("sigmoid_minima"), neuron(inputs=2)
    line = part.dips(model.ratio, model.scales)._replace(proved=proved)
    monkeypatch.setattr(part, "dips", lambda *_: line)
    critical = xr.Dataset(
        {
            "w": (("run", "input"), [[0.0, 0]]),
            "kind": flags(["saddle"], KINDS),
            "family": ("run", [0]),
        }
    )
    found = part._counts(model, critical)
    assert (found["proved_minima"], found["proved_critical"]) == ((9, 25) if proved else (0, 0))


def test_starts_are_log_uniform_and_in_order():
    from nnflow.base.streams import Streams

    kind = registry().get("initializers", "log_uniform")
    streams = Streams(0, "all", np.arange(20_000), "initialize")
    drawn = kind(low=0.1, high=10).draw({"w": (1,)}, streams)["w"]
    assert drawn.min() > 0.1 and drawn.max() < 10
    assert abs((drawn < 1).mean() - 0.5) < 0.02
    with pytest.raises(ValueError, match="low must be below high"):
        kind(low=1, high=1)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale, but for three dimensions, which need many runs."""
    study = load_study(study_file("single_sigmoid_neuron", root / "config/studies"))
    few = tuple(
        dataclasses.replace(one, settings=one.settings.model_copy(update={"runs": 200}))
        for one in study.configurations
        if one.settings.model.inputs < 3 or one.settings.model.loss_function == "matching"
    )
    study = dataclasses.replace(study, configurations=few)
    return complete(study, tmp_path_factory.mktemp("neuron"))


def test_every_claim_agrees(done):
    found = {name: verdict for name, verdict in verdicts(done).items() if verdict != "not_measured"}
    assert len(found) >= 11 and set(found.values()) <= AGREE, found


def test_figure_is_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)
