"""MINRES on many systems, against direct solutions."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnflow.engine.minres import minres

SPECTRA = {
    "definite": np.linspace(1, 10, 30),
    "indefinite": np.linspace(-1.5, 10, 30),
    "singular": np.concatenate([np.zeros(6), np.linspace(1, 3, 24)]),
    "negative": -np.linspace(1, 2, 30),
    "two values": np.repeat([1.0, 2.0], 15),
    "zero": np.zeros(30),
}


def systems():
    random = np.random.default_rng(3)
    turns = [np.linalg.qr(random.standard_normal((30, 30)))[0] for _ in SPECTRA]
    spectra = zip(turns, SPECTRA.values(), strict=True)
    matrices = torch.from_numpy(np.stack([(turn * values) @ turn.T for turn, values in spectra]))
    right = (matrices @ torch.from_numpy(random.standard_normal((len(SPECTRA), 30, 1)))).squeeze(-1)
    return matrices, right


def test_all_systems_are_solved_at_once_within_their_range():
    matrices, right = systems()
    found, definite = minres(lambda v: (matrices @ v[..., None]).squeeze(-1), right, 1e-11, 200)
    exact = (torch.linalg.pinv(matrices, rtol=1e-10) @ right[..., None]).squeeze(-1)
    torch.testing.assert_close(found, exact, rtol=1e-7, atol=1e-8)
    seen = dict(zip(SPECTRA, definite.tolist(), strict=True))
    # in its range a singular matrix is definite; of the zero matrix nothing is seen
    assert {name for name, one in seen.items() if not one} == {"indefinite", "negative"}


def test_two_eigenvalues_take_two_products():
    matrices, right = systems()
    place, calls = list(SPECTRA).index("two values"), []
    matrix, one = matrices[place], right[place : place + 1]

    def product(v):
        calls.append(1)
        return v @ matrix

    found, _ = minres(product, one, 1e-10, 50)
    assert len(calls) == 2
    torch.testing.assert_close(found @ matrix, one)


@pytest.mark.parametrize("most", [0, 1, 5])
def test_a_limit_of_products_gives_what_lowers_the_residual(most):
    matrices, right = systems()
    product = lambda v: (matrices @ v[..., None]).squeeze(-1)  # noqa: E731
    found, _ = minres(product, right, 1e-12, most)
    residual = torch.linalg.vector_norm(right - product(found), dim=1)
    assert (residual <= torch.linalg.vector_norm(right, dim=1) + 1e-14).all()
    if most == 0:
        assert (found == 0).all()
