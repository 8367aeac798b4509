"""Saddles: Du et al.'s function by differences, exit times against plain descent, columns."""

import math

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import mean, share
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


def test_steps_of_saddles_by_hand():
    """From .2 of the way to 1 by doubling: three steps (.2, .4, .8, 1.6). A count that is off by
    one is right where the logarithms' ratio is whole, and a miss elsewhere."""
    part = module("saddle_steps")
    whole = [0.98, 3 * math.log10(2) / 12, 0.5, 0.5]  # growth 1 from 1/8
    between = [0.98, -math.log10(0.2) / 12, 0.5, 0.5]
    uniform = np.array([whole, between])
    for off, missed in ((-2, 2), (-1, 1), (0, 0), (1, 1), (2, 2)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(part, "steps_away", lambda *_, off=off: np.array([3, 3]) + off)
            found = part._escapes(uniform)
        assert found == {"escape_misses": share(missed, 2), "stays": share(2, 2)}
    assert part._escapes(uniform)["escape_misses"] == share(0, 2)


def test_which_cases_at_the_border_converge():
    """λ = 0: x − cx³. λ = 2/α: −x − cx³. Between them any c does; and a tenth of a
    cube is enough."""
    converges, either = module("saddle_steps").converges, np.array([1.0, -1.0])
    assert converges(either, 0.0).tolist() == [True, False]
    assert converges(either, 2.0).tolist() == [False, True]
    assert converges(either, 1.0).all()
    assert converges(np.array([0.1]), 0.0).all()
    # to stay where it is, or to leave slowly, is not to converge
    assert not converges(np.array([0.0, -0.01]), 0.0).any()


def test_errors_of_multipliers_grow_with_the_square_of_the_distance(monkeypatch):
    """1 − αλ tanh(w)/w is the multiplier at w; λ = −.2 leads away, to where the error is largest
    of ten steps."""
    part = module("saddle_steps")
    monkeypatch.setattr(part, "NEAR", 0.5)
    monkeypatch.setattr(part, "CURVATURES", np.array([-0.2, 0.01]))
    w = 0.5
    for _ in range(9):
        w += part.RATE * 0.2 * math.tanh(w)
    expected = part.RATE * 0.2 * (1 - math.tanh(w) / w)
    assert part.multiplier_error() == pytest.approx(expected)
    # positive curvature: nearest to 0 least, so the first of the steps
    monkeypatch.setattr(part, "CURVATURES", np.array([1.0, 0.01]))
    assert part.multiplier_error() == pytest.approx(part.RATE * (1 - 2 * math.tanh(0.5)))


def test_the_error_of_growth_is_the_largest():
    """A slow saddle, whose growth 100 steps have not reached, beside one that has long."""
    error = module("saddle_steps").heavy_ball_error
    slow, fast = np.array([[-0.0199, 0.5, 0.999, 0.5]]), np.array([[0.9, 0.5, 0.1, 0.5]])
    assert error(fast) < 1e-12 < 1e-10 < error(slow)
    assert error(np.concatenate([slow, fast])) == error(slow)


def test_starts_of_the_counterexample():
    """−20, −16, 0, 9.6 and 16: three beyond 10, and 0 is the saddle; the others leave where
    α < 1/M."""
    found = module("saddle_steps")._counterexample(np.array([0, 0.1, 0.5, 0.74, 0.9]))
    assert found["lands_beyond"] == share(4, 5)
    assert found["lands_expected"] == pytest.approx(0.6)
    assert found["lands_below"] == share(1, 5)
    path = module("saddle_steps")._path(np.array([30.0, 0.005]), 0.5, 2)
    np.testing.assert_allclose(path, [[30, 15, 7.5], [0.005, 0.005025, 0.005025 * 1.005]], rtol=0.3)
    assert path[0, :2].tolist() == [30, 15]
    assert path[1].tolist() == pytest.approx([0.005, 0.005025, 0.005050125])


def test_the_well_is_a_saddle_between_two_minima():
    """½x² − ½y² + ¼y⁴ by differences."""
    part, points = module("saddle_steps"), np.array([[0.3, 0.7], [-1.0, 1.5], [0.0, 1.0]])

    def value(p):
        return p[:, 0] ** 2 / 2 - p[:, 1] ** 2 / 2 + p[:, 1] ** 4 / 4

    found = [(value(points + h) - value(points - h)) / 2e-5 for h in 1e-5 * np.eye(2)]
    np.testing.assert_allclose(part._well_gradient(points), np.stack(found, axis=1), atol=1e-8)


class Drawn:
    """Streams that give ones as normal numbers and a quarter as uniform ones, and keep which."""

    def __init__(self):
        self.draws = []

    def normal(self, size, draw):
        self.draws.append(("normal", draw))
        return np.ones((2, size))

    def uniform(self, size, draw):
        self.draws.append(("uniform", draw))
        return np.full((2, size), 0.25)


def test_noise_of_perturbed_descent():
    """Where the gradient is at the threshold, every other step, a quarter of the disc from its
    centre: half of the radius."""
    part, streams = module("saddle_steps"), Drawn()
    slopes = np.array([[0.6, 0.8], [0.6, 0.81]])
    start = np.zeros((2, 2))
    path = part.perturbed(lambda points: slopes, start, 0.1, 1.0, 0.2, 3, streams)
    assert path.shape == (4, 2, 2)
    np.testing.assert_allclose(path[:, 1], np.arange(4)[:, None] * -0.1 * slopes[1])
    kick = 0.1 / math.sqrt(2)
    kicks = kick * np.array([0, 1, 1, 2])[:, None]
    np.testing.assert_allclose(path[:, 0], kicks + np.arange(4)[:, None] * -0.1 * slopes[0])
    assert streams.draws == [("normal", 0), ("uniform", 3), ("normal", 2), ("uniform", 5)]


def test_escapes_from_the_well(monkeypatch):
    """Of three runs one leaves by plain descent and comes back; two by perturbed descent, at the
    steps 2 and 1."""
    part = module("saddle_steps")
    plain = np.zeros((4, 3, 2))
    plain[1, 0, 1] = -0.6
    plain[2, 1, 1] = 0.5
    noisy = np.zeros((4, 3, 2))
    noisy[2:, 0, 1], noisy[1:, 1, 1], noisy[:, 2, 1] = 0.6, -0.6, 0.5
    calls = []

    def perturbed(gradient, start, rate, threshold, radius, steps, streams):
        calls.append(start)
        return plain if threshold < 0 else noisy

    monkeypatch.setattr(part, "perturbed", perturbed)
    assert part._perturbed(1, 3) == {
        "descent_escapes": share(1, 3),
        "perturbed_escapes": share(2, 3),
        "perturbed_steps": mean(np.array([2, 1])),
    }
    assert all(start.tolist() == [[1, 0]] * 3 for start in calls)


def test_arrays_of_saddle_steps():
    """⌈ln(1/δ)/ln(1 + α|λ|)⌉ steps; a path that reaches the saddle at once, and one that does
    not."""
    found = analysis("saddle_steps", draws=2, runs=2).compute(Handmade())
    offset, growth = found["offset"].values, found["growth"].values
    assert (offset[0], offset[-1], len(offset)) == (1e-12, 0.5, 40)
    assert growth.tolist() == [0.02, 0.1, 0.5]
    expected = np.ceil(-np.log(offset) / np.log1p(growth)[:, None])
    np.testing.assert_array_equal(found["away"], expected)
    path = found["path"].sel(rate=1.0)
    assert path.shape == (4, 41)
    assert path[:, 0].values.tolist() == [30, 12, 3, 0.5]
    assert path[:2, 1].values.tolist() == [0, 0]
    np.testing.assert_allclose(found["path"].sel(rate=0.9)[0, 1], 3)


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
