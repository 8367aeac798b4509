"""What plugins are tried at."""

import numpy as np

from nnflow.checks.contract_tests import RUNS, model_weights
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
