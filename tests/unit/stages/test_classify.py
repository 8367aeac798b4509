"""The stage classify: runs that are not finite, losses below the infimum, constraints, kinks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
import xarray as xr
from studies import complete

from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.engine.critical import IS_GLOBAL, KINDS, OBSTACLES
from nnflow.engine.weights import from_flat
from nnflow.interfaces.registry import registry
from nnflow.stages import classify
from nnflow.stages.classify import _classify_runs
from nnflow.stages.job import Job
from nnflow.study.loading import load_study
from nnflow.study.types import Configuration, ConfigurationSettings, RunSlice, Study, StudySettings

WELLS = """
title: Wells
model: {name: himmelblau}
initializer: {name: uniform_ball, radius: 5}
optimizer: {name: gradient_descent, rate: 0.05}
runs: 12
stop: {steps: 4000, check_every: 100}
trace: {points_per_decade: 1}
"""
COUNTS = ("index", "nullity", "cells", "active")


def loaded(tmp_path, text):
    file = tmp_path / "one.yaml"
    file.write_text(text, encoding="utf-8")
    return load_study(file)


def classified(tmp_path, text, weights):
    """What classify says of these ends (run, weight)."""
    study = loaded(tmp_path, text)
    run_slice = dataclasses.replace(study.batches[0][0], stop=len(weights))
    ends = xr.Dataset(from_flat(run_slice.configuration.settings.model, weights))
    job = Job(study, tmp_path, tmp_path, 0, {}, Reporter("test", None))
    return _classify_runs(job, run_slice, ends, np.arange(len(weights)))


MATRIX_FREE = "classify: {dense_up_to: 1, extreme_eigenvalues: 1}"


@pytest.mark.parametrize("extra", ["", MATRIX_FREE])
def test_of_runs_that_are_not_finite_nothing_is_known(tmp_path, extra):
    finite = torch.tensor([[3.0, 2.0], [3.4, 0.1]], dtype=torch.float64)
    bad = torch.tensor([[torch.nan, 1], [torch.inf, 0], [1e200, 1e200]], dtype=torch.float64)
    mixed = torch.stack([bad[0], finite[0], bad[1], finite[1], bad[2]])
    found = classified(tmp_path, WELLS + extra, mixed)
    alone = classified(tmp_path, WELLS + extra, finite)
    for name, values in alone.data_vars.items():
        if name != "invariant":
            np.testing.assert_array_equal(found[name].values[[1, 3]], values.values)
            assert found[name].dtype == values.dtype
    blank = found.isel(run=[0, 2, 4])
    for name, values in blank.data_vars.items():
        if name in COUNTS:
            assert (values == -1).all(), name
        elif name == "kind":
            assert (values == KINDS.index("not_critical")).all()
        elif name == "obstacle":
            assert (values == OBSTACLES.index("not_finite")).all()
        elif name == "is_global":
            assert (values == IS_GLOBAL.index("unknown")).all()
        elif name not in ("w", "straight"):
            assert values.isnull().all(), name
    # the ends stay as training left them
    np.testing.assert_array_equal(blank["w"].values, bad.numpy())


def test_runs_are_classified_in_groups_whose_hessians_fit(tmp_path, monkeypatch):
    """A Hessian of two weights takes 32 bytes."""
    run_slice = dataclasses.replace(loaded(tmp_path, WELLS).batches[0][0], start=3, stop=10)
    for size, sizes in ((31, [1] * 7), (64, [2, 2, 2, 1]), (10**6, [7])):
        monkeypatch.setattr(classify, "HESSIAN_BYTES", size)
        groups = classify._groups(run_slice)
        assert [len(group) for group in groups] == sizes
        np.testing.assert_array_equal(np.concatenate(groups), range(7))


def test_a_group_without_a_finite_run_has_all_columns(tmp_path):
    bad = torch.full((3, 2), torch.nan, dtype=torch.float64)
    found = classified(tmp_path, WELLS, bad)
    alone = classified(tmp_path, WELLS, torch.ones(1, 2, dtype=torch.float64))
    assert set(found.data_vars) == set(alone.data_vars)
    assert (found["index"] == -1).all() and found["loss"].isnull().all()
    assert found["invariant"].dims == alone["invariant"].dims


def test_overflowed_runs_of_a_whole_study(tmp_path):
    """Half of these runs overflow, as the rate is too large away from the minima."""
    critical = complete(loaded(tmp_path, WELLS), tmp_path).read["critical_points"]
    lost = critical["loss"].isnull().values
    assert 0 < lost.sum() < 12
    assert (critical["index"].values[lost] == -1).all()
    assert (critical["nullity"].values[lost] == -1).all()
    assert (critical["index"].values[~lost] >= 0).all()
    assert (critical["family"].values[lost] == -1).all()


LIAR = '''
import nnflow

class Liar(nnflow.Model):
    """Half the square of w, less 3."""

    def shapes(self):
        return {"w": (1,)}

    def loss(self, weights, data):
        return weights["w"][:, 0] ** 2 / 2 - 3

    def infimum(self):
        return 0.0

@nnflow.hookimpl
def nnflow_register(register):
    register("liar", Liar)
'''


def test_a_wrong_infimum_is_an_error_that_names_model_loss_and_run(tmp_path, plugins):
    plugins.write("liar.py", LIAR)
    model = registry().get("models", "liar")()
    study = Study("one", "one.yaml", "quick", StudySettings(title="A wrong infimum"), ())
    configuration = Configuration("all", {}, ConfigurationSettings(model=model))
    job = Job(study, tmp_path, tmp_path, 0, {}, Reporter("test", None))
    ends = torch.tensor([[3.0], [0.0]], dtype=torch.float64)
    dataset = xr.Dataset(from_flat(model, ends))
    with pytest.raises(UserError, match=r"model 'liar': run 1[01] has the loss -3, .*infimum 0"):
        _classify_runs(job, RunSlice(configuration, 10, 12), dataset, np.arange(2))


BOX = """
title: A quadratic program on a square
model:
  name: quadratic_program
  matrix: [[1, 0], [0, -1]]
  slope: [0.3, 0.2]
  box: [[-1, 1], [-1, 1]]
