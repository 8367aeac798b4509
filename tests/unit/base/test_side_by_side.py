"""Many runs at a time in one compiled call, against NumPy run by run."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nnflow.base.compiled as compiled
from nnflow import LANES, Compiled, descending, load_row, side_by_side, store_row


def _scaled(w, found, factor, shift):
    for row in range(len(found)):
        store_row(found, row, load_row(w, row) * factor[row] - shift)


scaled = Compiled(_scaled)


def plain(w, numbers, parameters):
    factor, shift = parameters
    return w[:, :numbers] * factor[:numbers] - shift


FACTOR = np.array([1.0, -0.3, 2.0])
PARAMETERS = (FACTOR, 0.25)


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
    descend = descending(scaled)
    assert descend(place, speed, rate, momentum, kind == "ahead", 5, PARAMETERS)
    np.testing.assert_array_equal(place, expected[0])
    if given is not None:
        np.testing.assert_array_equal(speed, expected[1])
    assert runs == 0 or abs(place - w).max() > 0.1


def test_nothing_moves_where_nothing_is_compiled(monkeypatch):
    monkeypatch.setenv(compiled.PLAIN, "1")
    w, one = np.ones((1, 3)), np.ones(1)
    assert not descending(scaled)(w, np.empty((0, 0)), one, one, False, 5, PARAMETERS)
    np.testing.assert_array_equal(w, 1)


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
