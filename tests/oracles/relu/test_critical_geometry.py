"""Tian 2017: the normal equation, and critical points in and out of the teachers' plane."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from students import objective, out_of_plane_point, random_weights
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


def networks(seed, count, inputs, batch=3):
    drawn = np.random.default_rng(seed).normal(size=(2, batch, count, inputs))
    return drawn[0], drawn[1]


shapes = {"seed": st.integers(0, 10_000), "count": st.integers(1, 6), "inputs": st.integers(2, 7)}


# The population gradient, for any teacher


def test_gradient_and_hessian_are_those_of_the_model():
    population, reference = module("_population"), objective(5, 4, runs=3)
    w = random_weights(5, 4, 3)
    found = w.numpy().reshape(3, 4, 5)
    gradient = population.gradient(found, np.eye(5)).reshape(3, -1)
    np.testing.assert_allclose(gradient, reference.gradient(w), atol=1e-14)
    hessian = population.hessian(found, np.eye(5))
    np.testing.assert_allclose(hessian, reference.hessian(w), atol=1e-13)


@given(**shapes)
def test_hessian_is_the_slope_of_the_gradient(seed, count, inputs):
    population = module("_population")
    w, teachers = networks(seed, count, inputs, batch=1)
    hessian, step = population.hessian(w, teachers)[0], 1e-6
    shifts = step * np.eye(count * inputs).reshape(-1, count, inputs)
    apart = population.gradient(w + shifts, teachers) - population.gradient(w - shifts, teachers)
    scale = np.abs(hessian).max()
    np.testing.assert_allclose(
        apart.reshape(len(shifts), -1) / (2 * step), hessian, atol=1e-5 * scale**2
    )


@given(**shapes)
def test_rotations_turn_the_gradient(seed, count, inputs):
    population = module("_population")
    w, teachers = networks(seed, count, inputs)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(inputs, inputs)))[0]
    turned = population.gradient(w @ turn.T, teachers @ turn.T)
    np.testing.assert_allclose(turned, population.gradient(w, teachers) @ turn.T, atol=2e-14)


def test_angles_are_exact_where_arccos_is_not():
    population = module("_population")
    small = 1e-9
    a = np.array([[1.0, 0.0]])
    b = np.array([[np.cos(small), np.sin(small)], [-np.cos(small), np.sin(small)]])
    np.testing.assert_allclose(population.angles(a, b), [[small, np.pi - small]], rtol=1e-7)


# The normal equation


@given(**shapes)
def test_normal_equation_is_the_gradient_column_by_column(seed, count, inputs):
    normal, population = (
        module("_normal_equation"),
        module("_population"),
    )
    w, teachers = networks(seed, count, inputs)
    y, b = normal.normal_equation(w, teachers)
    transpose = [np.swapaxes(x, -1, -2) for x in (y, b)]
    found = transpose[0] @ population.units(w) - transpose[1] @ teachers
    expected = 2 * np.pi * population.gradient(w, teachers)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(**shapes)
def test_projections_of_the_normal_equation(seed, count, inputs):
    normal, population = (
        module("_normal_equation"),
        module("_population"),
    )
    w, teachers = networks(seed, count, inputs)
    m, m_star = normal.projections(w, teachers)
    size, size_of_teachers = (np.linalg.norm(x, axis=-1) for x in (w, teachers))
    found = np.einsum("rjik,rk->rji", m, size) - np.einsum("rjik,rk->rji", m_star, size_of_teachers)
    gradient = 2 * np.pi * population.gradient(w, teachers)
    expected = gradient @ np.swapaxes(population.units(w), -1, -2)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    radial, radial_star = normal.radial(w, teachers)
    own = np.arange(count)
    np.testing.assert_allclose(radial, m[:, own, own], atol=1e-12)
    np.testing.assert_allclose(radial_star, m_star[:, own, own], atol=1e-12)
    np.testing.assert_allclose(radial, np.swapaxes(radial, -1, -2), atol=1e-12)


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
def test_teachers_separate(seed, count):
    """Eq. 13 solved and put into Eq. 10 leaves −Σ_k |w*_k| L_jj'(e*_k)."""
    normal, population = (
        module("_normal_equation"),
        module("_population"),
    )
    w, teachers = (x[0] for x in networks(seed, count, count + 1))
    radial, radial_star = normal.radial(w, teachers)
    size = np.linalg.norm(teachers, axis=-1)
    norms = np.linalg.solve(radial, radial_star @ size)
    m, m_star = normal.projections(w, teachers)
    left = m @ norms - m_star @ size
    parts = [normal.separation(w, e) for e in population.units(teachers)]
    right = -sum(s * part for s, part in zip(size, parts, strict=True))
    np.testing.assert_allclose(left, right, atol=1e-11 * np.linalg.cond(radial))


