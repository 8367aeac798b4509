"""Elementary functions by arithmetic alone, against ball arithmetic."""

import numpy as np
import pytest
from flint import arb, ctx

from nnflow import Compiled, exponential, hyperbolic_tangent, load_row, sigmoid, store_row

FUNCTIONS = {
    "exponential": (exponential, lambda x: x.exp()),
    "hyperbolic_tangent": (hyperbolic_tangent, lambda x: x.tanh()),
    "sigmoid": (sigmoid, lambda x: 1 / (1 + (-x).exp())),
}
SPECIAL = np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 800.0, -800.0, 1e-300])


def points():
    random = np.random.default_rng(0)
    drawn = [random.normal(0, scale, 500) for scale in (1e-9, 1e-3, 0.3, 1, 5, 100)]
    ends = np.log(2) * (np.arange(-20, 20) + 0.5)  # where a whole number of log 2 changes
    return np.concatenate([*drawn, ends, np.nextafter(ends, 0), [700.0, -700.0]])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_errors_are_of_the_last_places(name, monkeypatch):
    monkeypatch.setattr(ctx, "prec", 200)
    function, exact = FUNCTIONS[name]
    x = points()
    for at, found in zip(x, function(x), strict=True):
        expected = exact(arb(float(at)))
        assert abs(float((arb(float(found)) - expected) / expected)) < 3 * 2.0**-53


def test_at_the_ends_and_without_a_number():
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(exponential(SPECIAL), [1, 1, np.nan, np.inf, 0, np.inf, 0, 1])
        np.testing.assert_array_equal(
            hyperbolic_tangent(SPECIAL), [0, 0, np.nan, 1, -1, 1, -1, 1e-300]
        )
        np.testing.assert_array_equal(sigmoid(SPECIAL), [0.5, 0.5, np.nan, 1, 0, 1, 0, 0.5])


def test_they_grow():
    fine = np.linspace(-45, 45, 200_001)
    for function in (exponential, hyperbolic_tangent, sigmoid):
        assert (np.diff(function(fine)) >= -4e-16 * np.abs(function(fine[1:]))).all()
    assert np.abs(hyperbolic_tangent(fine)).max() == 1
    np.testing.assert_array_equal(hyperbolic_tangent(-fine), -hyperbolic_tangent(fine))


def _of_rows(x, out):
    for row in range(len(x)):
        v = load_row(x, row)
        store_row(out, 3 * row, exponential(v))
        store_row(out, 3 * row + 1, hyperbolic_tangent(v))
        store_row(out, 3 * row + 2, sigmoid(v))


def test_vectors_have_the_bits_of_arrays(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    x = np.concatenate([SPECIAL, points()[:3000]]).reshape(-1, 8)
    out = np.empty((3 * len(x), 8))
    Compiled(_of_rows)(x, out)
    with np.errstate(all="ignore"):
        expected = [exponential(x), hyperbolic_tangent(x), sigmoid(x)]
    np.testing.assert_array_equal(out, np.stack(expected, axis=1).reshape(-1, 8))
