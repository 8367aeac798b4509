"""Every column of the analyses of ReLU dynamics, on hand-made results."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from scipy.optimize import brentq
from studies import module

from nnflow import Streams, share
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
EYE, SWAPPED, AWAY = np.eye(2), np.eye(2)[::-1], np.full((2, 2), 0.4)


# noisy_initialization


def noisy(top=None, runs=(), start=None):
    """Settings and datasets of a configuration with K = 2; runs: (w, kind, is global, steps,
    status)."""
    w, kind, is_global, steps, status = zip(*runs, strict=True)
    model = SimpleNamespace(name="a model", **({"top": top} if top else {}))
    start = start or SimpleNamespace(name="symmetric_start", x=1e-3, y=4e-4, noise=2e-4)
    critical = xr.Dataset(
        {
            "w": (("run", "neuron", "input"), np.array(w)),
            "kind": flags(kind, KINDS),
            "is_global": flags(is_global, "no yes unknown"),
        }
    )
    trained = xr.Dataset(
        {"steps": ("run", list(steps)), "status": flags(status, "converged step_limit diverged")}
    )
    return {"model": model, "initializer": start}, critical, trained


RUNS = [
    (EYE, "minimum", "yes", 10, "converged"),
    (SWAPPED, "minimum", "yes", 30, "converged"),
    (AWAY, "minimum", "no", 500, "converged"),
    # neither at the teacher nor in a spurious minimum, and not even converged
    (AWAY, "saddle", "no", 700, "step_limit"),
    # near the teacher, where it may not stay
    (EYE + 5e-4, "not_critical", "no", 700, "step_limit"),
]


def noisy_results(**configurations):
    settings, critical, trained = {}, {}, {}
    for label, (parts, at_end, training) in configurations.items():
        settings[label], critical[label], trained[label] = parts, at_end, training
    return Handmade(settings, {"critical_points": critical, "training": trained})


def test_columns_of_noisy_initialization():
    without = SimpleNamespace(name="symmetric_start", x=1e-3, y=0.0, noise=0.0)
    results = noisy_results(
        plain=noisy(None, RUNS),
        quiet=noisy(None, RUNS[2:], without),
        ones=noisy([1.0, 1.0], RUNS),
        mixed=noisy([2.0, -0.5], [RUNS[1], RUNS[1], RUNS[0]]),
    )
    nan = math.nan
    expected = {
        "neurons": [2, 2, 2, 2],
        "noise": [0.2, 0, 0.2, 0.2],
        "split": [0.6, 1, 0.6, 0.6],
        "split_over_noise": [3, math.inf, 3, 3],
        "runs": [5, 3, 5, 3],
        "teacher_share": [share(1, 5), share(0, 3), share(1, 5), share(1, 3)],
        "global_share": [share(2, 5), share(0, 3), share(2, 5), share(3, 3)],
        "spurious_share": [share(1, 5), share(1, 3), share(1, 5), share(0, 3)],
        "converged_share": [share(3, 5), share(1, 3), share(3, 5), share(3, 3)],
        "median_steps": [20, nan, 20, 30],
        "relative_steps": [nan, nan, 1, 1.5],
        "top_least": [1, 1, 1, -0.5],
        "top_most": [1, 1, 1, 2],
        "mixed": [0, 0, 0, 1],
    }
    assert_columns(analysis("noisy_initialization"), results, expected)


def test_top_weights_of_one_sign_are_not_mixed():
    results = noisy_results(a=noisy([0.5, 2.0], RUNS[:1]))
    found = analysis("noisy_initialization").compute(results)
    assert [found[f"top_{end}"].item() for end in ("least", "most")] == [0.5, 2]
    assert found["mixed"].item() == 0


def test_without_top_weights_of_one_no_steps_are_relative():
    results = noisy_results(mixed=noisy([2.0, -0.5], RUNS))
    assert np.isnan(analysis("noisy_initialization").compute(results)["relative_steps"].item())


def test_other_starts_are_refused():
    other = SimpleNamespace(name="normal")
    results = noisy_results(all=noisy(None, RUNS, other))
    with pytest.raises(UserError, match=r"study.yaml: .* starts of symmetric_start, not 'normal'"):
        analysis("noisy_initialization").compute(results)


# single_relu_region


def single_relu(inputs, epsilon, first, reached, lyapunov, kinds):
    parts = {
        "model": registry().get("models", "single_relu")(inputs=inputs),
        "initializer": registry().get("initializers", "half_space_ball")(epsilon=epsilon),
    }
    return parts, {
        "initialization": xr.Dataset({"w": (("run", "input"), np.array(first))}),
        "critical_points": xr.Dataset(
            {
                "is_global": flags(reached, "no yes unknown"),
                "kind": flags(kinds, "minimum saddle not_critical"),
            }
        ),
        "training": xr.Dataset({"trace_lyapunov": (("run", "trace_step"), np.array(lyapunov))}),
    }


def largest_rates(count, seed):
    """(dV/dt)/‖w − w*‖² at the samples of [−3, 3]², by Theorem 5's form: in Ω and outside."""
    drawn = Streams(seed, "plane", np.arange(count), "single_relu_region").uniform(2)
    x, y = (6 * drawn - 3).T
    norm, angle = np.hypot(x, y), np.abs(np.arctan2(y, x))
    b, c = module("single_relu_region").form(angle)
    square = (x - 1) ** 2 + y**2
    rate = -(norm**2 / 2 - b * norm + c / 2) / square
    return rate[square < 1].max(), rate[square >= 1].max()


