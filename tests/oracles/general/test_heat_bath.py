"""Langevin dynamics and simulated annealing against the laws that they are to draw from."""

import numpy as np
import pytest
import torch
from descents import first_weights, follow, objective, optimizer
from hypothesis import given, settings
from hypothesis import strategies as st

from nnflow.base.streams import Streams
from nnflow.interfaces import Model

CURVATURE = torch.tensor([0.5, 2.0], dtype=torch.float64)


class Valley(Model):
    """L = Σ λᵢwᵢ²/2."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (CURVATURE * weights["w"].square()).sum(1) / 2


class TwoWells(Model):
    """L = (w² − 1)² + w: the lower well is at w < 0, the other at w = .84."""

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        w = weights["w"].squeeze(1)
        return (w**2 - 1) ** 2 + w


def test_langevin_is_the_plain_loop():
    rate, heat, steps, runs = 0.1, 0.3, 20, 3
    weights, problem = first_weights(runs, 2), objective(Valley(), runs)
    path = follow(optimizer("langevin", rate=rate, temperature=heat), problem, weights, steps)
    w, streams = weights.numpy(), Streams(7, "all", np.arange(runs), "train")
    for step in range(steps):
        w = w - rate * CURVATURE.numpy() * w + np.sqrt(2 * rate * heat) * streams.normal(2, step)
        np.testing.assert_allclose(path[step + 1].numpy(), w, rtol=1e-12)


def test_langevin_has_the_variances_of_its_steps():
    """w⁺ = (1 − αλ)w + √(2ατ)ξ is stationary with the variance (τ/λ)/(1 − αλ/2)."""
    rate, heat = 0.2, 0.7
    plugin = optimizer("langevin", rate=rate, temperature=heat)
    path = follow(plugin, objective(Valley(), 4000), torch.zeros(4000, 2).double(), 60)
    exact = heat / CURVATURE / (1 - rate * CURVATURE / 2)
    torch.testing.assert_close(path[-1].var(dim=0), exact, rtol=0.08, atol=0)
    cold = follow(optimizer("langevin", rate=rate, temperature=0), objective(Valley(), 3), *WAY)
    descent = follow(optimizer("gradient_descent", rate=rate), objective(Valley(), 3), *WAY)
    torch.testing.assert_close(cold, descent)


WAY = (first_weights(3, 2), 5)


@pytest.mark.parametrize("coordinates", [1, 2])
def test_annealing_that_does_not_cool_draws_from_the_law_of_boltzmann(coordinates):
    """Variances τ/λ; those of 2000 chains after 150 steps."""
    plugin = optimizer(
        "simulated_annealing", temperature=0.7, last=1, total_steps=1, scale=1.5,
        coordinates=coordinates,
    )  # fmt: skip
    path = follow(plugin, objective(Valley(), 2000), torch.zeros(2000, 2).double(), 150)
    torch.testing.assert_close(path[-1].var(dim=0), 0.7 / CURVATURE, rtol=0.12, atol=0)
    assert (path[1:] == path[:-1]).all(dim=2).double().mean() > 0.1  # some moves are refused


def test_annealing_finds_the_lower_well_from_the_higher_one():
    """Descent stays in the well of its start."""
    starts = torch.full((200, 1), 0.9, dtype=torch.float64)
    plugin = optimizer("simulated_annealing", temperature=1.0, total_steps=400, scale=0.7)
    path = follow(plugin, objective(TwoWells(), 200), starts, 450)
    low = np.roots([4, 0, -4, 1]).min()
    assert (path[-1] < 0).double().mean() > 0.9
    assert np.abs(path[-1][path[-1] < 0].numpy() - low).mean() < 0.05
    descent = optimizer("gradient_descent", rate=0.05)
    assert (follow(descent, objective(TwoWells(), 200), starts, 450)[-1] > 0).all()


def test_annealing_cools_at_equal_ratios_and_moves_fewer_weights_than_there_are():
    plugin = optimizer("simulated_annealing", temperature=1e9, last=0.01, total_steps=100, scale=1)
    path = follow(plugin, objective(Valley(), 500), torch.zeros(500, 2).double(), 130)
    moves = path[1:] - path[:-1]  # at this temperature every move is taken
    assert ((moves != 0).sum(dim=2) == 1).all()
    sizes = moves.abs().sum(dim=2).square().mean(dim=1).sqrt().numpy()
    expected = 0.01 ** (np.minimum(np.arange(130) / 100, 1) / 2)
    assert np.abs(np.log(sizes / expected)).max() < 0.15


def test_annealing_does_not_move_to_where_there_is_no_loss():
    class Cliff(Valley):
        def loss(self, weights, data):
            found = super().loss(weights, data)
            return torch.where(weights["w"][:, 0] > 0.2, torch.nan, found)

    plugin = optimizer("simulated_annealing", temperature=10.0, total_steps=10, scale=2.0)
    path = follow(plugin, objective(Cliff(), 50), torch.zeros(50, 2).double(), 40)
    assert (path[..., 0] <= 0.2).all() and (path[-1] != 0).any()


SETTINGS = {
    "langevin": {"rate": 0.1, "temperature": 0.3},
    "simulated_annealing": {"temperature": 0.5, "total_steps": 20},
}


@settings(max_examples=10)
@given(st.sampled_from(sorted(SETTINGS)), st.permutations(range(6)), st.integers(1, 5))
def test_a_run_does_not_see_its_companions(name, order, cut):
    plugin, problem = optimizer(name, **SETTINGS[name]), objective(Valley(), 6)
    weights = first_weights(6, 2)
    together = follow(plugin, problem, weights, 25)
    for rows in (order[:cut], order[cut:]):
        alone = follow(plugin, problem.take(np.array(rows)), weights[rows], 25)
        assert torch.equal(alone, together[:, rows])
