"""Kinds on convex sets: quadratic programs whose critical points are known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import normal_weights
from scipy.optimize import minimize

from nnflow.base.streams import Streams
from nnflow.engine.constrained import (
    OnFace,
    _copositive,
    held_constraints,
    judge,
    null_space,
    sign_on_cone,
    spectra,
)
from nnflow.engine.critical import KINDS, OBSTACLES
from nnflow.engine.objective import Objective
from nnflow.engine.polish import polish
from nnflow.engine.training import train
from nnflow.interfaces import Model
from nnflow.interfaces.constraints import Ball, Box, ConvexSet, Halfspaces, Simplex
from nnflow.interfaces.registry import registry
from nnflow.study.stage_settings import Classify, Stop, Trace


class Program(Model):
    """½wᵀQw + c·w."""

    matrix: list[list[float]]
    slope: list[float]

    def shapes(self):
        return {"w": (len(self.slope),)}

    def loss(self, weights, data):
        w = weights["w"]
        matrix, slope = (torch.tensor(part, dtype=w.dtype) for part in (self.matrix, self.slope))
        return (w * ((w[:, None] @ matrix).squeeze(1) / 2 + slope)).sum(1)


def program(matrix, slope, held: ConvexSet | None, runs: int = 1) -> Objective:
    model = Program(matrix=np.array(matrix, float).tolist(), slope=np.array(slope, float).tolist())
    streams = Streams(0, "all", np.arange(runs), "test")
    return Objective(model, {}, streams, None, held)


def judged(objective: Objective, weights: torch.Tensor, **settings) -> dict[str, np.ndarray]:
    """`judge` with the residual that the weights have."""
    residual = torch.linalg.vector_norm(objective.stationarity(weights), dim=1).numpy()
    return judge(objective, weights, Classify(**settings), residual, np.ones(len(weights), bool))


def quadrant(size):
    return Box((0.0,) * size, (np.inf,) * size)


THIRDS = [1 / 3] * 3
DISC = Ball((0.0, 0.0), 1.0)

# at w: (matrix, slope, set, w, kind, index, nullity, active, least multiplier)
POINTS = {
    "vertex": ([[1, 0], [0, 1]], [1, 2], quadrant(2), [0, 0], "minimum", 0, 0, 2, 1),
    # whatever the curvature, as the first order decides
    "concave_vertex": ([[-9, 0], [0, -9]], [1, 2], quadrant(2), [0, 0], "minimum", 0, 0, 2, 1),
    "edge": ([[1, 0], [0, 2]], [3, 0], quadrant(2), [0, 0], "minimum", 0, 0, 2, 0),
    "edge_inside": ([[1, 0], [0, 2]], [3, -2], quadrant(2), [0, 1], "minimum", 0, 0, 1, 3),
    "edge_top": ([[1, 0], [0, -2]], [3, 2], quadrant(2), [0, 1], "saddle", 1, 0, 1, 3),
    "edge_flat": ([[1, 0], [0, 0]], [3, 0], quadrant(2), [0, 1], "degenerate", 0, 1, 1, 3),
    "inside": ([[1, 0], [0, 2]], [-1, -2], quadrant(2), [1, 1], "minimum", 0, 0, 0, None),
    "inside_saddle": ([[1, 0], [0, -2]], [-1, 2], quadrant(2), [1, 1], "saddle", 1, 0, 0, None),
    "inside_maximum": ([[-1, 0], [0, -2]], [1, 2], quadrant(2), [1, 1], "maximum", 2, 0, 0, None),
    # multipliers 0: the critical cone is a half-plane or a quadrant
    "weak_convex": ([[1, 0], [0, 1]], [0, 0], quadrant(2), [0, 0], "minimum", 0, 0, 2, 0),
    "weak_concave": ([[-1, 0], [0, -1]], [0, 0], quadrant(2), [0, 0], "maximum", -1, -1, 2, 0),
    # 2xy ≥ 0 on the quadrant, and 0 on its edges: not strict
    "weak_product": ([[0, 1], [1, 0]], [0, 0], quadrant(2), [0, 0], "degenerate", -1, -1, 2, 0),
    # x² + 6xy + y² > 0 there, though the matrix is indefinite
    "copositive": ([[1, 3], [3, 1]], [0, 0], quadrant(2), [0, 0], "minimum", -1, -1, 2, 0),
    # x² − 6xy + y² < 0 on the diagonal, > 0 on the edges
    "not_copositive": ([[1, -3], [-3, 1]], [0, 0], quadrant(2), [0, 0], "saddle", -1, -1, 2, 0),
    # x² + 4xy + y² for x ≥ 0: least at y = −2x, where it is −3x²
    "weak_and_free": (
        [[1, 2], [2, 1]], [0, 0], Box((0.0, -9.0), (9.0, 9.0)),
        [0, 0], "saddle", -1, -1, 1, 0,
    ),
    # with z = −x − y what is left is `copositive`
    "copositive_and_free": (
        [[2, 4, 1], [4, 2, 1], [1, 1, 1]], [0, 0, 0], Box((0.0, 0.0, -9.0), (9.0, 9.0, 9.0)),
        [0, 0, 0], "minimum", -1, -1, 2, 0,
    ),
    "weak_free": ([[-1, 0], [0, 1]], [0, -1], quadrant(2), [0, 1], "saddle", -1, -1, 1, 0),
    # the descent is into the set, and along the edge it rises
    "one_weak_one_strong": ([[5, 0], [0, -1]], [2, 0], quadrant(2), [0, 0], "saddle", -1, -1, 2, 0),
    # three edges through one corner of the plane: multipliers are not unique
    "degenerate_vertex": (
        [[-1, 0], [0, -1]], [1, 1],
        Halfspaces(((-1.0, 0.0), (0.0, -1.0), (-1.0, -1.0)), (0.0, 0.0, 0.0)),
        [0, 0], "minimum", 0, 0, 3, None,
    ),
    # two equal walls; along them it falls
    "twice_the_same_wall": (
        [[1, 0], [0, -1]], [1, 0], Halfspaces(((-1.0, 0.0), (-2.0, 0.0)), (0.0, 0.0)),
        [0, 0], "saddle", 1, 0, 2, None,
    ),
    # x = 0 as two walls that face each other
    "walls_face_to_face": (
        [[-7, 0], [0, 1]], [1, 0], Halfspaces(((-1.0, 0.0), (1.0, 0.0)), (0.0, 0.0)),
        [0, 0], "minimum", 0, 0, 2, None,
    ),
    "equation": (
        [[-7, 0], [0, 1]], [1, 0], Halfspaces(((1.0, 0.0),), (0.0,), equal=1),
        [0, 0], "minimum", 0, 0, 0, None,
    ),
    "equation_top": (
        [[7, 0], [0, -1]], [-1, 0], Halfspaces(((1.0, 0.0),), (0.0,), equal=1),
        [0, 0], "maximum", 1, 0, 0, None,
    ),
    "middle_of_simplex": (np.eye(3), [0, 0, 0], Simplex(3), THIRDS, "minimum", 0, 0, 0, None),
    "top_of_simplex": (-np.eye(3), [0, 0, 0], Simplex(3), THIRDS, "maximum", 2, 0, 0, None),
    "corner_of_simplex": (-np.eye(3), [0, 0, 0], Simplex(3), [1, 0, 0], "minimum", 0, 0, 2, 1),
    # on the sphere the multiplier bends: −½x² − y² has its minima at ±e_y, saddles at ±e_x
    "sphere": ([[-1, 0], [0, -2]], [0, 0], DISC, [0, 1], "minimum", 0, 0, 1, 2),
    "sphere_saddle": ([[-1, 0], [0, -2]], [0, 0], DISC, [1, 0], "saddle", 1, 0, 1, 1),
    "sphere_flat": ([[-1, 0], [0, -1]], [0, 0], DISC, [1, 0], "degenerate", 0, 1, 1, 1),
    "four": (
        np.diag([2.0, -1, 1, 1]), [-2, 4, 1, 0], quadrant(4), [1, 0, 0, 0], "minimum", 0, 0, 3, 0
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", POINTS)
def test_kinds_of_known_points(name):
    matrix, slope, held, w, kind, index, nullity, active, least = POINTS[name]
    objective = program(matrix, slope, held)
    weights = torch.tensor([w], dtype=torch.float64)
    assert torch.linalg.vector_norm(objective.stationarity(weights)) < 1e-15
    found = {key: value[0] for key, value in judged(objective, weights).items()}
    assert KINDS[found["second_order"]] == kind
    assert (found["index"], found["nullity"], found["active"]) == (index, nullity, active)
    if least is not None:
        assert found["least_multiplier"] == pytest.approx(least, abs=1e-12)


@pytest.mark.parametrize("name", POINTS)
def test_kinds_hold_among_the_neighbours(name):
    """Losses at points of the set around each of them."""
    matrix, slope, held, w, kind, *_ = POINTS[name]
    objective = program(matrix, slope, held)
    weights = torch.tensor([w], dtype=torch.float64)
    around = held.project(weights + 1e-3 * normal_weights(4000, len(w), 1))
    around = around[torch.linalg.vector_norm(around - weights, dim=1) > 1e-5]
    rise = objective.loss(around) - objective.loss(weights)
    if kind == "minimum":
        assert rise.min() > 0
    if kind == "maximum":
        assert rise.max() < 0
    if kind == "saddle":
        assert rise.min() < 0 < rise.max()


class Bent(Model):
    """unit·(x³ + y² + z): along the wall z = 0 a fold at the origin, whose Hessian has an
    eigenvalue 6x at x; or with `power` 2 a bowl."""

    power: int = 3
    unit: float = 1.0

    def shapes(self):
        return {"w": (3,)}

    def loss(self, weights, data):
        x, y, z = weights["w"].unbind(1)
        return self.unit * (x**self.power + y**2 + z)


HALF = Box((-9.0, -9.0, 0.0), (9.0, 9.0, 9.0))


def bent(held, runs, **settings):
    return Objective(Bent(**settings), {}, Streams(0, "all", np.arange(runs), "test"), None, held)


@pytest.mark.parametrize("unit", [1e-6, 1.0, 1e8])
@pytest.mark.parametrize("held", [HALF, Halfspaces(((0.0, 0.0, -1.0),), (0.0,))])
def test_a_fold_along_a_wall_is_degenerate_from_both_sides(held, unit):
    """Where |g| < 1e-9 is all that is known, x is up to 2e-5 and λ up to 1e-4, of either sign."""
    x = torch.tensor([1e-5, -1e-5, 1e-7, -1e-7, 0.0], dtype=torch.float64)
    x = x / max(1, unit**0.25)
    weights = torch.stack([x, 0 * x, 0 * x], dim=1)
    found = judged(bent(held, 5, unit=unit), weights)
    assert {KINDS[kind] for kind in found["second_order"]} == {"degenerate"}
    assert (found["nullity"] == 1).all() and (found["index"] == 0).all()
    bowl = judged(bent(held, 5, unit=unit, power=2), weights)
    assert {KINDS[kind] for kind in bowl["second_order"]} == {"minimum"}


def test_a_fold_at_a_corner_that_is_weakly_held_is_not_called_a_minimum_beside_it():
    """x³ + y² + z with y ≥ 0 held weakly: second order says nothing of the way along x."""
    x = torch.tensor([1e-5, -1e-5], dtype=torch.float64)
    corner = Box((-9.0, 0.0, 0.0), (9.0, 9.0, 9.0))
    found = judged(bent(corner, 2), torch.stack([x, 0 * x, 0 * x], dim=1))
    assert {KINDS[kind] for kind in found["second_order"]} == {"degenerate"}


def test_a_raised_threshold_makes_no_kind_on_a_wall():
    """At x = 0.1 the gradient is 0.03, and no critical point is near that the curvature explains;
    at a bowl's x = 0.1 Newton's step explains all of a gradient of 0.2."""
    weights = torch.tensor([[0.1, 0.0, 0.0]], dtype=torch.float64)
    fold = judged(bent(HALF, 1), weights, critical_below=0.5)
    assert OBSTACLES[fold["obstacle"][0]] == "curvature"
    bowl = judged(bent(HALF, 1, power=2), weights, critical_below=0.5)
    assert OBSTACLES[bowl["obstacle"][0]] == "none"
    assert KINDS[bowl["second_order"][0]] == "minimum"
    far = judged(bent(HALF, 1), weights)
    assert OBSTACLES[far["obstacle"][0]] == "gradient"


def test_off_the_kkt_points_the_sign_of_the_multiplier_shows():
    """At the corner of the quadrant the loss x − y falls along y."""
    objective = program(np.eye(2), [1, -1], quadrant(2))
    weights = torch.zeros(1, 2, dtype=torch.float64)
    assert objective.stationarity(weights).tolist() == [[0.0, -1.0]]
    assert judged(objective, weights)["least_multiplier"][0] == pytest.approx(-1)


@given(seed=st.integers(0, 10**6))
def test_kinds_do_not_depend_on_the_axes(seed):
    """Turned polyhedra, with their walls in another order."""
    turn = np.linalg.qr(normal_weights(2, 2, seed).numpy())[0]
    rng = np.random.default_rng(seed)
    for matrix, slope, held, w, kind, *_ in POINTS.values():
        if held != quadrant(2):
            continue
        rows = -turn.T if rng.random() < 0.5 else -turn.T[::-1]
        turned = Halfspaces(tuple(map(tuple, rows * rng.uniform(0.1, 9))), (0.0, 0.0))
        there = torch.as_tensor(turn @ np.array(w, float))[None]
        quadratic = turn @ np.array(matrix, float) @ turn.T
        objective = program((quadratic + quadratic.T) / 2, turn @ np.array(slope, float), turned)
        assert KINDS[judged(objective, there)["second_order"][0]] == kind


@given(seed=st.integers(0, 10**6), size=st.integers(1, 5))
def test_copositivity_against_samples(seed, size):
    root = normal_weights(size, size, seed).numpy()
    matrix = root + root.T + (seed % 4) * np.eye(size)
    shares = np.abs(normal_weights(2000, size, seed + 1).numpy())
    shares = np.concatenate([np.eye(size), shares / shares.sum(1, keepdims=True)])
    least = np.einsum("si,ij,sj->s", shares, matrix, shares).min()
    sign = _copositive(matrix, 1e-9)
    assert sign != 0
    if sign > 0:
        assert least > 0
    elif size <= 3:  # more are not filled by samples
        assert least < 1e-2


@pytest.mark.parametrize(
    ("matrix", "sign"),
    [
        (np.eye(3), 1),
        ([[1, -1], [-1, 1]], 0),
        ([[1, -1.001], [-1.001, 1]], -1),
        ([[1, -0.999], [-0.999, 1]], 1),
        # Horn's form: copositive, 0 at some t, and neither a sum of squares nor non-negative
        ([[1, -1, 1, 1, -1], [-1, 1, -1, 1, 1], [1, -1, 1, -1, 1], [1, 1, -1, 1, -1],
          [-1, 1, 1, -1, 1]], 0),
    ],
)  # fmt: skip
def test_copositivity_of_known_forms(matrix, sign):
    assert _copositive(np.array(matrix, float), 1e-9) == sign


@pytest.mark.parametrize(("beside", "sign"), [(3.0, 1), (-0.5, -1)])
def test_on_a_cone_the_free_directions_are_at_their_best(beside, sign):
    """min over a of 4a² + 4a(s + t) + 2s² + 2t² + 2·beside·st = s² + t² + 2(beside − 1)st for
    s, t ≥ 0; the form is indefinite for both."""
    hessian = np.array([[4.0, 2, 2], [2, 2, beside], [2, beside, 2]])
    assert np.linalg.eigvalsh(hessian)[0] < 0
    assert sign_on_cone(hessian, -np.eye(3)[1:], 1e-9) == sign


def test_too_many_weak_constraints_are_not_decided():
    size = 12
    matrix = np.ones((size, size)) * 3 - 2 * np.eye(size)  # as `copositive`, in more dimensions
    assert sign_on_cone(matrix, -np.eye(size), 1e-9) == 0
    assert sign_on_cone(matrix[:8, :8], -np.eye(8), 1e-9) == 1


def test_where_the_loss_falls_everywhere_only_an_empty_cone_is_a_minimum():
    """dᵀHd < 0 for all d ≠ 0: a vertex held by walls that are all weak is a minimum only if no
    direction is left, however many walls there are."""
    falls = -np.diag([1.0, 2, 3])
    corner = -np.eye(3)  # d ≥ 0
    assert sign_on_cone(falls, corner, 1e-9) == -1
    assert sign_on_cone(falls, np.repeat(corner, 6, axis=0), 1e-9) == -1
    closed = np.vstack([corner, np.ones(3)])  # and d₁ + d₂ + d₃ ≤ 0
    assert sign_on_cone(falls, closed, 1e-9) == 1
    assert sign_on_cone(falls, np.repeat(closed, 6, axis=0), 1e-9) == 1
    edge = np.vstack([-np.eye(3)[:2], [1, 1, 0], [0, 0, 1]])  # the ray −e₃
    assert sign_on_cone(falls, edge, 1e-9) == -1
    assert sign_on_cone(falls, np.eye(3)[:1], 1e-9) == -1
    # with one direction of positive curvature it is another question
    assert sign_on_cone(np.diag([1.0, -2, -3]), closed, 1e-9) == 0


def test_which_of_dependent_constraints_are_held():
    """x ≥ 0 twice, either of which can hold the point, and y ≥ 0, which the loss does not press
    against; then x + y ≥ 0 in place of the second: x alone holds the point, as y would be pulled
    off it."""
    normals = np.array([[-1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]])
    every, none = np.ones(3, dtype=bool), np.zeros(3, dtype=bool)
    held = held_constraints(np.array([1.0, 0.0]), normals, every, none, 1e-9)
    np.testing.assert_array_equal(held.strong, normals[:2])
    np.testing.assert_array_equal(held.weak, normals[2:])
    normals[1] = -(2**-0.5)
    held = held_constraints(np.array([1.0, 0.0]), normals, every, none, 1e-9)
    np.testing.assert_array_equal(held.strong, normals[:1])
    np.testing.assert_array_equal(held.weak, normals[1:])


def test_null_spaces():
    rows = np.array([[1.0, 1.0, 0.0], [2.0, 2.0, 0.0]])
    basis = null_space(rows, 3)
    assert basis.shape == (3, 2) and np.abs(rows @ basis).max() < 1e-15
    assert null_space(rows[:0], 3).shape == (3, 3)


def test_spectra_are_those_of_the_reduced_hessian():
    matrix = np.diag([3.0, 5.0, 7.0])
    objective = program(matrix, [0, 0, 1], quadrant(3), 3)
    weights = torch.tensor([[0, 0, 0], [2.0, 0, 0], [1, 1, 0]], dtype=torch.float64)
    values, residuals = spectra(objective, weights, 1e-9)
    # held strongly: the third in all; the others have the multiplier 0 where they are active
    np.testing.assert_allclose(values[0], [3, 5, np.nan])
    np.testing.assert_allclose(values[2], [3, 5, np.nan])
    assert np.nanmax(residuals) < 1e-14
    vertex, _ = spectra(program(matrix, [1, 1, 1], quadrant(3)), weights[:1], 1e-9)
    assert np.isnan(vertex).all()


@pytest.mark.parametrize("held", [quadrant(3), Simplex(3), Ball((0.0,) * 3, 1.0)])
def test_descent_and_polishing_end_where_scipy_does(held):
    root = normal_weights(3, 3, 5).numpy()
    matrix, slope = root @ root.T + 0.1 * np.eye(3), np.array([-1.0, 0.5, -2.0])
    objective = program(matrix, slope, held, 8)
    descent = registry().get("optimizers", "projected_gradient_descent")(rate=0.1)
    stop = Stop(gradient_norm=1e-5, steps=20_000)
    outcome = train(objective, descent, normal_weights(8, 3), stop, Trace())
    assert (outcome.gradient_norm < 1e-5).all()
    ends = polish(OnFace(objective), outcome.weights, 0.1)
    assert torch.linalg.vector_norm(objective.stationarity(ends), dim=1).max() < 1e-12
    found = minimize(
        lambda w: w @ matrix @ w / 2 + slope @ w,
        np.full(3, 0.3),
        jac=lambda w: matrix @ w + slope,
        method="SLSQP",
        constraints=[
            {"type": "ineq", "fun": lambda w: 1 - w @ w}
            if isinstance(held, Ball)
            else {"type": "ineq", "fun": lambda w: w},
            *([{"type": "eq", "fun": lambda w: w.sum() - 1}] if isinstance(held, Simplex) else []),
        ],
        options={"ftol": 1e-15, "maxiter": 500},
    )
    np.testing.assert_allclose(ends.numpy(), np.tile(found.x, (8, 1)), atol=1e-6)
    kinds = judged(objective, ends)["second_order"]
    assert (kinds == KINDS.index("minimum")).all()


def test_polishing_stays_on_the_face():
    """On the sphere and on an edge, beside a saddle of the face."""
    objective = program([[-1, 0], [0, -2]], [0, 0], DISC)
    start = objective.retract(torch.tensor([[2.0, 1e-4]], dtype=torch.float64))
    end = polish(OnFace(objective), start, 0.1)
    torch.testing.assert_close(end, torch.tensor([[1.0, 0.0]]).double(), rtol=0, atol=1e-12)
    objective = program([[1, 0], [0, 2]], [3, -2], quadrant(2))
    start = torch.tensor([[0.0, 0.9], [0.3, 0.9]], dtype=torch.float64)
    ends = polish(OnFace(program([[1, 0], [0, 2]], [3, -2], quadrant(2), 2)), start, 5.0)
    assert ends[0].tolist() == [0.0, pytest.approx(1.0, abs=1e-13)]
    assert (ends >= 0).all()


def test_concave_descent_ends_at_the_vertices_of_the_cube():
    """Σ wᵢ(1 − wᵢ) on the cube: 2³ minima, at the vertices (as of a relaxed 3-SAT)."""
    objective = program(-2 * np.eye(3), [1, 1, 1], Box((0.0,) * 3, (1.0,) * 3), 40)
    start = torch.from_numpy(np.random.default_rng(3).uniform(0, 1, (40, 3)))
    for name, settings in (("projected_gradient_descent", {"rate": 0.1}), ("frank_wolfe", {})):
        if name == "frank_wolfe":
            settings = {"step_size": 1.0}
        optimizer = registry().get("optimizers", name)(**settings)
        outcome = train(objective, optimizer, start, Stop(steps=500), Trace())
        assert torch.equal(outcome.weights, start.round())
        assert (outcome.loss == 0).all() and (outcome.gradient_norm == 0).all()
        found = judged(objective, outcome.weights)
        assert (found["second_order"] == KINDS.index("minimum")).all()
        assert (found["active"] == 3).all() and (found["least_multiplier"] == 1).all()


def test_frank_wolfe_bounds():
    """L − min L ≤ 2MD²/(t + 2) (Jaggi 2013, Theorem 1), and no rise with the short step."""
    matrix = np.diag([1.0, 0.5, 0.25])
    target = np.array([0.2, 0.3, 0.5])  # the minimum, inside the simplex
    objective = program(matrix, -matrix @ target, Simplex(3), 5)
    least = float(objective.loss(torch.as_tensor(target)[None]))
    for settings in ({}, {"smoothness": 1.0}):
        frank_wolfe = registry().get("optimizers", "frank_wolfe")(**settings)
        weights = Simplex(3).project(normal_weights(5, 3, 1))
        state = frank_wolfe.start(weights, torch.ones(5, dtype=torch.float64))
        before = objective.loss(weights)
        for step in range(1, 200):
            weights, state = frank_wolfe.step(objective, weights, state)
            loss = objective.loss(weights)
            if settings:
                assert (loss <= before + 1e-15).all()
            assert (loss - least <= 2 * 2 / (step + 2)).all()
            before = loss
        assert (weights >= 0).all() and (weights.sum(1) - 1).abs().max() < 1e-14
        assert (loss - least < 1e-2).all()


def test_every_vertex_of_a_box_by_hand():
    """All 3² faces of a square, against the signs of the slopes and curvatures."""
    matrix, slope = np.diag([1.0, -1.0]), np.array([0.3, 0.2])
    objective = program(matrix, slope, Box((-1.0, -1.0), (1.0, 1.0)))
    found = {}
    for w in itertools.product((-1.0, -0.3, 1.0), (-1.0, 0.2, 1.0)):
        at = torch.tensor([w], dtype=torch.float64)
        if torch.linalg.vector_norm(objective.stationarity(at)) < 1e-15:
            found[w] = KINDS[judged(objective, at)["second_order"][0]]
    # along x the minimum is at −0.3; y falls from 0.2 towards both walls
    assert found == {(-0.3, -1.0): "minimum", (-0.3, 0.2): "saddle", (-0.3, 1.0): "minimum"}


def clauses(count: int, size: int, seed: int) -> np.ndarray:
    """(clause, size) signs of the literals of a random 3-SAT formula, 0 for none."""
    rng = np.random.default_rng(seed)
    signs = np.zeros((count, size))
    for row in signs:
        row[rng.choice(size, 3, replace=False)] = rng.choice([-1, 1], 3)
    return signs


def relaxation(signs: np.ndarray) -> Halfspaces:
    """0 ≤ x ≤ 1, and Σ x over the positive and Σ 1 − x over the negative literals at least 1."""
    size = signs.shape[1]
    rows = np.concatenate([-np.eye(size), np.eye(size), -signs])
    offsets = np.concatenate([np.zeros(size), np.ones(size), (signs < 0).sum(1) - 1.0])
    return Halfspaces(tuple(map(tuple, rows)), tuple(offsets))


@pytest.mark.parametrize(("count", "satisfiable"), [(20, True), (50, False)])
def test_relaxed_3_sat(count, satisfiable):
    """Σ xᵢ(1 − xᵢ) on the polytope of a formula is concave: its minima are vertices, and 0 is
    reached where an assignment satisfies all clauses, as brute force says."""
    signs = clauses(count, 6, 1)
    held = relaxation(signs)
    assignments = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).double()
    inside = (held.values(assignments) <= 1e-12).all(1)
    assert inside.any() == satisfiable
    objective = program(-2 * np.eye(6), np.ones(6), held, 30)
    start = torch.from_numpy(np.random.default_rng(2).uniform(0, 1, (30, 6)))
    linear = registry().get("optimizers", "frank_wolfe")(step_size=1.0)
    projected = registry().get("optimizers", "projected_gradient_descent")(rate=0.2)
    for optimizer in (linear, projected):
        stop = Stop(gradient_norm=1e-9, steps=300, check_every=5)
        outcome = train(objective, optimizer, start, stop, Trace())
        ends = polish(OnFace(objective), outcome.weights, 0.1)
        assert (held.values(ends) <= 1e-9).all()
        least = float(outcome.loss.min())
        assert least == pytest.approx(0, abs=1e-9) if satisfiable else least > 0.2
        reached = torch.linalg.vector_norm(objective.stationarity(ends), dim=1).numpy() < 1e-9
        assert reached.mean() > 0.8
        found = judged(objective.take(np.flatnonzero(reached)), ends[reached])
        vertex = found["active"] >= 6
        minimum = found["second_order"] == KINDS.index("minimum")
        assert minimum.any() and not (minimum & ~vertex).any()
        # a minimum without modes: what decides is the first order
        assert (found["index"][minimum] == 0).all() and (found["nullity"][minimum] == 0).all()
