"""Random streams: the generator itself, and what each number depends on."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import nnflow.base.streams as module
from nnflow.base.streams import Streams, philox

WORD = st.integers(0, 2**64 - 1)


def streams(runs=range(4), seed=1, configuration="all", purpose="initialize"):
    return Streams(seed, configuration, np.asarray(runs), purpose)


def numpy_words(key, counter, size):
    """NumPy's Philox; it raises its counter before the first block, so one less is given."""
    number = sum(int(word) << (64 * i) for i, word in enumerate(counter))
    before = (number - 1) % 2**256
    start = np.array([(before >> (64 * i)) % 2**64 for i in range(4)], dtype=np.uint64)
    generator = np.random.Philox(counter=start, key=np.array(key, dtype=np.uint64))
    return generator.random_raw(size)


@given(st.tuples(WORD, WORD), st.tuples(WORD, WORD, WORD, WORD))
def test_philox_is_numpys_bit_for_bit(key, counter):
    words = philox(key, np.array(counter, dtype=np.uint64))
    assert words.dtype == np.uint64
    np.testing.assert_array_equal(words, numpy_words(key, counter, 4))


def test_philox_known_answers():
    """The vectors of Random123's kat_vectors, philox4x64 with 10 rounds."""
    zero = philox((0, 0), np.zeros(4, dtype=np.uint64))
    assert [f"{word:016x}" for word in zero] == [
        "16554d9eca36314c", "db20fe9d672d0fdc", "d7e772cee186176b", "7e68b68aec7ba23b",
    ]  # fmt: skip
    most = 2**64 - 1
    ones = philox((most, most), np.full(4, most, dtype=np.uint64))
    assert [f"{word:016x}" for word in ones] == [
        "87b092c3013fe90b", "438c3c67be8d0224", "9cc7d7c69cd777b6", "a09caebf594f0ba0",
    ]  # fmt: skip


@pytest.mark.parametrize("size", [1, 3, 4, 5, 17])
@pytest.mark.parametrize("draw", [0, 1, 2**40])
def test_words_are_a_philox_stream_whose_counter_is_block_draw_run(size, draw):
    some = streams(runs=[0, 7, 10**9])
    words = some.words(size, draw)
    assert words.shape == (3, size)
    for row, run in zip(words, some.runs, strict=True):
        np.testing.assert_array_equal(row, numpy_words(some.key, (0, draw, run, 0), size))


@given(
    cut=st.integers(0, 12), size=st.integers(1, 9), method=st.sampled_from(["uniform", "normal"])
)
def test_a_batch_may_be_cut_anywhere(cut, size, method):
    whole = getattr(streams(range(12)), method)(size)
    parts = [getattr(streams(part), method)(size) for part in (range(cut), range(cut, 12))]
    np.testing.assert_array_equal(whole, np.concatenate(parts))


@pytest.mark.parametrize("compiler", [False, True])
@pytest.mark.parametrize(("many", "very_many"), [(1, 2**60), (2**60, 1)])
def test_compiled_words_are_those_of_numpy(many, very_many, compiler, monkeypatch):
    """Many are drawn by compiled code where the compiler is at hand, very many where it is not."""
    import numba

    there = {**sys.modules, "numba": numba}
    without = {name: part for name, part in sys.modules.items() if name != "numba"}
    monkeypatch.setattr(module, "sys", SimpleNamespace(modules=there if compiler else without))
    monkeypatch.setattr(module, "MANY", many)
    monkeypatch.setattr(module, "VERY_MANY", very_many)
    monkeypatch.setattr(module, "_cipher", counted := Counted(module._cipher))
    some, most = streams(runs=[0, 7, 10**9]), 2**64 - 1
    words = some.words(17, np.array([0, 3, 2**40]))
    for row, run, draw in zip(words, some.runs, (0, 3, 2**40), strict=True):
        np.testing.assert_array_equal(row, numpy_words(some.key, (0, draw, run, 0), 17))
    ones = philox((most, most), np.full((3, 4), most, dtype=np.uint64))
    assert f"{ones[1, 2]:016x}" == "9cc7d7c69cd777b6"
    assert counted.calls == (2 if compiler == (many == 1) else 0)


class Counted:
    def __init__(self, function):
        self.function, self.calls = function, 0

    def __call__(self, *arguments):
        self.calls += 1
        return self.function(*arguments)


def test_take_gives_the_same_numbers_as_the_runs_themselves():
    all_runs = streams(range(10, 20))
    rows = np.array([7, 0, 3])
    np.testing.assert_array_equal(all_runs.take(rows).words(6, 2), all_runs.words(6, 2)[rows])


