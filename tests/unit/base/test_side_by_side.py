"""Many runs at a time in one compiled call, against NumPy run by run."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nnflow.base.compiled as compiled
from nnflow import LANES, Compiled, DescentArrays, descending, load_row, side_by_side, store_row


def _scaled(w, found, factor, shift):
    for row in range(len(found)):
        store_row(found, row, load_row(w, row) * factor[row] - shift)


scaled = Compiled(_scaled)


def plain(w, numbers, parameters):
    factor, shift = parameters
    return w[:, :numbers] * factor[:numbers] - shift


FACTOR = np.array([1.0, -0.3, 2.0])
PARAMETERS = (FACTOR, 0.25)
SHRINKING = (np.array([1.0, 0.3, 2.0]), 0.25)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory, monkeypatch):
    """One folder for all tests here: the block is compiled once."""
    folder = tmp_path_factory.getbasetemp() / "compiled"
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(folder))


@pytest.mark.parametrize("form", ["compiled", "plain"])
@pytest.mark.parametrize("runs", [0, 1, LANES, 2 * LANES + 3])
def test_every_run_meets_the_block(runs, form, monkeypatch):
    if form == "plain":
        monkeypatch.setenv(compiled.PLAIN, "1")
    w = np.random.default_rng(runs).standard_normal((runs, 3))
    for numbers in (1, 3):
        found = side_by_side(scaled, plain)(w, numbers, PARAMETERS)
        np.testing.assert_array_equal(found, plain(w, numbers, PARAMETERS))


def moved(w, velocity, rate, momentum, ahead, steps):
    """The recursion of `Descent`, in NumPy."""
    rate, momentum = rate[:, None], momentum[:, None]
    for _ in range(steps):
        if velocity is None:
            w = w - rate * plain(w, 3, PARAMETERS)
            continue
        drift = momentum * velocity
        velocity = drift + rate * plain(w - drift if ahead else w, 3, PARAMETERS)
        w = w - velocity
    return w, velocity


@pytest.mark.parametrize("runs", [0, 1, 2 * LANES + 3])
@pytest.mark.parametrize("kind", ["plain", "momentum", "ahead"])
def test_many_steps_have_the_bits_of_single_ones(runs, kind):
    random = np.random.default_rng(runs)
    w, velocity = random.standard_normal((2, runs, 3))
    rate, momentum = random.uniform(0.05, 0.5, (2, runs))
    given = None if kind == "plain" else velocity
    expected = moved(w, given, rate, momentum, kind == "ahead", 5)
    place, speed = w.copy(), np.empty((0, 0)) if given is None else velocity.copy()
    left = np.full(runs, 5)
    arrays = DescentArrays(place, speed, left, rate, momentum, kind == "ahead", np.empty(0))
    assert descending(scaled)(arrays, PARAMETERS)
    np.testing.assert_array_equal(left, 0)
    np.testing.assert_array_equal(place, expected[0])
    if given is not None:
        np.testing.assert_array_equal(speed, expected[1])
    assert runs == 0 or abs(place - w).max() > 0.1


def test_nothing_moves_where_nothing_is_compiled(monkeypatch):
    monkeypatch.setenv(compiled.PLAIN, "1")
    w, one, left = np.ones((1, 3)), np.ones(1), np.full(1, 5)
    for quiet in (np.empty(0), -one):
        arrays = DescentArrays(w, np.empty((0, 0)), left, one, one, False, quiet)
        assert not descending(scaled)(arrays, PARAMETERS)
    np.testing.assert_array_equal(w, 1)
    np.testing.assert_array_equal(left, 5)


def waited(w, rate, steps, quiet):
    """Weights and steps left of one run that waits where its gradient is small."""
    while steps and not np.linalg.norm(found := plain(w, 3, SHRINKING)) <= quiet:
        w, steps = w - rate * found, steps - 1
    return w, steps


@pytest.mark.parametrize("runs", [0, 1, 2 * LANES + 3])
def test_each_run_takes_its_steps_until_its_gradient_is_small(runs):
    random = np.random.default_rng(runs)
    w, rate = random.standard_normal((runs, 1, 3)), random.uniform(0.05, 0.2, runs)
    steps, quiet = random.integers(0, 40, runs), random.choice([-1, 0, 0.5, 1, 2], runs)
    place, left = w[:, 0].copy(), steps.copy()
    none = np.empty((0, 0))
    arrays = DescentArrays(place, none, left, rate, rate, False, quiet)
    assert descending(scaled)(arrays, SHRINKING)
    for run in range(runs):
        expected, rest = waited(w[run], rate[run], steps[run], quiet[run])
        np.testing.assert_array_equal(place[run], expected[0])
        assert left[run] == rest
    assert runs < 2 or (0 < np.count_nonzero(left) < runs)


def test_a_norm_at_the_limit_is_quiet():
    """The gradient is (3, 4, 0), and then .9 of it."""
    w = np.array([[3.0, 4.0, 0.0]] * 4)
    quiet, left = np.array([5 + 1e-7, 5, 5 - 1e-7, np.nan]), np.full(4, 1)
    arrays = DescentArrays(w, np.empty((0, 0)), left, *[np.full(4, 0.1)] * 2, False, quiet)
    assert descending(scaled)(arrays, (np.ones(3), 0.0))
    np.testing.assert_array_equal(left, [1, 1, 0, 1])
    np.testing.assert_allclose(w[:, 0], [3, 3, 2.7, 3], rtol=1e-15)


def _doubled(w, found):
    for row in range(len(found)):
        store_row(found, row, load_row(w, row) * 2.0)


def test_blocks_of_one_file_are_kept_apart():
    """Both are compiled into the same loop over runs."""
    doubled = side_by_side(Compiled(_doubled), lambda w, numbers, parameters: None)
    w = np.ones((2, 3))
    np.testing.assert_array_equal(side_by_side(scaled, plain)(w, 3, PARAMETERS)[0], FACTOR - 0.25)
    np.testing.assert_array_equal(doubled(w, 3, ()), 2)


NAMED_ALIKE = """
import sys
import numpy as np
from nnflow import Compiled

def made(factor):
    def function(x):
        return np.full(2, x * FACTOR)
    space = {"np": np, "FACTOR": factor}
    function = type(function)(function.__code__, space)
    function.__module__ = f"of.{factor}"
    return Compiled(function)

found = [made(factor)(1.0)[0] for factor in (2.0, 3.0)]
sys.exit(found != [2.0, 3.0])
"""


def test_functions_of_one_name_are_told_apart_when_they_are_read_again(tmp_path):
    file = tmp_path / "alike.py"
    file.write_text(NAMED_ALIKE, encoding="utf-8")
    for _ in range(2):  # compiled, then read
        assert subprocess.run([sys.executable, str(file)], env=os.environ).returncode == 0
