"""Compiled functions: what they give, where they are kept, and what they do without numba."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import nnflow.base.compiled as compiled
from nnflow import (
    LANES,
    Arithmetic,
    Compiled,
    choose,
    lane_sums,
    load_row,
    magnitude,
    power_of_two,
    square_root,
    store_row,
    vectors,
)


def _halved(x):
    return choose(x > 1.0, x / 2.0, x)


halved = Compiled(_halved)


def _sums(x, out):
    for i in range(len(x)):
        out[i] = halved(x[i]) + 1.0 / x[i]


def _plain_sums(x, out):
    with np.errstate(divide="ignore"):
        out[:] = halved(x) + 1.0 / x


sums = Compiled(_sums, _plain_sums)
GIVEN = np.array([0.0, 0.7, 3.0, np.nan])


@pytest.fixture(params=[False, True], ids=["compiled", "plain"])
def plain(request, tmp_path, monkeypatch):
    """Is nothing compiled? What is, is kept in a folder of the test's own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    if request.param:
        monkeypatch.setenv(compiled.PLAIN, "1")
    return request.param


def test_loops_and_arrays_give_the_same(plain):
    assert compiled.compiles() is not plain
    out = np.empty(4)
    sums(GIVEN, out)
    np.testing.assert_array_equal(out, [np.inf, 0.7 + 1 / 0.7, 1.5 + 1 / 3, np.nan])


