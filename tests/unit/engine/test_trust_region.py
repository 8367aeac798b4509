"""Steps of a trust region against dense solutions."""

import numpy as np
import pytest
import torch

from nnflow.engine.trust_region import trust_region_step

SIZE = 30


def problem(values, seed=0):
    random = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(random.standard_normal((SIZE, SIZE)))
    return torch.as_tensor((turn * values) @ turn.T), torch.as_tensor(random.standard_normal(SIZE))


def step(matrices, gradients, radius, tolerance=1e-12, most=500):
    runs = len(matrices)
    return trust_region_step(
        lambda v: (matrices @ v[..., None]).squeeze(-1),
        gradients,
        torch.tensor(radius, dtype=torch.float64).expand(runs),
        torch.full((runs,), tolerance).double(),
        most,
    )


def stacked(*problems):
    return (torch.stack(parts) for parts in zip(*problems, strict=True))


def test_inside_the_region_it_is_newtons_step_and_outside_it_ends_at_the_edge():
    matrices, gradients = stacked(
        problem(np.linspace(1, 9, SIZE)), problem(np.linspace(-1, 9, SIZE), seed=1)
    )
    newton = -torch.linalg.solve(matrices, gradients)
    far = float(newton[0].norm())
    for radius, inside in ((2 * far, True), (far / 2, False)):
        found = step(matrices, gradients, radius)
        assert found.at_edge.tolist() == [not inside, True]
        if inside:
            torch.testing.assert_close(found.step[0], newton[0], rtol=1e-9, atol=1e-12)
        at_edge = found.step[found.at_edge].norm(dim=1)
        torch.testing.assert_close(at_edge, torch.full_like(at_edge, radius))
        image = (matrices @ found.step[..., None]).squeeze(-1)
        torch.testing.assert_close(found.image, image, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("radius", [0.1, 1.0, 10.0])
def test_it_lowers_the_quadratic_at_least_as_far_as_the_steepest_way(radius):
    """Cauchy's point is what convergence rests on."""
    matrices, gradients = stacked(
        *(problem(np.linspace(-2, 8, SIZE) * (-1) ** seed, seed) for seed in range(8))
    )

    def lowered(p):
        return (gradients * p).sum(1) + (p * (matrices @ p[..., None]).squeeze(-1)).sum(1) / 2

    along = gradients / gradients.norm(dim=1, keepdim=True)
    curvature = (along * (matrices @ along[..., None]).squeeze(-1)).sum(1)
    length = torch.where(curvature > 0, gradients.norm(dim=1) / curvature, torch.inf).clamp(
        max=radius
    )
    found = step(matrices, gradients, radius)
    assert (lowered(found.step) <= lowered(-length[:, None] * along) + 1e-12).all()
    assert (found.step.norm(dim=1) <= radius * (1 + 1e-9)).all()


def test_runs_do_not_see_one_another_and_ended_ones_stay():
    matrices, gradients = stacked(
        problem(np.ones(SIZE)), problem(np.geomspace(1e-3, 1, SIZE)), problem(np.zeros(SIZE))
    )
    gradients[0] *= 0
    together = step(matrices, gradients, 50.0, most=20)
    assert together.step[0].norm() == 0 and not together.at_edge[0]
    assert together.step[2].norm() == pytest.approx(50)  # no curvature: to the edge
    for run in range(3):
        alone = step(matrices[run : run + 1], gradients[run : run + 1], 50.0, most=20)
        torch.testing.assert_close(alone.step[0], together.step[run], rtol=1e-12, atol=1e-12)
