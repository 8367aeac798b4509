"""One ReLU: the function of Lyapunov, its region, and how many runs converge."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, UserError, flag_mask, share, torch

from ..._kernel import arc_cosine_slope
from ..._population import kernel

EXTENT = 3.0
"""Samples lie in a square of this half-width around the origin, with ‖w*‖ = 1."""
LEAST_ANGLE = 1e-3
"""Below it rounding is what is left of c − b²."""
STARTS = (
    (0.05, 30),
    (0.05, 90),
    (0.05, 150),
    (0.05, 178),
    (1, 60),
    (1, 179),
    (2.2, 20),
    (2.2, 110),
)
"""Starts of the drawn trajectories: norm, and angle to w* in degrees."""
FLOW_STEP, FLOW_STEPS = 0.02, 1500
"""Step and length of the drawn trajectories, which stand for the gradient flow whatever the
study's optimizer: a time of 30, where the flow contracts as exp(−t/2)."""
FAR, FARTHEST = 1.5, 2.0
"""Radii of balls beyond w*, the second the least that holds all of Ω."""
NEAR = 1e-9
"""Radius of circles on which the gradient is compared with itself."""
APART = 0.1
"""Least norm of the points besides 0 around which it is."""


class SingleReluRegion(Analysis):
    """Theorems 5 and 6 of Tian (arXiv:1703.00560) for the model single_relu.

    With ρ = ‖w‖, ‖w*‖ = 1 and θ their angle, V = ½‖w − w*‖² has −dV/dt = ½ρ² − bρ + ½c, where
    b = cos θ(1 − θ/2π) + sin θ/2π and c = 1 − (θ − sin θ cos θ)/π. So dV/dt < 0 at all w ≠ 0 on
    which b ≤ 0 or b² < c, which is everywhere but at w*; and dθ/dt = −(π−θ) sin θ/(2πρ), so that
    only the ray opposite to w* does not turn to it. Ω is the region {‖w − w*‖ < ‖w*‖}.

    Starts uniform in a ball of radius r ≥ ‖w*‖ lie in Ω, itself a ball, with a probability of at
    most (‖w*‖/r)^d, and of just that for r ≥ 2‖w*‖. The gradient tends to −½(1 − θ/π)w* −
    sin θ e/2π where w tends to 0 along e, so that it jumps by up to ½, and nowhere else.

    The form is evaluated on a grid of angles, dV/dt at random w in the plane; the probability of
    Ω is that of the starts of half_space_ball, without which a UserError is raised. For the
    figure, `field` (axis, row, column) is −∇L in the plane, and `path` (start, path_step, axis)
    holds some trajectories.
    """

    needs = ("initialization", "training", "critical_points")
    models = ("single_relu",)
    columns = {
        "inputs": "input dimension d",
        "epsilon": "ε of the ball's radius",
        "bound": "the theorem's bound (1 − ε)/2",
        "region_exact": "probability of Ω by quadrature",
        "region_excess": "that probability less the bound",
        "radius_ratio": "radius of the ball over the largest where Ω has the bound's probability",
        "far_ratio": "probability of Ω for a ball of radius 3/2 over its bound (‖w*‖/r)^d",
        "far_share": "probability of Ω for a ball of radius 2, r = 2‖w*‖",
        "region_share": "share of starts in Ω",
        "converged_share": "share of runs that reach w*",
        "inside_missed": "share of the starts in Ω that do not reach w*",
        "other_minima": "share of runs that end at a minimum besides w*",
        "rises": "recorded steps at which V grew",
        "form_violations": "angles with b > 0 where the quadratic form is not positive",
        "form_margin": "least (c − b²)/θ² where b > 0",
        "inside_rises": "samples in Ω where V does not fall",
        "outside_rises": "samples outside of Ω where V does not fall",
        "inside_rate": "largest (dV/dt)/‖w − w*‖² in Ω",
        "outside_rate": "largest (dV/dt)/‖w − w*‖² outside of Ω",
        "polar_error": "largest error of the equations in norm and angle",
        "ray_error": "largest part of the gradient across the opposite ray",
        "origin_jump": "largest distance of the gradients around w = 0",
        "other_jump": "largest distance of the gradients around other points",
    }

    samples: PositiveInt = 20000
    """Random weights in the plane."""
    angles: PositiveInt = 200001
    """Angles of the grid."""

    def compute(self, results):
        plane = results.configurations[0].settings.model.model_copy(update={"inputs": 2})
        table = nnflow.Table(results, self.columns)
        table.everywhere(**quadratic_form(self.angles))
        table.everywhere(**_sampled(plane, results.study.settings.seed, self.samples))
        for configuration in results.configurations:
            table.row(configuration, **_theorem_6(results, configuration))
            table.row(configuration, **_runs(results, configuration))
        return table.dataset().assign(_drawn(plane))


