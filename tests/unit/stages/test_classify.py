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
COUNTS = ("index", "index_least", "index_most", "nullity", "cells", "active")


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


LANDSCAPES = '''
import nnflow
from nnflow import Model, torch


class Landscape(Model):
    """A landscape of the weights, by name."""

    shape: str
    size: int = 2
    factor: float = 1.0

    def shapes(self):
        return {"w": (self.size,)}

    def loss(self, weights, data):
        w = weights["w"]
        first, rest = w[:, 0], w[:, 1:].square().sum(1)
        return self.factor * {
            "bowl": lambda: w[:, ::2].square().sum(1) / 2 + w[:, 1::2].square().sum(1),
            "hill": lambda: -w.square().sum(1) / 2,
            "saddle": lambda: rest / 2 - first**2,
            "fold": lambda: first**3 + rest,
            "quartic": lambda: first**4 + rest,
            "valley": lambda: rest / 2,
            "bend": lambda: (w[:, 1] - first**2) ** 2,
            "himmelblau": lambda: (first**2 + w[:, 1] - 11) ** 2 + (first + w[:, 1] ** 2 - 7) ** 2,
        }[self.shape]()


@nnflow.hookimpl
def nnflow_register(register):
    register("landscape", Landscape)
'''
SHAPED = """
title: A landscape
model: {{name: landscape, shape: {shape}, size: {size}, factor: {factor}}}
initializer: {{name: normal, variance: 1, per: one}}
optimizer: {{name: gradient_descent, rate: 0.1}}
classify: {{{classify}}}
"""


@pytest.fixture
def landscapes(tmp_path, monkeypatch, root):
    """The model `landscape` beside nnflow's plugins."""
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/landscape.py").write_text(LANDSCAPES)
    folders = [root / "plugins", tmp_path / "plugins"]
    monkeypatch.setattr("nnflow.interfaces.registry.plugin_folders", lambda: folders)
    registry.cache_clear()
    yield
    registry.cache_clear()


@pytest.fixture
def shaped(tmp_path, landscapes):
    """Classifies ends on one of the landscapes: shaped(ends, shape, …) → {column: values}."""

    def run(ends, shape, factor=1.0, classify=""):
        ends = np.asarray(ends, dtype=float)
        text = SHAPED.format(shape=shape, size=ends.shape[1], factor=factor, classify=classify)
        found = classified(tmp_path, f"{text}runs: {len(ends)}", torch.as_tensor(ends))
        flags = {"kind": KINDS, "obstacle": OBSTACLES, "is_global": IS_GLOBAL}
        named = {n: [flags[n][value] for value in found[n].values] for n in flags}
        return {name: found[name].values for name in found} | named

    return run


def beside_zero(runs, size, first=1e-4):
    """Ends near 0, at a distance that gradient descent leaves, 1e-9, but along the first axis."""
    ends = np.random.default_rng(0).standard_normal((runs, size)) * 1e-9
    ends[:, 0] = first * np.linspace(-1, 1, 2 * runs + 1)[runs + 1 :]
    return ends


EXPECTED = {
    "bowl": ("minimum", 0, 0),
    "hill": ("maximum", "all", 0),
    "saddle": ("saddle", 1, 0),
    "fold": ("degenerate", 0, 1),
    "quartic": ("degenerate", 0, 1),
    "valley": ("degenerate", 0, 1),
}


@pytest.mark.parametrize(
    ("shape", "size", "settings"),
    [("bowl", 1000, ""), ("bowl", 1002, "")]
    + [(shape, size, "dense_up_to: 350") for shape in EXPECTED for size in (350, 352)],
)
def test_kinds_do_not_depend_on_the_threshold_of_dense_hessians(shaped, shape, size, settings):
    """On both sides of the threshold; the bowl with all defaults, too."""
    first = 1e-9 if shape in ("bowl", "hill", "saddle") else 1e-4
    found = shaped(beside_zero(2, size, first), shape, classify=settings)
    kind, index, nullity = EXPECTED[shape]
    assert found["kind"] == [kind] * 2 and found["obstacle"] == ["none"] * 2
    assert (found["gradient_norm"] <= 1e-13).all()
    assert (found["index"] == (size if index == "all" else index)).all()
    assert (found["nullity"] == nullity).all()


@pytest.mark.parametrize("shape", EXPECTED)
@pytest.mark.parametrize("eigenvalues", ["{highest: 2}", "{lowest: 2}", "{lowest: 2, highest: 1}"])
def test_one_end_of_the_spectrum_decides_what_it_can(shaped, shape, eigenvalues):
    settings = f"dense_up_to: 1, factorize_up_to: 0, eigenvalues: {eigenvalues}"
    found = shaped(beside_zero(2, 40, 1e-9), shape, classify=settings)
    kind = EXPECTED[shape][0]
    low, high = "lowest" in eigenvalues, "highest" in eigenvalues
    known = {"minimum": low, "maximum": high, "saddle": low, "degenerate": True}
    assert found["kind"] == [kind if known[kind] else "degenerate"] * 2
    assert np.isfinite(found["min_eigenvalue"]).all() == low
    assert np.isfinite(found["max_eigenvalue"]).all() == high


