"""Elastic bands on surfaces that are known, and the theorem of the exclusive or."""

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

bands, refined = module("_bands"), module("_refined")


def surface(name, data=None, **settings):
    model = registry().get("models", name)(**settings)
    return Landscape(Objective(model, data or {}, Streams(0, "all", np.arange(1), "x")))


def test_pivots_are_spread_at_equal_distances_on_the_same_line():
    bent = np.array([[[0.0, 0.0], [3.0, 0.0], [3.0, 1.0]]])
    moved = bands.spread(bent, 5)[0]
    np.testing.assert_allclose(moved, [[0, 0], [1, 0], [2, 0], [3, 0], [3, 1]])


def test_tangents_point_to_the_higher_neighbour():
    band = np.array([[[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]]])
    assert bands.tangents(band, np.array([[0.0, 1.0, 2.0]]))[0, 0].tolist() == [0, 1]
    assert bands.tangents(band, np.array([[2.0, 1.0, 0.0]]))[0, 0].tolist() == [1, 0]
    # a top that is 3 above one neighbour and 1 above the other, the higher (eq. 10)
    top = bands.tangents(band, np.array([[0.0, 3.0, 2.0]]))[0, 0]
    expected = np.array([1 * 1.0, 3 * 2.0])
    np.testing.assert_allclose(top, expected / np.linalg.norm(expected))


def test_a_band_finds_the_parabola_of_the_valley():
    """For ε = 0 the whole parabola w₂ = w₁² has L = 0; the straight path rises to 1."""
    loss = surface("toy_valley", epsilon=0.0)
    ends = np.array([[[-1.0, 1.0], [1.0, 1.0]]])
    assert loss.loss(np.array([[0.0, 1.0]]))[0] == 1
    found = bands.relaxed(loss, bands.straight(ends, 15), 300, 0.05, 0.0)[0]
    np.testing.assert_allclose(found[:, 1], found[:, 0] ** 2, atol=0.03)
    assert loss.loss(found).max() < 1e-3


def test_pivots_are_inserted_where_the_loss_rises_between_two():
    loss = surface("toy_valley", epsilon=0.0)
    band = np.array([[[-2.0, 4.0], [-1.0, 1.0], [1.0, 1.0]]])  # its second segment passes (0, 1)
    more = bands.inserted(loss, band, 1, 4)
    assert more.shape == (1, 4, 2)
    np.testing.assert_allclose(more[0, 2], [0.0, 1.0])


@pytest.mark.parametrize(("point", "height"), [([-0.8, 0.6], -40.664843), ([0.2, 0.3], -72.248940)])
def test_saddles_of_mueller_and_brown(point, height):
    found = refined.critical_beside(surface("mueller_brown"), np.array([point]), 100)
    assert found["loss"][0] == pytest.approx(height, abs=1e-6)
    assert (found["index"][0], found["nullity"][0]) == (1, 0)
    assert found["gradient_norm"][0] < 1e-9


def test_a_spanning_tree_takes_the_lowest_passes():
    pairs = [(0, 1), (0, 2), (1, 2), (2, 3)]
    assert bands.spanning_tree(pairs, np.array([3.0, 1.0, 2.0, 9.0])) == [1, 2, 3]


def test_columns_of_bands_on_himmelblau():
    loss = surface("himmelblau")
    minima = np.array([[3.0, 2.0], [3.584428, -1.848126], [3.0, 2.0]])
    parts = {"model": registry().get("models", "himmelblau")()}
    parts["optimizer"] = registry().get("optimizers", "gradient_descent")(rate=0.004)
    trained = xr.Dataset({"w": (("run", "coordinate"), minima)})
    results = Handmade({"all": parts}, {"training": {"all": trained}})
    results.objective = lambda configuration: loss
    middle = loss.line(*minima[:2], np.linspace(0, 1, 10_001)).max()
    only = (np.nan, np.nan)
    assert_columns(
        analysis("bands", pairs="all", pivots=7, cycles=3, steps=80, insert=2, fine=9),
        results,
        {
            "bands": [1],
            "minima": [2],
            "barrier_straight": [(Between(0.98 * middle, middle), *only)],
            "barrier_band": [(Between(13.30, 13.312), *only)],
            "barrier_fall": [(Between(0.99 * middle - 13.312, middle - 13.30), *only)],
            "lowest_pass": [Between(13.311926, 13.311927)],
            "highest_pass": [Between(13.311926, 13.311927)],
            "refined": [1],
            "not_refined": [0],
            "share_index_one": [(1.0, *only)],
            "joining": [1],
            "refined_gradient": [Between(0, 1e-9)],
            "highest_index": [1],
            "degenerate": [0],
            "right_bands": [np.nan],
        },
    )


