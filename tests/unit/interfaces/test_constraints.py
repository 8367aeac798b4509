"""Convex sets: projections and linear minimization against a general solver and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import normal_weights
from scipy.optimize import linprog, minimize

from nnflow.base.errors import UserError
from nnflow.interfaces.constraints import Ball, Box, Halfspaces, Simplex

SETS = {
    "box": Box((-1.0, 0.0, -np.inf), (0.5, 2.0, 0.25)),
    "ball": Ball((0.5, -0.5, 0.0), 1.5),
    "simplex": Simplex(3, 2.0),
    "wedge": Halfspaces(((1.0, 1.0, 0.0), (2.0, -1.0, 0.0), (0.0, 0.3, -1.0)), (0.2, 0.1, 0.5)),
    "redundant": Halfspaces(((1.0, 0.0, 0.0), (3.0, 0.0, 0.0), (0.0, 1.0, 1.0)), (1.0, 3.0, 0.0)),
    "triangle": Halfspaces(
        ((1.0, 1.0, 1.0), (-1.0, 0, 0), (0, -1.0, 0), (0, 0, -1.0)), (1.0, 0, 0, 0), equal=1
    ),
}
BOUNDED = ("ball", "simplex", "triangle")


def scipys_constraints(held):
    """What SLSQP takes: inequalities ≥ 0 and equations, written out anew for each set."""
    if isinstance(held, Box):
        return [
            {"type": "ineq", "fun": lambda w, i=i, s=s, b=b: s * (b - w[i])}
            for s, bounds in ((1, held.upper), (-1, held.lower))
            for i, b in enumerate(bounds)
            if np.isfinite(b)
        ]
    if isinstance(held, Ball):
        return [{"type": "ineq", "fun": lambda w: held.radius**2 - ((w - held.center) ** 2).sum()}]
    if isinstance(held, Simplex):
        return [
            {"type": "ineq", "fun": lambda w: w},
            {"type": "eq", "fun": lambda w: w.sum() - held.total},
        ]
    return [
        {
            "type": "eq" if number < held.equal else "ineq",
            "fun": lambda w, a=row, b=offset: b - np.dot(a, w),
        }
        for number, (row, offset) in enumerate(zip(held.rows, held.offsets, strict=True))
    ]


def inside(held, weights, allowed=1e-12):
    values = held.values(weights)
    if held.equations is not None:
        values = torch.where(torch.as_tensor(held.equations), values.abs(), values)
    return (values <= allowed).all(1)


@pytest.mark.parametrize("name", SETS)
def test_projections_are_the_nearest_points_that_scipy_knows(name):
    held = SETS[name]
    points = 2 * normal_weights(25, 3, 1)
    nearest = held.project(points)
    assert inside(held, nearest).all()
    for point, found in zip(points.numpy(), nearest.numpy(), strict=True):
        expected = minimize(
            lambda w, p=point: ((w - p) ** 2).sum(),
            np.full(3, 0.3),
            jac=lambda w, p=point: 2 * (w - p),
            method="SLSQP",
            constraints=scipys_constraints(held),
            options={"ftol": 1e-15, "maxiter": 500},
        )
        np.testing.assert_allclose(found, expected.x, atol=1e-6)


@pytest.mark.parametrize("name", SETS)
@given(seed=st.integers(0, 10**6), scale=st.sampled_from([1e-3, 1.0, 1e3]))
def test_projections_obey_the_variational_inequality(name, seed, scale):
    """⟨w − P(w), z − P(w)⟩ ≤ 0 for all z of the set, which says P(w) exactly."""
    held = SETS[name]
    points, others = (
        scale * normal_weights(4, 3, seed),
        held.project(normal_weights(4, 3, seed + 1)),
    )
    nearest = held.project(points)
    product = ((points - nearest) * (others - nearest)).sum(1)
    assert (product <= 1e-11 * (1 + scale**2)).all()
    assert inside(held, nearest, 1e-13 * (1 + scale)).all()
    torch.testing.assert_close(held.project(nearest), nearest, rtol=0, atol=1e-13 * (1 + scale))


@pytest.mark.parametrize("name", SETS)
def test_points_of_the_set_stay_to_the_bit(name):
    points = SETS[name].project(normal_weights(20, 3, 5))
    assert torch.equal(SETS[name].project(points), points)


@pytest.mark.parametrize("name", SETS)
def test_a_run_is_projected_whatever_its_companions(name):
    points = 3 * normal_weights(6, 3, 4)
    alone = torch.cat([SETS[name].project(points[run : run + 1]) for run in range(6)])
    assert torch.equal(SETS[name].project(points), alone)


@pytest.mark.parametrize("name", SETS)
def test_runs_that_are_not_finite_do_no_harm(name):
    points = 3 * normal_weights(3, 3, 4)
    spoilt = points.clone()
    spoilt[1] = torch.nan
    found = SETS[name].project(spoilt)
    assert torch.equal(found[[0, 2]], SETS[name].project(points)[[0, 2]])


@pytest.mark.parametrize("name", BOUNDED)
def test_linear_functions_are_minimized(name):
    held = SETS[name]
    slopes = normal_weights(30, 3, 2)
    corners = held.extreme(slopes)
    assert inside(held, corners).all()
    others = held.project(3 * normal_weights(400, 3, 3))
    assert ((slopes * corners).sum(1, keepdim=True) <= slopes @ others.T + 1e-12).all()


def test_corners_of_polyhedra_are_those_of_a_linear_program():
    held, slopes = SETS["triangle"], normal_weights(10, 3, 7)
    for slope, corner in zip(slopes.numpy(), held.extreme(slopes).numpy(), strict=True):
        found = linprog(slope, A_eq=[[1, 1, 1]], b_eq=[1], bounds=(0, None))
        assert slope @ corner == pytest.approx(found.fun, abs=1e-9)


def test_corners_of_a_box():
    slopes = torch.tensor([[1.0, -1.0], [0.0, 2.0]], dtype=torch.float64)
    corners = Box((-1.0, 2.0), (3.0, 5.0)).extreme(slopes)
    assert corners.tolist() == [[-1.0, 5.0], [0.0, 2.0]]


@pytest.mark.parametrize("name", ["box", "wedge"])
def test_an_unbounded_linear_function_is_refused(name):
    slopes = torch.tensor([[1.0, 0.0, 1.0]], dtype=torch.float64)
    with pytest.raises(UserError, match="a linear function has no minimum"):
        SETS[name].extreme(slopes)


def test_contradictory_constraints_are_refused():
    empty = Halfspaces(((1.0, 0.0), (-1.0, 0.0)), (0.0, -1.0))
    with pytest.raises(UserError, match="contradict"):
        empty.project(torch.zeros(1, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Box, {"lower": (0.0,), "upper": (1.0, 2.0)}, "of one length"),
        (Box, {"lower": (1.0,), "upper": (0.0,)}, "must not exceed"),
        (Ball, {"center": (0.0,), "radius": 0.0}, "positive"),
        (Simplex, {"size": 2, "total": 0.0}, "positive"),
        (Halfspaces, {"rows": ((0.0, 0.0),), "offsets": (1.0,)}, "a row is zero"),
        (Halfspaces, {"rows": ((1.0, 0.0),), "offsets": ()}, "of one length"),
    ],
)
def test_what_is_no_set_is_refused(kind, settings, message):
    with pytest.raises(ValueError, match=message):
        kind(**settings)


@pytest.mark.parametrize("name", SETS)
def test_normals_are_the_slopes_of_the_distances_and_of_length_one(name):
    held = SETS[name]
    points = normal_weights(5, 3, 8)
    normals, step = held.normals(points), 1e-6
    for axis in range(3):
        ahead, behind = points.clone(), points.clone()
        ahead[:, axis] += step
        behind[:, axis] -= step
        slope = (held.values(ahead) - held.values(behind)) / (2 * step)
        known = torch.isfinite(slope)
        torch.testing.assert_close(slope[known], normals[..., axis][known], rtol=0, atol=1e-8)
    lengths = torch.linalg.vector_norm(normals, dim=2)
    torch.testing.assert_close(lengths, torch.ones_like(lengths))


def test_a_balls_bending_is_the_hessian_of_its_distance():
    held, points, step = SETS["ball"], normal_weights(4, 3, 9), 1e-6
    multipliers = torch.tensor([[0.5], [1.0], [2.0], [0.0]], dtype=torch.float64)
    bending = held.bending(points, multipliers)
    for axis in range(3):
        ahead, behind = points.clone(), points.clone()
        ahead[:, axis] += step
        behind[:, axis] -= step
        change = (held.normals(ahead) - held.normals(behind))[:, 0] / (2 * step)
        torch.testing.assert_close(bending[..., axis], multipliers * change, rtol=0, atol=1e-8)


def test_active_constraints():
    points = torch.tensor([[-1.0, 1.0, 0.25], [0.0, 2.0, 0.0], [0.0, 1.0, 0.0]]).double()
    assert SETS["box"].active(points).int().tolist() == [
        [1, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 0, 0],
    ]
    # the equation of the simplex is active everywhere
    on = torch.tensor([[2.0, 0.0, 0.0], [5.0, 5.0, 5.0]], dtype=torch.float64)
    assert SETS["simplex"].active(on).int().tolist() == [[0, 1, 1, 1], [0, 0, 0, 1]]


def test_what_touches_a_wall_depends_on_how_far_weights_are():
    """A bound is active within 1e-9 (1 + ‖w‖): far out, numbers have fewer digits."""
    held = Box((-np.inf, -np.inf), (0.0, np.inf))
    weights = torch.tensor([[-5e-7, 1e3], [-2e-6, 1e3], [-5e-10, 0.0], [-2e-9, 0.0]]).double()
    upper = held.active(weights)
    assert upper.any(1).tolist() == [True, False, True, False]


def test_simplex_against_its_halfspaces():
    points = 2 * normal_weights(50, 3, 11)
    torch.testing.assert_close(
        Simplex(3).project(points), SETS["triangle"].project(points), rtol=0, atol=1e-13
    )
