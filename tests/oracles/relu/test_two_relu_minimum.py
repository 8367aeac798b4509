"""Two students of two teachers: the study, and the critical points known by heart."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from students import normal, objective, random_weights
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.base.errors import UserError
from nnflow.engine.objective import Objective
from nnflow.engine.polish import polish
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    study = load_study(study_file("two_relu_minimum", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp(study.name))


def on_spheres(d, runs):
    plain = objective(2, 2, runs, inputs=d, norms="unit")
    return Objective(plain.model, {}, plain.streams, plain.model.manifold())


# The study


def test_every_claim_is_reproduced(done):
    lines = (done.folder / "claims.csv").read_text().splitlines()[1:]
    assert len(lines) == 28
    found = verdicts(done)
    corrected = {claim for claim, verdict in found.items() if verdict == "corrected"}
    assert {claim.split("[")[0] for claim in corrected} == {"unique_minimum"}
    assert {found[claim] for claim in found.keys() - corrected} <= AGREE | {"undecided"}
    assert_drawn(done.folder, done.study.settings.figures)


def test_ends_are_the_teachers(done):
    for _, ends in done.read.each("critical_points"):
        sums = ends["w"].values.sum(axis=1)  # the same for both orders of the students
        np.testing.assert_allclose(sums - np.eye(2, sums.shape[1]).sum(axis=0), 0, atol=1e-12)
        assert (ends["nullity"] == 0).all()


def test_runs_on_spheres_never_leave_them_and_descend(done):
    for configuration, runs in done.read.each("training"):
        falls = np.diff(runs["trace_loss"].values, axis=1)
        assert np.nanmin(falls) < -0.01 and np.nanmax(falls) <= 1e-14
        if configuration.settings.model.norms == "unit":
            np.testing.assert_allclose(np.linalg.norm(runs["w"].values, axis=2), 1, atol=1e-15)


# Critical points


def test_hessian_at_the_teachers():
    """Within the plane [[½I, M], [M, ½I]] with M = ¼I + (e₁e₂ᵀ + e₂e₁ᵀ)/2π, across it with
    M = ¼I; on the spheres only e₂ of the first and e₁ of the second student are left of the
    plane."""
    d = 4
    teachers = torch.eye(2, d, dtype=torch.float64).flatten()[None]
    plane, across = 1 / (2 * math.pi), [0.25, 0.75] * (d - 2)
    free = [0.5 + a * 0.25 + b * plane for a in (1, -1) for b in (1, -1)]
    cases = [
        (objective(2, 2, 1, inputs=d), free + across),
        (on_spheres(d, 1), [0.5 - plane, 0.5 + plane, *across]),
    ]
    for problem, expected in cases:
        assert problem.gradient(teachers).abs().max() < 1e-15
        values = torch.linalg.eigvalsh(problem.hessian(teachers))[0].numpy()
        np.testing.assert_allclose(values, np.sort(expected), atol=1e-14)


@pytest.mark.parametrize("k", [2, 3, 5, 6, 10, 20])
def test_the_symmetric_saddle(k):
    """All students at x(1, …, 1), x = (√(k−1) − arccos(1/√k) + π)/πk (Tian 2017, Theorem 7)."""
    x = (math.sqrt(k - 1) - math.acos(1 / math.sqrt(k)) + math.pi) / (math.pi * k)
    if k == 2:
        assert x == pytest.approx(0.534155, abs=5e-7)
    problem = objective(k, k, 1)
    weights = torch.full((1, k * k), x, dtype=torch.float64)
    assert problem.gradient(weights).abs().max() < 1e-14
    assert torch.linalg.eigvalsh(problem.hessian(weights))[0, 0] < -0.05


@given(st.floats(0.05, 0.95))
def test_a_line_of_collinear_saddles(part):
    """K = 2: students at 2sx(1, 1) and 2(1 − s)x(1, 1) are critical for each s."""
    x = (1 + 0.75 * math.pi) / (2 * math.pi)
    weights = torch.tensor([[part, part, 1 - part, 1 - part]], dtype=torch.float64) * 2 * x
    problem = objective(2, 2, 1)
    assert problem.gradient(weights).abs().max() < 1e-14
    values = torch.linalg.eigvalsh(problem.hessian(weights))[0]
    assert values[0] < -0.01 and values.abs().min() < 1e-13
    assert float(problem.loss(weights)) == pytest.approx(0.08851, abs=5e-6)


@given(st.integers(0, 10**6))
def test_derivatives_on_the_spheres_do_not_depend_on_the_turn_across(draw):
    d, problem = 5, on_spheres(5, 2)
    weights = problem.retract(random_weights(d, 2, 1, draw))
    turn, _ = torch.linalg.qr(normal(d - 2, d - 2, draw=draw + 1))
    whole = torch.block_diag(torch.eye(2, dtype=torch.float64), turn)
    images = torch.cat([weights, (weights.reshape(2, d) @ whole).flatten()[None]])
    norms = torch.linalg.vector_norm(problem.gradient(images), dim=1)
    values = torch.linalg.eigvalsh(problem.hessian(images))
    assert float(norms[0]) == pytest.approx(float(norms[1]), abs=1e-12)
    torch.testing.assert_close(values[0], values[1], rtol=0, atol=1e-11)


# The circles


def circles(**settings):
    model = registry().get("models", "relu_teacher_student")(k=2, n=2, norms="unit", **settings)
    configuration = SimpleNamespace(settings=SimpleNamespace(model=model))
    results = SimpleNamespace(
        configurations=[configuration], study=SimpleNamespace(file="two.yaml")
    )
    return registry().get("analyses", "circle_landscape")(size=61).compute(results)


def test_six_critical_points_on_the_circles():
    found = circles()
    assert found.sizes["critical"] == 6 and int(found["euler"]) == 0
    assert found["residual"].max() < 1e-14
    places = {
        tuple(np.round(np.degrees(place)).astype(int).tolist()): int(kind)
        for place, kind in zip(found["place"].values, found["kind"].values, strict=True)
    }
    minimum, saddle, maximum = range(3)
    assert places == {
        (0, 90): minimum, (90, 0): minimum,
        (45, 45): saddle, (-135, 45): saddle, (45, -135): saddle,
        (-135, -135): maximum,
    }  # fmt: skip


def test_losses_at_the_critical_points_of_the_circles():
    """The saddles with both students between the teachers, or one of them opposite, and the
    maximum with both opposite: docs/results/relu/two_relu_minimum.md."""
    values = np.sort(circles()["value"].values)
    np.testing.assert_allclose(values, [0, 0, 0.1483, 0.3554, 0.3554, 1.5626], atol=5e-5)


def test_points_without_curvature_are_degenerate():
    names = module("circle_landscape").KINDS
    pairs = {
        (0.1, 0.2): "minimum",
        (-0.1, 0.2): "saddle",
        (-0.2, -0.1): "maximum",
        (0.0, 0.2): "degenerate",
        (-0.2, 0.0): "degenerate",
    }
    kinds = module("circle_landscape")._kinds(np.array(list(pairs)))
    assert [names[kind] for kind in kinds] == list(pairs.values())


def test_kinds_on_the_circles_are_those_of_classification():
    """The same points through the framework's gradient, Hessian and polishing."""
    found, problem = circles(), on_spheres(2, 6)
    angles = torch.from_numpy(found["place"].values)
    weights = torch.stack([torch.cos(angles), torch.sin(angles)], dim=2).flatten(1)
    assert problem.gradient(weights).abs().max() < 1e-14
    values = torch.linalg.eigvalsh(problem.hessian(weights)).numpy()
    np.testing.assert_allclose(values, found["eigenvalue"], atol=1e-13)
    nearby = problem.retract(weights + 1e-4 * normal(6, 4))
    torch.testing.assert_close(polish(problem, nearby, 0.1), weights, rtol=0, atol=1e-12)


def test_the_grid_holds_the_loss():
    found = circles()
    first, second = (found[name].values for name in ("first", "second"))
    angles = torch.from_numpy(np.stack(np.meshgrid(first, second, indexing="ij"), axis=-1))
    weights = torch.stack([torch.cos(angles), torch.sin(angles)], dim=3).reshape(-1, 4)
    expected = on_spheres(2, 1).loss(weights).reshape(found["loss"].shape)
    np.testing.assert_allclose(found["loss"], expected, atol=1e-14)


def test_circles_need_two_unit_vectors_in_the_plane():
    with pytest.raises(
        UserError, match=r"two.yaml: analyses: no configuration with two unit vectors"
    ):
        circles(inputs=3)
