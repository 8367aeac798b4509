"""Which eigenvalues a gradient leaves in doubt, on landscapes whose critical points are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import Cubic, DoubleWell, Quadratic, Slope, normal_weights, objective_of

from nnflow.engine.resolution import (
    dense_probe,
    doubtful_below,
    free_probe,
    settled,
    too_large,
)
from nnflow.interfaces import Model
from nnflow.interfaces.manifolds import Spheres

ERROR = 1e-13


class Power(Model):
    """L = xᵏ + y²: a degenerate critical point at 0 for k > 2."""

    power: int

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        x, y = weights["w"].unbind(1)
        return x**self.power + y**2


def judged(model, weights, free=False, zero_below=1e-7):
    """(doubtful size, probe, eigenvalues) at these weights (run, weight), with whole spectra or by
    products."""
    at = torch.as_tensor(np.array(weights, dtype=float))
    objective = objective_of(model, len(at))
    values, vectors = torch.linalg.eigh(objective.hessian(at))
    zero = zero_below * values.abs().amax(dim=1, keepdim=True)

    def of(rows, limit):
        chosen, part = torch.as_tensor(rows), objective.take(rows)
        sizes = torch.as_tensor(limit), torch.full((len(rows), 1), ERROR, dtype=torch.float64)
        here, pairs = at[chosen], (values[chosen], vectors[chosen])
        if free:
            return free_probe(part, here, *pairs, *sizes)
        return dense_probe(part, here, part.hessian(here), pairs, *sizes)

    doubtful, met = doubtful_below(values.numpy(), zero.numpy(), of)
    return doubtful, met, values.numpy()


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("power", [3, 4, 5, 6])
def test_a_degenerate_direction_of_any_order_is_in_doubt_at_any_distance(power, free):
    """On Newton's step its eigenvalue changes by 1 − ((k−2)/(k−1))^(k−2) ≥ ½ of itself."""
    places = [[x, 0.0] for x in (1e-1, 3e-2, -5e-2)]
    doubtful, met, values = judged(Power(power=power), places, free, zero_below=1e-16)
    smallest = np.abs(values).min(axis=1)
    np.testing.assert_allclose(doubtful, smallest)
    part = met.change / smallest
    np.testing.assert_allclose(part, 1 - ((power - 2) / (power - 1)) ** (power - 2), rtol=1e-6)


@pytest.mark.parametrize("free", [False, True])
def test_an_isolated_point_is_known_as_soon_as_the_way_to_it_is_short(free):
    """DoubleWell has L''' = 6w₁: beside the minimum at 1, with λ = 2, 4·6·s ≤ λ for s ≤ 1/12."""
    doubtful, met, _ = judged(DoubleWell(), [[1.01, 0.1], [1e-3, 0.2], [0.7, 0.0]], free)
    assert (doubtful[:2] == 0).all() and doubtful[2] > 0
    np.testing.assert_allclose(met.length[0], np.hypot(0.01, 0.1), rtol=0.02)


@pytest.mark.parametrize("free", [False, True])
def test_a_quadratic_leaves_no_doubt_however_large_the_gradient(free):
    model = Quadratic(eigenvalues=[-3.0, 1e-3, 2.0])
    doubtful, met, _ = judged(model, normal_weights(4, 3).numpy(), free)
    assert (doubtful == 0).all() and (met.gradient < 0.02).all()


def test_a_second_spectrum_is_computed_only_where_a_bound_leaves_a_doubt(monkeypatch):
    class Twisted(Model):
        """L = x²/2 + y² + x²y: beside 0 on the first axis H turns, by 2x, and λ changes by x²."""

        def shapes(self):
            return {"w": (2,)}

        def loss(self, weights, data):
            x, y = weights["w"].unbind(1)
            return x**2 / 2 + y**2 + x**2 * y

    far, near = [[0.12, 0.0]], [[0.01, 0.0]]
    doubtful, met, _ = judged(Twisted(), far)
    assert doubtful == 0 and met.change < 0.1
    asked = []
    monkeypatch.setattr("torch.linalg.eigvalsh", lambda hessian: asked.append(hessian))
    assert judged(Twisted(), near)[0] == 0 and not asked
    with pytest.raises(TypeError):
        judged(Twisted(), far)
    assert len(asked) == 1


def test_the_error_of_the_gradient_alone_leaves_small_eigenvalues_in_doubt():
    """At x = 1e-9 the gradient of x³ is 3e-18, and its rounding leaves |λ| < √(12·1e-13) open."""
    doubtful, _, values = judged(Power(power=3), [[2e-7, 0.0], [1e-5, 0.0]], zero_below=1e-16)
    assert doubtful[0] == pytest.approx(abs(values[0]).min())
    below = np.sqrt(12 * ERROR)
    assert abs(values[0]).min() < 1.2 * below < abs(values[1]).min()


def test_one_direction_in_doubt_says_nothing_about_the_others():
    """On the long step along x the other eigenvalue changes a lot, on its own step not at all."""

    class Bent(Model):
        """L = x⁴ + y²(1 + 10⁶x²)/1000."""

        def shapes(self):
            return {"w": (2,)}

        def loss(self, weights, data):
            x, y = weights["w"].unbind(1)
            return x**4 + y**2 * (1 + 1e6 * x**2) / 1000

    doubtful, _, values = judged(Bent(), [[1e-3, 0.0]], zero_below=1e-9)
    assert doubtful[0] == pytest.approx(values[0].min()) and values[0].max() > 100 * doubtful[0]


