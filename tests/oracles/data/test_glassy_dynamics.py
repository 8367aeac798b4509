"""Aging: the equations for infinitely many spins, displacements and columns by hand, studies."""

import numpy as np
import pytest
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from scipy.special import iv
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

field, two_times = module("_mean_field"), module("_two_times")


def exact_of_two_spins(time):
    """C(t, t′) and e(t) for p = 2, where s(t) ∝ e^{Jt} s(0) and J has a semicircle of radius 2:
    C = g(t + t′)/√(g(2t) g(2t′)), g(τ) = I₁(2τ)/τ the mean of e^{λτ}, and e = −g′(2t)/2g(2t)."""

    def g(tau):
        safe = np.maximum(tau, 1e-9)
        return iv(1, 2 * safe) / safe

    def slope(tau):  # (I₁(2τ)/τ)′ = 2 I₂(2τ)/τ
        safe = np.maximum(tau, 1e-9)
        return 2 * iv(2, 2 * safe) / safe

    correlation = g(time[:, None] + time) / np.sqrt(g(2 * time)[:, None] * g(2 * time))
    return correlation, -slope(2 * time) / (2 * g(2 * time))


def test_equations_against_the_exact_solution_for_pairs():
    """Errors fall as step²; extrapolated they are those of the last difference or less."""
    errors = []
    for step in (0.1, 0.05):
        solved = field.integrate(step, round(4 / step), p=2)
        correlation, energy = exact_of_two_spins(solved.time)
        errors.append(np.abs(solved.correlation - correlation).max())
        assert np.abs(solved.energy - energy).max() < 2.5 * step**2
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.3)
    fine, coarse = field.extrapolated(0.025, 4.0, p=2)
    correlation, _ = exact_of_two_spins(fine.time)
    away = np.abs(fine.correlation - correlation).max()
    assert away < np.abs(fine.correlation - coarse.correlation).max() < 2e-3
    assert fine.time[-1] == pytest.approx(4.0)
    assert np.diff(fine.time) == pytest.approx(0.1)


def test_first_instants_of_triples():
    """e(0) = 0 and de/dt = −E|grad|²/N = −p/2: e(t) = −(3/2)t + O(t²)."""
    solved = field.integrate(0.001, 20)
    assert solved.energy[0] == 0
    assert solved.energy[10] == pytest.approx(-0.015, rel=0.05)
    np.testing.assert_allclose(solved.correlation, solved.correlation.T)


def test_displacement_and_lags():
    """Straight motion, |w| = 1 at t_w = 10: Δ = (t/10)², whatever the unit of w."""
    steps = np.array([0.0, 5, 10, 12, 14, 18, 20, 30])
    weights = np.stack([0.1 * steps, np.zeros_like(steps)], axis=1)[None]
    for unit in (1, 7):
        away, lags = two_times.displacement(unit * weights, steps, 10.4)
        assert list(lags) == [2, 4, 8, 10, 20]
        assert away[0] == pytest.approx((lags / 10) ** 2)
        assert two_times.at_lag(away, lags, 5)[0] == pytest.approx(0.25)
    assert np.isnan(two_times.at_lag(away, lags, 1)).all()
    assert np.isnan(two_times.at_lag(away, lags, 21)).all()


def test_kept_weights_are_all_of_them():
    trained = xr.Dataset(
        {
            "kept_first": (("run", "kept_step", "a", "b"), np.arange(12.0).reshape(1, 2, 3, 2)),
            "kept_second": (("run", "kept_step", "c"), [[[7.0], [8.0]]]),
            "trace_loss": (("run", "trace_step"), [[1.0]]),
        }
    )
    assert two_times.kept_weights(trained)[0].tolist() == [
        [0, 1, 2, 3, 4, 5, 7],
        [6, 7, 8, 9, 10, 11, 8],
    ]


def power(exponents, **coordinates):
    """Runs w(t) = (1, t^h): after t_w they move by the squared distance (t^h − t_w^h)²."""
    steps = np.arange(1, 41)
    second = steps ** np.array(exponents)[:, None]
    kept = np.stack([np.full(second.shape, 1e3), second], axis=2)
    return xr.Dataset(
        {"kept_weight": (("run", "kept_step", "w"), kept)}, {"kept_step": steps, **coordinates}
    )


def test_columns_of_two_time_displacement():
    """w = √t and t, relative to a norm of 1000: ratios of means over the two runs."""
    trained = power([0.5, 1.0])
    results = Handmade({"all": {}}, {"training": {"all": trained}})

    def moved(wait, lag):
        powers = np.array([0.5, 1.0])
        norms = 1e6 + float(wait) ** (2 * powers)
        return ((((wait + lag) ** powers) - wait**powers) ** 2 / norms).mean()

    def ratio(above, below):
        return (above / below, Between(0, above / below), Between(above / below, 1e9))

    slowing = moved(16, 8) / moved(4, 8)
    growth = np.log2(moved(16, 16) / moved(16, 8))
    expected = {
        "independent": [2],
        "slowing": [ratio(moved(16, 8), moved(4, 8))],
        "collapse": [ratio(moved(16, 16), moved(4, 4))],
        "rescaled": [ratio(slowing, moved(16, 2) / moved(4, 2))],
        "growth": [(growth, Between(-np.inf, growth), Between(growth, 99))],
    }
    plugin = analysis("two_time_displacement", waiting=[4, 8, 16], lag=8)
    found = assert_columns(plugin, results, expected)
    assert found["curve"].sizes == {"configuration": 1, "waiting": 3, "lag": 40}
    assert found["lag"].values[[0, -1]] == pytest.approx([1, trained["kept_step"].values[-1]])
    assert slowing < 1 < growth