initializer: {name: given, values: {w: [[3, 2], [0.5, -0.9], [-0.3, 0.2], [-9, 0.1]]}}
optimizer: {name: projected_gradient_descent, rate: 0.2}
runs: 4
stop: {gradient_norm: 1.0e-6, steps: 1000, check_every: 1}
spectrum: {at: runs, density: exact}
"""


def test_a_constrained_study(tmp_path):
    """Minima at (−0.3, ±1), a saddle at (−0.3, 0.2)."""
    read = complete(loaded(tmp_path, BOX), tmp_path).read
    critical, spectra = read["critical_points"], read["spectra"]
    ends = [[-0.3, 1], [-0.3, -1], [-0.3, 0.2], [-0.3, -1]]
    np.testing.assert_allclose(critical["w"], ends, atol=1e-13)
    kind = [KINDS[value] for value in critical["kind"].values]
    assert kind == ["minimum", "minimum", "saddle", "minimum"]
    assert critical["active"].values.tolist() == [1, 1, 0, 1]
    np.testing.assert_allclose(critical["least_multiplier"], [0.8, 1.2, np.nan, 1.2])
    assert critical["index"].values.tolist() == [0, 0, 1, 0]
    assert (critical["kkt_residual"] < 1e-13).all()
    np.testing.assert_array_equal(critical["kkt_residual"], critical["gradient_norm"])
    assert (read["training"]["gradient_norm"] < 1e-6).all()
    reduced = [[1, np.nan], [1, np.nan], [-1, 1], [1, np.nan]]
    np.testing.assert_allclose(spectra["eigenvalue"], reduced, atol=1e-12)
    assert spectra["density_node"].dims == ("run", "probe", "node")
    weights = [[1, 0], [1, 0], [0.5, 0.5], [1, 0]]
    np.testing.assert_array_equal(spectra["density_weight"].values[:, 0], weights)
    families = critical["family"].values
    assert families[1] == families[3] and len(set(families.tolist())) == 3


FALLING_OFF = """
title: A face whose critical point is none of the set
model: {name: quadratic_program, matrix: [[0, 3], [3, 1]], slope: [-1, 0], box: [[0, 9], [-9, 9]]}
initializer: {name: normal, variance: 1, per: one}
optimizer: {name: projected_gradient_descent, rate: 0.1}
"""


def test_polishing_along_a_face_is_undone_where_the_loss_falls_on_the_way_off_it(tmp_path):
    """At (0, y) the slope is (3y − 1, y): along the wall y = 0 is critical, and no point of KKT."""
    ends = torch.tensor([[0.0, 0.4]], dtype=torch.float64)
    found = classified(tmp_path, FALLING_OFF, ends)
    assert found["w"].values.tolist() == [[0.0, 0.4]] and found["distance"].item() == 0
    assert found["kkt_residual"].item() == pytest.approx(0.4)
    assert KINDS[found["kind"].item()] == "not_critical"


REFUSED = {
    "gradient_descent": ("projected_gradient_descent", "gradient_descent", "optimizer: 'gradient"),
    "basin": ("stop: {", "stop: {basin: true, ", "stop.basin: no basin can be proved"),
    "free": ("  box: [[-1, 1], [-1, 1]]\n", "", None),
    "dense_up_to": ("runs: 4", "runs: 4\nclassify: {dense_up_to: 1}", "classify.dense_up_to: must"),
    "frank_wolfe": ("projected_gradient_descent, rate: 0.2", "frank_wolfe", None),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_constraints_is_refused(tmp_path, name):
    old, new, message = REFUSED[name]
    text = BOX.replace(old, new)
    assert text != BOX
    if message is None:
        loaded(tmp_path, text)
        return
    with pytest.raises(UserError, match=message):
        loaded(tmp_path, text)


def test_frank_wolfe_needs_a_set(tmp_path):
    text = BOX.replace(*REFUSED["free"][:2]).replace(*REFUSED["frank_wolfe"][:2])
    with pytest.raises(UserError, match="optimizer: 'frank_wolfe' needs constraints"):
        loaded(tmp_path, text)


def test_an_exact_density_needs_whole_hessians(tmp_path):
    text = WELLS + "classify: {dense_up_to: 1}\nspectrum: {density: exact}"
    with pytest.raises(UserError, match=r"spectrum.density: exact takes whole Hessians"):
        loaded(tmp_path, text)


KINKED = """
title: Kinks
model: {name: absolute_values, rows: [[1, 0], [0, 1]], factors: [1, -1]}
initializer: {name: normal, variance: 1, per: one}
optimizer: {name: gradient_descent, rate: 0.1}
classify: {kinks_within: 0.01}
"""


def test_runs_at_kinks_are_tested_to_first_order(tmp_path):
    """|x| − |y| is stationary at 0, and falls there; at (0, 1) it is neither; at (1, 1) there is
    nothing to test."""
    ends = torch.tensor([[0, 0], [0.009, 1], [1, 1], [0.002, -0.003]], dtype=torch.float64)
    found = classified(tmp_path, KINKED, ends)
    kind = [KINDS[value] for value in found["kind"].values]
    assert kind == ["nonsmooth", "not_critical", "not_critical", "nonsmooth"]
    np.testing.assert_allclose(found["clarke_residual"], [0, 1, np.nan, 0], atol=1e-14)
    np.testing.assert_allclose(found["steepest_descent"], [1, 1, np.nan, 1], atol=1e-14)
    assert found["cells"].values.tolist() == [4, 2, 0, 4]


def test_smooth_models_have_no_columns_of_kinks(tmp_path):
    found = classified(tmp_path, WELLS, torch.ones(1, 2, dtype=torch.float64))
    assert "clarke_residual" not in found and "active" not in found
