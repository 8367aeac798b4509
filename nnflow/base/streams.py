"""Counter-based random numbers: every run of every configuration has its own streams.

A stream is the Philox4x64-10 generator (Salmon et al., SC 2011) with

    key     = hash of (study seed, configuration, purpose)
    counter = (block, draw, run, 0)

so the numbers of run i depend on nothing but the study's seed, the configuration, the run, the
purpose and the number of the draw: not on the batch, the machine or the number of
cores. All runs of a batch are drawn at once; `numpy.random.Philox` gives the same words.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from nnflow.base.compiled import Compiled

_MULTIPLIERS = (np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157))
_WEYL = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B))
_LOW, _HALF = np.uint64(0xFFFFFFFF), np.uint64(32)
_ROUNDS = 10
MANY, VERY_MANY = 2**10, 2**22
"""Blocks of four words from which on compiled code draws them, where a compiler is at hand, or has
to be loaded: that takes half a second, in which NumPy draws eight million words."""
AT_ONCE = 2**15
"""Numbers drawn together where the draws of many steps are known: what the cipher keeps of them
stays in the cache."""


def _multiply(a: np.uint64, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """High and low words of the 128-bit product a·b."""
    a_low, a_high = a & _LOW, a >> _HALF
    b_low, b_high = b & _LOW, b >> _HALF
    cross = a_high * b_low + ((a_low * b_low) >> _HALF)
    middle = a_low * b_high + (cross & _LOW)
    high = a_high * b_high + (cross >> _HALF) + (middle >> _HALF)
    return high, a * b


def philox(key: tuple[int, int], counter: np.ndarray) -> np.ndarray:
    """The Philox4x64-10 block cipher.

    counter: (..., 4) uint64. Returns (..., 4) uint64 random words.
    """
    if counter.size >= 4 * (MANY if "numba" in sys.modules else VERY_MANY):
        blocks = np.ascontiguousarray(counter, dtype=np.uint64).reshape(-1, 4)
        return _cipher(np.uint64(key[0]), np.uint64(key[1]), blocks).reshape(counter.shape)
    return _cipher_of_arrays(np.uint64(key[0]), np.uint64(key[1]), counter)


def _cipher_of_arrays(k0: np.uint64, k1: np.uint64, counter: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        x0, x1, x2, x3 = np.moveaxis(counter.astype(np.uint64), -1, 0)
        for _ in range(_ROUNDS):
            high0, low0 = _multiply(_MULTIPLIERS[0], x0)
            high1, low1 = _multiply(_MULTIPLIERS[1], x2)
            x0, x1, x2, x3 = high1 ^ x1 ^ k0, low1, high0 ^ x3 ^ k1, low0
            k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return np.stack([x0, x1, x2, x3], axis=-1)


def _cipher_of_blocks(k0, k1, blocks):
    found = np.empty_like(blocks)
    for block in range(len(blocks)):
        x0, x1 = blocks[block, 0], blocks[block, 1]
        x2, x3 = blocks[block, 2], blocks[block, 3]
        first, second = k0, k1
        for _ in range(_ROUNDS):
            high0, low0 = multiply(_MULTIPLIERS[0], x0)
            high1, low1 = multiply(_MULTIPLIERS[1], x2)
            x0, x1, x2, x3 = high1 ^ x1 ^ first, low1, high0 ^ x3 ^ second, low0
            first, second = first + _WEYL[0], second + _WEYL[1]
        found[block, 0], found[block, 1] = x0, x1
        found[block, 2], found[block, 3] = x2, x3
    return found


multiply = Compiled(_multiply)
_cipher = Compiled(_cipher_of_blocks, _cipher_of_arrays)


@dataclass(frozen=True)
class Streams:
    """The random streams of some runs of one configuration, for one purpose.

    seed: the study's seed. configuration: its label. runs: (run,) the runs' numbers.
    purpose: what the numbers are for ("initialize", "minibatch", ...); two purposes
    share nothing.
    """

    seed: int
    configuration: str
    runs: np.ndarray
    purpose: str

    @property
    def key(self) -> tuple[int, int]:
        """128 bits from (seed, configuration, purpose)."""
        text = f"{self.seed}\0{self.configuration}\0{self.purpose}".encode()
        digest = hashlib.blake2b(text, digest_size=16).digest()
        return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")

    def take(self, rows: np.ndarray) -> Streams:
        """The streams of the given rows (indices into `runs`)."""
        return Streams(self.seed, self.configuration, self.runs[rows], self.purpose)

    def words(self, size: int, draw: int | np.ndarray = 0) -> np.ndarray:
        """(run, size) uint64 words. draw: the number of the draw, one or one per run; of numbers
        (…, run) all draws are taken at once, (…, run, size)."""
        blocks, drawn = -(-size // 4), np.broadcast_shapes(np.shape(draw), (len(self.runs),))
        counter = np.zeros((*drawn, blocks, 4), dtype=np.uint64)
        counter[..., 0] = np.arange(blocks, dtype=np.uint64)
        counter[..., 1] = np.broadcast_to(draw, drawn).astype(np.uint64)[..., None]
        counter[..., 2] = np.asarray(self.runs, dtype=np.uint64)[:, None]
        return philox(self.key, counter).reshape(*drawn, 4 * blocks)[..., :size]

    def uniform(self, size: int, draw: int | np.ndarray = 0) -> np.ndarray:
        """(run, size) numbers uniform on the open interval (0, 1), 52 bits each."""
        # the odd multiples of 2⁻⁵³; with one bit more the last of them would round to 1
        return ((self.words(size, draw) >> np.uint64(12)) + 0.5) * 2.0**-52

    def normal(self, size: int, draw: int | np.ndarray = 0) -> np.ndarray:
        """(run, size) standard normal numbers, by inversion of the distribution function."""
        # imported where it is needed: it takes a quarter of a second of every job
        from scipy.special import ndtri

        return ndtri(self.uniform(size, draw))

    def permutation(self, size: int, draw: int | np.ndarray = 0) -> np.ndarray:
        """(run, size) independent uniform permutations of 0 … size−1."""
        # words are as good as never equal, and a stable order takes four times as long
        return np.argsort(self.words(size, draw), axis=-1)

    @staticmethod
    def in_turn(
        law: Callable[[int, np.ndarray], Iterable[Any]], size: int, draws: np.ndarray
    ) -> Iterator[Any]:
        """What law(size, draws) gives, for one row of `draws` (draw, run) after another: numbers
        (run, size) where the law is `normal`, `uniform`, … of some streams. For optimizers that
        draw in each step: many rows are drawn at once, as a few numbers take as long as thousands.
        """
        rows = max(1, AT_ONCE // (size * draws.shape[1]))
        for start in range(0, len(draws), rows):
            yield from law(size, draws[start : start + rows])
