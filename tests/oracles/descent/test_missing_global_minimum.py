"""Basins of a function of one weight, and descent that converges to no minimum."""

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import UserError, share
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


@pytest.fixture
def bowl():
    return registry().get("models", "rippled_bowl")()


def test_stationary_points_of_the_bowl(bowl):
    """They alternate, are roots of the slope, and dense grid values lie between them."""
    minima, maxima = bowl.stationary()
    assert len(minima) == len(maxima) + 1
    assert (minima[:-1] < maxima).all() and (maxima < minima[1:]).all()
    assert np.abs(bowl.slope(np.concatenate([minima, maxima]))).max() < 1e-12
    grid = np.linspace(-40, 40, 800001)
    signs = np.sign(bowl.slope(grid))
    assert (signs[1:] != signs[:-1]).sum() == len(minima) + len(maxima)
    assert bowl.value(grid).min() == pytest.approx(bowl.infimum(), abs=1e-7)
    second = np.diff(bowl.slope(grid)) / np.diff(grid)
    assert np.abs(second).max() == pytest.approx(bowl.smoothness({}), rel=1e-4)


def test_without_ripples_that_matter_all_starts_reach_it():
    smooth = registry().get("models", "rippled_bowl")(bowl=20)
    assert len(smooth.stationary()[0]) == 1
    assert module("basins").exact_share(smooth, 5.0) == 1


def test_the_exact_share_by_a_grid_of_starts(bowl):
    w = np.linspace(-4, 4, 100001)
    ends = w.copy()
    for _ in range(3000):
        ends = ends - 0.1 * bowl.slope(ends)
    best = bowl.stationary()[0][bowl.value(bowl.stationary()[0]).argmin()]
    share = (np.abs(ends - best) < 1e-6).mean()
    assert share == pytest.approx(module("basins").exact_share(bowl, 4.0), abs=2e-5)


def results(bowl, ends, name="uniform_ball"):
    start = registry().get("initializers", "uniform_ball")(radius=4)
    if name != "uniform_ball":
        start = registry().get("initializers", name)()
    trained = xr.Dataset(
        {
            "w": (("run", "coordinate"), np.array(ends)[:, None]),
            "loss": ("run", bowl.value(np.array(ends))),
        }
    )
    first = xr.Dataset({"w": (("run", "coordinate"), np.array([[0.5], [2.0], [3.0]]))})
    optimizer = registry().get("optimizers", "gradient_descent")(rate=0.1)
    parts = {"model": bowl, "initializer": start, "optimizer": optimizer}
    return Handmade(
        {"all": parts}, {"initialization": {"all": first}, "training": {"all": trained}}
    )


def test_columns_of_basins(bowl):
    """Three runs; the last one ends in another valley than that of its start, the global one, and
    more than a thousandth away from its minimum."""
    minima, _ = bowl.stationary()
    best = minima[bowl.value(minima).argmin()]
    own = minima[np.abs(minima - 2.7).argmin()]
    expected = {
        "relative_rate": [0.92],
        "minima": [len(minima)],
        "runs": [3],
        "exact_share": [pytest.approx(0.2677618, abs=1e-6)],
        "global_share": [share(1, 3)],
        "elsewhere": [share(1, 3)],
        "worst_end": [pytest.approx(bowl.value(own) - bowl.infimum())],
    }
    ends = [best + 0.9e-3, own, best + 1.1e-3]
    assert_columns(analysis("basins"), results(bowl, ends), expected)
    with pytest.raises(UserError, match="uniform_ball, not 'normal'"):
        analysis("basins").compute(results(bowl, [best, own, best], "normal"))


def test_the_inflection_is_none_of_the_minima():
    """L' is the derivative of L; it is ≥ 0 on both sides of 0, and |L''| ≤ 3/2."""
    parts = module("no_minimum")
    x = np.linspace(-30, 30, 600001)
    middle = (x[1:] + x[:-1]) / 2
    slope = np.diff(parts.inflection(x)) / np.diff(x)
    np.testing.assert_allclose(slope, parts.inflection_slope(middle), atol=1e-6)
    assert (parts.inflection_slope(np.array([-0.5, -1e-3, 1e-3, 0.5])) > 0).all()
    second = np.diff(parts.inflection_slope(x)) / np.diff(x)
    assert np.abs(second).max() == pytest.approx(1.5, abs=1e-4)
    assert parts.inflection(x).min() == pytest.approx(parts.inflection(-1.0), abs=1e-8)


