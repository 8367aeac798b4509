"""The glass at positive temperature: equations against exact solutions, dynamics against its
formula, columns by hand, the study."""

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from scipy.special import iv
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

field = module("_mean_field")


def exact_of_two_spins(time, temperature):
    """C(t, t′) and e(t) for p = 2 (Cugliandolo & Dean 1995): with g(τ) = I₁(2τ)/τ and Γ = exp 2∫μ,
    Γ(t) = g(2t) + 2T ∫₀ᵗ Γ(s) g(2(t − s)) ds,
    C(t, t′) √(Γ(t)Γ(t′)) = g(t + t′) + 2T ∫₀^min Γ(s) g(t + t′ − 2s) ds, and e = (T − μ)/2."""

    def g(tau):
        safe = np.maximum(tau, 1e-9)
        return iv(1, 2 * safe) / safe

    step, size = time[1] - time[0], len(time)
    gamma = np.empty(size)
    gamma[0] = 1.0
    for n in range(1, size):  # the trapezoidal rule, solved for its last term; g(0) = 1
        known = gamma[:n] * g(2 * (time[n] - time[:n]))
        known[0] /= 2
        gamma[n] = (g(2 * time[n]) + 2 * temperature * step * known.sum()) / (
            1 - temperature * step
        )
    correlation = np.empty((size, size))
    for n in range(size):
        for m in range(n + 1):
            part = gamma[: m + 1] * g(time[n] + time[m] - 2 * time[: m + 1])
            whole = g(time[n] + time[m]) + 2 * temperature * np.trapezoid(part, dx=step)
            correlation[n, m] = correlation[m, n] = whole / np.sqrt(gamma[n] * gamma[m])
    multiplier = np.gradient(np.log(gamma), step, edge_order=2) / 2
    return correlation, (temperature - multiplier) / 2


@pytest.mark.parametrize("temperature", [0.4, 1.5])
def test_equations_against_the_exact_solution_for_pairs(temperature):
    solved = field.integrate(0.02, 150, p=2, temperature=temperature)
    correlation, energy = exact_of_two_spins(solved.time, temperature)
    assert np.abs(solved.correlation - correlation).max() < 2e-3
    assert np.abs(solved.energy - energy)[1:].max() < 2e-3


def test_equilibrium_of_triples():
    """Above T_d: the energy −1/(2T), and displacements that depend on the lag alone."""
    fine, _ = field.extrapolated(0.05, 16.0, temperature=1.2)
    assert fine.energy[-1] == pytest.approx(-1 / 2.4, abs=2e-3)
    lag = len(fine.time) // 8
    last, half = fine.correlation[-1, -1 - lag], fine.correlation[-1 - 2 * lag, -1 - 3 * lag]
    assert last == pytest.approx(half, abs=2e-3) and 0.05 < last < 0.9


def test_late_energies():
    """Continuous at T_d, where q = ½; −2/√3 at T = 0; one number by hand: q = .8, T = √(.096)."""
    assert field.late_energy(0) == pytest.approx(-2 / np.sqrt(3))
    assert field.late_energy(1e-6) == pytest.approx(-2 / np.sqrt(3), abs=1e-5)
    below, above = (field.late_energy(np.sqrt(3 / 8) + shift) for shift in (-1e-9, 1e-9))
    assert below == pytest.approx(above, abs=1e-6)
    expected = -(1 - 0.512 + 0.25 * 0.512) / (2 * np.sqrt(0.096))
    assert field.late_energy(np.sqrt(0.096)) == pytest.approx(expected)


def glass(disorders, size=5):
    """The objective of runs with these disorders; all have one start number."""
    model = registry().get("models", "spherical_spin_glass")(size=size)
    streams = Streams(7, "all", np.zeros(len(disorders), dtype=int), "train")
    plain = Objective(model, {}, streams, manifold=model.manifold())
    return plain.varying({"disorder": torch.tensor(disorders, dtype=torch.float64)})


def langevin(**settings):
    return registry().get("optimizers", "spin_langevin")(**settings)


def test_a_step_is_its_formula_in_spins():
    """σ − ∇H dt + √(2T dt) ξ on |σ|² = Λ, with H = Λ L/√2 and L a function of σ/√Λ."""
    dt, heat, size = 0.02, 0.7, 5
    problem = glass([3.0], size)
    start = problem.retract(torch.arange(1.0, size + 1).double()[None])
    plugin = langevin(time_step=dt, temperature=heat)
    moved, _ = plugin.step(problem, start, plugin.start(start, torch.ones(1).double()))
    spins = start[0].numpy() * np.sqrt(size)
    slope = size / np.sqrt(2) * problem.gradient(start)[0].numpy() / np.sqrt(size)
    noise = problem.streams.normal(size, draw=np.array([3 * 2**32]))[0]
    after = spins - dt * slope + np.sqrt(2 * heat * dt) * noise
    np.testing.assert_allclose(moved[0].numpy(), after / np.linalg.norm(after), rtol=1e-12)


