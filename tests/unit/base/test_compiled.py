"""Compiled functions: what they give, where they are kept, and what they do without numba."""

import os
import subprocess
import sys

import numpy as np
import pytest

import nnflow.base.compiled as compiled
from nnflow import Compiled, choose


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


@pytest.mark.parametrize("plain", [False, True])
def test_loops_and_arrays_give_the_same(plain, tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    if plain:
        monkeypatch.setenv(compiled.PLAIN, "1")
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
    assert fresh._files() == {__file__, compiled.__file__}
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


def test_numba_is_not_imported_before_it_is_needed():
    code = "import sys, nnflow; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], env=os.environ).returncode == 0