def test_a_longer_draw_begins_like_a_shorter_one():
    np.testing.assert_array_equal(streams().words(11)[:, :6], streams().words(6))


def test_each_run_may_be_at_its_own_draw():
    draws = np.array([5, 0, 9, 5])
    mixed = streams().uniform(6, draws)
    for row, draw in enumerate(draws):
        np.testing.assert_array_equal(mixed[row], streams().uniform(6, int(draw))[row])


@pytest.mark.parametrize("method", ["words", "uniform", "normal", "permutation"])
def test_many_draws_at_once_are_those_of_each_draw(method):
    draws = np.array([[0, 7, 3, 2**40], [1, 7, 2, 5], [9, 8, 7, 6]])
    together = getattr(streams(), method)(5, draw=draws)
    apart = [getattr(streams(), method)(5, draw=row) for row in draws]
    np.testing.assert_array_equal(together, apart)


@pytest.mark.parametrize("steps", [0, 1, 5])
def test_draws_in_turn_are_those_of_each_draw(steps, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", 2 * 4 * 3)  # two rows of four runs and three numbers
    draws, asked = np.arange(4 * steps).reshape(steps, 4), []

    def law(size, draw):
        asked.append(len(draw))
        return streams().normal(size, draw)

    found = list(streams().in_turn(law, 3, draws))
    assert asked == [2] * (steps // 2) + [1] * (steps % 2)
    assert len(found) == steps
    for numbers, draw in zip(found, draws, strict=True):
        np.testing.assert_array_equal(numbers, streams().normal(3, draw))


def test_the_given_runs_are_left_alone():
    runs = np.arange(3)
    streams(runs).words(5, np.array([1, 2, 3]))
    np.testing.assert_array_equal(runs, [0, 1, 2])


def test_everything_that_names_a_stream_matters():
    base = {"seed": 1, "configuration": "k=6", "purpose": "initialize"}
    others = [
        {**base, "seed": 2},
        {**base, "configuration": "k=7"},
        {**base, "purpose": "minibatch"},
    ]
    words = [streams(**names).words(64) for names in (base, *others)]
    words += [streams(**base).words(64, 1), streams(range(4, 8), **base).words(64)]
    # 6·256 words of 64 bits: two alike have probability 6e-14
    assert len(np.unique(np.concatenate(words))) == 6 * 4 * 64


def test_no_two_names_run_together():
    """("1", "1x") and ("11", "x") are different names."""
    assert streams(seed=1, configuration="1x").key != streams(seed=11, configuration="x").key
    assert (
        streams(configuration="a", purpose="bc").key != streams(configuration="ab", purpose="c").key
    )


def test_purposes_are_independent():
    """Correlations of 10⁵ pairs stay within 4 standard deviations of zero."""
    first = streams(range(100), purpose="initialize").normal(1000).ravel()
    second = streams(range(100), purpose="minibatch").normal(1000).ravel()
    neighbour = streams(range(1, 101), purpose="initialize").normal(1000).ravel()
    for other in (second, neighbour):
        assert abs(np.corrcoef(first, other)[0, 1]) < 4 / np.sqrt(first.size)


def test_uniform_law():
    numbers = streams(range(200)).uniform(1000).ravel()
    assert numbers.min() > 0
    assert numbers.max() < 1
    assert stats.kstest(numbers, "uniform").pvalue > 1e-3


def test_uniform_never_reaches_its_ends(monkeypatch):
    """0 would make a normal number infinite; the extreme words give 2⁻⁵³ and 1 − 2⁻⁵³."""
    extreme = np.array([[0, 2**64 - 1]], dtype=np.uint64)
    monkeypatch.setattr(Streams, "words", lambda self, size, draw=0: extreme)
    uniform = streams([0]).uniform(2)
    np.testing.assert_array_equal(uniform, [[2.0**-53, 1 - 2.0**-53]])
    assert np.isfinite(streams([0]).normal(2)).all()


def test_normal_law():
    numbers = streams(range(200)).normal(1000).ravel()
    assert stats.kstest(numbers, "norm").pvalue > 1e-3
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = np.mean(numbers**power) - moment
        assert abs(error) < 4 * np.sqrt(variance / numbers.size), power


def test_permutations_are_uniform():
    """Each of the 3! = 6 orders, by a χ² test; each row a permutation."""
    orders = streams(range(6000)).permutation(3)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(3), (6000, 1)))
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_permutation_of_one():
    np.testing.assert_array_equal(streams().permutation(1), np.zeros((4, 1)))