def test_the_widest_ball_in_three_dimensions():
    """P = ½ − 3r/16 up to r = 2, then r⁻³; in one, ½ up to 2, then 1/r."""
    widest = module("single_relu_region").widest_radius
    assert widest(3, 0.2) == pytest.approx(1.6, rel=1e-10)
    assert widest(3, 0.125) == pytest.approx(2, rel=1e-10)
    assert widest(3, 1e-3) == pytest.approx(10, rel=1e-10)
    assert widest(1, 0.25) == pytest.approx(4, rel=1e-10)


def test_where_the_distance_to_the_teacher_does_not_fall():
    """Twice within 1 of (1, 0), at 1 and twice beyond; a rate of 0 is no fall."""
    w = np.array([[1.5, 0.0], [1.0, 0.5], [2.0, 0.0], [3.0, 0.0], [1.0, 2.0]])
    gradient = np.array([[0.0, 7.0], [3.0, 0.25], [-0.5, 1.0], [0.0, 5.0], [1.0, 4.0]])
    assert module("single_relu_region")._descent(w, gradient) == {
        "inside_rises": 1,
        "outside_rises": 2,
        "inside_rate": 0,
        "outside_rate": 0.5,
    }


def test_jumps_of_the_gradient_are_the_largest_of_any_pair(monkeypatch):
    """A step of 3 across the second point's axis, and of ½ across the first one's."""
    part = module("single_relu_region")
    centers = np.array([[1.0, 0.0], [2.0, 0.0]])

    def steps(model, w):
        height = np.where(np.round(w[:, 0]) == 1, 0.5, 3.0)
        return np.stack([height * (w[:, 1] > 1e-12), np.zeros(len(w))], axis=1)

    monkeypatch.setattr(part, "_gradient", steps)
    assert part._jump(None, centers) == 3 and part._jump(None, centers[:1]) == 0.5


def test_the_gradient_across_the_ray_is_the_largest(monkeypatch):
    """One that grows with the distance from 0, to 3, and is ahead of it too."""
    part, right = module("single_relu_region"), module("single_relu_region")._gradient

    def leaning(model, w):
        on_the_ray = (w[:, 1] == 0) & (w[:, 0] < 0)
        return right(model, w) + np.where(on_the_ray, w[:, 0], 0)[:, None] * [0, 1]

    monkeypatch.setattr(part, "_gradient", leaning)
    model = registry().get("models", "single_relu")(inputs=2)
    assert part._sampled(model, 1, 2000)["ray_error"] == pytest.approx(3)


