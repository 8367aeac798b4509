"""Hinge loss and piecewise linear neurons: slopes, kinks, and what ends of runs are."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import Streams, UserError, share
from nnflow.engine.clarke import clarke_test
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry


def made(kind, name, **settings):
    return registry().get(kind, name)(**settings)


def landscape(model, **data):
    arrays = {name: torch.as_tensor(np.array(values, dtype=float)) for name, values in data.items()}
    return Landscape(Objective(model, arrays, Streams(0, "all", np.arange(1), "test")))


# the plugins


def test_the_hinge_and_its_slopes():
    loss = made("losses", "hinge")
    outputs = torch.tensor([[-2.0], [0.5], [1.0], [3.0]], dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([1.0, 1, 1, 1], dtype=torch.float64)
    values = loss(outputs, labels)
    assert values.tolist() == [3, 0.5, 0, 0]
    (slope,) = torch.autograd.grad(values.sum(), outputs)
    assert slope.squeeze(1).tolist() == [-1, -1, -0.5, 0]
    assert loss(outputs, -labels).tolist() == [0, 1.5, 2, 4]
    assert loss.smooth(outputs, labels).tolist() == [True, True, False, True]
    # three classes: 0 is the label (1, −1, −1)
    classes = loss(torch.tensor([[[0.5, 0.5, -2.0]]]), torch.tensor([0]))
    assert classes.tolist() == [[2]]


def test_the_leaky_unit():
    unit = made("activations", "leaky_relu", slope=0.25)
    values = torch.tensor([-2.0, 0, 3], dtype=torch.float64, requires_grad=True)
    assert unit(values).tolist() == [-0.5, 0, 3] and unit.jump == 0.75 and not unit.smooth
    assert torch.autograd.grad(unit(values).sum(), values)[0].tolist() == [0.25, 0.25, 1]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_pieces_of_hinge_networks_have_the_gradients_of_their_cells(activation):
    rng = np.random.default_rng(3)
    model = made(
        "models", "mlp", widths=[3, 4, 1], activation=made("activations", activation),
        loss_function=made("losses", "hinge"),
    )  # fmt: skip
    data = {"inputs": rng.standard_normal((6, 3)), "targets": np.array([1.0, -1, 1, 1, -1, -1])}
    loss = landscape(model, **data)
    weights = {n: torch.from_numpy(rng.standard_normal((1, *s))) for n, s in model.shapes().items()}
    x = torch.from_numpy(data["inputs"])
    weights["b1"][0, 2] = -weights["w1"][0, 2] @ x[1]  # a neuron at sample 1
    *_, out = model._sums(weights, x)
    weights["b2"][0, 0] += 1 - out[0, 3, 0]  # the hinge of sample 3, whose label is 1
    tensors = {name: torch.as_tensor(values) for name, values in data.items()}
    (kinks,) = model.kinks(weights, tensors, 1e-9)
    assert len(kinks.normals) == 2
    flat = np.concatenate([part.numpy().ravel() for part in weights.values()])
    ways = rng.standard_normal((40, len(flat)))
    signs = np.sign(ways @ kinks.normals.T)
    assert len(np.unique(signs, axis=0)) == 4
    beside = loss.gradient(flat + 1e-7 * ways)
    np.testing.assert_allclose(kinks.gradients(signs), beside, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_an_output_at_the_hinge_is_a_kink_of_the_loss(activation):
    """Dead neurons and a bias of exactly 1: the slopes of the samples may cancel, and the loss has
    a kink all the same."""
    model = made(
        "models", "mlp", widths=[1, 1, 1], activation=made("activations", activation),
        loss_function=made("losses", "hinge"),
    )  # fmt: skip
    data = {"inputs": torch.ones(2, 1).double(), "targets": torch.tensor([1.0, 1]).double()}
    zero, minus = torch.zeros(2, 1, 1).double(), torch.full((2, 1), -1.0).double()
    bias = torch.tensor([[1.0], [0.5]]).double()
    weights = {"w1": zero, "b1": minus, "w2": zero, "b2": bias}
    assert model.smooth(weights, data).tolist() == [False, True]


def test_shrinking_steps_arrive_at_a_kink_and_equal_ones_do_not():
    """3|x| + |y − 1|, whose minimum is sharp."""
    model = made("models", "absolute_values", factors=[3, 1], rows=[[1, 0], [0, 1]], offsets=[0, 1])
    objective = Objective(model, {}, Streams(0, "all", np.arange(2), "test"))
    start = torch.tensor([[2.0, -1.5], [0, 1]], dtype=torch.float64)
    for ratio, reached in ((0.99, True), (0.5, False)):
        optimizer = made("optimizers", "subgradient", length=0.1, ratio=ratio)
        weights, state = start, optimizer.start(start, torch.ones(2, dtype=torch.float64))
        lengths = []
        for _ in range(3000):
            moved, state = optimizer.step(objective, weights, state)
            lengths.append(float(torch.linalg.vector_norm(moved - weights, dim=1)[0]))
            weights = moved
        np.testing.assert_allclose(lengths[:20], 0.1 * ratio ** np.arange(20), rtol=1e-9)
        away = torch.linalg.vector_norm(weights - torch.tensor([0.0, 1]), dim=1)
        assert (float(away[0]) < 1e-10) is reached
        assert weights[1].tolist() == [0, 1]  # the gradient is 0 there
    assert float(away[0]) > 2  # no farther than α/(1 − q)


def test_samples_that_are_written_out():
    listed = made("datasets", "listed", inputs=[[1, 2], [3, 4]], targets=[1, -1])
    arrays = listed.load(None)
    assert arrays["inputs"].tolist() == [[1, 2], [3, 4]] and arrays["targets"].tolist() == [1, -1]
    hash(listed)
    for wrong, reason in (
        ({"inputs": [[1], [2, 3]], "targets": [1, 1]}, "of one length"),
        ({"inputs": [[]], "targets": [1]}, "of one length"),
        ({"inputs": [[1]], "targets": [1, 2]}, "2 for 1 inputs"),
    ):
        with pytest.raises((ValueError, UserError), match=reason):
            made("datasets", "listed", **wrong)


def test_flat_does_not_mean_dead_or_global():
    """XOR with all neurons active: f is affine, its hinges are all open, and L = 1 on a whole cell
    in which the network is not dead; there are better weights."""
    model = made(
        "models", "mlp", widths=[2, 2, 1], activation=made("activations", "relu"),
        loss_function=made("losses", "hinge"),
    )  # fmt: skip
    points = np.array([[1, 1], [1, -1], [-1, 1], [-1, -1.0]])
    loss = landscape(model, inputs=points, targets=[1, -1, -1, 1])
    # w1, b1, w2, b2: both neurons active at all four points
    flat = np.array([0.3, 0.1, -0.2, 0.2, 1, 1, 0.5, -0.4, 0.0])
    ways = np.random.default_rng(1).standard_normal((50, 9))
    np.testing.assert_allclose(loss.loss(flat + 1e-2 * ways), 1, atol=1e-14)
    assert module("multilinear_ends")._flat_around(loss, flat, ways)
    solved = np.array([1, 1, -1, -1, -1, -1, 2, 2, -1.0])
    assert loss.loss(solved)[0] == 0


# multilinear_ends


class WithLoss(Handmade):
    def __init__(self, losses, *arguments):
        super().__init__(*arguments)
        self._losses = losses

    def objective(self, configuration):
        return self._losses[configuration.label]


def absolute(factors, curvature=0.0):
    return made(
        "models", "absolute_values", factors=factors, rows=[[1, 0], [0, 1]], curvature=curvature
    )


def ends(model, points, kinds):
    """Ends with what `classify` says of them."""
    loss = landscape(model)
    points = np.array(points, dtype=float)
    weights = {"w": torch.as_tensor(points)}
    tests = [clarke_test(kinks) for kinks in model.kinks(weights, {}, 1e-9)]
    parts = {"model": model, "classify": registry_classify()}
    return parts, loss, xr.Dataset(
        {
            "w": (("run", "coordinate"), points),
            "loss": ("run", loss.loss(points)),
            "gradient_norm": ("run", np.linalg.norm(loss.gradient(points), axis=1)),
            "min_eigenvalue": ("run", np.linalg.eigvalsh(loss.hessian(points))[:, 0]),
            "max_eigenvalue": ("run", np.linalg.eigvalsh(loss.hessian(points))[:, -1]),
            "clarke_residual": ("run", [test.residual for test in tests]),
            "steepest_descent": ("run", [test.descent for test in tests]),
            "cells": ("run", [test.cells for test in tests]),
            "kind": flags(kinds, "minimum saddle maximum degenerate nonsmooth not_critical"),
        }
    )  # fmt: skip


def registry_classify():
    from nnflow.study.stage_settings import Classify

    return Classify(critical_below=1e-6)


def test_the_largest_entries_of_hessians():
    """Of two: on the diagonal, its sum, and beside it; of either sign."""
    hessians = np.array([[[1.0, -4], [-4, 2]], [[-3.0, 1], [1, 3.5]]])
    loss = SimpleNamespace(hessian=lambda weights: hessians)
    found = analysis("multilinear_ends", weights=2)._curvature(loss, 2, 1)
    assert found == {"diagonal_most": 3.5, "trace_most": 3, "mixed_most": 4}


def test_without_kinks_there_is_no_picture():
    along, plane = analysis("multilinear_ends", size=5)._picture(
        None, np.zeros((2, 2)), np.array([False, False]), np.zeros(2), None
    )
    assert along.shape == (1, 5) and plane.shape == (5, 5)
    assert np.isnan(along).all() and np.isnan(plane).all()


def test_columns_of_multilinear_ends():
    made_ends = {
        # |x| + |y|: its minimum; a point on its valley; a point beside
        "valley": ends(
            absolute([1, 1]), [[0, 0], [0, 2], [1, 2]], ["nonsmooth", "nonsmooth", "not_critical"]
        ),
        # |x| − |y|, and its minimum along x at y = 1
        "saddle": ends(absolute([1, -1]), [[0, 0]], ["nonsmooth"]),
        # 0·|x| is flat; so is it at a kink of no jump
        "flat": ends(absolute([0, 0]), [[1, 1], [0, 0]], ["degenerate", "nonsmooth"]),
        # ½‖w‖², with a minimum that is not flat, and one that is called so and is not
        "bowl": ends(absolute([0, 0], 1.0), [[0, 0], [0, 0]], ["minimum", "degenerate"]),
        # −|x| + ½‖w‖²: Clarke says 0 at 0, where the loss falls; and two minima at x = ±1
        "two": ends(
            absolute([-1, 1], 1.0), [[0, 0], [1, 0], [-1, 0]], ["nonsmooth"] * 3
        ),
    }  # fmt: skip
    settings = {label: parts for label, (parts, _, _) in made_ends.items()}
    losses = {label: loss for label, (_, loss, _) in made_ends.items()}
    critical = {label: dataset for label, (_, _, dataset) in made_ends.items()}
    nan = math.nan
    expected = {
        "diagonal_most": [0, 0, 0, 1, 1],
        "trace_most": [0, 0, 0, 2, 2],
        "mixed_most": [0, 0, 0, 0, 0],
        "runs": [3, 1, 2, 2, 3],
        "flat_share": [share(0, 3), share(0, 1), share(1, 2), share(0, 2), share(0, 3)],
        "strict": [0, 0, 0, 1, 0],
        "kink_share": [share(1, 3), share(0, 1), share(1, 2), share(0, 2), share(2, 3)],
        "clarke_share": [share(0, 3), share(1, 1), share(0, 2), share(0, 2), share(1, 3)],
        "open_share": [share(2, 3), share(0, 1), share(0, 2), share(1, 2), share(0, 3)],
        "residual_most": [0, nan, 0, nan, 0],
        "cells_most": [4, nan, 4, nan, 2],
        "kink_descents": [0, 0, 0, 0, 0],
        "best_loss": [0, 0, 0, 0, -0.5],
        "bad_share": [share(0, 3), share(0, 1), share(0, 2), share(0, 2), share(0, 3)],
    }
    plugin = analysis("multilinear_ends", weights=5, directions=30, size=5)
    results = WithLoss(losses, settings, {"critical_points": critical})
    dataset = assert_columns(plugin, results, expected)
    # along a line through 0, |x| + |y| grows in proportion to the distance
    along = dataset["along"].values
    np.testing.assert_allclose(along / np.abs(along[:, :1]), [[1, 0.5, 0, 0.5, 1]] * 6, atol=1e-12)
    np.testing.assert_allclose(dataset["step"], [-0.4, -0.2, 0, 0.2, 0.4])
    assert dataset["plane"].values[2, 2] == 0 and (dataset["plane"].values[0] > 0.1).all()


class Asked:
    """A loss that writes down where it is asked for."""

    def __init__(self, at):
        self.at, self.points = at, []

    def loss(self, points):
        self.points.append(points)
        return np.array([self.at(point) for point in np.atleast_2d(points)])

    def plane(self, *given):
        self.given = given
        return np.zeros((len(given[3]), len(given[4])))


WAYS = np.array([[0.6, 0.8, 0], [0, -1, 0], [0, 0.8, -0.6]])
END = np.array([1.0, 2, 3])


def test_kinks_are_tried_at_three_distances_all_of_which_have_to_be_lower():
    part = analysis("multilinear_ends")
    small = SimpleNamespace(settings=SimpleNamespace(classify=SimpleNamespace(critical_below=1e-9)))
    falls = Asked(lambda point: 9 - np.abs(point - END).sum())
    assert part._descents(small, falls, END[None], WAYS) == 1
    for asked, far in zip(falls.points[::2], (1e-2, 1e-3, 1e-4), strict=True):
        np.testing.assert_allclose(asked, END + far * WAYS, atol=1e-15)
    turns = Asked(lambda point: -1.0 if 0 < np.abs(point - END).sum() < 5e-3 else 0.0)
    assert part._descents(small, turns, END[None], WAYS) == 0


def test_an_end_is_flat_where_the_loss_is_so_at_one_distance():
    flat = module("multilinear_ends")._flat_around
    bent = Asked(lambda point: np.abs(point - END).sum())
    assert not flat(bent, END, WAYS)
    for asked, near in zip(bent.points, 10.0 ** -np.arange(3, 11), strict=True):
        np.testing.assert_allclose(asked, END + near * WAYS, atol=1e-15)
    for spread, expected in ((1.9e-15, True), (2.1e-15, False)):
        uneven = Asked(
            lambda point, spread=spread: (
                spread * (point[2] < 3) if 5e-7 < np.abs(point - END).max() < 5e-6 else point.sum()
            )
        )
        assert flat(uneven, END, WAYS) is expected


def test_the_picture_is_around_the_sharpest_kink():
    """The least rises are 0.005 at the first end, where another one is 1, and 0.02 at the next; the
    third is no kink."""
    part, ends_ = analysis("multilinear_ends", size=3, reach=0.5), np.diag([0.0, 20, 40])

    def at(point):
        shift = point - ends_[int(np.rint(point.max() / 20))]
        if point.max() < 10:
            return 5 + (1 if shift[0] > 0 else 0.005)
        return 1.02 if point.max() < 30 else 9.0

    loss, kink = Asked(at), np.array([True, True, False])
    along, plane = part._picture(loss, ends_, kink, np.array([5.0, 1, 0]), WAYS)
    for asked, end in zip(loss.points[:2], ends_, strict=False):
        np.testing.assert_allclose(asked, end + 0.01 * WAYS)
    for asked, way in zip(loss.points[2:], WAYS, strict=True):
        np.testing.assert_allclose(asked, ends_[1] + np.outer([-0.5, 0, 0.5], way), atol=1e-15)
    assert along.shape == plane.shape == (3, 3)
    center, first, second, *steps = loss.given
    assert (
        center.tolist() == [0, 20, 0] and [side.tolist() for side in steps] == [[-0.5, 0, 0.5]] * 2
    )
    span = np.stack([first, second])
    np.testing.assert_allclose(span @ span.T, np.eye(2), atol=1e-15)
    np.testing.assert_allclose(WAYS[:2] @ span.T @ span, WAYS[:2], atol=1e-15)


def test_ways_have_length_1():
    np.testing.assert_allclose(module("multilinear_ends")._unit(np.array([[3.0, 4]])), [[0.6, 0.8]])


def test_minima_of_all_kinds_are_bad_by_more_than_a_thousandth():
    critical = xr.Dataset(
        {
            "loss": ("run", [0.0, 0.9e-3, 1.1e-3, 1.1e-3, 1.1e-3, 2.0, 3.0]),
            "clarke_residual": ("run", [0.5, 0.25, 0.0, 9.0, 9.0, 9.0, 9.0]),
            "cells": ("run", [4, 6, 2, 9, 9, 9, 9]),
        }
    )
    every = np.arange(7)
    kinds = {"kink": every < 3, "flat": every == 3, "strict": every == 4, "clarke": every == 5}
    found = module("multilinear_ends")._columns(critical, kinds)
    assert found == {
        "runs": 7, "strict": 1, "flat_share": share(1, 7), "kink_share": share(3, 7),
        "clarke_share": share(1, 7), "open_share": share(1, 7), "residual_most": 0.5,
        "cells_most": 6, "best_loss": 0, "bad_share": share(3, 7),
    }  # fmt: skip


def test_a_kink_from_which_the_loss_falls_is_told_by_trying():
    part = analysis("multilinear_ends", directions=30)
    ways = module("multilinear_ends")._unit(np.random.default_rng(0).standard_normal((30, 2)))
    parts, loss, _ = ends(absolute([1, -1]), [[0, 0]], ["nonsmooth"])
    one = SimpleNamespace(settings=SimpleNamespace(**parts))
    assert part._descents(one, loss, np.zeros((1, 2)), ways) == 1
    _, loss, _ = ends(absolute([1, 1]), [[0, 0]], ["nonsmooth"])
    assert part._descents(one, loss, np.zeros((1, 2)), ways) == 0


def test_minima_above_the_lowest_are_counted():
    parts, loss, dataset = ends(absolute([1, 1]), [[0, 0], [0, 0]], ["nonsmooth"] * 2)
    dataset["loss"] = ("run", [0.0, 0.5])
    dataset = analysis("multilinear_ends", weights=2, directions=9, size=3).compute(
        WithLoss({"a": loss}, {"a": parts}, {"critical_points": {"a": dataset}})
    )
    assert dataset["bad_share"].item() == 0.5


def test_without_a_kink_there_is_no_picture():
    parts, loss, dataset = ends(absolute([0, 0]), [[1, 1]], ["degenerate"])
    found = analysis("multilinear_ends", weights=2, directions=9, size=3).compute(
        WithLoss({"a": loss}, {"a": parts}, {"critical_points": {"a": dataset}})
    )
    assert np.isnan(found["plane"]).all() and np.isnan(found["along"]).all()
