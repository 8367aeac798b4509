"""What plugins are tried at."""

import numpy as np

from nnflow import Compiled, LaneGradient, load_row, store_row
from nnflow.checks.contract_tests import RUNS, check_model, model_weights
from nnflow.interfaces import Model


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


def _identity(w, found, moved):
    for row in range(len(w)):
        store_row(found, row, load_row(w, row))
        if moved > 0.0:
            store_row(w, row, 0.0)


identity = Compiled(_identity)


class HalfSquare(Model):
    """½‖w‖², whose compiled gradient may be spoilt."""

    moved: float = 0.0
    """1: its block writes into the weights that it is given."""
    off: float = 0.0
    """By which its form in NumPy is off."""

    def shapes(self):
        return {"w": (2,)}

    def loss(self, weights, data):
        return (weights["w"] ** 2).sum(1) / 2

    def lane_gradient(self, data):
        return LaneGradient(identity, lambda w, numbers, moved: w + self.off, (self.moved,))


def failures(**spoilt):
    findings = list(check_model(HalfSquare(**spoilt), {}))
    return [finding.check for finding in findings if not finding.passed]


def test_a_compiled_gradient_is_checked():
    assert failures() == []
    assert failures(off=1e-15) == ["gradient: the form in NumPy has the bits of the compiled one"]
    failed = failures(moved=1.0)
    assert len(failed) == 3 and all(check.startswith("many steps at once") for check in failed)