def region_probability(inputs: int, radius: float) -> float:
    """P(‖w − w*‖ < ‖w*‖) = P(cos θ > ‖w‖/2) for w uniform in the ball of this radius ≤ 2 in
    `inputs` dimensions, ‖w*‖ = 1."""
    from scipy import integrate, special

    if inputs == 1:
        return 0.5

    def density(part):
        cap = special.betainc((inputs - 1) / 2, 0.5, 1 - (radius * part / 2) ** 2) / 2
        return inputs * part ** (inputs - 1) * cap

    return integrate.quad(density, 0, 1, epsabs=0, epsrel=1e-12)[0]


def widest_radius(inputs: int, probability: float) -> float:
    """The largest radius of a ball around 0 in which uniform w have P(‖w − w*‖ < ‖w*‖) ≥
    probability, which is at most ½, ‖w*‖ = 1. P falls in r, and is r^−d from r = 2 on, where the
    ball holds all of Ω."""
    from scipy.optimize import brentq

    if probability <= FARTHEST**-inputs:
        return probability ** (-1 / inputs)
    return brentq(
        lambda radius: region_probability(inputs, radius) - probability, 0, FARTHEST, xtol=1e-12
    )


def _theorem_6(results, configuration) -> dict[str, float]:
    """The bound of the study's ball, and the exact probability of Ω."""
    model, initializer = configuration.settings.model, configuration.settings.initializer
    if initializer.name != "half_space_ball":
        raise UserError(
            f"{results.study.file}: analyses: single_relu_region is about starts of"
            f" half_space_ball, not {initializer.name!r}"
        )
    radius = initializer.radius(model.inputs)
    exact = region_probability(model.inputs, radius)
    bound = (1 - initializer.epsilon) / 2
    return {
        "inputs": model.inputs,
        "epsilon": initializer.epsilon,
        "bound": bound,
        "region_exact": exact,
        "region_excess": exact - bound,
        "radius_ratio": radius / widest_radius(model.inputs, bound),
        "far_ratio": region_probability(model.inputs, FAR) * FAR**model.inputs,
        "far_share": region_probability(model.inputs, FARTHEST),
    }


def _runs(results, configuration) -> dict[str, float | tuple[float, float, float]]:
    """How many starts are in Ω, how many runs reach w*, and how often V grew."""
    first, critical, trained = (
        results.at(name, configuration.label)
        for name in ("initialization", "critical_points", "training")
    )
    w = first["w"].values.reshape(first.sizes["run"], -1)
    inside = 2 * w[:, 0] > (w**2).sum(axis=1)
    reached = flag_mask(critical["is_global"], "yes")
    other = flag_mask(critical["kind"], "minimum") & ~reached
    climbs = np.diff(trained["trace_lyapunov"].values, axis=1)
    return {
        "region_share": share(int(inside.sum()), len(inside)),
        "converged_share": share(int(reached.sum()), len(reached)),
        "inside_missed": share(int((inside & ~reached).sum()), int(inside.sum())),
        "other_minima": share(int(other.sum()), len(other)),
        "rises": int((climbs > 0).sum()),
    }