def test_field_and_paths_of_the_figure():
    """Down the gradient on a lattice; paths begin where they should, and take steps of 0.02."""
    part, model = module("single_relu_region"), registry().get("models", "single_relu")(inputs=2)
    drawn = part._drawn(model)
    field, path = drawn["field"], drawn["path"][1]
    assert field.shape == (2, 65, 81) and path.shape == (8, 1501, 2)
    np.testing.assert_allclose(field["column"][[0, -1]], [-1.5, 2.5])
    np.testing.assert_allclose(field["row"][[0, -1]], [-1.6, 1.6])
    w = np.array([[field["column"].values[7], field["row"].values[11]]])
    np.testing.assert_array_equal(field.values[:, 11, 7], -part._gradient(model, w)[0])
    turn = np.radians([30, 90, 150, 178, 60, 179, 20, 110])
    norm = np.array([0.05, 0.05, 0.05, 0.05, 1, 1, 2.2, 2.2])
    np.testing.assert_allclose(path[:, 0].T, norm * [np.cos(turn), np.sin(turn)], atol=1e-15)
    moved = path[:, 5] - 0.02 * part._gradient(model, path[:, 5])
    np.testing.assert_allclose(path[:, 6], moved, atol=1e-15)


def test_columns_of_single_relu_region():
    made = {
        # the second start is on the edge of Ω, the third one beyond it; V grows in two steps
        "d=3": single_relu(
            3,
            0.8,
            [[0.9, 0.9, 0], [1, 1, 0], [-0.1, 0, 0]],
            ["yes", "yes", "no"],
            [[0.5, 0.4, 0.3], [0.5, 0.6, 0.5], [0.5, 0.4, 0.45]],
            ["minimum", "minimum", "minimum"],
        ),
        "d=2": single_relu(
            2,
            0.5,
            [[0.1, 0.1], [0.2, 0.1]],
            ["yes", "no"],
            [[0.5, 0.5, math.nan]] * 2,
            ["minimum", "saddle"],
        ),
    }
    settings = {label: parts for label, (parts, _) in made.items()}
    names = made["d=3"][1]
    datasets = {name: {label: sets[name] for label, (_, sets) in made.items()} for name in names}
    # the ball of d = 3 has radius 0.8 √(π/2), and P(cos φ > ρ/2) = (1 − ρ/2)/2 with E ρ = 3r/4;
    # that of d = 2 has 0.5 √(2π/3), and the lens with the unit disc around (1, 0) this area
    r, s = 0.8 * math.sqrt(math.pi / 2), 0.5 * math.sqrt(2 * math.pi / 3)
    lens = s * s * math.acos(s / 2) + math.acos(1 - s * s / 2) - s / 2 * math.sqrt(4 - s * s)
    last = brentq(lambda x: (2 * math.pi - x) * math.cos(x) + math.sin(x), 1, 2)  # b = 0
    least = (1 - (last - math.sin(last) * math.cos(last)) / math.pi) / last**2
    exact = [0.5 - 3 * r / 16, lens / (math.pi * s * s)]
    ball = math.pi * 1.5**2 * (1 + 2 - 3 + 3 + 9 - 6.75) / 12
    disc = math.acos(1 - 9 / 8) + 2.25 * math.acos(0.75) - 0.75 * math.sqrt(4 - 2.25)
    inside, outside = largest_rates(20_000, seed=1)
    assert -0.28 < inside < -0.25 < outside < 0
    expected = {
        "inputs": [3, 2],
        "epsilon": [0.8, 0.5],
        "bound": [0.1, 0.25],
        "region_exact": exact,
        "region_excess": [exact[0] - 0.1, exact[1] - 0.25],
        # Ω has the probabilities .1 and ¼ in balls of radius .1^(−1/3) and 2, which hold all of it
        "radius_ratio": [r * 0.1 ** (1 / 3), s / 2],
        # balls of radius 1 and 3/2 whose centers are 1 apart; circles too
        "far_ratio": [ball / (4 / 3 * math.pi), disc / math.pi],
        "far_share": [1 / 8, 1 / 4],
        "region_share": [share(1, 3), share(2, 2)],
        "converged_share": [share(2, 3), share(1, 2)],
        # the third start is not in Ω, so that it is none that misses w*
        "inside_missed": [share(0, 1), share(1, 2)],
        "other_minima": [share(1, 3), share(0, 2)],
        "rises": [2, 0],
        "form_violations": [0, 0],
        # c/θ² falls to this where b does to 0
        "form_margin": [Between(least, 1.0005 * least)] * 2,
        "inside_rises": [0, 0],
        "outside_rises": [0, 0],
        "inside_rate": [inside] * 2,
        "outside_rate": [outside] * 2,
        "polar_error": [Between(1e-17, 1e-13)] * 2,
        "ray_error": [Between(0, 1e-15)] * 2,
        # −w*/2 from ahead and 0 from behind
        "origin_jump": [pytest.approx(0.5, abs=1e-8)] * 2,
        "other_jump": [Between(1e-10, 1e-7)] * 2,
    }
    plugin = analysis("single_relu_region", samples=20_000, angles=20_001)
    dataset = assert_columns(plugin, Handmade(settings, datasets), expected)
    assert dataset["field"].dims == ("axis", "row", "column")
    ends = dataset["path"].values[:, -1]
    np.testing.assert_allclose(ends, np.broadcast_to([1, 0], ends.shape), atol=1e-3)