def test_steepest_descent_of_a_quadratic_goes_its_way_to_the_bottom():
    """x(h) = x₀e^(−λh), whatever the λ: on ½(x² + 1000y²) the way has y = y₀(x/x₀)¹⁰⁰⁰."""
    values, along = np.array([[1.0, 1000.0]]), np.array([[2.0, 1.0]])
    step = refined._flow(values, along)
    assert np.linalg.norm(step) == pytest.approx(refined.FLOW)
    h = -np.log1p(-step[0, 0] / 2)
    assert step[0, 1] == pytest.approx(-np.expm1(-1000 * h) / 1000)
    falling = refined._flow(np.array([[-0.01, 1.0]]), np.array([[1e-8, 0.0]]))
    np.testing.assert_allclose(falling, [[refined.FLOW, 0.0]])


def test_descent_that_has_not_come_to_rest_ends_nowhere():
    loss, starts = surface("himmelblau"), np.array([[3.1, 2.1], [0.0, 2.7]])
    found = refined.descended(loss, starts, 10)
    np.testing.assert_allclose(found[0], [3.0, 2.0], atol=1e-9)
    assert np.isnan(found[1]).all()
    assert np.isfinite(refined.descended(loss, starts, 500)).all()


def test_a_saddle_that_joins_other_minima_is_no_pass_of_the_band():
    """The saddle between Himmelblau's first two minima joins these, in either order, and not the
    first and the third."""
    loss, plugin = surface("himmelblau"), analysis("bands")
    minima = [[3.0, 2.0], [3.5844283, -1.8481265], [-3.7793103, -3.2831860]]
    ends = np.array([[minima[0], minima[1]], [minima[1], minima[0]], [minima[0], minima[2]]])
    found = refined.saddle_beside(loss, np.full((3, 2), [3.4, 0.1]), 100)
    assert plugin._joins(loss, found, ends).tolist() == [True, True, False]
    assert not analysis("bands", descent_steps=0)._joins(loss, found, ends).any()


def test_columns_of_xor_swaps():
    results = Handmade()
    plugin = analysis("xor_swaps", draws=40_000)
    found = assert_columns(
        plugin,
        results,
        {
            "right_networks": [Between(5, 200)],
            "sign_exceptions": [0],
            "moves_change": [Between(0, 1e-14)],
            "moves_swap": [0.0],
        },
    )
    assert found.sizes["configuration"] == 1


def test_a_network_of_another_activation_breaks_the_rule_of_signs(monkeypatch):
    """The theorem needs σ that does not decrease: with x² there are exceptions, which are seen."""
    plugin = analysis("xor_swaps", draws=40_000)
    monkeypatch.setattr(np, "tanh", np.square)
    assert plugin.compute(Handmade())["sign_exceptions"][0] > 0


def test_swapped_networks_are_the_same_function():
    analyses = module("bands")
    model = registry().get("models", "mlp")(
        widths=[2, 3, 2], activation="tanh", loss_function="cross_entropy"
    )
    weights = np.random.default_rng(0).normal(size=(4, 17))
    data = {
        n: torch.as_tensor(a) for n, a in registry().get("datasets", "xor")().load(None).items()
    }
    loss = Landscape(Objective(model, data, Streams(0, "all", np.arange(1), "x")))
    images = analyses._swapped(model, weights)
    assert (np.abs(images - weights).max(axis=1) > 0.1).all()
    np.testing.assert_allclose(loss.loss(images), loss.loss(weights), rtol=1e-14)


def test_the_study_of_known_saddles(root, tmp_path):
    study = load_study(study_file("known_saddles", root / "config/studies"))
    done = complete(study, tmp_path)
    assert set(verdicts(done).values()) <= AGREE
    assert_drawn(done.folder, study.settings.figures)


def test_drawn_networks_of_relu_are_those_of_relu():
    """One neuron is off at the sample (0, 0), as its sum is −1 there."""
    plugin = analysis("xor_swaps", activation="relu", draws=1)
    w, b = np.array([[[1.0, 0.0], [0.0, 2.0]]]), np.array([[-1.0, 0.5]])
    c, c0 = np.array([[3.0, -1.0]]), np.array([0.25])
    inputs = module("xor_swaps").INPUTS
    expected = [3 * max(x - 1, 0) - max(2 * y + 0.5, 0) + 0.25 for x, y in inputs]
    np.testing.assert_allclose(plugin._outputs(w, b, c, c0)[0], expected, atol=1e-15)