def form(angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """b and c of −dV/dt = ½ρ² − bρ + ½c."""
    sine, cosine = np.sin(angle), np.cos(angle)
    b = cosine * (1 - angle / (2 * np.pi)) + sine / (2 * np.pi)
    return b, 1 - (angle - sine * cosine) / np.pi


def quadratic_form(count: int) -> dict[str, float]:
    """Is −dV/dt = ½ρ² − bρ + ½c positive at all ρ > 0, for each of `count` angles of (0, π]?"""
    angle = np.linspace(LEAST_ANGLE, np.pi, count)
    b, c = form(angle)
    margin = (c - b**2)[b > 0] / angle[b > 0] ** 2
    return {"form_violations": int((margin <= 0).sum()), "form_margin": margin.min()}


def _sampled(model, seed: int, count: int) -> dict[str, float]:
    """dV/dt, and the equations of norm and angle, at random weights in the plane."""
    drawn = Streams(seed, "plane", np.arange(count), "single_relu_region").uniform(2)
    w = EXTENT * (2 * drawn - 1)
    gradient = _gradient(model, w)
    ray = np.stack([-np.linspace(0.01, EXTENT, 301), np.zeros(301)], axis=1)
    return {
        **_descent(w, gradient),
        "polar_error": _polar_error(w, gradient),
        "ray_error": np.abs(_gradient(model, ray)[:, 1]).max(),
        "origin_jump": _jump(model, np.zeros((1, 2))),
        "other_jump": _jump(model, w[np.hypot(*w.T) > APART][:1000]),
    }


def _jump(model, centers: np.ndarray) -> float:
    """The largest distance of two gradients on a small circle around one of the points."""
    turn = np.linspace(0, 2 * np.pi, 73)[:-1]
    circle = NEAR * np.stack([np.cos(turn), np.sin(turn)], axis=1)
    found = _gradient(model, (centers[:, None] + circle).reshape(-1, 2))
    found = found.reshape(len(centers), len(circle), 2)
    return np.linalg.norm(found[:, :, None] - found[:, None], axis=3).max()


def _descent(w: np.ndarray, gradient: np.ndarray) -> dict[str, float]:
    """(dV/dt)/‖w − w*‖² on either side of the edge of Ω."""
    away = w - np.array([1.0, 0.0])
    square = (away**2).sum(axis=1)
    rate = -(away * gradient).sum(axis=1) / square
    inside = square < 1
    return {
        "inside_rises": int((rate[inside] >= 0).sum()),
        "outside_rises": int((rate[~inside] >= 0).sum()),
        "inside_rate": rate[inside].max(),
        "outside_rate": rate[~inside].max(),
    }


def _polar_error(w: np.ndarray, gradient: np.ndarray) -> float:
    """Largest difference of −∇L from dρ/dt = −½ρ + h(θ)/2π and ρ dθ/dt = −(π−θ) sin θ/2π."""
    norm, angle = np.hypot(*w.T), np.arctan2(w[:, 1], w[:, 0])
    radial = -(gradient * w).sum(axis=1) / norm
    turning = (gradient[:, 0] * w[:, 1] - gradient[:, 1] * w[:, 0]) / norm**2
    expected_radial = -norm / 2 + kernel(np.abs(angle)) / (2 * np.pi)
    expected_turning = -arc_cosine_slope(np.abs(angle), np.sin(angle)) / (2 * np.pi * norm)
    errors = np.abs(radial - expected_radial), norm * np.abs(turning - expected_turning)
    return np.max(errors)


def _drawn(model) -> dict:
    """The field and some trajectories, for the figure."""
    import xarray as xr

    across, up = np.linspace(-1.5, 2.5, 81), np.linspace(-1.6, 1.6, 65)
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    field = -_gradient(model, grid.reshape(-1, 2)).reshape(grid.shape)
    norm, turn = np.array(STARTS).T
    w = norm[:, None] * np.stack([np.cos(np.radians(turn)), np.sin(np.radians(turn))], axis=1)
    path = [w]
    for _ in range(FLOW_STEPS):
        path.append(path[-1] - FLOW_STEP * _gradient(model, path[-1]))
    return {
        "field": xr.DataArray(
            np.moveaxis(field, -1, 0), {"row": up, "column": across}, ("axis", "row", "column")
        ),
        "path": (("start", "path_step", "axis"), np.stack(path, axis=1)),
    }


def _gradient(model, w: np.ndarray) -> np.ndarray:
    """∇L at each row of w (run, input), whatever the shape in which the model keeps its weights."""
    named = torch.as_tensor(w).reshape(len(w), *model.shapes()["w"])
    return model.gradient({"w": named}, {})["w"].reshape(w.shape).numpy()


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu_region", SingleReluRegion)