def test_the_quadratic_form_is_that_of_the_model():
    """−dV/dt = (w − w*)·∇L = ½ρ² − bρ + ½c at any ρ and θ."""
    model = registry().get("models", "single_relu")(inputs=2)
    angle = np.linspace(0.01, np.pi, 50)
    b, c = module("single_relu_region").form(angle)
    for norm in (0.1, 1.0, 2.5):
        w = norm * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        gradient = module("single_relu_region")._gradient(model, w)
        descent = ((w - [1, 0]) * gradient).sum(axis=1)
        np.testing.assert_allclose(norm**2 / 2 - b * norm + c / 2, descent, atol=1e-14)


def test_rises_and_errors_are_told_by_the_gradient():
    part = module("single_relu_region")
    w = np.array([[1.5, 0.0], [0.5, 0.5], [-1.0, 1.0], [3.0, 0.0]])
    model = registry().get("models", "single_relu")(inputs=2)
    gradient = part._gradient(model, w)
    assert part._polar_error(w, gradient) < 1e-15
    for wrong in ([0.25, 0], [0, 0.25]):  # along the last w, and across it
        moved = gradient + np.array([[0, 0], [0, 0], [0, 0], wrong])
        assert part._polar_error(w, moved) == 0.25
    # uphill at one point inside and two outside
    found = part._descent(w, gradient * [[-1], [1], [-1], [-1]])
    assert (found["inside_rises"], found["outside_rises"]) == (1, 2)
    assert found["inside_rate"] > 0.25 and found["outside_rate"] > 0


def test_the_ball_has_the_largest_radius_that_the_proof_allows():
    """Half of the ball less its part between the plane and the sphere around w*, which is at most
    r²/2 high: ½ − r V_{d−1}/(2V_d) ≥ (1 − ε)/2, and nearly equal for large d."""
    start = registry().get("initializers", "half_space_ball")(epsilon=0.5)
    assert start.radius(1) == 0.5 * math.sqrt(math.pi)
    assert start.radius(99) == 0.5 * math.sqrt(2 * math.pi / 100)
    for size in (1, 2, 10, 1000):
        ratio = math.exp(math.lgamma(size / 2 + 1) - math.lgamma(size / 2 + 0.5)) / math.sqrt(
            math.pi
        )
        lost = start.radius(size) * ratio
        assert 0.5 * (1 - 0.5 / (size + 1)) < lost <= 0.5


# symmetric_dynamics


def symmetric(k, rate=0.01, start=(1e-3, 0.0), optimizer="gradient_descent"):
    x, y = start
    parts = {
        "model": registry().get("models", "symmetric_relu")(k=k),
        "optimizer": SimpleNamespace(name=optimizer, rate=rate),
    }
    w = np.array([[x, math.sqrt(k - 1) * y], [0.5, 0.4]])
    return parts, xr.Dataset({"w": (("run", "direction"), w)})


def symmetric_results(**configurations):
    settings = {label: parts for label, (parts, _) in configurations.items()}
    first = {label: dataset for label, (_, dataset) in configurations.items()}
    return Handmade(settings, {"initialization": first})


def descent_of_the_whole_network(k, rate, x, y):
    """Steps to an error of 1e-12 of one neuron, and the largest y, from K × K weights."""
    gradient, eye = module("_population").gradient, np.eye(k)
    w, peak, steps = x * eye + y * (1 - eye), y, 0
    while (w[0, 0] - 1) ** 2 + (k - 1) * w[0, 1] ** 2 >= 1e-12:
        w = w - rate * gradient(w[None], eye)[0]
        peak, steps = max(peak, w[0, 1]), steps + 1
    return steps, peak


