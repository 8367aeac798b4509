"""Elastic bands on surfaces that are known, and the theorem of the exclusive or."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import UserError, mean, share
from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

NAN = math.nan
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


ONE = SimpleNamespace(label="one", settings=SimpleNamespace(model=None))


def test_which_ends_are_joined(monkeypatch):
    """Five ends, of which at most four; two networks that are right and their images."""
    part = module("bands")
    weights = np.arange(5.0)[:, None] * 10
    monkeypatch.setattr(part, "ends", lambda *_: weights)
    monkeypatch.setattr(part, "_swapped", lambda model, weights: weights + 1)
    accuracy = np.array([1.0, 0.5, 1, 1, 1])
    loss = SimpleNamespace(observables=lambda points: {"accuracy": accuracy})

    def joined(**settings):
        (found, chosen), minima = analysis("bands", **settings)._joined(None, ONE, loss, None)
        return found[..., 0].tolist(), chosen, minima

    assert joined(most=4) == ([[0, 10], [20, 30]], [(0, 1), (2, 3)], 4)
    assert joined(most=3) == ([[0, 10]], [(0, 1)], 2)
    assert joined(most=12)[2] == 4
    assert joined(pairs="swapped", most=2) == ([[0, 1], [20, 21]], [(0, 2), (1, 3)], 2)
    assert joined(pairs="all", most=3, refine_up_to=0)[1:] == ([(0, 1), (0, 2), (1, 2)], 3)
    accuracy[:] = 0.5
    results = SimpleNamespace(study=SimpleNamespace(file="study.yaml"))
    with pytest.raises(UserError, match="no pair of ends to join at one"):
        analysis("bands", pairs="swapped")._joined(results, ONE, loss, None)


def test_ends_are_refined_to_strict_minima_where_they_are_small(monkeypatch):
    part, weights = module("bands"), np.array([[0.0, 0], [0, 0.9e-3], [5, 0], [7, 0], [0, 1.1e-3]])
    kept = np.array([[0.0, 0], [5, 0], [7, 0], [0, 1.1e-3]])
    found = {"index": np.array([0, 1, 0, 0]), "nullity": np.array([0, 0, 1, 0])}
    monkeypatch.setattr(
        part, "critical_beside", lambda loss, weights, steps: {**found, "weights": weights + 1}
    )
    assert analysis("bands", refine_up_to=1)._minima(None, weights).tolist() == kept.tolist()
    refined_ = analysis("bands", refine_up_to=2)._minima(None, weights)
    assert refined_.tolist() == (kept[[0, 3]] + 1).tolist()


@pytest.mark.parametrize(("up_to", "refines"), [(1, True), (0, False)])
def test_pivots_are_inserted_between_cycles_and_the_highest_point_is_refined(
    monkeypatch, up_to, refines
):
    part, done = module("bands"), []
    monkeypatch.setattr(part, "relaxed", lambda loss, bands, *_: done.append("relaxed") or bands)
    monkeypatch.setattr(part, "inserted", lambda loss, bands, *_: done.append("inserted") or bands)
    tops = []
    monkeypatch.setattr(part, "critical_beside", lambda loss, top, steps: tops.append(top) or {})
    monkeypatch.setattr(part.Bands, "_joins", lambda *_: None)
    loss = SimpleNamespace(loss=lambda points: -((points[:, 0] - 1.5) ** 2))
    ends_ = np.array([[[0.0], [2.0]]])
    plugin = analysis("bands", cycles=3, pivots=3, fine=2, refine_up_to=up_to)
    found = plugin._bands(loss, 0.1, (ends_, [(0, 1)]))
    assert done == ["relaxed", "inserted", "relaxed", "inserted", "relaxed"]
    assert found["way"][0, :, 0].tolist() == [0, 0.5, 1, 1.5, 2]
    assert (found["refined"] is not None) is refines
    assert [top.tolist() for top in tops] == ([[[1.5]]] if refines else [])


def test_descents_begin_on_both_sides_of_a_saddle_along_its_lowest_mode(monkeypatch):
    """Of three points the first is a saddle; the second has index 0, the third a null mode."""
    part, begun = module("bands"), []
    ends_ = np.array([[[1.0, 5], [2, 5]]] * 3)

    def descended(loss, starts, steps):
        begun.append((starts, steps))
        return ends_[0] + 0.5e-3

    monkeypatch.setattr(part, "descended", descended)
    loss = SimpleNamespace(hessian=lambda points: np.tile(np.diag([3.0, -2]), (len(points), 1, 1)))
    points = {
        "index": np.array([1, 0, 1]), "nullity": np.array([0, 0, 1]),
        "weights": np.array([[7.0, 8], [0, 0], [0, 0]]),
    }  # fmt: skip
    assert analysis("bands")._joins(loss, points, ends_).tolist() == [True, False, False]
    ((starts, steps),) = begun
    assert sorted(starts.tolist()) == [[7, 8 - 1e-3], [7, 8 + 1e-3]] and steps == 300
    none = {**points, "index": np.array([0, 0, 2])}
    assert not analysis("bands")._joins(loss, none, ends_).any() and len(begun) == 1


def test_two_descents_to_one_end_join_nothing():
    ends_, same = np.array([[0.0, 0], [1, 0]]), module("bands")._same
    near, far = 0.9e-3, 1.1e-3
    for order in ([0, 1], [1, 0]):
        assert same(ends_[order] + [0, near], ends_)
        assert not same(ends_[order] + [[0, far], [0, 0]], ends_)
        assert not same(ends_[order] + [[0, 0], [0, far]], ends_)
    assert not same(ends_[[0, 0]], ends_) and not same(ends_[[1, 1]], ends_)


ROWS = {
    "disjoint": (("newton", "disjoint"), {}),
    "newton": (("newton", "all"), {"lowest_pass": 0.2, "highest_pass": 0.4}),
    "following": (("following", "all"), {"lowest_pass": 0.4, "highest_pass": 0.5}),
}


@pytest.mark.parametrize("case", ROWS)
def test_numbers_of_bands_by_hand(case):
    """L = x(2 − x) on the lines from 0 to 2, to 1 and to 2; three points whose index is 0 to 2. The
    bands are (0, 1), (0, 2) and (1, 2), and two of them span."""
    (by, pairs), passes = ROWS[case]
    loss = SimpleNamespace(
        loss=lambda points: points[:, 0] * (2 - points[:, 0]),
        observables=lambda points: {"accuracy": np.array([1.0, 1, 1, 1, 0.5, 1, 1, 1, 1])},
    )
    joined = np.array([[[0.0], [2]], [[0], [1]], [[0], [2]]]), [(0, 1), (0, 2), (1, 2)]
    values = np.array([[0.0, 0.5, 0], [0, 0.6, 1], [0, 0.7, 0]])
    refined_ = {
        "index": np.array([0, 1, 2]), "nullity": np.array([0, 0, 1]),
        "loss": np.array([0.2, 0.4, 3]), "gradient_norm": np.array([1e-9, 3e-9, 2e-9]),
        "joins": np.array([False, True, False]),
    }  # fmt: skip
    way = np.zeros((3, 3, 1))
    found = {"values": values, "way": way, "refined": refined_}
    plugin = analysis("bands", pairs=pairs, refine_by=by)
    row = plugin._row(loss, joined, found)
    alone = pairs == "all"

    def told(value):
        return (value.mean(), NAN, NAN) if alone else mean(value)

    straight_, banded = np.array([1, 0.25, 1]), np.array([0.5, 0.1, 0.7])
    part = share(1, 3)
    assert {name: row.pop(name) for name in ("lowest_pass", "highest_pass") if name in row} == {
        name: pytest.approx(value) for name, value in passes.items()
    }
    for name, value in (
        ("straight", straight_),
        ("band", banded),
        ("fall", straight_ - banded),
    ):
        np.testing.assert_allclose(row.pop(f"barrier_{name}"), told(value))
    np.testing.assert_allclose(row.pop("share_index_one"), [part[0], NAN, NAN] if alone else part)
    assert row == {
        "bands": 3, "right_bands": 2, "refined": 3, "not_refined": 0, "joining": 1,
        "refined_gradient": 3e-9, "highest_index": 2, "degenerate": 1,
    }  # fmt: skip
    refined_["index"][2] = -1
    row = plugin._row(loss, joined, found)
    assert (row["refined"], row["not_refined"], row["highest_index"]) == (2, 1, 1)


def test_curves_have_forty_one_places_and_weights_where_there_are_two():
    part = module("bands")
    for size in (2, 3):
        loss = SimpleNamespace(loss=lambda points: points[:, 0])
        ends_ = np.stack([np.zeros((1, size)), np.ones((1, size))], axis=1)
        found = part._curves(loss, ends_, ends_)
        np.testing.assert_allclose(found["place"], np.linspace(0, 1, 41))
        np.testing.assert_allclose(found["way_loss"], np.linspace(0, 1, 41) * np.ones((1, 2, 1)))
        assert ("way_weights" in found) == (size == 2)


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


def drawn(monkeypatch, rows, deviation=2.0):
    """The analysis of these networks (w₁₁, w₁₂, w₂₁, w₂₂, b, b, c, c, c₀)."""
    part = module("xor_swaps")
    rows = np.array(rows, dtype=float) / deviation
    monkeypatch.setattr(part.Streams, "normal", lambda self, size: rows)
    found = analysis("xor_swaps", draws=len(rows), deviation=deviation).compute(Handmade())
    return found["right_networks"].item(), found["sign_exceptions"].item()


def test_networks_that_are_right_are_chosen(monkeypatch):
    """tanh 10(x + y − ½) − tanh 10(x + y − 3/2) − 1; another c₀; and two with the other sign."""
    right = [10, 10, 10, 10, -5, -15, 1, -1, -1]
    wrong = [10, 10, 10, 10, -5, -15, -1, 1, 1]
    assert drawn(monkeypatch, [right, [*right[:8], 1], wrong, wrong]) == (1, 0)


def test_signs_are_held_against_the_theorem_for_both_inputs(monkeypatch):
    """If all networks were right: cw of either sign for both inputs, one, none, and one that is 0,
    also where they are small."""
    part = module("xor_swaps")
    outputs = lambda self, w, *_: np.tile(part.WANTED, (len(w), 1))  # noqa: E731
    monkeypatch.setattr(part.XorSwaps, "_outputs", outputs)
    signs = [[1, 1, -1, -1], [1, 1, -1, 1], [0.5, 0.5, 0.5, 0.5], [0, 1, -1, -1], [1, -1, -1, 1]]
    networks = [[*w, 0, 0, 1, 1, 0] for w in signs]
    networks.append([1, 1, 1, 1, 0, 0, 1, -1, 0])
    assert drawn(monkeypatch, networks) == (6, 3)


def test_changes_on_the_moves_are_relative_to_the_largest_outputs(monkeypatch):
    """With the largest |c| as output: half-way 4 and 0 are both 2, of |4| + |2| in all."""
    plugin = analysis("xor_swaps", draws=1)
    monkeypatch.setattr(
        type(plugin), "_outputs", lambda self, w, b, c, c0: np.abs(c).max(axis=1)[:, None]
    )
    monkeypatch.setattr(module("xor_swaps"), "BETWEEN", 3)
    random = np.random.default_rng(0).standard_normal
    c = np.array([[4.0, 2.0], [1.0, 1.0]])
    change, distance = plugin._moves(random((2, 2, 2)), random((2, 2)), c, np.zeros(2))
    assert (change, distance) == (pytest.approx(1 / 3), 0)


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
