"""One ReLU: the function of Lyapunov, its region, and how many runs converge."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, UserError, flag_mask, share, torch

from ....linear._matrices import table

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
PATH_RATE, PATH_STEPS = 0.02, 1500
"""Step and length of the trajectories: a time of 30, where the flow contracts as exp(−t/2)."""


class SingleReluRegion(Analysis):
    """Theorems 5 and 6 of Tian (arXiv:1703.00560) for the model single_relu.

    With ρ = ‖w‖, ‖w*‖ = 1 and θ their angle, V = ½‖w − w*‖² has −dV/dt = ½ρ² − bρ + ½c, where
    b = cos θ(1 − θ/2π) + sin θ/2π and c = 1 − (θ − sin θ cos θ)/π. So dV/dt < 0 at all w ≠ 0 on
    which b ≤ 0 or b² < c, which is everywhere but at w*; and dθ/dt = −(π−θ) sin θ/(2πρ), so that
    only the ray opposite to w* does not turn to it.

    Columns of every point: `form_violations`, angles of a grid where b > 0 and b² ≥ c, and
    `form_margin`, the least (c − b²)/θ² there; over random w in the plane, `inside_rises` and
    `outside_rises`, those with dV/dt ≥ 0 inside and outside of Ω = {‖w − w*‖ < ‖w*‖},
    `inside_rate` and `outside_rate`, the largest (dV/dt)/‖w − w*‖², and `polar_error`, the
    largest difference between ∇L and the equations of ρ and θ; `ray_error`, the largest part of
    ∇L across the opposite ray.
    Columns of starts drawn by half_space_ball: `bound` = (1 − ε)/2, `region_exact`, the
    probability of Ω by quadrature, `region_excess` over the bound, `region_share` and
    `converged_share` of the runs, and `rises`, recorded steps at which V grew.
    Arrays: `field` (axis, row, column) of −∇L in the plane and `path` (start, path_step, axis).
    """

    needs = ("initialization", "training", "critical_points")

    samples: PositiveInt = 20000
    """Random weights in the plane."""
    angles: PositiveInt = 200001
    """Angles of the grid."""

    def compute(self, results):
        rows = {
            configuration.label: _shares(results, configuration)
            for configuration in results.configurations
        }
        plane = type(results.configurations[0].settings.model)(inputs=2)
        common = _form(self.angles) | _sampled(plane, results.study.settings.seed, self.samples)
        found = table({label: row | common for label, row in rows.items()}, COLUMNS)
        return found.assign(_drawn(plane))


COLUMNS = {
    "inputs": "input dimension d",
    "epsilon": "ε of the ball's radius",
    "bound": "the theorem's bound (1 − ε)/2",
    "region_exact": "probability of Ω by quadrature",
    "region_excess": "that probability less the bound",
    "region_share": "share of starts in Ω",
    "converged_share": "share of runs that reach w*",
    "rises": "recorded steps at which V grew",
    "form_violations": "angles where the quadratic form is not positive",
    "form_margin": "least (c − b²)/θ²",
    "inside_rises": "samples in Ω where V does not fall",
    "outside_rises": "samples outside of Ω where V does not fall",
    "inside_rate": "largest (dV/dt)/‖w − w*‖² in Ω",
    "outside_rate": "largest (dV/dt)/‖w − w*‖² outside of Ω",
    "polar_error": "largest error of the equations in norm and angle",
    "ray_error": "largest part of the gradient across the opposite ray",
}


def region_probability(inputs: int, radius: float) -> float:
    """P(‖w − w*‖ < ‖w*‖) = P(cos θ > ‖w‖/2) for w uniform in the ball of this radius ≤ 1 in
    `inputs` dimensions, ‖w*‖ = 1."""
    from scipy import integrate, special

    if inputs == 1:
        return 0.5

    def density(part):
        cap = special.betainc((inputs - 1) / 2, 0.5, 1 - (radius * part / 2) ** 2) / 2
        return inputs * part ** (inputs - 1) * cap

    return integrate.quad(density, 0, 1, epsabs=1e-12, epsrel=1e-12)[0]


def _shares(results, configuration) -> dict[str, float]:
    """How many starts are in Ω, and how many runs reach w*."""
    model, initializer = configuration.settings.model, configuration.settings.initializer
    if model.name != "single_relu" or initializer.name != "half_space_ball":
        raise UserError(
            f"{results.study.file}: analyses: single_relu_region is about single_relu with starts"
            f" of half_space_ball, not {model.name!r} with {initializer.name!r}"
        )
    first = results.at("initialization", configuration.label)["w"].values
    ends = results.at("critical_points", configuration.label)
    climbs = np.diff(results.at("training", configuration.label)["trace_lyapunov"].values, axis=1)
    inside = 2 * first[:, 0] > (first**2).sum(axis=1)
    reached = flag_mask(ends["is_global"], "yes")
    exact = region_probability(model.inputs, initializer.radius(model.inputs))
    bound = (1 - initializer.epsilon) / 2
    row = {"inputs": model.inputs, "epsilon": initializer.epsilon, "bound": bound}
    row |= {"region_exact": exact, "region_excess": exact - bound, "rises": int((climbs > 0).sum())}
    for name, mask in (("region_share", inside), ("converged_share", reached)):
        row[name], row[f"{name}_low"], row[f"{name}_high"] = share(int(mask.sum()), len(mask))
    return row


def _form(count: int) -> dict[str, float]:
    """Is −dV/dt = ½ρ² − bρ + ½c positive at all ρ > 0, for each angle of a grid?"""
    angle = np.linspace(LEAST_ANGLE, np.pi, count)
    sine, cosine = np.sin(angle), np.cos(angle)
    b = cosine * (1 - angle / (2 * np.pi)) + sine / (2 * np.pi)
    c = 1 - (angle - sine * cosine) / np.pi
    margin = (c - b**2)[b > 0] / angle[b > 0] ** 2
    return {"form_violations": int((margin <= 0).sum()), "form_margin": margin.min()}


def _sampled(model, seed: int, count: int) -> dict[str, float]:
    """dV/dt, and the equations of norm and angle, at random weights in the plane."""
    drawn = Streams(seed, "plane", np.arange(count), "single_relu_region").uniform(2)
    w = EXTENT * (2 * drawn - 1)
    gradient = _gradient(model, w)
    away = w - np.array([1.0, 0.0])
    square = (away**2).sum(axis=1)
    rate = -(away * gradient).sum(axis=1) / square
    inside = square < 1
    norm, angle = np.hypot(*w.T), np.arctan2(w[:, 1], w[:, 0])
    kernel = (np.pi - np.abs(angle)) * np.cos(angle) + np.sin(np.abs(angle))
    radial = -(gradient * w).sum(axis=1) / norm
    turning = (gradient[:, 0] * w[:, 1] - gradient[:, 1] * w[:, 0]) / norm**2
    radial_law = -norm / 2 + kernel / (2 * np.pi)
    turning_law = -(np.pi - np.abs(angle)) * np.sin(angle) / (2 * np.pi * norm)
    errors = np.abs(radial - radial_law), norm * np.abs(turning - turning_law)
    ray = _gradient(model, np.stack([-np.linspace(0.01, EXTENT, 301), np.zeros(301)], axis=1))
    return {
        "inside_rises": int((rate[inside] >= 0).sum()),
        "outside_rises": int((rate[~inside] >= 0).sum()),
        "inside_rate": rate[inside].max(),
        "outside_rate": rate[~inside].max(),
        "polar_error": np.max(errors),
        "ray_error": np.abs(ray[:, 1]).max(),
    }


def _drawn(model) -> dict:
    """The field and some trajectories, for the figure."""
    import xarray as xr

    across, up = np.linspace(-1.5, 2.5, 81), np.linspace(-1.6, 1.6, 65)
    grid = np.stack(np.meshgrid(across, up), axis=-1)
    field = -_gradient(model, grid.reshape(-1, 2)).reshape(grid.shape)
    norm, turn = np.array(STARTS).T
    w = norm[:, None] * np.stack([np.cos(np.radians(turn)), np.sin(np.radians(turn))], axis=1)
    path = [w]
    for _ in range(PATH_STEPS):
        path.append(path[-1] - PATH_RATE * _gradient(model, path[-1]))
    return {
        "field": xr.DataArray(
            np.moveaxis(field, -1, 0), {"row": up, "column": across}, ("axis", "row", "column")
        ),
        "path": (("start", "path_step", "axis"), np.stack(path, axis=1)),
    }


def _gradient(model, w: np.ndarray) -> np.ndarray:
    return model.gradient({"w": torch.as_tensor(w)}, {})["w"].numpy()


@nnflow.hookimpl
def nnflow_register(register):
    register("single_relu_region", SingleReluRegion)
