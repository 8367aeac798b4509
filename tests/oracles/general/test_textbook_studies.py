"""The studies of two textbook landscapes, from the first weights to the claims."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from studies import AGREE, assert_drawn, complete, verdicts

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file
from nnflow.study.sweep import label

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
RUNS = {"himmelblau": 200, "toy_valley": 20}


@pytest.fixture(scope="module", params=RUNS)
def done(request, root, tmp_path_factory):
    """A study, at its quick scale with fewer runs, after all its stages."""
    study = load_study(study_file(f"{request.param}", root / "config/studies"))
    fewer = {"runs": RUNS[request.param]}
    configurations = tuple(
        dataclasses.replace(configuration, settings=configuration.settings.model_copy(update=fewer))
        for configuration in study.configurations
    )
    study = dataclasses.replace(study, configurations=configurations)
    return complete(study, tmp_path_factory.mktemp(study.name))


def test_every_claim_is_reproduced(done):
    header, *rows = (done.folder / "claims.csv").read_text().splitlines()
    assert header.split(",")[-2:] == ["verdict", "note"]
    claims = done.study.settings.claims
    assert len(rows) >= len(claims)
    measured = {v for v in verdicts(done).values() if v != "not_measured"}
    assert measured and measured <= AGREE, rows


def test_every_figure_is_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)


def test_loss_grid_holds_the_loss(done):
    grid = done.read["loss_grid"]
    for configuration in done.study.configurations:
        x, y = (
            grid[name].sel(configuration=configuration.label).values for name in ("first", "second")
        )
        x, y = np.meshgrid(x, y)
        if done.study.name == "himmelblau":
            expected = (x**2 + y - 11) ** 2 + (x + y**2 - 7) ** 2
        else:
            expected = (y - x**2) ** 2 + configuration.settings.model.epsilon * x**2
        np.testing.assert_allclose(
            grid["loss"].sel(configuration=configuration.label), expected, atol=1e-12
        )


# The analyses on data of known content


def ends(kinds, family, loss):
    codes = np.array([KINDS.index(kind) for kind in kinds], dtype=np.int8)
    attributes = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": " ".join(KINDS)}
    return xr.Dataset(
        {"kind": ("run", codes, attributes), "family": ("run", family), "loss": ("run", loss)}
    )


def results(**datasets):
    """Results of one point, "all"."""
    configuration = SimpleNamespace(label="all", settings=SimpleNamespace())
    return SimpleNamespace(
        configurations=(configuration,),
        study=SimpleNamespace(file="study.yaml"),
        each=lambda name: [(configuration, datasets[name])],
        at=lambda name, label: datasets[name],
    )


def test_counts_are_of_families():
    found = ends(
        ["minimum", "saddle", "minimum", "minimum", "not_critical", "degenerate", "saddle"],
        [0, 2, 0, 1, -1, 3, 2],
        [0.5, 2.0, 0.5, 1.0, 9.0, 3.0, 2.0],
    )
    plugin = registry().get("analyses", "critical_point_counts")()
    table = plugin.compute(results(critical_points=found)).sel(configuration="all")
    expected = {
        "critical_points": 4, "minima": 2, "saddles": 1, "maxima": 0, "degenerate": 1,
        "lowest_loss": 0.5, "highest_loss": 3.0, "runs": 7, "runs_elsewhere": 1,
    }  # fmt: skip
    assert {name: float(table[name]) for name in table.data_vars} == expected


def test_counts_where_no_run_reached_a_critical_point():
    found = ends(["not_critical", "nonsmooth"], [-1, 0], [1.0, 2.0])
    plugin = registry().get("analyses", "critical_point_counts")()
    table = plugin.compute(results(critical_points=found)).sel(configuration="all")
    assert (int(table["critical_points"]), int(table["runs_elsewhere"])) == (0, 2)
    assert np.isnan(table["lowest_loss"]) and np.isnan(table["highest_loss"])


def spectra(values, residuals, loss, count):
    return xr.Dataset(
        {
            "eigenvalue": (("family", "mode"), np.array(values)),
            "residual": (("family", "mode"), np.array(residuals)),
            "loss": ("family", np.array(loss)),
            "count": ("family", np.array(count)),
        }
    )


def spectrum_ends(found, **settings):
    plugin = registry().get("analyses", "spectrum_ends")(**settings)
    table = plugin.compute(results(spectra=found)).sel(configuration="all")
    return {
        name: tuple(float(table[name + end]) for end in ("", "_low", "_high"))
        for name in ("min_eigenvalue", "max_eigenvalue", "condition")
    }


def test_ends_of_spectra():
    found = spectra([[-4.0, 1, 2], [0.5, 1, 8]], [[0.1, 0.2, 0.5]] * 2, [0.0, 1.0], [3, 9])
    lowest = spectrum_ends(found)
    assert lowest["min_eigenvalue"] == pytest.approx((-4, -4.1, -3.9))
    assert lowest["max_eigenvalue"] == pytest.approx((2, 1.5, 2.5))
    # of the magnitudes 4 ± 0.1, 1 ± 0.2 and 2 ± 0.5
    assert lowest["condition"] == pytest.approx((4, 3.9 / 1.2, 4.1 / 0.8))
    frequent = spectrum_ends(found, at="most_frequent")
    assert frequent["condition"] == pytest.approx((16, 7.5 / 0.6, 8.5 / 0.4))


def test_condition_number_of_a_singular_hessian():
    found = spectra([[0.0, 2.0]], [[0.1, 0.1]], [0.0], [1])
    condition = spectrum_ends(found)["condition"]
    assert condition == (np.inf, pytest.approx(19), np.inf)


def test_condition_number_needs_the_whole_spectrum():
    found = spectra([[1.0, 2.0]], [[0.1, 0.1]], [0.0], [1])
    found["dense_eigenvalue"] = found["eigenvalue"]
    assert np.isnan(spectrum_ends(found)["condition"]).all()


def test_ends_of_no_spectrum():
    found = spectra(np.empty((0, 3)), np.empty((0, 3)), [], [])
    assert all(np.isnan(numbers).all() for numbers in spectrum_ends(found).values())


def test_loss_grid_needs_two_weights(root):
    study = load_study(study_file("spurious_minima", root / "config/studies"))
    found = SimpleNamespace(
        study=study, each=lambda name: [(study.configurations[0], xr.Dataset())]
    )
    with pytest.raises(UserError, match="'relu_teacher_student' has 36 weights, not 2"):
        registry().get("analyses", "loss_grid")().compute(found)


@pytest.mark.parametrize("window", [[1, 1], [2, -2], [1]])
def test_windows_rise(window):
    with pytest.raises(ValueError, match="first"):
        registry().get("analyses", "loss_grid")(first=window)


def test_runs_that_ended_keep_their_last_value():
    registry()
    from nnflow_plugins.general.figures.convergence import _held

    nan = np.nan
    trained = xr.Dataset(
        {
            "steps": ("run", [3, 10]),
            "loss": ("run", [0.3, 0.1]),
            "trace_loss": (("run", "trace_step"), [[4, 1, nan, nan], [9, 5, 2, nan]]),
        },
        {"trace_step": [0, 2, 5, 20]},
    )
    steps, values = _held(trained, "loss")
    assert steps.tolist() == [0, 2, 5, 10]
    assert values.tolist() == [[4, 1, 0.3, 0.3], [9, 5, 2, 0.1]]


def test_a_swept_plugin_names_its_point():
    assert label({"optimizer": {"name": "newton", "longest_step": 0.5}}) == "optimizer=newton"