def test_columns_of_symmetric_dynamics():
    results = symmetric_results(
        two=symmetric(2),
        five=symmetric(5, 0.05, (0.01, 0.002)),
        flow=symmetric(2, 1, optimizer="x"),
    )
    two = descent_of_the_whole_network(2, 0.01, 1e-3, 0)
    five = descent_of_the_whole_network(5, 0.05, 0.01, 0.002)
    assert two[0] == 3631  # as the authors' program
    at = [(1 + math.pi - math.pi / 4) / (2 * math.pi)]
    at += [(2 + math.pi - math.acos(1 / math.sqrt(5))) / (5 * math.pi), at[0]]
    none = Between(0, 1e-13)
    expected = {
        "field_error": [Between(1e-17, 1e-13)] * 3,
        "permuted_error": [none] * 3,
        "saddle": at,
        "saddle_error": [none] * 3,
        "saddle_gradient": [none] * 3,
        # of the whole network; with 50 digits, as are the eigenvalues across
        "saddle_loss": [pytest.approx(x, abs=1e-6) for x in (0.088512, 0.780077, 0.088512)],
        "along_eigenvalue": [-1, -2.5, -1],
        "across_eigenvalue": [pytest.approx(x, abs=5e-6) for x in (0.5959130, 1.549160, 0.5959130)],
        "eigenvalue_residual": [none] * 3,
        "line_drift": [0, 0, 0],
        "line_error": [Between(0, 1e-13)] * 3,
        "steps": [two[0], five[0], math.nan],
        "peak": [two[1], five[1], math.nan],
        # ten of the 25 points of the map, and six beside the line
        "region_starts": [16, 16, 16],
        "outside_basin": [0, 0, 0],
    }
    plugin = analysis("symmetric_dynamics", size=4, draws=3)
    dataset = assert_columns(plugin, results, expected)
    assert dataset["peak"].values[0] == pytest.approx(0.3612, abs=1e-4)
    velocity = dataset["velocity_x"].sel(place_x=0.5, place_y=0.25)
    model = results.configurations[1].settings.model
    x, y = (torch.tensor([value], dtype=torch.float64) for value in (0.5, 0.25))
    assert velocity[1] == float(model.velocity(x, y)[0])


def test_ends_and_drift_of_the_line_are_the_largest_of_any_start():
    """A field that moves y of one start by −1 and back again: |x − y| is one step's at most."""
    part, calls = module("symmetric_dynamics"), itertools.count()

    def velocity(x, y):
        around = torch.zeros_like(y)
        around[2] = {0: -1.0, 1: 1.0}.get(next(calls), 0.0)
        return torch.zeros_like(x), around

    found = part._line(SimpleNamespace(k=2, velocity=velocity))
    saddle = (1 + math.pi - math.pi / 4) / (2 * math.pi)
    assert found["line_drift"] == pytest.approx(part.FLOW_STEP)
    assert found["line_error"] == pytest.approx(saddle - min(part.LINE))


def test_maps_of_symmetric_dynamics_leave_out_the_origin_alone():
    """Velocities are those of the model, in rows of y; the axis x = y ends in the saddle."""
    model = registry().get("models", "symmetric_relu")(k=2)
    arrays = module("symmetric_dynamics")._map(model, 2)
    for values in arrays.values():
        assert values.shape == (3, 3)
        assert np.argwhere(np.isnan(values)).tolist() == [[0, 0]]
    along, around = model.velocity(*(torch.tensor([v]).double() for v in (1.0, 0.5)))
    assert arrays["velocity_x"][1, 2] == along.item()
    assert arrays["velocity_y"][1, 2] == around.item()
    saddle = (1 + math.pi - math.pi / 4) / (2 * math.pi)
    ends = [(arrays["end_x"][at], arrays["end_y"][at]) for at in ((1, 1), (0, 1), (1, 0))]
    np.testing.assert_allclose(ends, [(saddle, saddle), (1, 0), (0, 1)], atol=1e-6)


