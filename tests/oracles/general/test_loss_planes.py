"""Planes through networks against dense Hessians, closed forms and single losses."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from networks import problem
from studies import module

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective, unflatten
from nnflow.interfaces.registry import registry

directions, flat = module("_directions"), module("_flat")


class Around(Handmade):
    """Ends of runs at given weights, with their loss."""

    def __init__(self, objective, weights, kept=None):
        named = {
            name: (("run", *(f"{name}{i}" for i in range(part.ndim - 1))), part.numpy())
            for name, part in objective.named(weights).items()
        }
        trained = xr.Dataset()
        if kept is not None:
            trained = xr.Dataset(
                {
                    f"kept_{name}": (
                        ("run", "kept_step", *(f"{name}{i}" for i in range(part.ndim - 2))),
                        part.numpy(),
                    )
                    for name, part in unflatten(kept, objective.model).items()
                }
            )
        super().__init__(
            {"all": {"model": objective.model}},
            {"critical_points": {"all": xr.Dataset(named)}, "training": {"all": trained}},
        )
        self.objective = lambda configuration: Landscape(objective)


def planes(objective, weights, kept=None, **settings):
    return analysis("loss_planes", **settings).compute(Around(objective, weights, kept))


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_a_mlp_on_a_plane_is_the_mlp_at_its_points(loss):
    objective, weights = problem("tanh", loss)
    center, first, second = weights.numpy()
    x, y = np.linspace(-2, 2, 5), np.linspace(0, 1, 3)
    found = Landscape(objective).plane(center, first, second, x, y)
    points = [center + a * first + b * second for b in y for a in x]
    expected = objective.loss(torch.as_tensor(np.array(points)))
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-13)


def test_filters_keep_their_lengths_and_biases_stay():
    objective, weights = problem()
    center, *drawn = weights.numpy()
    moved = directions.filter_normalized(objective.model, center, np.array(drawn))
    for part in unflatten(torch.as_tensor(moved), objective.model).items():
        name, values = part
        here = objective.named(torch.as_tensor(center[None]))[name]
        if name.startswith("b"):
            assert not values.any()
        else:
            torch.testing.assert_close(values.norm(dim=-1), here.norm(dim=-1).expand(2, -1))


@pytest.mark.parametrize("end", ["top", "bottom"])
def test_eigenvectors_by_products_are_those_of_the_dense_hessian(monkeypatch, end):
    objective, weights = problem()
    loss, center = Landscape(objective), weights[0].numpy()
    dense, _, _ = directions.eigenvectors(loss, center, end, None)
    monkeypatch.setattr(directions, "DENSE", 0)
    start = np.random.default_rng(0).normal(size=len(center))
    values, vectors, residuals = directions.eigenvectors(loss, center, end, start)
    exact = np.linalg.eigvalsh(loss.hessian(center)[0])
    np.testing.assert_allclose(values, exact[[-1, -2]] if end == "top" else exact[[0, 1]])
    np.testing.assert_allclose(values, dense)
    np.testing.assert_allclose(vectors @ vectors.T, np.eye(2), atol=1e-9)
    assert residuals.max() < 1e-5 * abs(exact[-1])


def test_the_principal_axes_of_a_flat_trajectory_hold_all_of_it():
    way = np.zeros((6, 5))
    way[:, 1], way[:, 3] = np.linspace(3, 0, 6), np.array([0, 1, 1, 0.5, 0.2, 0])
    first, second, share = directions.principal(way)
    assert share == pytest.approx(1)
    plane = np.abs([first, second])[:, [0, 2, 4]]
    np.testing.assert_allclose(plane, 0, atol=1e-12)


def test_planes_of_normalized_filters_are_seen_along_them():
    objective, weights = problem()
    found = planes(objective, weights, planes=["filter_normalized"], size=3)
    found = found.isel(configuration=0, plane=0)
    center = weights[0].numpy()
    drawn = Streams(1, "all", np.arange(2), "filter_normalized").normal(len(center))
    own = directions.filter_normalized(objective.model, center, drawn)
    first, second = directions.orthonormal(*own)
    corner = center + found["x"].values[0] * first + found["y"].values[-1] * second
    loss = found["loss"].isel(x_place=0, y_place=-1)
    expected = objective.loss(torch.as_tensor(corner)[None])
    np.testing.assert_allclose(loss, expected.numpy()[0], rtol=1e-12)


ALL = ["random", "filter_normalized", "top_eigenvectors", "bottom_eigenvectors", "runs"]


def test_curvatures_are_those_of_the_hessian():
    objective, weights = problem()
    found = planes(objective, weights, planes=ALL, size=3)
    assert found["plane_curvature_error"] < 1e-6
    assert found["plane_residual"] < 1e-12
    exact = np.linalg.eigvalsh(objective.hessian(weights[:1])[0].numpy())
    top = found["curvature"].sel(plane="top_eigenvectors").values[0]
    np.testing.assert_allclose(top, exact[[-1, -2]])
    np.testing.assert_allclose(found["norm"].sel(plane="random"), weights[0].norm())
    center = found["loss"].sel(plane="random").isel(x_place=1, y_place=1)
    np.testing.assert_allclose(center, objective.loss(weights[:1]))


def test_the_plane_of_runs_goes_through_them():
    objective, weights = problem()
    found = planes(objective, weights, planes=["runs"], size=3).isel(configuration=0, plane=0)
    places = found["mark_place"].values
    between = np.linalg.norm(places[:, None] - places, axis=2)
    expected = (weights[:, None] - weights).norm(dim=2)
    np.testing.assert_allclose(between, expected, atol=1e-12)
    low, high = found["x"].values[[0, -1]]
    assert low < places[:, 0].min() and places[:, 0].max() < high


def test_the_plane_of_a_trajectory_ends_at_its_center():
    objective, weights = problem()
    way = torch.stack([weights, weights / 2, weights**2], dim=1)
    found = planes(objective, weights, way, planes=["trajectory"], size=3)
    places = found["kept_place"].values[0, 0]
    np.testing.assert_allclose(places[-1], 0)
    assert found["plane_share"] == pytest.approx(1)  # three points lie in a plane


def test_the_sampling_error_is_that_of_groups():
    objective, weights = problem()
    found = planes(objective, weights, planes=["random"], size=3)
    assert Landscape(objective).samples == 25
    np.testing.assert_allclose(found["plane_sampling_error"], _error_of_groups(objective, weights))


def test_columns_of_loss_planes():
    """Of the trajectory three points in a plane and one beside it: the plane holds all but the
    part of its squared distance that is off it."""
    objective, weights = problem()
    end = weights[0]
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((len(end), 3)))[0].T
    steps = torch.as_tensor(np.stack([4 * basis[0], 2 * basis[1], basis[2], 0 * basis[0]]))
    way = (end + steps)[None]
    expected = {
        "plane_curvature_error": [Between(1e-16, 1e-6)],
        "plane_sampling_error": [_error_of_groups(objective, weights)],
        "plane_residual": [Between(1e-18, 1e-12)],
        "plane_share": [(16 + 4) / (16 + 4 + 1)],
        "plane_basins": [1],
        "plane_persistence": [0.0],
    }
    plugin = analysis("loss_planes", planes=["top_eigenvectors", "trajectory"], size=3)
    assert_columns(plugin, Around(objective, weights[:1], way), expected)


def _error_of_groups(objective, weights):
    loss = Landscape(objective)
    groups = np.array_split(np.arange(25), 10)
    means = [loss.among(group).loss(weights[:1].numpy())[0] for group in groups]
    return np.std(means, ddof=1) / np.sqrt(10)


def test_the_basins_of_a_plane_that_is_all_of_the_space():
    """Himmelblau's four minima, at the distances of the plane's axes; the deepest pass that
    merges two is its third saddle."""
    model = registry().get("models", "himmelblau")()
    objective = Objective(model, {}, Streams(0, "all", np.arange(1), "x"))
    center = torch.tensor([[3.0, 2.0]], dtype=torch.float64)
    found = planes(objective, center, planes=["top_eigenvectors"], size=161, reach=2.3)
    assert found["plane_basins"] == 4
    np.testing.assert_allclose(found["plane_persistence"], 104.0152, rtol=0.01)
    part = found.isel(configuration=0, plane=0)
    assert np.isnan(part["basin_birth"].values[4:]).all()
    assert np.isinf(part["basin_death"].values).sum() == 1
    minima = np.array(
        [[3, 2], [3.584428, -1.848127], [-3.779310, -3.283186], [-2.805118, 3.131313]]
    )
    expected = np.sort(np.linalg.norm(minima - minima[0], axis=1))
    distances = np.sort(np.linalg.norm(part["basin_place"].values[:4], axis=1))
    np.testing.assert_allclose(distances, expected, atol=0.15)


def test_basins_less_deep_than_the_sampling_error_are_not_counted():
    depths = module("loss_planes")._depths
    levels = {"basin_birth": [[0.0, 1.0, 2.0]], "basin_death": [[np.inf, 1.5, 2.1]]}
    dataset = xr.Dataset({name: (("plane", "basin"), level) for name, level in levels.items()})
    assert depths(dataset.assign(sampling_error=("plane", [0.2]))) == (2, 0.5)
    assert depths(dataset.assign(sampling_error=("plane", [np.nan]))) == (3, 0.5)


def test_sides_have_room_around_the_points_or_reach_from_the_only_one():
    """A third of a tenth more on each side: 0.3·2 and 0.3·5."""
    plugin = analysis("loss_planes", planes=["random"], size=3, reach=2.0)
    sides = plugin._sides(np.array([[0.0, 0], [2, 4], [1, -1]]), 9.0)
    np.testing.assert_allclose(sides, [[-0.6, 1, 2.6], [-2.5, 1.5, 5.5]])
    np.testing.assert_allclose(plugin._sides(np.zeros((1, 2)), 9.0), [[-18, 0, 18]] * 2)


@pytest.mark.parametrize(("norm", "step"), [(5.0, 5e-4), (0.0, 1e-4)])
def test_curvatures_are_measured_at_five_points_a_ten_thousandth_of_the_norm_apart(norm, step):
    """x⁴ + 3y² at (1, 2)."""
    asked = []

    class Quartic:
        def loss(self, points):
            asked.append(points)
            return points[:, 0] ** 4 + 3 * points[:, 1] ** 2

        def hessian_vector(self, center, vectors):
            return vectors * [12 * center[0] ** 2, 6]

    center = np.array([1.0, 2.0])
    measured, exact = module("loss_planes")._curvatures(Quartic(), center, np.eye(2), norm)
    assert exact.tolist() == [12, 6]
    np.testing.assert_allclose(measured, exact, rtol=1e-5)
    shifts = np.sort((asked[0] - center).sum(axis=1))
    expected = np.sort(step * np.repeat(np.arange(-2, 3), 2))
    np.testing.assert_allclose(shifts, expected, atol=1e-12)


@pytest.mark.parametrize(("samples", "known"), [(20, True), (19, False), (None, False)])
def test_ten_groups_of_two_samples_are_enough_for_an_error(samples, known):
    """Means of two consecutive numbers: ½, 2½, …, whose deviation is 2 of that of 0, …, 9."""

    def among(group):
        return SimpleNamespace(loss=lambda points: np.full(len(points), group.mean()))

    loss = SimpleNamespace(samples=samples, among=among)
    found = module("loss_planes")._sampling_errors(loss, np.zeros((3, 1)))
    expected = 2 * np.std(np.arange(10), ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(found, [expected if known else np.nan] * 3)


def test_numbers_of_planes_are_those_of_the_worst():
    birth = [[0.0, 1, 2], [0, 1, 2], [0, 1, np.nan]]
    death = [[np.inf, 1.1, 2.1], [np.inf, 1.5, 2.3], [np.inf, 1.2, np.nan]]
    content = {
        "curvature": [[2.0, -4], [1, 0.5], [1, 1]],
        "measured_curvature": [[2.1, -4.2], [1.1, 0.6], [1, 1]],
        "residual": [[np.nan, 3.0], [1, np.nan], [2, 2]],
    }
    numbers = {"share": [np.nan, 0.5, 0.25], "sampling_error": [0.2, 0.2, 0.1]}
    basins = {"basin_birth": birth, "basin_death": death}
    planes = xr.Dataset(
        {name: (("plane", "direction"), values) for name, values in content.items()}
        | {name: (("plane", "basin"), values) for name, values in basins.items()}
        | {name: ("plane", values) for name, values in numbers.items()}
    )
    assert module("loss_planes")._summary(planes) == {
        "plane_basins": 3,
        "plane_persistence": pytest.approx(0.5),
        "plane_curvature_error": pytest.approx(0.1),
        "plane_sampling_error": 0.2,
        "plane_residual": 3,
        "plane_share": 0.5,
    }
    assert np.isnan(module("loss_planes")._largest(np.array([np.nan])))


def test_kept_weights_of_a_trajectory_are_whole_and_three(monkeypatch):
    part = module("loss_planes")
    way = np.arange(10.0).reshape(1, 5, 2)
    way[0, 1, 0], way[0, 4] = np.nan, np.nan
    monkeypatch.setattr(part, "kept_weights", lambda *_: way)
    results = Handmade({"all": {}}, {"training": {"all": None}})
    found = part._way(results, results.configurations[0], 0)
    assert found.tolist() == [[0, 1], [4, 5], [6, 7]]
    way[0, 0] = np.nan
    with pytest.raises(UserError, match="run 0 of all has 2 kept weights; a plane needs 3"):
        part._way(results, results.configurations[0], 0)


def test_eight_basins_are_kept_of_a_plane():
    """Nine valleys in a row, from the deepest on."""
    values = np.where(np.arange(17) % 2, 1.0, np.arange(17) / 100)[None] + np.zeros((3, 1))
    found = module("loss_planes")._tree(values, [np.arange(17.0), np.arange(3.0)])
    np.testing.assert_allclose(found["basin_birth"][1], np.arange(8) / 50)
    np.testing.assert_allclose(found["basin_place"][1][:, 0], 2 * np.arange(8))


def test_numbers_with_a_unit_of_weights_say_so():
    said = module("loss_planes")._said
    assert said("a share", "1") == {"long_name": "a share", "units": "1"}
    assert said("loss", "loss") == {"long_name": "loss", "units": "1", "comment": "loss"}


def test_kinks_are_seen_by_the_differences_alone(monkeypatch):
    """With ReLU the loss has kinks within a long step, of which the Hessian knows nothing."""
    monkeypatch.setattr(module("loss_planes"), "STEP", 0.1)
    objective, weights = problem("relu", "squared")
    kinked = planes(objective, weights, planes=["random"], size=3)
    assert kinked["plane_curvature_error"] > 1e-3


def test_what_is_not_finite_stays_so():
    objective, weights = problem("tanh", "squared")
    found = planes(objective, weights, planes=["random"], size=3, reach=1e200)
    assert np.isinf(found["loss"].values).any()
    assert np.isfinite(found["loss"].sel(plane="random").values[0, 1, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"planes": ["random"], "run": 3}, "run 3 is asked for, and all has 3 runs"),
        ({"planes": ["trajectory"]}, "needs `trace: {weights: N}`"),
        ({"planes": ["runs"], "runs": (0, 1, 1)}, "runs: no plane at all"),
        ({"planes": ["runs"], "runs": (0, 1, 3)}, "run 3 is asked for, and all has 3 runs"),
    ],
)
def test_mistakes_are_told(settings, message):
    objective, weights = problem()
    with pytest.raises(UserError, match=message.replace("{", r"\{")):
        planes(objective, weights, **settings)


def test_two_weights_are_a_plane():
    model = registry().get("models", "himmelblau")()
    parts = flat.named_weights(model, np.array([[3.0, 2.0]]))
    assert parts["w"].tolist() == [[3.0, 2.0]]


def test_lines_through_the_center_have_the_error_of_ten_groups_of_samples():
    objective, weights = problem()
    found = planes(objective, weights, planes=["random"], size=5).isel(configuration=0, plane=0)
    loss, center = Landscape(objective), weights[0].numpy()
    assert float(found["center_loss"]) == pytest.approx(loss.loss(center)[0], rel=1e-14)
    middle = found["line_loss"].values[:, 2]
    np.testing.assert_allclose(middle, float(found["center_loss"]), rtol=1e-13)
    # the plane's own rows through the center
    np.testing.assert_allclose(found["line_loss"].values[0], found["loss"].values[2], rtol=1e-12)
    np.testing.assert_allclose(found["line_loss"].values[1], found["loss"].values[:, 2], rtol=1e-12)
    assert abs(found["line_loss"].values[0] - found["line_loss"].values[1])[[0, -1]].min() > 1e-6
    groups = np.array_split(np.arange(25), 10)
    means = [loss.among(group).loss(center)[0] for group in groups]
    expected = np.std(means, ddof=1) / np.sqrt(10)
    np.testing.assert_allclose(found["line_error"].values[:, 2], expected, rtol=1e-10)
    assert float(found["sampling_error"]) == pytest.approx(expected, rel=1e-10)


def test_without_samples_lines_have_no_error():
    model = registry().get("models", "himmelblau")()
    streams = Streams(0, "all", np.arange(1), "analyze")
    objective = Objective(model, {}, streams)
    weights = torch.tensor([[3.0, 2.0]], dtype=torch.float64)
    found = planes(objective, weights, planes=["random"], size=3)
    assert np.isnan(found["line_error"].values).all()
    assert np.isfinite(found["line_loss"].values).all()