def test_a_step_out_of_reach_leaves_all_in_doubt():
    class Steep(Model):
        """L = exp(−x): no critical point; Newton's step is 1 everywhere."""

        def shapes(self):
            return {"w": (1,)}

        def loss(self, weights, data):
            return torch.exp(-weights["w"][:, 0])

    doubtful, met, _ = judged(Steep(), [[40.0], [30.0]])
    assert (doubtful > 0).all()
    norm = np.exp([-40.0, -30.0])
    assert too_large(norm, np.full(2, 1e-9), doubtful > 0, met).all()


def test_gradients_that_no_curvature_explains_are_too_large():
    """L = ½x² + 1e-5·y has no critical point; x⁴ has one, 4·10⁻³ away."""
    below = np.array([1e-9])
    doubtful, met, _ = judged(Slope(), [[0.0, 3.0]])
    assert too_large(np.array([1e-5]), below, doubtful > 0, met)[0]
    assert not too_large(np.array([1e-5]), np.array([1e-4]), doubtful > 0, met)[0]
    doubtful, met, _ = judged(Power(power=4), [[0.012, 0.0]])
    assert not too_large(np.array([7e-6]), below, doubtful > 0, met)[0]


def is_settled(objective, weights, zero):
    """`settled` with the gradients that are there. zero: a number, or one for each run."""
    norms = torch.linalg.vector_norm(objective.gradient(weights), dim=1)
    level = torch.as_tensor(zero, dtype=torch.float64).expand(len(weights))
    return settled(objective, weights, objective.hessian(weights), norms, level)


@given(st.floats(-1.2, 1.2), st.floats(-1e-3, 1e-3))
def test_what_a_bound_on_third_derivatives_settles_the_probe_leaves_no_doubt_about(first, second):
    weights = torch.tensor([[first, second]], dtype=torch.float64)
    objective = objective_of(DoubleWell(), 1)
    if is_settled(objective, weights, 1e-7):
        doubtful, met, _ = judged(DoubleWell(), weights.numpy())
        assert doubtful == 0
        before = torch.linalg.vector_norm(objective.gradient(weights)).item()
        assert met.gradient <= 0.125 * before + 1e-12


def test_only_minima_beyond_the_zero_threshold_are_settled():
    """DoubleWell has λ = 1 and 2 at its minimum, −1 at the saddle; 0.1 away B‖g‖ = 6·1.1·0.23, and
    4B‖g‖ exceeds λ²."""
    weights = [[1.0, 0.0], [1.0, 0.0], [0.0, 0.0], [1.1, 0.0], [1.001, 0.0]]
    at = torch.tensor(weights, dtype=torch.float64)
    objective = objective_of(DoubleWell(), 5)
    found = is_settled(objective, at, [1e-7, 1.5, 1e-7, 1e-7, 1e-7])
    assert found.tolist() == [True, False, False, False, True]


def test_the_bound_is_that_of_the_ball_up_to_the_critical_point():
    """Beside DoubleWell's minimum 4B‖g‖ = 0.98 with B at 1.0195 itself, and 1.06 around it."""
    at = torch.tensor([[1.0195, 0.0]], dtype=torch.float64)
    assert not is_settled(objective_of(DoubleWell(), 1), at, 1e-7).any()


def test_a_point_is_settled_up_to_the_exact_end():
    """(1 + w)² > 4|w + w²/2|: √(2/3) − 1 < w < √2 − 1."""
    at = torch.tensor([[0.414], [0.415], [-0.183], [-0.184]], dtype=torch.float64)
    found = is_settled(objective_of(Cubic(eigenvalues=[1.0]), 4), at, 1e-7)
    assert found.tolist() == [True, False, True, False]


@pytest.mark.parametrize(
    ("least", "others", "found"),
    [(6e-7, 0, False), (7e-7, 0, True), (1.2e-6, 15, False), (1.3e-6, 15, True)],
)
def test_the_error_of_all_components_leaves_small_eigenvalues_open(least, others, found):
    """λ > 2√(1e-13·√n): 6.3e-7 of one weight, 1.26e-6 of 16."""
    model = Cubic(eigenvalues=[least] + [1.0] * others)
    at = torch.zeros(1, 1 + others, dtype=torch.float64)
    assert is_settled(objective_of(model, 1), at, 1e-15).tolist() == [found]


def test_without_a_bound_nothing_is_settled():
    at = torch.tensor([[0.0, 1e-9]], dtype=torch.float64)
    assert not is_settled(objective_of(Power(power=2), 1), at, 1e-7).any()


def test_of_no_runs_a_model_is_asked_nothing():
    class Unasked(DoubleWell):
        def third_derivative_bound(self, weights, radius):
            raise AssertionError

    none = torch.empty(0, 2, dtype=torch.float64)
    arguments = torch.empty(0, 2, 2), torch.empty(0), torch.empty(0)
    assert len(settled(objective_of(Unasked(), 0), none, *arguments)) == 0


def test_a_bound_in_all_weights_settles_nothing_on_a_manifold():
    class Bounded(Power):
        def shapes(self):
            return {"w": (1, 2)}

        def loss(self, weights, data):
            return weights["w"][:, 0, 1] ** 2

        def third_derivative_bound(self, weights, radius):
            return torch.zeros_like(radius)

        def manifold(self):
            return Spheres(1, 2)

    free = objective_of(Bounded(power=2), 1)
    on_circle = replace(free, manifold=free.model.manifold())
    at = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert not is_settled(on_circle, at, 1e-7).any()