def test_steps_are_those_of_the_studys_rate():
    results = symmetric_results(slow=symmetric(2, 0.05), fast=symmetric(2, 0.1))
    slow, fast = analysis("symmetric_dynamics", size=2, draws=1).compute(results)["steps"].values
    assert slow == pytest.approx(2 * fast, rel=0.02)


def test_a_rate_that_diverges_never_arrives():
    results = symmetric_results(wild=symmetric(2, 5.0))
    found = analysis("symmetric_dynamics", size=2, draws=1).compute(results)
    assert np.isnan(found["steps"].item())


def test_starts_that_end_elsewhere_are_counted():
    model = registry().get("models", "symmetric_relu")(k=2)
    ends = {"end_x": np.ones((3, 3)), "end_y": np.zeros((3, 3))}
    assert module("symmetric_dynamics")._region(model, ends)["outside_basin"] == 0
    ends["end_y"][0, 1] = 0.5  # x = ½, y = 0
    ends["end_x"][1, 2] = math.nan
    ends["end_x"][2, 0] = 7  # not in Ω
    found = module("symmetric_dynamics")._region(model, ends)
    assert found == {"region_starts": 9, "outside_basin": 2}


# group_symmetry


def test_the_groups_are_groups_of_orthogonal_matrices():
    groups = module("group_symmetry").GROUPS
    assert [len(one) for one in groups.values()] == [5, 3, 8, 24, 8, 8]
    for matrices in groups.values():
        eye = np.eye(matrices.shape[1])
        assert (matrices[0] == eye).all()
        np.testing.assert_allclose(
            matrices @ matrices.mT, np.broadcast_to(eye, matrices.shape), atol=1e-14
        )
        products = matrices[:, None] @ matrices
        apart = np.abs(products[:, :, None] - matrices).max(axis=(3, 4))
        assert ((apart < 1e-12).sum(axis=2) == 1).all()


def test_columns_of_group_symmetry():
    parts = {"model": registry().get("models", "symmetric_relu")(k=2)}
    rounding = Between(1e-17, 1e-11)
    expected = {
        "groups": [6],
        "equivariance_error": [rounding],
        "no_group_error": [Between(0.01, 10)],
        "one_equation_error": [rounding],
        "symmetry_drift": [rounding],
        "descent_error": [Between(1e-12, 1e-6)],
        "rises": [0],
    }
    plugin = analysis("group_symmetry", draws=3, steps=50)
    assert_columns(plugin, Handmade({"one": parts}), expected)
    # too large a step makes E J rise
    found = analysis("group_symmetry", draws=3, steps=5, rate=2).compute(Handmade({"one": parts}))
    assert found["rises"].item() > 0


def test_a_group_in_place_of_rotations_has_no_error(monkeypatch):
    part = module("group_symmetry")
    for matrices in part.GROUPS.values():
        monkeypatch.setattr(part, "_rotations", lambda *_, group=matrices: group[1:])
        streams = Streams(1, "one", np.arange(3), "group_symmetry")
        found = analysis("group_symmetry", draws=3, steps=1)._measured(matrices, streams)
        assert found["no_group_error"] < 1e-11


def test_a_rise_by_more_than_rounding_is_counted(monkeypatch):
    """By half of 10⁻¹², by twice as much, and by a half, of three runs."""
    part = module("group_symmetry")
    values = np.cumprod([1, 1 + 0.5e-12, 1 + 2e-12, 1.5, 1, 1])
    levels = iter(values)
    monkeypatch.setattr(part, "loss", lambda *_: next(levels) * np.ones(3))
    streams = Streams(1, "one", np.arange(3), "group_symmetry")
    plugin = analysis("group_symmetry", draws=3, steps=3)
    assert plugin._measured(part.GROUPS["quaternions"], streams)["rises"] == 6


def test_equation_18_is_the_closed_field_on_cyclic_shifts():
    """w = (x, y, y) for K = 3."""
    part = module("group_symmetry")
    model = registry().get("models", "symmetric_relu")(k=3)
    w, teacher = np.array([[0.7, 0.2, 0.2]]), np.array([[1.0, 0, 0]])
    along, around = model.velocity(*(torch.tensor([v]).double() for v in (0.7, 0.2)))
    found = part.equation_18(part.generated(part._shift(3)), w, teacher)[0]
    np.testing.assert_allclose(found, [-along.item(), *[-around.item()] * 2], atol=1e-15)
