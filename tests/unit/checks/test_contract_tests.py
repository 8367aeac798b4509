"""What plugins are tried at."""

from dataclasses import replace

import numpy as np
import torch

from nnflow.checks.contract_tests import RUNS, check_model, model_weights, one_by_one
from nnflow.engine.objective import Objective
from nnflow.interfaces import Descended, Model


class Layers(Model):
    """A bias and a matrix, each of many weights."""

    def shapes(self):
        return {"bias": (900,), "matrix": (30, 400)}


def test_weights_of_a_matrix_shrink_with_its_inputs():
    """Variance 1 for a vector, 1/400 for a matrix with 400 inputs; other numbers for each part."""
    weights = model_weights(Layers()).numpy()
    assert weights.shape == (RUNS, 900 + 30 * 400)
    bias, matrix = weights[:, :900], weights[:, 900:]
    np.testing.assert_allclose(bias.var(), 1, rtol=0.15)
    np.testing.assert_allclose(matrix.var(), 1 / 400, rtol=0.05)
    assert abs(np.corrcoef(bias.ravel(), matrix[:, :900].ravel())[0, 1]) < 0.1


class Hasty(Model):
    """½‖w‖², whose many steps at once are one too few."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (weights["w"] ** 2).sum(1) / 2

    def descend(self, weights, data, descent):
        fewer = replace(descent, steps=descent.steps - 1)
        moved, velocity = one_by_one(Objective(self, {}, None), weights, fewer)
        return Descended(moved, velocity, torch.zeros(len(weights)))


def test_steps_that_are_not_those_of_single_ones_are_told():
    told = {finding.check: finding.passed for finding in check_model(Hasty(), {})}
    steps = {check: passed for check, passed in told.items() if check.startswith("many steps")}
    assert len(steps) == 4 and not any(steps.values())
    assert all(passed for check, passed in told.items() if check not in steps)
