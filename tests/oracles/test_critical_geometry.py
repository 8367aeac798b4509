"""Tian 2017: the normal equation, the separation function and the proof of its conjecture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from students import objective, random_weights

from nnflow.registry import registry


def module(name):
    registry()
    import importlib

    return importlib.import_module(f"nnflow_plugins.analyses.{name}")


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
    normal, population = module("_normal_equation"), module("_population")
    w, teachers = networks(seed, count, inputs)
    y, b = normal.normal_equation(w, teachers)
    transpose = [np.swapaxes(x, -1, -2) for x in (y, b)]
    found = transpose[0] @ population.units(w) - transpose[1] @ teachers
    expected = 2 * np.pi * population.gradient(w, teachers)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@given(**shapes)
def test_projections_of_the_normal_equation(seed, count, inputs):
    normal, population = module("_normal_equation"), module("_population")
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
    normal, population = module("_normal_equation"), module("_population")
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
    normal, population = module("_normal_equation"), module("_population")
    w, others = (x[0] for x in networks(seed, count, count + 1))
    tolerance = 1e-13 * np.linalg.cond(normal.radial(w, w)[0])
    for e in population.units(w):
        np.testing.assert_allclose(normal.separation(w, e), 0, atol=tolerance)
    for e in population.units(others):
        assert np.abs(np.diagonal(normal.separation(w, e))).max() <= tolerance


@given(seed=st.integers(0, 10_000))
def test_no_norms_are_better_than_the_best(seed):
    normal, population = module("_normal_equation"), module("_population")
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