def test_runs_of_two_disorders_have_two_noises():
    problem = glass([1.0, 2.0, 1.0])
    start = problem.retract(torch.ones(3, 5).double())
    plugin = langevin(time_step=1e-9, temperature=1e6)
    moved, _ = plugin.step(problem, start, plugin.start(start, torch.ones(3).double()))
    away = (moved - start).numpy()
    assert np.array_equal(away[0], away[2])
    assert abs(np.corrcoef(away[0], away[1])[0, 1]) < 0.99


def test_columns_of_thermal_glass():
    """Two disorders whose energies are −.3 and −.5 at T = 1, but 1.1 more at half of the time, 5,
    which is one of the eleven times of the last half, and of nine from 4 to 8."""
    steps = np.arange(0, 201, 10)
    losses = np.sqrt(2) * np.array([[-0.3], [-0.5]]) * np.ones(len(steps))
    losses[:, :8] += 1  # before half of the duration of the equations
    losses[:, 10] += 1.1 * np.sqrt(2)
    trained = xr.Dataset(
        {"trace_loss": (("run", "trace_step"), losses)},
        {"trace_step": steps, "disorder": ("run", [1.0, 2.0])},
    )
    optimizer = langevin(time_step=0.05, temperature=1.0)
    results = Handmade({"all": {"optimizer": optimizer}}, {"training": {"all": trained}})
    fine, coarse = field.extrapolated(0.05, 8.0, temperature=1.0)
    time = 0.05 * steps
    beside = (time >= 4) & (time <= 8)
    there = np.interp(time[beside], fine.time, fine.energy).mean()
    slowing = [1 - d.correlation[_at(d, 6), _at(d, 4)] for d in (fine, coarse)]
    early = [1 - d.correlation[_at(d, 3), _at(d, 1)] for d in (fine, coarse)]
    ratios = [late / before for late, before in zip(slowing, early, strict=True)]

    def near(value):
        return (value, Between(-50, value), Between(value, 50))

    def known(value, other):
        error = abs(value - other)
        return (value, pytest.approx(value - error), pytest.approx(value + error))

    expected = {
        "energy": [near(-0.3)],
        "late": [-0.5],
        "above_late": [near(0.2)],
        "away": [near(-0.4 + 1.1 / 9 - there)],
        "mean_field_last": [known(fine.energy[-1], coarse.energy[-1])],
        "mean_field_slowing": [known(*ratios)],
    }
    plugin = analysis("thermal_glass", step=0.05, duration=8, waiting=(1, 4), lag=2)
    found = assert_columns(plugin, results, expected)
    assert found["trace_time"].values[0] == pytest.approx(time)


def test_the_error_of_the_equations_has_no_sign():
    with_error = module("thermal_glass")._with_error
    assert with_error(1.0, 1.5) == with_error(1.0, 0.5) == (1, 0.5, 1.5)


def _at(dynamics, time):
    return int(np.abs(dynamics.time - time).argmin())


def test_columns_of_loss_regimes():
    """Losses that fall by 1, 8, 4 and 2 in the four half decades to 100 steps, of one run twice as
    much; a run that has converged keeps its last loss."""
    steps = np.array([0.0, 1, 10**0.5, 10, 10**1.5, 100])
    losses = np.array([16.0, 15, 14, 6, 2, 0])
    trace = np.stack([losses, 2 * losses, np.where(steps < 100, losses, np.nan)])
    trained = xr.Dataset(
        {"trace_loss": (("run", "trace_step"), trace), "loss": ("run", [0.0, 0, 0])},
        {"trace_step": steps},
    )
    results = Handmade({"all": {}}, {"training": {"all": trained}})
    exact = Between(0.1249, 0.1251), Between(0.2499, 0.2501)
    expected = {
        "beginning": [(0.125, exact[0], exact[0])],
        "end": [(0.25, exact[1], exact[1])],
        "fastest": [10**0.75],
    }
    found = assert_columns(analysis("loss_regimes"), results, expected)
    np.testing.assert_allclose(found["fall"].values[0], np.array([1, 8, 4, 2]) / 15)


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale."""
    study = load_study(study_file("thermal_glass", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("thermal"))


def test_claims_hold_and_figures_are_drawn(done):
    found = verdicts(done)
    assert set(found.values()) <= AGREE | {"not_measured"}, found
    assert_drawn(done.folder, done.study.settings.figures)
