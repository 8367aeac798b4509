"""Saddles: Du et al.'s function by differences, exit times against plain descent, columns."""

import math

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import share
from nnflow.study.loading import load_study, study_file


@pytest.fixture
def octopus():
    return module("_octopus")


def points(octopus, count=400):
    """Points of [0, 4τ]⁴ whose coordinates after the active one are at most τ, of either sign."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 4 * octopus.TAU, (count, 4))
    for row in x:
        active = int(np.argmax(row < 2 * octopus.TAU)) if (row < 2 * octopus.TAU).any() else 4
        row[active + 1 :] *= 0.25
    return x * rng.choice([-1, 1], x.shape)


@pytest.mark.parametrize("steep", [1.0, 3.0])
def test_the_gradient_is_that_of_the_function(octopus, steep):
    function, x = octopus.Octopus(steep), points(octopus)
    shift = 1e-5 * np.eye(4)
    found = [(function.value(x + h) - function.value(x - h)) / 2e-5 for h in shift]
    np.testing.assert_allclose(function.gradient(x), np.stack(found, axis=1), atol=1e-6)


def test_it_is_twice_differentiable_where_later_coordinates_are_small(octopus):
    """On either side of τ and 2τ value, gradient and its derivative along the way agree."""
    function = octopus.Octopus(1.5)
    for edge in (octopus.TAU, 2 * octopus.TAU):
        for rest in ((0.3, 0.9), (2.0, 2.6)):
            x = np.array([[4 * octopus.TAU, edge, *rest]])
            h = np.array([[0, 1e-6, 0, 0]])
            for part in (function.value, function.gradient):
                np.testing.assert_allclose(part(x + h), part(x - h), atol=1e-4)
            ahead = (function.gradient(x + 2 * h) - function.gradient(x + h)) / 1e-6
            behind = (function.gradient(x - h) - function.gradient(x - 2 * h)) / 1e-6
            np.testing.assert_allclose(ahead, behind, atol=1e-3)


def test_it_jumps_where_the_next_coordinate_is_large(octopus):
    """Beyond τ it is not even continuous: the test above could fail. The jumps are known."""
    function, jumps = octopus.Octopus(1.0), []
    for beside in (3.0, 4.0, 5.0, 6.0):
        x = np.array([[2 * octopus.TAU, beside, 0.3]])
        h = np.array([[1e-9, 0, 0]])
        jumps.append((function.value(x + h) - function.value(x - h)).item())
    assert np.round(jumps, 3).tolist() == [-0.012, -0.748, -2.333, -2.008]


def test_exit_times_are_those_of_plain_descent(octopus):
    function = octopus.Octopus(2.0)
    starts = np.random.default_rng(5).uniform(-1, 1, (6, 4))
    path = [starts]
    for _ in range(2500):
        path.append(path[-1] - function.rate * function.gradient(path[-1]))
    expected = module("octopus_times").passed(np.array(path))
    assert np.isfinite(expected).all()
    found = [octopus.exit_times(function, start) for start in starts]
    np.testing.assert_array_equal(found, expected)


def test_known_exit_times(octopus):
    """Ratios of the last times are 1 + ln 2/ln(1 + γ/2L)."""
    for steep, ratio in ((1.0, 2.7095), (1.5, 3.4094), (2.0, 4.1063), (3.0, 5.4966)):
        times = octopus.exit_times(octopus.Octopus(steep), np.full(10, 0.5))
        assert times[-1] / times[-2] == pytest.approx(ratio, rel=2e-3)


def test_exit_times_do_not_depend_on_later_saddles(octopus):
    """So that those of d = 10 are those of all d from 2 to 10."""
    function, start = octopus.Octopus(1.5), np.random.default_rng(6).uniform(-1, 1, 10)
    times = octopus.exit_times(function, start)
    for size in range(2, 10):
        np.testing.assert_array_equal(octopus.exit_times(function, start[:size]), times[:size])


def test_columns_of_saddle_steps():
    draws = 300
    expected = {
        "multiplier_error": [Between(0, 1e-8)],
        "zero_converges": [share(1, 2)],
        "border_converges": [share(1, 2)],
        "escape_misses": [share(0, draws)],
        "stays": [share(draws, draws)],
        "heavy_ball_error": [Between(0, 1e-10)],
        "counterexample_rate": [pytest.approx(1.0542, abs=1e-3)],
        "lands_beyond": [(Between(0.4, 0.6), Between(0.3, 0.6), Between(0.4, 0.7))],
        "lands_expected": [Between(0.4, 0.6)],
        "lands_below": [share(0, draws)],
        "descent_escapes": [share(0, 20)],
        "perturbed_escapes": [share(20, 20)],
        "perturbed_steps": [(Between(90, 150), Between(80, 150), Between(90, 160))],
    }
    found = assert_columns(
        analysis("saddle_steps", draws=draws, runs=20), Handmade({"all": {}}), expected
    )
    assert found["lands_beyond"].item() == pytest.approx(found["lands_expected"].item())


def test_steps_away_by_hand():
    """.1 → .15 → .225 → .3375 → .50625 → .759375 → 1.139: six steps."""
    away = module("saddle_steps").steps_away
    assert away(np.array([0.1, 0.7, 1.0, 0.0]), 0.5, most=50).tolist() == [6, 1, 0, 50]


def test_the_counterexample_is_smooth():
    """The slope over y is the formula's at both ends, and αM of its second derivative 1.054."""
    slope = module("saddle_steps").slope
    assert slope(np.array([0.005, 10.0, 33.0, -20.0])).tolist() == [-0.00005, 10.0, 33.0, -20.0]


def test_columns_of_octopus_times():
    factors = {"1": 1.0, "1_5": 1.5, "2": 2.0, "3": 3.0}
    near = lambda ratio: (Between(ratio - 2e-3, ratio + 2e-3), Between(1, 6), Between(1, 6))  # noqa: E731
    ratios = {name: 1 + math.log(2) / math.log1p(1 / (2 * L)) for name, L in factors.items()}
    expected = {
        **{f"slope_{name}": [near(ratio)] for name, ratio in ratios.items()},
        **{f"expected_{name}": [ratio] for name, ratio in ratios.items()},
        "float64_misses": [share(0, 12)],
        "descent_last": [(Between(1e4, 1e6), Between(-1e6, 1e6), Between(1e4, 1e7))],
        "perturbed_last": [(Between(200, 280), Between(100, 280), Between(200, 400))],
        "perturbed_slope": [(Between(0.95, 1.05), Between(0.7, 1.05), Between(0.95, 1.3))],
        "perturbed_growth": [(Between(1, 1.5), Between(0, 1.5), Between(1, 2.5))],
    }
    assert_columns(analysis("octopus_times", runs=3), Handmade({"all": {}}), expected)


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("saddle_escape", root / "config/studies"))
    job = complete(study, tmp_path)
    found = verdicts(job)
    assert found.pop("null_set_as_printed") == "corrected"
    assert set(found.values()) <= AGREE
    assert_drawn(job.folder, study.settings.figures)