def test_a_raised_threshold_makes_no_kinds_that_the_curvature_does_not_back(shaped):
    """Himmelblau's (3, 2) is a minimum with eigenvalues 26 and 82. Beside it, a gradient of 1e-2
    leaves no doubt; halfway to the saddle at (3.385, 0.074) a gradient of 6 says nothing."""
    ends = [[3.0001, 2.0], [3.25, 0.9], [0.0, 0.0]]
    found = shaped(ends, "himmelblau", classify="polish: none, critical_below: 100")
    assert found["gradient_norm"][0] > 5e-3 and found["gradient_norm"][1] > 5
    assert found["kind"] == ["minimum", "not_critical", "not_critical"]
    assert found["obstacle"] == ["none", "curvature", "curvature"]
    by_default = shaped(ends, "himmelblau", classify="polish: none")
    assert by_default["obstacle"] == ["gradient"] * 3


def test_a_raised_threshold_serves_degenerate_minima(shaped):
    """The gradient along the steep directions is explained by Newton's step within the range."""
    ends = np.array([[5.0, 1e-5, -1e-5], [-2.0, 0.0, 1e-6]])
    found = shaped(ends, "valley", classify="polish: none, critical_below: 1.0e-4")
    assert found["kind"] == ["degenerate"] * 2 and found["nullity"].tolist() == [1, 1]
    polished = shaped(ends, "valley")
    assert (polished["gradient_norm"] <= 1e-13).all()
    # within the range of the Hessian: the flat direction stays where it was
    np.testing.assert_array_equal(polished["w"][:, 0], ends[:, 0])


def test_only_runs_that_have_others_beside_them_walk(shaped):
    """On the parabola w₂ = w₁², whose points are all minima."""
    ends = [[0.5, 0.25], [-1.0, 1.0]]
    alone, together = (shaped(ends[:count], "bend") for count in (1, 2))
    assert alone["kind"] == ["degenerate"] and together["kind"] == ["degenerate"] * 2
    assert np.isnan(alone["valley"]).all() and np.isfinite(together["valley"]).any()


@pytest.mark.parametrize("factor", [1e-12, 1e-10, 1e-7, 1e-4, 1.0, 1e4, 1e7, 1e10])
def test_kinds_do_not_depend_on_the_unit_of_the_loss(shaped, factor):
    """Beside a minimum, a saddle and the maximum, and far from all."""
    ends = [[3.001, 2.0], [3.3852, 0.0739], [-0.2708, -0.923], [3.2, 1.0]]
    found = shaped(ends, "himmelblau", factor)
    assert found["kind"][:3] == ["minimum", "saddle", "maximum"]
    np.testing.assert_allclose(found["w"][0], [3, 2], atol=1e-7)
    raw = shaped(ends, "himmelblau", factor, "polish: none")
    assert raw["kind"][3] == "not_critical"
    # 1e-12: all gradients are below the threshold, and the curvature tells that they are large
    reason = "curvature" if factor < 1e-11 else "gradient"
    assert raw["obstacle"][3] == reason


@pytest.mark.parametrize("model", ["landscape", "quadratic_program", "absolute_values"])
def test_of_no_model_anything_is_known_where_a_run_is_not_finite(tmp_path, landscapes, model):
    """Smooth, constrained and with kinks; every column is NaN, −1 or says that it is not known."""
    text = {
        "landscape": SHAPED.format(shape="bowl", size=2, factor=1.0, classify=""),
        "quadratic_program": BOX,
        "absolute_values": KINKED,
    }[model]
    bad = torch.tensor([[torch.nan, 1.0], [1.0, 1.0], [torch.inf, 0.0]], dtype=torch.float64)
    blank = classified(tmp_path, text, bad).isel(run=[0, 2])
    said = {"kind": "not_critical", "obstacle": "not_finite", "is_global": "unknown"}
    for name, values in blank.drop_vars(["w", "straight"]).data_vars.items():
        if name in said:
            names = values.attrs["flag_meanings"].split()
            assert (values == names.index(said[name])).all(), name
        elif values.dtype.kind == "f":
            assert values.isnull().all(), name
        else:
            assert (values == -1).all(), name


@pytest.mark.parametrize("dense", [True, False])
def test_progress_within_a_run_is_told(tmp_path, landscapes, dense):
    settings = "" if dense else "dense_up_to: 1"
    text = SHAPED.format(shape="bowl", size=400, factor=1.0, classify=settings)
    study = loaded(tmp_path, text)
    run_slice = dataclasses.replace(study.batches[0][0], stop=1)
    ends = xr.Dataset(from_flat(run_slice.configuration.settings.model, torch.ones(1, 400) / 1e9))
    job = Job(study, tmp_path, tmp_path, 0, {}, Reporter("test", None))
    told = []
    _classify_runs(job, run_slice, ends.astype(float), np.arange(1), told.append)
    assert "Newton step 1" in told
    assert any("products of the Hessian" in text for text in told) != dense


def test_no_end_of_the_spectrum_is_refused(tmp_path):
    text = WELLS + "classify: {eigenvalues: {lowest: 0}}"
    with pytest.raises(UserError, match="lowest or highest must be positive"):
        loaded(tmp_path, text)
