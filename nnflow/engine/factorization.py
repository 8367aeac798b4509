"""How many eigenvalues of a large Hessian are negative: Sylvester's law, and how far to trust it.

A = H + shift is factorized in blocks of columns, A + E = L S Lᵀ, S diagonal with entries ±1. A + E
then has as many negative eigenvalues as S (Sylvester), and those of A differ from its own by at
most ‖E‖ (Weyl). Each block of columns is formed by products of the Hessian when its turn has come,
so that there is one triangle of numbers in memory and no Hessian beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from nnflow.engine.krylov import Product

BLOCK = 256
"""Columns of a block."""
UNIT = 2.0**-53
"""Unit roundoff of float64."""
CHECKS = 4
"""Random vectors that the factors are held against the product with."""
SAFETY = 10.0
"""For a vector u and random unit normal vectors v, all |uᵀv| of `CHECKS` are below 1/`SAFETY`
of ‖u‖ with a probability of 4·10⁻⁵."""


class Inertia(NamedTuple):
    """negative: eigenvalues of A + E below 0. error: ‖E‖ at most, but for the chance of 4·10⁻⁵ that
    all random vectors miss an error of the derivatives (`SAFETY`); infinite where the factorization
    broke off, which says nothing about the eigenvalues."""

    negative: int
    error: float


def inertia_of_shifted(
    product: Product,
    size: int,
    shift: float,
    tell: Callable[[str], None] = lambda text: None,
) -> Inertia:
    """Negative eigenvalues of A = H + shift·1, H symmetric by its product v ↦ Hv, (size,) →
    (size,).

    So at most `negative` eigenvalues of H are below −shift − error, and at least as many below
    −shift + error. It takes 4·size² bytes, `size` products and size³/3 operations. tell: is
    told how far it is.

    No pivots are exchanged, so that an indefinite A may make L grow, and the error with it. The
    error has three parts. Rounding of the sums of products, at most γ(‖A‖ + ‖L‖²) in Frobenius
    norms, whatever their order (Higham, Accuracy and stability of numerical algorithms, 2002,
    Sections 3.5 and 10.1). What the factors of a block and its rows below miss by: measured. What
    the product itself misses a symmetric matrix by, the rounding of derivatives: measured by
    random vectors.
    """
    panels: list[torch.Tensor] = []
    signs: list[torch.Tensor] = []
    squares, grown, missed = 0.0, 0.0, 0.0
    for first in range(0, size, BLOCK):
        block = _columns(product, size, first, shift)
        width = block.shape[1]
        squares += 2 * float(block.square().sum())
        for number, (panel, sign) in enumerate(zip(panels, signs, strict=True)):
            rows = panel[first - BLOCK * number :]
            block.addmm_(rows, (rows[:width] * sign).T, alpha=-1)
        block[:width] = (block[:width] + block[:width].T) / 2
        if not bool(torch.isfinite(block).all()):
            return Inertia(0, np.inf)
        values, vectors = torch.linalg.eigh(block[:width])
        if float(values.abs().min()) == 0:
            return Inertia(0, np.inf)
        panel, sign = block @ vectors, torch.sign(values)
        panel *= sign / values.abs().sqrt()
        block.addmm_(panel, (panel[:width] * sign).T, alpha=-1)
        missed += 2 * float(block.square().sum())
        grown += float(panel.square().sum())
        panels.append(panel)
        signs.append(sign)
        tell(f"{first + width} of {size} columns of the Hessian factorized")
    rounding = 2 * size * UNIT / (1 - 2 * size * UNIT) * (np.sqrt(squares) + grown)
    apart = _apart(product, size, shift, panels, signs)
    negative = sum(int((sign < 0).sum()) for sign in signs)
    return Inertia(negative, float(rounding + np.sqrt(missed) + SAFETY * apart))


def _columns(product: Product, size: int, first: int, shift: float) -> torch.Tensor:
    """The columns of A from `first` on, (size − first, column), from the diagonal down."""
    numbers = range(first, min(first + BLOCK, size))
    columns = torch.empty(len(numbers), size - first, dtype=torch.float64).T  # filled as it lies
    unit = np.zeros(size)
    for place, number in enumerate(numbers):
        unit[number] = 1
        columns[:, place] = torch.from_numpy(product(unit)[first:])
        columns[place, place] += shift
        unit[number] = 0
    return columns


def _apart(
    product: Product,
    size: int,
    shift: float,
    panels: list[torch.Tensor],
    signs: list[torch.Tensor],
) -> float:
    """The largest ‖LSLᵀv − Av‖ of some random vectors v."""
    found = []
    for vector in np.random.default_rng(0).standard_normal((CHECKS, size)):
        given, total = torch.from_numpy(vector), torch.zeros(size, dtype=torch.float64)
        for number, (panel, sign) in enumerate(zip(panels, signs, strict=True)):
            first = BLOCK * number
            total[first:] += panel @ (sign * (panel.T @ given[first:]))
        found.append(np.linalg.norm(total.numpy() - product(vector) - shift * vector))
    return float(max(found))