def test_independent_are_disorders_where_there_are_some():
    trained = power([0.5, 1.0, 1.0], disorder=("run", [1.0, 1.0, 2.0]))
    model = registry().get("models", "spherical_spin_glass")(size=2)
    results = Handmade({"all": {"model": model}}, {"training": {"all": trained}})
    plugin = analysis("two_time_displacement", waiting=[4, 8], lag=4)
    assert plugin.compute(results)["independent"].values == 2


def test_columns_of_mean_field_glass():
    """Two disorders; losses √2(e_th + 0.1 and 0.3) at the end: 0.2 above the threshold; times are
    √2 · rate · steps."""
    rate, steps = 2**-0.5, np.arange(0, 9)
    losses = np.sqrt(2) * (field.THRESHOLD + np.array([[0.1], [0.3]])) * np.ones(9)
    losses[1, 5:] = np.nan  # a run that has converged
    trained = xr.Dataset(
        {
            "trace_loss": (("run", "trace_step"), losses),
            "loss": ("run", np.sqrt(2) * (field.THRESHOLD + np.array([0.1, 0.3]))),
        },
        {"trace_step": steps, "disorder": ("run", [1.0, 2.0])},
    )
    optimizer = registry().get("optimizers", "riemannian_gradient_descent")(rate=rate)
    results = Handmade({"all": {"optimizer": optimizer}}, {"training": {"all": trained}})
    fine, coarse = field.extrapolated(0.05, 8.0)
    there = fine.energy[np.searchsorted(fine.time, 4 - 1e-9)]

    def near(value):
        return (value, Between(-50, value), Between(value, 50))

    times = {t: int(np.abs(fine.time - t).argmin()) for t in (1, 2, 3, 4, 6, 8)}

    def gone(wait, lag):
        return 1 - fine.correlation[times[wait + lag], times[wait]]

    above = fine.energy[times[8]] - field.THRESHOLD, fine.energy[times[4]] - field.THRESHOLD
    half = len(fine.time) // 2
    line = np.polyfit(fine.time[half:] ** (-2 / 3), fine.energy[half:], 1)
    expected = {
        "energy": [near(field.THRESHOLD + 0.2)],
        "above_threshold": [near(0.2)],
        "away": [near(field.THRESHOLD + 0.2 - there)],
        "threshold": [near(line[1])],
        "exponent": [near(-np.log2(above[0] / above[1]))],
        "mean_field_slowing": [near(gone(4, 2) / gone(1, 2))],
        "mean_field_collapse": [near(gone(4, 4) / gone(1, 1))],
    }
    plugin = analysis("mean_field_glass", step=0.05, duration=8, waiting=(1, 4), lag=2)
    found = assert_columns(plugin, results, expected)
    assert found["trace_time"].values[0] == pytest.approx(steps)
    wait = found["mean_field_wait"].values
    assert wait == pytest.approx([1, 2, 4])
    curves = found["mean_field_curve"].values
    for row, lag in ((0, 2), (1, 4), (2, 4)):
        expected_there = 2 * gone(int(wait[row]), lag)
        assert curves[row, times[lag]] == pytest.approx(expected_there)
    assert (curves[:, 0] == 0).all() and np.isnan(curves[2, times[4] + 1 :]).all()
    width = float(found["threshold_high"][0] - found["threshold_low"][0])
    other = np.polyfit(coarse.time[half:] ** (-2 / 3), coarse.energy[half:], 1)[1]
    assert width == pytest.approx(2 * abs(line[1] - other))


@pytest.fixture(scope="module", params=["glassy_dynamics", "network_aging"])
def done(request, root, tmp_path_factory):
    """The studies at their quick scale."""
    study = load_study(study_file(request.param, root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp(request.param))


def test_claims_hold_and_figures_are_drawn(done):
    """Few bands leave it open at quick scale whether the small network's ends are connected, and
    coarse steps toward what energy, and how fast, infinitely many spins fall."""
    found = verdicts(done)
    open_ones = {claim for claim, verdict in found.items() if verdict == "undecided"}
    assert set(found.values()) <= AGREE | {"undecided", "not_measured"}, found
    coarse = {"threshold[size=48]", "fall[size=48]"}
    assert open_ones <= {"isolated[widths=64-2-10]", *coarse}
    assert_drawn(done.folder, done.study.settings.figures)