def test_steps_until_cosine_is_left_are_counted_from_none():
    parts = module("no_minimum")
    start = np.array([1.5, 0.9, 0.01, -0.01])
    steps = parts.leaving(start)
    assert steps[0] == 0
    for count, y in zip(steps, start, strict=True):
        for _ in range(count):
            assert abs(y) < 1
            y += parts.RATE * np.sin(y)
        assert abs(y) >= 1
    assert steps[2] == steps[3] > steps[1] > 0


def test_columns_of_no_minimum():
    expected = {
        "inflection_share": [share(50, 50)],
        "inflection_law": [Between(0, 0.05)],
        "inflection_below": [pytest.approx(0.5 - np.pi / 4 + np.log(2) / 2)],
        "saddle_share": [share(50, 50)],
        "escape_slope": [pytest.approx(1 / np.log(1.5), abs=0.005)],
        "escape_expected": [1 / np.log(1.5)],
        "crossing_share": [(Between(0.02, 0.4), Between(0, 0.4), Between(0.02, 0.6))],
        "crossing_below": [share(0, 50)],
        "cube_exceptions": [share(0, 50)],
    }
    plugin = analysis("no_minimum", runs=50, steps=4000)
    assert_columns(plugin, Handmade({"all": {}}), expected)


def test_starts_of_no_minimum_and_what_counts_as_reached(monkeypatch):
    """All are moved to 1.9, 2.1, −½ and 0.3: αnx = x after 2 steps, and 0 ≤ x < 2 is near."""
    parts, asked = module("no_minimum"), []
    ends, drawn = np.array([1.9, 2.1, -0.5, 0.3]), np.array([[0, 0.5], [1, 0], [0.5, 1], [1, 1]])

    def moved(x):
        asked.append(x)
        return (x - ends) / 0.5

    monkeypatch.setattr(parts, "inflection_slope", moved)
    monkeypatch.setattr(parts.Streams, "uniform", lambda self, count: drawn)
    rated = []
    monkeypatch.setattr(
        parts, "_crossing", lambda start, rate: rated.append((rate, start)) or share(0, 1)
    )
    monkeypatch.setattr(parts, "_cube", lambda start: rated.append(("cube", start)) or share(0, 1))
    found = analysis("no_minimum", runs=4, steps=2).compute(Handmade({"all": {}}))
    np.testing.assert_allclose(asked[0], [0.1, 3, 1.55, 3])
    assert found["inflection_share"].item() == 0.5
    assert found["inflection_law"].item() == pytest.approx(0.9)
    assert [name for name, _ in rated] == [0.3, 0.06, "cube"]
    for (_, start), scale in zip(rated, (2.4, 2.4, 20 / 3), strict=True):
        np.testing.assert_allclose(start, scale * drawn[:, 1])


def test_the_path_and_the_curve_of_the_inflection():
    found = analysis("no_minimum", runs=2, steps=2).compute(Handmade({"all": {}}))
    path, grid = found["path"].values, found["grid"].values
    assert len(path) == 61 and path[0] == 2.5
    x = path[:-1]
    np.testing.assert_allclose(path[1:], x - 0.5 * x**2 * (1 + x) / (1 + x**2))
    np.testing.assert_allclose(grid, np.linspace(-2.2, 2.8, 201))
    np.testing.assert_allclose(found["offset"], 10.0 ** -np.arange(4, 101, 4))


def test_starts_that_stay_and_starts_that_leave():
    """On cos y those from 1 on have left; x³ is left from above 1/(3α) = 10/3."""
    parts = module("no_minimum")
    assert parts.leaving(np.array([1.0, -1.0])).tolist() == [0, 0]
    assert parts._cube(np.array([0.0, 3.3, 3.4, 6.0])) == share(0, 4)


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("missing_global_minimum", root / "config/studies"))
    job = complete(study, tmp_path)
    assert set(verdicts(job).values()) <= AGREE
    assert_drawn(job.folder, study.settings.figures)
