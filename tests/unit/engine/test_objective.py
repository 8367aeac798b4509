"""Derivatives by automatic differentiation, against finite differences and exact ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from landscapes import DoubleWell, Quadratic, normal_weights, objective_of

from nnflow import Model, Streams
from nnflow.engine import objective as module
from nnflow.engine.objective import Objective, automatic_hessian, flatten, unflatten
from nnflow.interfaces.model import size


def test_exact_on_a_quadratic():
    eigenvalues = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
    objective = objective_of(Quadratic(eigenvalues=eigenvalues.tolist()), 4)
    weights = normal_weights(4, 3)
    torch.testing.assert_close(objective.gradient(weights), eigenvalues * weights)
    torch.testing.assert_close(objective.hessian(weights), torch.diag(eigenvalues).expand(4, 3, 3))
    vectors = normal_weights(4, 3, seed=1)
    product = objective.hessian_vector(weights)
    torch.testing.assert_close(product(vectors), eigenvalues * vectors)
    torch.testing.assert_close(product(2 * vectors), 2 * eigenvalues * vectors)


def test_gradient_and_hessian_against_central_differences():
    objective = objective_of(DoubleWell(), 6)
    weights, step = normal_weights(6, 2), 1e-5
    gradient, hessian = objective.gradient(weights), objective.hessian(weights)
    for i, unit in enumerate(torch.eye(2, dtype=torch.float64)):
        ahead, behind = weights + step * unit, weights - step * unit
        slope = (objective.loss(ahead) - objective.loss(behind)) / (2 * step)
        torch.testing.assert_close(gradient[:, i], slope, rtol=1e-8, atol=1e-8)
        column = (objective.gradient(ahead) - objective.gradient(behind)) / (2 * step)
        torch.testing.assert_close(hessian[:, :, i], column, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("memory", [1, 200, 2**28])
def test_the_hessian_does_not_depend_on_how_many_columns_fit(monkeypatch, memory):
    objective = objective_of(DoubleWell(), 5)
    weights = normal_weights(5, 2)
    whole = objective.hessian(weights)
    monkeypatch.setattr(module, "HESSIAN_BYTES", memory)
    assert torch.equal(objective.hessian(weights), whole)


def test_flat_and_named_weights_are_the_same_numbers():
    model = DoubleWell()
    assert size(model) == 2
    weights = normal_weights(3, 2)
    named = unflatten(weights, model)
    assert [tuple(part.shape) for part in named.values()] == [(3, 1), (3, 1)]
    assert torch.equal(flatten(named), weights)


def test_the_largest_neuron_is_the_longest_row():
    from nnflow.interfaces.registry import registry

    model = registry().get("models", "relu_teacher_student")(k=2, n=3)
    weights = torch.tensor([[3.0, 4.0, 0.0, 1.0, 6.0, 0.0]], dtype=torch.float64)
    assert objective_of(model, 1).neuron_norms(weights).tolist() == [6.0]


def test_automatic_hessian_of_a_function_with_mixed_terms():
    weights = normal_weights(2, 3)
    found = automatic_hessian(lambda w: w[:, 0] * w[:, 1] ** 2 + torch.exp(w[:, 2]), weights)
    x, y, z = weights.T
    expected = np.zeros((2, 3, 3))
    expected[:, 0, 1] = expected[:, 1, 0] = 2 * y
    expected[:, 1, 1] = 2 * x
    expected[:, 2, 2] = torch.exp(z)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-13, atol=1e-13)


class Fit(Model):
    """½ mean (w·x − t)²."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        outputs = data["inputs"] @ weights["w"][:, :, None]
        return ((outputs.squeeze(-1) - data["targets"]) ** 2).mean(dim=1) / 2


def test_runs_keep_their_samples_when_some_are_taken():
    generator = torch.Generator().manual_seed(0)
    shapes = ((7, 2), (7,), (4, 2))
    x, t, held = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    whole = Objective(
        Fit(),
        {"inputs": x, "targets": t, "test_inputs": held},
        Streams(0, "c", np.arange(3), "train"),
    )
    samples = torch.tensor([[0, 1], [2, 3], [6, 6]])
    part = whole.minibatch(samples).take(np.array([2, 0]))
    weights = torch.randn(2, 2, generator=generator, dtype=torch.float64)
    expected = [
        ((x[rows] @ w - t[rows]) ** 2).mean() / 2
        for rows, w in zip(samples[[2, 0]], weights, strict=True)
    ]
    torch.testing.assert_close(part.loss(weights), torch.stack(expected))
    assert (whole.samples, part.samples) == (7, 2)
    assert part.data["test_inputs"] is held
    assert dict(part.data).keys() == dict(whole.data).keys() and len(part.data) == 3
    torch.testing.assert_close(part.data["inputs"], x[samples[[2, 0]]])
