"""Initializers: moments, and numbers that depend on nothing but the run."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.interfaces.registry import registry

SHAPES = {"w1": (5, 8), "b1": (5,), "w2": (2, 5)}
RUNS = 20_000


def initializer(name, **settings):
    return registry().get("initializers", name)(**settings)


def streams(runs=RUNS, seed=3):
    return Streams(seed, "all", np.arange(runs), "initialize")


RULES = [
    ({"variance": 2, "per": "one"}, 2, 2),
    ({"variance": 1, "per": "fan_in"}, 1 / 8, 1 / 5),
    ({"variance": 2, "per": "fan_in"}, 2 / 8, 2 / 5),
    ({"variance": 1, "per": "fan_out"}, 1 / 5, 1 / 2),
    ({"variance": 1, "per": "fan_average"}, 2 / 13, 2 / 7),
]


@pytest.mark.parametrize("settings, first, second", RULES)
def test_normal_variances(settings, first, second):
    drawn = initializer("normal", **settings).draw({"w1": (5, 8), "w2": (2, 5)}, streams(2000))
    for values, variance in ((drawn["w1"], first), (drawn["w2"], second)):
        assert stats.kstest(values.ravel() / math.sqrt(variance), "norm").pvalue > 1e-3


def test_normal_biases():
    drawn = initializer("normal").draw(SHAPES, streams(100))
    assert np.array_equal(drawn["b1"], np.zeros((100, 5)))
    drawn = initializer("normal", bias_variance=0.25).draw(SHAPES, streams(2000))
    assert stats.kstest(drawn["b1"].ravel() / 0.5, "norm").pvalue > 1e-3
    drawn = initializer("normal", variance=4, bias_variance=None).draw(SHAPES, streams(2000))
    assert stats.kstest(drawn["b1"].ravel() / 2, "norm").pvalue > 1e-3
    # a landscape without matrices would otherwise always begin at 0
    drawn = initializer("normal", variance=4).draw({"w": (2,)}, streams(2000))
    assert stats.kstest(drawn["w"].ravel() / 2, "norm").pvalue > 1e-3


def test_normal_weights_are_independent():
    drawn = initializer("normal", per="one", bias_variance=None).draw(SHAPES, streams())
    flat = np.concatenate([drawn[name].reshape(RUNS, -1) for name in SHAPES], axis=1)
    covariance = flat.T @ flat / RUNS
    # 1596 off-diagonal entries of deviation 1/√RUNS
    assert np.abs(covariance - np.eye(55)).max() < 5 * math.sqrt(2 / RUNS)


def test_uniform_ball_is_uniform():
    shapes = {"w": (2, 2), "a": ()}
    drawn = initializer("uniform_ball", radius=1.5).draw(shapes, streams())
    assert drawn["w"].shape == (RUNS, 2, 2) and drawn["a"].shape == (RUNS,)
    flat = np.concatenate([drawn["w"].reshape(RUNS, 4), drawn["a"][:, None]], axis=1)
    radii = np.linalg.norm(flat, axis=1)
    assert radii.max() <= 1.5
    # (r/R)^d is uniform on [0, 1]; E wwᵀ = R²/(d + 2) I; each coordinate has a law of its own
    assert stats.kstest((radii / 1.5) ** 5, "uniform").pvalue > 1e-3
    np.testing.assert_allclose(flat.T @ flat / RUNS, np.eye(5) * 1.5**2 / 7, atol=0.015)
    for coordinate in flat.T:
        squared = stats.beta(0.5, 3)  # of (wᵢ/R)² in 5 dimensions
        assert stats.kstest((coordinate / 1.5) ** 2, squared.cdf).pvalue > 1e-3
        assert abs((coordinate > 0).mean() - 0.5) < 0.015


def test_uniform_ball_around_a_center():
    around = {"w": [1.0, -2.0]}
    drawn = initializer("uniform_ball", radius=0.1, center=around).draw({"w": (2,)}, streams(50))
    at_zero = initializer("uniform_ball", radius=0.1).draw({"w": (2,)}, streams(50))
    np.testing.assert_array_equal(drawn["w"], at_zero["w"] + np.array([1.0, -2.0]))


def test_given_values():
    values = {"w": [[1, 2, 3], [4, 5, 6]]}
    same = initializer("given", values=values).draw({"w": (2, 3)}, streams(4))
    np.testing.assert_array_equal(same["w"], np.broadcast_to(values["w"], (4, 2, 3)))
    cycled = initializer("given", values=values).draw({"w": (3,)}, streams(5))
    np.testing.assert_array_equal(cycled["w"], np.array(values["w"])[[0, 1, 0, 1, 0]])
    scalars = initializer("given", values={"a": 0.5}).draw({"a": ()}, streams(3))
    np.testing.assert_array_equal(scalars["a"], [0.5] * 3)


def test_given_cycles_by_the_number_of_the_run():
    plugin = initializer("given", values={"w": [[0.0], [1.0], [2.0]]})
    later = plugin.draw({"w": (1,)}, streams(10).take(np.array([4, 5, 9])))
    np.testing.assert_array_equal(later["w"][:, 0], [1, 2, 0])


def test_given_noise():
    plugin = initializer("given", values={"w": [3.0, -1.0], "a": 2.0}, noise=0.2)
    drawn = plugin.draw({"w": (2,), "a": ()}, streams(2000))
    noise = np.concatenate([(drawn["w"] - [3, -1]).ravel(), drawn["a"] - 2])
    assert stats.kstest(noise / 0.2, "norm").pvalue > 1e-3


MISTAKES = [
    ("given", {"values": {"w": [1.0, 2.0]}}, r"given\.values\.w: the shape is \(2,\), .* \(3,\)"),
    ("given", {"values": {"w": []}}, r"the shape is \(0,\), the weight's is \(3,\)"),
    ("given", {"values": {"v": [1.0]}}, r"the model has no weight 'v' \(it has: w\)"),
    ("given", {"values": {}}, r"the weight 'w' of shape \(3,\) is missing"),
    ("uniform_ball", {"radius": 1, "center": {"w": [1.0]}}, r"is \(1,\), the weight's is \(3,\)"),
    ("uniform_ball", {"radius": 1, "center": {"u": 1}}, r"the model has no weight 'u'"),
]  # fmt: skip


@pytest.mark.parametrize("name, settings, message", MISTAKES)
def test_what_does_not_fit_is_named(name, settings, message):
    with pytest.raises(UserError, match=message):
        initializer(name, **settings).draw({"w": (3,)}, streams(2))


@pytest.mark.parametrize("value", [[[1.0], [1.0, 2.0]], "x", ["a"], float("nan"), [None]])
def test_values_are_numbers(value):
    with pytest.raises(ValueError, match="w: expected"):
        initializer("given", values={"w": value})


PLUGINS = {
    "normal": {"bias_variance": 1},
    "uniform_ball": {"radius": 2},
    "given": {
        "values": {"w1": [[0.5] * 8] * 5, "b1": [[0] * 5] * 3, "w2": [[1] * 5] * 2},
        "noise": 1,
    },
}


@given(
    st.sampled_from(sorted(PLUGINS)), st.permutations(range(9)), st.integers(1, 8), st.integers(0)
)
def test_a_run_does_not_see_its_companions(name, order, cut, seed):
    plugin = initializer(name, **PLUGINS[name])
    together = plugin.draw(SHAPES, streams(9, seed))
    for rows in (np.array(order[:cut]), np.array(order[cut:])):
        alone = plugin.draw(SHAPES, streams(9, seed).take(rows))
        for weight, shape in SHAPES.items():
            assert alone[weight].dtype == np.float64
            assert alone[weight].shape == (len(rows), *shape)
            assert np.array_equal(alone[weight], together[weight][rows])
