"""The loss as analyses see it: planes, samples, observables."""

import numpy as np
import pytest
from landscapes import DoubleWell, objective_of

from nnflow.base.errors import UserError
from nnflow.checks.contract_tests import check_model
from nnflow.engine.landscape import Landscape
from nnflow.interfaces import Model


def test_a_plane_is_the_loss_at_its_points():
    loss = Landscape(objective_of(DoubleWell(), 1))
    center, first, second = np.array([0.3, -0.2]), np.array([1.0, 2.0]), np.array([0.5, -1.0])
    x, y = np.array([-1.0, 0.0, 0.5]), np.array([0.0, 2.0])
    expected = [[loss.loss(center + a * first + b * second)[0] for a in x] for b in y]
    np.testing.assert_allclose(loss.plane(center, first, second, x, y), expected, rtol=1e-15)


def test_without_data_there_are_no_samples():
    loss = Landscape(objective_of(DoubleWell(), 1))
    assert loss.samples is None
    with pytest.raises(UserError, match="no dataset"):
        loss.among(np.arange(2))


class Misnamed(DoubleWell):
    def interchangeable(self):
        return ("neuron",)


class Asymmetric(Model):
    def shapes(self):
        return {"w": (2,)}

    def dimensions(self):
        return {"w": ("neuron",)}

    def interchangeable(self):
        return ("neuron",)

    def loss(self, weights, data):
        return weights["w"][:, 0] ** 2 + 2 * weights["w"][:, 1] ** 2

    def on_plane(self, center, first, second, data):
        return lambda x, y: (center["w"] + x[:, None] * first["w"]).square().sum(1)


@pytest.mark.parametrize(
    ("model", "check"),
    [
        (Misnamed(), "interchangeable: neuron is an axis of a weight"),
        (Asymmetric(), "interchangeable: the same loss, neuron"),
        (Asymmetric(), "on a plane: the loss"),
    ],
)
def test_what_a_model_declares_is_tried(model, check):
    found = {finding.check: finding.passed for finding in check_model(model, {})}
    assert found[check] is False