def test_what_was_compiled_is_kept_by_the_state_of_its_source(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    fresh = Compiled(_sums, _plain_sums)
    fresh(GIVEN, np.empty(4))
    (folder,) = tmp_path.iterdir()
    assert list(folder.rglob("*.nbi"))
    beside = {str(Path(compiled.__file__).with_name(name)) for name in ("compiled.py", "lanes.py")}
    assert fresh._files() == {__file__, *beside}
    changed = tmp_path / "changed.py"
    changed.write_text("another source")
    monkeypatch.setattr(Compiled, "_files", lambda self: {str(changed)})
    assert fresh._folder() != folder


def test_nothing_is_kept_where_nothing_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    out = np.empty(4)
    Compiled(_sums)(GIVEN, out)
    assert out[2] == 1.5 + 1 / 3


def test_nothing_is_kept_without_a_home(monkeypatch):
    def homeless(path):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    monkeypatch.setattr(Path, "expanduser", homeless)
    assert Compiled(_sums)._folder() is None


def test_numba_is_not_imported_before_it_is_needed():
    code = "import sys, nnflow; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0


def test_a_numba_that_cannot_be_imported_counts_as_missing(monkeypatch):
    compiled._numba_works.cache_clear()
    monkeypatch.setitem(sys.modules, "numba", None)
    try:
        assert not compiled.compiles()
    finally:
        compiled._numba_works.cache_clear()


def _instructions(x, y, out):
    a, b = load_row(x, 0), load_row(y, 0)
    total = 0.0
    for row in range(len(x)):
        total += load_row(x, row)
    store_row(out, 0, a + b)
    store_row(out, 1, a - 2.0)
    store_row(out, 2, 3.0 * b)
    store_row(out, 3, a / b)
    store_row(out, 4, square_root(magnitude(a)))
    store_row(out, 5, choose(a < b, -a, b))
    store_row(out, 6, choose(a > 0.0, a, 0.0))
    store_row(out, 7, total)
    store_row(out, 8, 1.0)
    a -= b
    a /= 3.0
    a *= b
    store_row(out, 9, a)


instructions = Compiled(_instructions)


def test_vectors_do_what_numbers_do(plain):
    x, y = np.random.default_rng(0).standard_normal((2, 3, LANES))
    x[0, :4], y[0, :4] = [0.0, -0.0, np.nan, np.inf], [0.0, 1.0, 1.0, np.inf]
    out = np.empty((10, LANES))
    with np.errstate(all="ignore"):
        instructions(x, y, out)
        a, b = x[0], y[0]
        rows = [a + b, a - 2, 3 * b, a / b, np.sqrt(np.abs(a)), np.where(a < b, -a, b)]
        rows += [np.where(a > 0, a, 0), 0 + x[0] + x[1] + x[2], np.ones(LANES), (a - b) / 3 * b]
    np.testing.assert_array_equal(out, rows)


def _powers_and_sums(x, out):
    a, b, c, d = load_row(x, 0), load_row(x, 1), load_row(x, 2), load_row(x, 3)
    store_row(out, 0, lane_sums(a, b, c, d, a - b, a + b, -c, d))
    store_row(out, 1, power_of_two(load_row(x, 4)))


powers_and_sums = Compiled(_powers_and_sums)


def test_powers_of_two_and_sums_over_vectors(plain):
    x = np.random.default_rng(0).standard_normal((5, LANES))
    x[4] = [0, 1, -1, 52, -1022, 1023, 5, -7]
    out = np.empty((2, LANES))
    powers_and_sums(x, out)
    np.testing.assert_array_equal(out[1], 2.0 ** x[4])
    a, b, c, d = x[:4]
    for found, row in zip(out[0], [a, b, c, d, a - b, a + b, -c, d], strict=True):
        fours = row[:4] + row[4:]
        twos = fours[:2] + fours[2:]
        assert found == twos[0] + twos[1]


def _third(x):
    return choose(x > 1.0, x / 3.0, power_of_two(x - x))


third = Arithmetic(_third)


def _thirds(x, out):
    store_row(out, 0, third(load_row(x, 0)))
    out[1, 0] = third(x[0, 0])


def test_arithmetic_takes_numbers_vectors_and_arrays(plain):
    x = np.array([[3.0, 0.0, 6.0, 1.0, 1.5, -2.0, 9.0, 12.0]])
    expected = [1, 1, 2, 1, 0.5, 1, 3, 4]
    np.testing.assert_array_equal(third(x[0]), expected)
    assert third(3.0) == 1
    out = np.zeros((2, LANES))
    Compiled(_thirds)(x, out)
    np.testing.assert_array_equal(out, [expected, [1, *[0] * 7]])


def _by(x, out):
    store_row(out, 0, factor(load_row(x, 0)))  # noqa: F821


def test_functions_of_one_name_are_told_apart(tmp_path, monkeypatch):
    """Lambdas of a module, the same one with other numbers, and what is made of them: all of them
    would find what was kept of the first."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    def times(number):
        return Arithmetic(lambda x: x * number)

    def by_default(number):
        return Arithmetic(lambda x, factor=number: x * factor)

    # fmt: off
    factors = [Arithmetic(lambda x: x * 2.0), Arithmetic(lambda x: x * 3.0), times(4.0), times(5.0),
               by_default(6.0), by_default(7.0)]
    same = [Arithmetic(lambda x: square_root(x)), Arithmetic(lambda x: magnitude(x))]
    # fmt: on
    x, found = np.ones((1, LANES)), np.empty((1, LANES))
    for factor, expected in zip(factors, range(2, 8), strict=True):
        for _ in range(2):  # compiled, and read
            Compiled(_by, None, {"factor": factor})(x, found)
            np.testing.assert_array_equal(found, np.full((1, LANES), expected))
    assert len({factor._name() for factor in [*factors, *same]}) == 8
    with pytest.raises(TypeError, match="numbers alone"):
        times(np.ones(2))._name()


BESIDE = 2.0


def test_a_number_of_the_module_is_told(monkeypatch):
    function = Arithmetic(_beside)
    before = function._name()
    around = Compiled(_by, None, {"factor": function})
    outer = around._name()
    monkeypatch.setitem(globals(), "BESIDE", 3.0)
    assert function._name() != before and around._name() != outer


def _beside(x):
    return x * BESIDE


def _made(counts, found):
    for place, count in enumerate(counts):
        made = vectors(count)
        found[place] = made.ctypes.data % (8 * LANES), *made.shape
        for row in range(count):
            store_row(made, row, 1.0)


made = Compiled(_made)


def test_vectors_begin_where_a_line_of_the_cache_does(plain):
    counts = np.arange(50)
    found = np.empty((50, 3), dtype=np.int64)
    made(counts, found)
    found[0, 0] = 0  # no vector begins anywhere
    np.testing.assert_array_equal(found, np.stack([0 * counts, counts, 0 * counts + LANES], 1))


def test_rows_of_other_arrays_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    from numba.core.errors import TypingError

    x = np.zeros((3, LANES))
    for wrong in (x.T.copy().T, x.astype(np.float32), x[0]):
        with pytest.raises(TypingError, match="load_row"):
            Compiled(_instructions).dispatcher(wrong, x, x)


def test_what_compiles_is_ready_before_a_fork():
    code = (
        "import sys, nnflow.base.compiled as compiled; compiled.prepare();"
        "from numba.core.registry import cpu_target;"
        "sys.exit(cpu_target.target_context._defns == {})"
    )
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
    without = {**os.environ, compiled.PLAIN: "1"}
    code = "import sys, nnflow.base.compiled as c; c.prepare(); sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=without).returncode == 0
