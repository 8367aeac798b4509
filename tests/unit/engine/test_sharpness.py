"""Highest eigenvalues of many operators at once against dense ones."""

import numpy as np
import pytest
import torch

from nnflow.engine.sharpness import highest

RUNS, SIZE = 4, 300


def matrices(seed=0):
    """Symmetric matrices (run, size, size) with a bulk and a few high eigenvalues."""
    random = np.random.default_rng(seed)
    found = []
    for _ in range(RUNS):
        turn, _ = np.linalg.qr(random.normal(size=(SIZE, SIZE)))
        values = np.r_[random.normal(0, 0.3, SIZE - 4), [1.5, 2.0, 2.1, 5.0]]
        found.append((turn * values) @ turn.T)
    return torch.as_tensor(np.array(found))


def product(matrix):
    return lambda vectors: (matrix @ vectors[..., None]).squeeze(-1)


def start(count, seed=1):
    return torch.as_tensor(np.random.default_rng(seed).normal(size=(RUNS, count, SIZE)))


@pytest.mark.parametrize("count", [1, 3])
def test_they_are_those_of_the_matrices(count):
    matrix = matrices()
    found = highest(product(matrix), start(count + 1), count, tolerance=1e-8)
    exact = torch.linalg.eigvalsh(matrix).flip(1)[:, :count]
    torch.testing.assert_close(found.values, exact, rtol=1e-12, atol=1e-12)
    assert (found.residuals <= 1e-8 * exact[:, :1]).all()
    images = torch.stack([product(matrix)(v) for v in found.vectors.unbind(1)], dim=1)
    wrong = (images - found.values[..., None] * found.vectors).norm(dim=2)
    torch.testing.assert_close(wrong, found.residuals, rtol=1e-2, atol=1e-12)


def test_near_vectors_save_products():
    matrix = matrices()
    cold = highest(product(matrix), start(3), 2)
    changed = matrix + 1e-3 * matrices(5)
    warm = highest(product(changed), torch.cat([cold.vectors, start(1)], dim=1), 2)
    again = highest(product(changed), start(3), 2)
    assert warm.products < 0.7 * again.products
    torch.testing.assert_close(warm.values, again.values, rtol=1e-6, atol=0)


def test_a_new_highest_eigenvalue_is_found_beside_the_old_vectors():
    """Vectors of the old ones have no part of it; the further one does."""
    matrix = torch.diag(torch.linspace(0, 1, SIZE, dtype=torch.float64)).expand(RUNS, -1, -1)
    known = torch.eye(SIZE, dtype=torch.float64)[[-1, -2]].expand(RUNS, 2, SIZE)
    risen = matrix.clone()
    risen[:, 0, 0] = 3.0
    found = highest(product(risen), torch.cat([known, start(1)], dim=1), 2)
    torch.testing.assert_close(found.values[:, 0], torch.full((RUNS,), 3.0, dtype=torch.float64))


def test_a_space_that_is_full_shrinks_and_the_search_ends():
    values = torch.linspace(0, 1, SIZE, dtype=torch.float64)
    found = highest(lambda v: values * v, start(2), 1, tolerance=1e-12, most=90)
    assert found.products <= 90
    assert (abs(found.values[:, 0] - 1) <= found.residuals[:, 0]).all()
    sure = highest(lambda v: values * v, start(2), 1, tolerance=1e-6, most=2000)
    assert (found.residuals > sure.residuals).all()
    torch.testing.assert_close(sure.values[:, 0], torch.ones(RUNS, dtype=torch.float64))


def test_a_space_that_is_whole_is_exact():
    matrix = matrices()[:, :11, :11].contiguous()
    found = highest(product(matrix), start(4)[..., :11], 3, tolerance=1e-15)
    exact = torch.linalg.eigvalsh(matrix).flip(1)[:, :3]
    torch.testing.assert_close(found.values, exact, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(("count", "vectors"), [(0, 2), (3, 2)])
def test_counts_that_can_not_be_are_refused(count, vectors):
    with pytest.raises(ValueError, match="count must lie between 1 and 2"):
        highest(lambda v: v, start(vectors), count)