@given(seed=st.integers(0, 10_000), count=st.integers(2, 5))
def test_separation_vanishes_at_the_neurons_and_on_the_diagonal(seed, count):
    normal, population = (
        module("_normal_equation"),
        module("_population"),
    )
    w, others = (x[0] for x in networks(seed, count, count + 1))
    tolerance = 1e-13 * np.linalg.cond(normal.radial(w, w)[0])
    for e in population.units(w):
        np.testing.assert_allclose(normal.separation(w, e), 0, atol=tolerance)
    for e in population.units(others):
        assert np.abs(np.diagonal(normal.separation(w, e))).max() <= tolerance


@given(seed=st.integers(0, 10_000))
def test_no_norms_are_better_than_the_best(seed):
    normal, population = (
        module("_normal_equation"),
        module("_population"),
    )
    w, teachers = networks(seed, 2, 3, batch=1)
    e = population.units(w)
    norms, left = normal.best_norms(w, teachers[0])
    assert (norms >= 0).all()

    def rest(norms):
        # a neuron of no length has a direction all the same
        at = np.maximum(norms, 1e-100)[..., None] * e
        return np.linalg.norm(population.gradient(at, teachers[0]), axis=(-1, -2))

    assert rest(norms)[0] == pytest.approx(left[0], abs=1e-12)
    others = (
        norms + np.random.default_rng(seed).normal(size=(200, 2)) * np.logspace(-4, 1, 200)[:, None]
    )
    assert rest(np.abs(others)).min() >= left[0] - 1e-12


# Critical points


def test_critical_points_out_of_plane_lie_on_orbits():
    points, population = (
        module("_critical_points"),
        module("_population"),
    )
    for neurons, inputs in ((2, 3), (2, 4), (3, 5)):
        teachers = np.eye(neurons, inputs)
        w = points.find(np.random.default_rng(0).normal(size=(60, neurons, inputs)) / 2, teachers)
        assert np.abs(population.gradient(w, teachers)).max() < 1e-12
        rest = w[..., neurons:]
        rank = np.linalg.matrix_rank(rest, tol=1e-4)
        assert (rank > 0).any() and (rank == 0).any()
        found = points.modes(w, teachers)
        expected = rank * (inputs - neurons) - rank * (rank + 1) // 2
        outside = rank > 0
        assert (found["nullity"][outside] == expected[outside]).all()
        assert (found["index"][outside] > 0).all()


def test_out_of_plane_point_of_two_neurons_in_closed_form():
    w = out_of_plane_point(4)[None]
    teachers = np.eye(2, 4)
    assert np.abs(module("_population").gradient(w, teachers)).max() < 1e-14
    assert module("_critical_points").modes(w, teachers)["nullity"][0] == 1
    assert np.hypot(*w[0, :, 2]) == pytest.approx(0.5786, abs=1e-4)  # as found from random starts


def test_cases_need_room_outside_of_the_plane():
    plugin = registry().get("analyses", "out_of_plane")
    with pytest.raises(ValueError, match=r"\[3, 3\]: there is no outside unless d > K"):
        plugin(cases=[(2, 4), (3, 3)])


def test_loss_is_that_of_the_model():
    reference = objective(5, 4, runs=3)
    w = random_weights(5, 4, 3)
    found = module("_population").loss(w.numpy().reshape(3, 4, 5), np.eye(5))
    np.testing.assert_allclose(found, reference.loss(w), atol=1e-13)


# The study


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with a smaller grid and map."""
    study = load_study(study_file("critical_geometry", root / "config/studies"))
    analyses = dict(study.settings.analyses)
    sizes = {
        "separation_grid": {"grids": {"paper": (1000, 1000), "script": (1000, 2000)}},
        "in_plane": {"size": 60, "starts": 60, "most_neurons": 3},
        "out_of_plane": {"starts": 30},
    }
    for name, settings in sizes.items():
        analyses[name] = analyses[name].model_copy(update=settings)
    outline = study.settings.model_copy(update={"analyses": analyses})
    return complete(
        dataclasses.replace(study, settings=outline), tmp_path_factory.mktemp("geometry")
    )


def test_every_claim_is_reproduced_or_corrected(done):
    found = verdicts(done)
    assert found.pop("collinear_saddles_of_any_norms") == "corrected"
    assert found.pop("theorem_4") == "corrected"
    assert found.pop("grid_points") == "differs"  # the grid was made smaller
    assert set(found.values()) <= AGREE, found


def test_figures_are_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)


def test_map_is_zero_at_critical_points_alone(done):
    found = done.read["in_plane"]
    residual, excluded = found["residual"], found["excluded"].astype(bool)
    diagonal = np.eye(found.sizes["alpha"], dtype=bool)
    # the map's least values are next to minima, at the corners of the excluded region
    assert float(residual.min()) < 0.02
    center = excluded & ~diagonal
    assert float(residual.values[center].min()) > 0
    assert float(found["saddle_norm"].item()) == pytest.approx(2 * np.sqrt(2) * 0.534155, abs=3e-6)
