"""The stage spectrum: what classify found, beside the dense Hessian."""

import numpy as np
import pytest
import xarray as xr
from landscapes import Quadratic, normal_weights, objective_of

from nnflow.stages.spectrum import _dense, _from_classification
from nnflow.study.stage_settings import Classify

MODES = np.array([0, 1, -2, -1])
VALUES = [1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(
    ("runs", "limit", "compared"), [(2, 5, True), (2, 4, False), (0, 5, False)]
)
def test_the_first_spectrum_is_compared_where_the_hessian_is_small_enough(runs, limit, compared):
    weights = normal_weights(runs, 5)
    known = np.tile([1.0, 2.0, 4.0, 5.0], (runs, 1))
    chosen = xr.Dataset(
        {"eigenvalue": (("run", "mode"), known), "residual": (("run", "mode"), 0 * known)}
    )
    objective = objective_of(Quadratic(eigenvalues=VALUES), runs)
    found = xr.Dataset(_from_classification(objective, weights, chosen, "run", limit, MODES))
    np.testing.assert_array_equal(found["eigenvalue"], known)
    expected = np.full((runs, 4), np.nan)
    if compared:
        expected[0] = known[0]
    np.testing.assert_allclose(found["dense_eigenvalue"], expected, atol=1e-14)


def test_runs_that_are_not_finite_have_no_spectrum():
    weights = normal_weights(3, 5)
    weights[1, 2] = np.nan
    objective = objective_of(Quadratic(eigenvalues=VALUES), 3)
    values, residuals = _dense(objective, weights, Classify())
    np.testing.assert_allclose(values, [VALUES, [np.nan] * 5, VALUES])
    assert np.isnan(residuals[1]).all() and np.isfinite(residuals[[0, 2]]).all()
    known = xr.Dataset({n: (("run", "mode"), np.ones((3, 4))) for n in ("eigenvalue", "residual")})
    found = _from_classification(objective, weights, known, "run", 5, MODES)
    np.testing.assert_allclose(found["dense_eigenvalue"][1][0], [1, 2, 4, 5])
