"""The spherical spin glass with couplings of three spins."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Model, Spheres, Streams, torch

ROWS = 8
"""Rows of a product of matrices are filled up to a multiple of this: the last bits of a row then
don't depend on how many others there are."""
DRAWN = 2**14
"""Numbers that are drawn together."""
KEPT = 32
"""Couplings of so many pairs of size and disorder are kept in memory."""
TOGETHER = 64
"""Up to so many spins the runs of different disorders are contracted in one call. The call itself
is no cost with more, and several runs of one disorder then share what is read of its couplings."""
STACKS = 8
"""Stacks of couplings that are kept: each 1 MB a disorder at most."""


class SphericalSpinGlass(Model):
    """Energy per spin of the spherical 3-spin model.

    With Λ spins w, Σ wᵢ² = Λ, Choromanska et al. 2015 have the loss
    Λ⁻¹ Σ X_ijk wᵢwⱼw_k with X_ijk ∼ N(0, 1), all independent. The weights here are the unit vector
    x = w/√Λ, and L is that over Λ,

        L(x) = Λ^(−1/2) Σ X_ijk xᵢxⱼx_k = Λ^(−1/2) S(x, x, x),

    which depends on the symmetric part S of X alone, whose entries are drawn: their variance is 1/6
    for three different indices, 1/3 where two are alike, 1 where all are. On the sphere
    E L(x)L(y) = (x·y)³/Λ. A physicist's energy per spin is L/√2.
    """

    size: PositiveInt = Field(examples=[10], ge=2)
    """Λ, the number of spins. All couplings take 4Λ³ bytes."""
    disorder: PositiveInt = Field(1, examples=[4])
    """Which couplings: the number of a draw of S."""

    varies = ("disorder",)

    def shapes(self):
        return {"spins": (self.size,)}

    def dimensions(self):
        return {"spins": ("spin",)}

    def manifold(self):
        return Spheres(1, self.size)

    def loss(self, weights, data):
        spins = weights["spins"]
        return (spins * self._contracted(spins)).sum(dim=1) / math.sqrt(self.size)

    def gradient(self, weights, data):
        return {"spins": 3 / math.sqrt(self.size) * self._contracted(weights["spins"])}

    def hessian(self, weights, data):
        spins = weights["spins"]
        first, second = (places.to(spins.device) for places in _pairs(self.size))
        packed = self._by_disorder(spins, lambda x, couplings: _rows_times(x, couplings.mT))
        packed = packed * torch.where(first == second, 6, 3).to(spins)
        hessian = spins.new_empty(len(spins), self.size, self.size)
        hessian[:, first, second] = packed / math.sqrt(self.size)
        hessian[:, second, first] = hessian[:, first, second]
        return hessian

    def _contracted(self, spins: torch.Tensor) -> torch.Tensor:
        """S(x, x, ·), (run, Λ)."""
        first, second = (places.to(spins.device) for places in _pairs(self.size))
        products = spins.index_select(1, first) * spins.index_select(1, second)
        if self.size > TOGETHER:
            return self._by_disorder(products, _rows_times)
        if not isinstance(self.disorder, torch.Tensor):  # the same product of its own for each run
            couplings = _couplings(self.size, int(self.disorder)).to(spins)
            return (products.unsqueeze(1) @ couplings.expand(len(spins), -1, -1)).squeeze(1)
        contracted = torch.empty_like(spins)
        for runs, disorders in _rounds(tuple(self.disorder.tolist())):
            couplings = _stacked(self.size, disorders, spins.dtype, spins.device)
            contracted[runs] = (products[runs].unsqueeze(1) @ couplings).squeeze(1)
        return contracted

    def _by_disorder(self, rows: torch.Tensor, function) -> torch.Tensor:
        """function(rows, couplings) of the rows of each disorder together."""
        if not isinstance(self.disorder, torch.Tensor):
            return function(rows, _couplings(self.size, int(self.disorder)).to(rows))
        parts, places = [], []
        for number in torch.unique(self.disorder).tolist():
            chosen = torch.nonzero(self.disorder == number).squeeze(1)
            parts.append(function(rows[chosen], _couplings(self.size, int(number)).to(rows)))
            places.append(chosen)
        return torch.cat(parts)[torch.argsort(torch.cat(places))]


def _rows_times(rows: torch.Tensor, matrix: torch.Tensor) -> torch.Tensor:
    """rows @ matrix, each row to the same bits whatever the others."""
    missing = -len(rows) % ROWS
    if missing:
        rows = torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
        return (rows @ matrix)[:-missing]
    return rows @ matrix


@functools.lru_cache(maxsize=KEPT)
def _pairs(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All i ≤ j, in the order of the couplings' rows."""
    first, second = np.triu_indices(size)
    return torch.as_tensor(first), torch.as_tensor(second)


@functools.lru_cache(maxsize=KEPT)
def _rounds(disorders: tuple[int, ...]) -> list[tuple[torch.Tensor, tuple[int, ...]]]:
    """Runs (row numbers) with their disorders, no two of which are alike in one round."""
    rounds: list[dict[int, int]] = []
    for run, number in enumerate(disorders):
        free = next((some for some in rounds if number not in some), None)
        if free is None:
            rounds.append(free := {})
        free[number] = run
    return [(torch.tensor(list(some.values())), tuple(some)) for some in rounds]


@functools.lru_cache(maxsize=STACKS)
def _stacked(
    size: int, disorders: tuple[int, ...], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """The couplings of all these disorders, (disorder, pair, Λ)."""
    stack = torch.stack([_couplings(size, int(number)) for number in disorders])
    return stack.to(device, dtype)


@functools.lru_cache(maxsize=KEPT)
def _couplings(size: int, disorder: int) -> torch.Tensor:
    """S as a matrix (pair, Λ): S_ijk in row i = j, and 2 S_ijk in row i < j, so that with the
    products xᵢxⱼ of all pairs it gives S(x, x, ·)."""
    # imported where it is needed: it takes a quarter of a second of every job
    from scipy.special import ndtri

    matrix = np.empty((size * (size + 1) // 2, size))
    begins = np.cumsum([0, *range(size, 1, -1)]) - np.arange(size)  # row of (i, j): begins[i] + j
    for i, drawn in enumerate(_drawn(size, disorder)):
        j, k = (i + index for index in np.triu_indices(size - i))
        alike = (j == i).astype(int) + (k == j)  # of the two neighbours in i ≤ j ≤ k
        values = np.sqrt(np.array([1 / 6, 1 / 3, 1]))[alike] * ndtri(drawn[: len(j)])
        for first, second, third in ((i, j, k), (i, k, j), (j, k, i)):
            times = np.where(first == second, 1, 2)
            matrix[begins[first] + second, third] = times * values
    return torch.as_tensor(matrix)


def _drawn(size: int, disorder: int) -> Iterator[np.ndarray]:
    """For each i numbers uniform on (0, 1), at least as many as there are j ≤ k from i on. Several
    i at a time: each has a stream of its own, and a small draw takes as long as a large one."""
    start = 0
    while start < size:
        most = (size - start) * (size - start + 1) // 2
        rows = np.arange(start, min(size, start + max(1, DRAWN // most)))
        yield from Streams(disorder, f"{size} spins", rows, "couplings").uniform(most)
        start += len(rows)


@nnflow.hookimpl
def nnflow_register(register):
    register("spherical_spin_glass", SphericalSpinGlass)
