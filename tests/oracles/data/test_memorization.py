"""Learning by heart: the construction, its bounds, the model, the columns and the study."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.base.automatic import automatic_gradient
from nnflow.base.streams import Streams
from nnflow.engine.objective import flatten, unflatten
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


@pytest.mark.parametrize("knots", ["samples", "midpoints"])
@pytest.mark.parametrize("sort", ["gaussian", "clusters", "grid"])
def test_construction_fits_whatever_it_is_given(sort, knots):
    streams = Streams(1, sort, np.arange(3), "test")
    points, targets = module("_sample").sample(sort, 30, 4, streams)
    for x, y, a in zip(points, targets, streams.normal(4, draw=9), strict=True):
        assert len(np.unique(x, axis=0)) == 30
        found = module("_construction").fit(x, y, a, knots)
        assert found.explained and found.network.size == 2 * 30 + 4
        by_hand = [
            sum(
                w * max(a @ row - b, 0)
                for w, b in zip(found.network.weights, found.network.knots, strict=True)
            )
            for row in x
        ]
        assert np.abs(np.array(by_hand) - y).max() < 1e-6
        assert found.error < 1e-6


def test_condition_and_weights_by_hand():
    """z = 1, 2, 4 with knots 1 − 1.5, 1, 2: slopes of a line through 0 at −.5."""
    found = module("_construction").fit(
        np.array([[4.0], [1.0], [2.0]]), np.array([7.0, 3.0, 1.0]), np.ones(1)
    )
    np.testing.assert_allclose(found.network.knots, [-0.5, 1, 2])
    np.testing.assert_allclose(found.network.weights, [2, -4, 5])
    matrix = [[1.5, 0, 0], [2.5, 1, 0], [4.5, 3, 2]]
    measured = module("_construction").condition(np.array([[4.0], [1.0], [2.0]]), found.network)
    assert measured == pytest.approx(np.linalg.cond(matrix))


def test_a_wrong_fit_is_not_explained(monkeypatch):
    import scipy.linalg

    solve = scipy.linalg.solve_triangular
    monkeypatch.setattr(
        scipy.linalg, "solve_triangular", lambda *args, **kw: solve(*args, **kw) * (1 + 1e-9)
    )
    found = module("_construction").fit(np.arange(9.0)[:, None], np.ones(9), np.ones(1))
    assert not found.explained


def test_points_that_the_direction_confuses_are_refused():
    with pytest.raises(ValueError, match="same place"):
        module("_construction").fit(np.eye(2), np.ones(2), np.ones(2))


def test_best_error_by_hand():
    """One unit with its knot at 0 and the targets 1, −1 at 1, 2: w with max |w − 1|, |2w + 1|."""
    best = module("_construction").best_error
    assert best(np.array([1.0, 2]), np.array([1.0, -1]), np.array([0.0])) == pytest.approx(1)
    assert best(np.array([1.0, 2]), np.array([1.0, 2]), np.array([0.0])) == pytest.approx(0)
    assert best(np.array([1.0, 2]), np.array([1.0, 1]), np.array([0.0])) == pytest.approx(1 / 3)


def test_model_is_the_network_of_the_construction():
    model = registry().get("models", "shared_direction")(samples=6, inputs=3)
    points, targets = model.data()
    found = module("_construction").fit(points, targets, np.array([1.0, -2, 0.5]))
    random = np.random.default_rng(0)
    parts = {"a": found.network.direction, "b": found.network.knots, "w": found.network.weights}
    weights = {
        name: torch.as_tensor(np.stack([part, random.normal(size=part.shape)]))
        for name, part in parts.items()
    }
    losses = model.loss(weights, {})
    assert losses[0] < 1e-20
    network = module("_construction").Network(*(weights[name][1].numpy() for name in "abw"))
    errors = network(points) - targets
    assert losses[1].item() == pytest.approx((errors**2).mean() / 2, rel=1e-12)
    worst = model.observables(weights, {})["worst_error"]
    assert worst[1].item() == pytest.approx(np.abs(errors).max(), rel=1e-12)
    # the knots of the construction are at samples, random ones are not
    assert model.smooth(weights, {}).tolist() == [False, True]


def test_its_gradient_is_that_of_automatic_differentiation():
    """At a kink too: a sample at a knot has its unit active."""
    model = registry().get("models", "shared_direction")(samples=5, inputs=3)
    weights = torch.as_tensor(np.random.default_rng(1).normal(size=(3, 3 + 5 + 5)))
    points, _ = model.data()
    weights[0, 3] = (weights[0, :3] @ torch.as_tensor(points).mT)[2]
    assert not model.smooth(unflatten(weights, model), {})[0]
    gradient = flatten(model.gradient(unflatten(weights, model), {}))
    automatic = automatic_gradient(lambda at: model.loss(unflatten(at, model), {}), weights)
    torch.testing.assert_close(gradient, automatic, rtol=1e-12, atol=1e-13)


def test_columns_of_memorization():
    trace = xr.Dataset(
        {
            "trace_worst_error": (
                ("run", "trace_step"),
                [[1.0, 0.049], [1.0, 0.051], [3.0, np.nan]],
            ),
        },
        {"trace_step": [0, 10]},
    )
    settings = {"all": {"model": SimpleNamespace(samples=3)}}
    expected = {
        "fits": [36],
        "fit_failures": [(0, 0, Between(0.1, 0.3))],
        "weights_over_2n_d": [0],
        "largest_n": [20],
        "largest_error": [Between(1e-16, 1e-9)],
        "midpoint_error": [Between(1e-16, 1e-8)],
        "midpoint_digits": [(Between(0, 3), Between(-9, 3), Between(0, 9))],
        "largest_condition": [Between(10, 1e8)],
        "one_unit_less": [Between(1 - 1e-9, 1 + 1e-9)],
        "less_exceptions": [(0, 0, Between(0.1, 0.3))],
        "searches": [24],
        "search_exceptions": [(0, 0, Between(0.1, 0.3))],
        "search_error": [Between(1 - 1e-12, 1.1)],
        "search_fits": [(Between(0.7, 1), Between(0.4, 1), Between(0.9, 1))],
        "enough_units": [Between(0, 1e-12)],
        "two_unit_weights": [29],
        "two_unit_error": [Between(0, 1e-11)],
        "runs": [3],
        "descent_share": [(1 / 3, Between(0, 0.1), Between(0.8, 1))],
        "descent_error": [(Between(1, 2), Between(-99, 1), Between(2, 99))],
    }
    plugin = analysis("memorization", sizes=[5, 10, 20], trials=2, knot_sets=5, searches=6)
    dataset = assert_columns(plugin, Handmade(settings, {"training": {"all": trace}}), expected)
    assert (dataset["condition"].sel(knots="samples") > 1).all()
    largest = dataset.isel(size=-1).max("trial")
    assert dataset["largest_condition"] == largest["condition"][0]
    assert dataset["largest_error"] == largest["error"][0]
    assert dataset["midpoint_error"] == largest["error"][1]
    assert dataset["error"].dims == ("knots", "size", "trial")


def test_residuals_of_knots_by_hand():
    """Knots 0 and 1 fit 1, −1 at 1, 2; two at 0 are as good as one, which leaves (6, −3)/5 less."""
    found = module("_fewer_units").residuals(np.array([[0.0, 1], [0, 0]]), np.array([1.0, -1]))
    np.testing.assert_allclose(found, [[0, 0], [-1.2, 0.6]], atol=1e-14)


@pytest.mark.parametrize("count", [4, 7])
def test_a_search_fits_with_n_units_and_leaves_one_with_fewer(count):
    streams, targets = Streams(3, "knots", np.arange(20), "test"), (-1.0) ** np.arange(count)
    search = module("_fewer_units").search
    before, after = ((search(count, targets, streams, steps) < 1e-12).mean() for steps in (0, 60))
    assert before < 0.7 and after > 0.8
    fewer = search(count - 1, targets, streams, 60)
    assert fewer.min() == pytest.approx(1, abs=1e-12)


def test_a_search_breaks_a_rule_that_is_false():
    """Targets with one change less need one unit less."""
    streams, targets = Streams(3, "knots", np.arange(20), "test"), np.array([1.0, -1, 1, 3, -1])
    search = module("_fewer_units").search
    assert search(4, targets, streams, 60).min() < 1e-12


def test_exceptions_are_errors_below_one(monkeypatch):
    """Of four searches with n − 1 units each second one ends below 1, at each n; with n units one
    in four fits."""
    part, asked = module("memorization"), []

    def ends(units, targets, streams, steps):
        asked.append((units, targets.tolist(), len(streams.runs), steps))
        if units < len(targets):
            return np.array([1.0, 0.9, 1 - 1e-12, 0.5])
        return np.array([1.0, 0, 1e-6, 0.5])

    monkeypatch.setattr(part, "search", ends)
    monkeypatch.setattr(part, "best_error", lambda *_: 1 - 1e-3)
    plugin = analysis("memorization", searches=4, search_steps=9, knot_sets=5)
    found = plugin._searched(1)
    assert found["search_exceptions"][0] == 0.5 and found["search_error"] == 0.5
    assert found["search_fits"][0] == 0.25 and found["searches"] == 16
    assert {(units, len(targets)) for units, targets, *_ in asked} == {
        (n - missing, n) for n in (4, 5, 6, 7) for missing in (0, 1)
    }
    assert asked[0][1:] == ([1, -1, 1, -1], 4, 9)
    assert plugin._alternating(1)["less_exceptions"][0] == 1


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with fewer runs."""
    study = load_study(study_file("memorization", root / "config/studies"))
    few = tuple(
        dataclasses.replace(one, settings=one.settings.model_copy(update={"runs": 15}))
        for one in study.configurations
    )
    return complete(
        dataclasses.replace(study, configurations=few), tmp_path_factory.mktemp("heart")
    )


def test_every_claim_agrees(done):
    assert set(verdicts(done).values()) <= AGREE, verdicts(done)


def test_figure_is_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)
