"""The ensemble engine: stop rules, restarts, traces, independence of the runs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from landscapes import Descent, DoubleWell, Quadratic, normal_weights, objective_of

from nnflow.engine import training
from nnflow.engine.outcome import STATUS, STOPPED_BY, Position
from nnflow.engine.training import _basin_every, _chunks, trace_steps, train
from nnflow.interfaces.registry import registry
from nnflow.study.stage_settings import Stop, Trace


def names(values, meanings):
    return [meanings[value] for value in values]


def relu(k: int, n: int, runs: int):
    model = registry().get("models", "relu_teacher_student")(k=k, n=n)
    return objective_of(model, runs), normal_weights(runs, n * k) / k**0.5


def test_gradient_descent_on_a_quadratic_is_the_power_of_its_factor():
    model = Quadratic(eigenvalues=[1.0, 3.0])
    initial = normal_weights(5, 2)
    outcome = train(objective_of(model, 5), Descent(), initial, Stop(steps=100), Trace())
    factor = (1 - 0.1 * torch.tensor([1.0, 3.0], dtype=torch.float64)) ** 100
    torch.testing.assert_close(outcome.weights, initial * factor, rtol=1e-12, atol=0)
    assert names(outcome.status, STATUS) == ["step_limit"] * 5
    assert (outcome.steps == 100).all()


def test_without_a_trace_runs_are_the_same_and_nothing_is_recorded():
    objective, initial = objective_of(Quadratic(eigenvalues=[1.0, 3.0]), 5), normal_weights(5, 2)
    stop = Stop(steps=100, check_every=1000)
    none = train(objective, Descent(), initial, stop, Trace(points_per_decade=None))
    some = train(objective, Descent(), initial, stop, Trace())
    assert torch.equal(none.weights, some.weights)
    assert len(none.trace_step) == 0 < len(some.trace_step)


def test_each_rule_ends_the_runs_that_meet_it():
    model = Quadratic(eigenvalues=[1.0, 2.0])
    initial = torch.tensor([[1.0, 0.0], [1e-9, 0.0], [1e-3, 0.0], [np.nan, 0.0]])
    initial = initial.to(torch.float64)
    stop = Stop(gradient_norm=1e-8, loss=1e-6, steps=50)
    outcome = train(objective_of(model, 4), Descent(), initial, stop, Trace())
    assert names(outcome.stopped_by, STOPPED_BY) == ["steps", "gradient_norm", "loss", "divergence"]
    assert names(outcome.status, STATUS) == ["step_limit", "converged", "converged", "diverged"]
    assert outcome.steps.tolist() == [50, 0, 0, 0]


def test_a_finite_run_ends_where_its_norm_exceeds_the_limit():
    """w grows by 1.1 a step: from 1 beyond 2 at step 8 (1.1⁷ = 1.95, 1.1⁸ = 2.14)."""
    model = Quadratic(eigenvalues=[-1.0])
    initial = torch.tensor([[1.0], [-1.0], [0.1]], dtype=torch.float64)
    stop = Stop(gradient_norm=None, steps=20, diverged_above=2, check_every=1)
    outcome = train(objective_of(model, 3), Descent(), initial, stop, Trace())
    assert names(outcome.stopped_by, STOPPED_BY) == ["divergence", "divergence", "steps"]
    assert names(outcome.status, STATUS) == ["diverged", "diverged", "step_limit"]
    assert outcome.steps.tolist() == [8, 8, 20]
    np.testing.assert_allclose(outcome.weights[:, 0], [1.1**8, -(1.1**8), 0.1 * 1.1**20])


def test_the_steps_are_those_of_plain_gradient_descent():
    model = Quadratic(eigenvalues=[1.0, 2.0])
    initial = normal_weights(7, 2)
    stop = Stop(gradient_norm=1e-6, steps=5000, check_every=1)
    outcome = train(objective_of(model, 7), Descent(), initial, stop, Trace())
    scale = np.array([1.0, 2.0])
    for start, steps in zip(initial.numpy(), outcome.steps, strict=True):
        w, count = start.copy(), 0
        while np.linalg.norm(scale * w) >= 1e-6:
            w, count = w - 0.1 * scale * w, count + 1
        assert steps == count


def test_a_diverged_run_starts_again_with_half_the_step():
    # stable for α < 2/λ: rates 0.8 and 0.4 diverge at λ = 6, 0.2 converges
    model = Quadratic(eigenvalues=[6.0])
    initial = torch.tensor([[1.0], [2.0]], dtype=torch.float64)
    stop = Stop(gradient_norm=1e-8, steps=10_000, halvings=3)
    outcome = train(objective_of(model, 2), Descent(rate=0.8), initial, stop, Trace())
    assert names(outcome.status, STATUS) == ["converged"] * 2
    assert outcome.restarts.tolist() == [2, 2]
    limited = stop.model_copy(update={"halvings": 1})
    outcome = train(objective_of(model, 2), Descent(rate=0.8), initial, limited, Trace())
    assert names(outcome.status, STATUS) == ["diverged"] * 2


def test_the_trace_is_the_trajectory_and_empty_after_the_end():
    model = Quadratic(eigenvalues=[1.0])
    initial = torch.tensor([[1.0], [1e-3]], dtype=torch.float64)
    stop = Stop(gradient_norm=1e-4, steps=200)
    outcome = train(objective_of(model, 2), Descent(), initial, stop, Trace())
    expected = 0.5 * 0.9 ** (2.0 * outcome.trace_step)
    seen = outcome.trace_step <= outcome.steps[0]
    np.testing.assert_allclose(outcome.trace["loss"][0, seen], expected[seen], rtol=1e-10)
    assert np.isnan(outcome.trace["loss"][0, ~seen]).all()
    assert np.isnan(outcome.trace["loss"][1, outcome.trace_step > outcome.steps[1]]).all()


@given(st.integers(1, 10**7), st.integers(1, 20))
def test_trace_steps_rise_from_zero_to_the_limit(limit, per_decade):
    steps = trace_steps(limit, per_decade)
    assert steps[0] == 0 and steps[-1] == limit
    assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize("chunk", [1, 77, 2**17])
def test_a_run_is_the_same_to_the_bit_in_any_company(monkeypatch, chunk):
    objective, initial = relu(5, 6, 24)
    stop = Stop(gradient_norm=1e-6, norm="neuron", basin=True, loss=1e-3, steps=1500)
    together = train(objective, Descent(), initial, stop, Trace())
    monkeypatch.setattr(training, "CHUNK_WEIGHTS", chunk)
    for rows in (np.arange(7), np.arange(7, 8), np.arange(8, 24)):
        alone = train(objective.take(rows), Descent(), initial[rows], stop, Trace())
        assert torch.equal(alone.weights, together.weights[rows])
        np.testing.assert_array_equal(alone.steps, together.steps[rows])
        np.testing.assert_array_equal(alone.trace["loss"], together.trace["loss"][rows])


def test_networks_on_samples_are_advanced_in_longer_chunks(monkeypatch):
    problem = objective_of(Quadratic(eigenvalues=[1.0, 2.0]), 100)
    weights = torch.ones(100, 2, dtype=torch.float64)
    monkeypatch.setattr(training, "CHUNK_WEIGHTS", 20)
    monkeypatch.setattr(training, "CHUNK_WITH_SAMPLES", 100)

    def longest(problem):
        found = _chunks(problem, weights)
        assert [place for part in found for place in range(100)[part]] == list(range(100))
        return found[0].stop

    on_samples = replace(problem, data={"inputs": torch.ones(5, 4, dtype=torch.float64)})
    assert longest(problem) == 8  # of 10, whole vectors
    assert longest(on_samples) == 50
    monkeypatch.setattr(training, "CHUNK_BYTES", 30 * 8 * 20)
    assert longest(on_samples) == 30
    monkeypatch.setattr(training, "CHUNK_BYTES", 1)
    assert longest(on_samples) == 10


@pytest.mark.slow
def test_runs_decided_early_end_where_plain_gradient_descent_ends():
    """The rules `basin` and `loss` change when a run stops, not where it would go."""
    from nnflow.engine.polish import polish

    objective, initial = relu(7, 7, 150)
    plain = Stop(gradient_norm=1.6e-10, norm="neuron", steps=40_000)
    early = plain.model_copy(update={"basin": True, "loss": 1e-3})
    slow = train(objective, Descent(), initial, plain, Trace())
    fast = train(objective, Descent(), initial, early, Trace())
    assert set(names(fast.stopped_by, STOPPED_BY)) == {"basin", "loss"}
    assert fast.steps.mean() < 0.6 * slow.steps.mean()
    ends = polish(objective, fast.weights, radius=1.0)
    assert torch.linalg.vector_norm(ends - slow.weights, dim=1).max() < 1e-7


def test_states_that_are_not_finite_do_not_disturb_the_others():
    objective = objective_of(DoubleWell(), 3)
    initial = torch.tensor([[0.5, 0.1], [1e9, 0.0], [np.inf, 1.0]], dtype=torch.float64)
    outcome = train(objective, Descent(), initial, Stop(steps=5000), Trace())
    assert names(outcome.status, STATUS) == ["converged", "diverged", "diverged"]
    assert abs(outcome.weights[0, 0].item() - 1) < 1e-7


OPTIMIZERS = {
    "heavy_ball": {"rate": 0.6},
    "perturbed_gradient_descent": {
        "rate": 0.6,
        "radius": 0.1,
        "gradient_threshold": 0.01,
        "loss_threshold": 1e-4,
        "waiting_time": 7,
    },
    "gradient_flow": {},
    "levenberg_marquardt": {},
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_going_on_from_any_position_gives_the_same_bits(name):
    optimizer = registry().get("optimizers", name)(**OPTIMIZERS[name])
    objective, initial = objective_of(DoubleWell(), 9), 2 * normal_weights(9, 2)
    stop = Stop(gradient_norm=1e-9, steps=60, diverged_above=4, halvings=2, check_every=5)
    kept = []

    def save(position):
        groups = position.groups()
        kept.append({g: {n: a.copy() for n, a in groups[g].items()} for g in groups})

    whole = train(objective, optimizer, initial, stop, Trace(), save=save)
    for groups in kept[::3]:
        position = Position.from_groups(groups, initial.device)
        again = train(objective, optimizer, initial, stop, Trace(), resumed=position)
        for group, arrays in whole.groups().items():
            for each, values in arrays.items():
                assert again.groups()[group][each].tobytes() == values.tobytes(), each


def test_preconditioners_are_kept_beside_the_weights_and_over_interruptions():
    """Adam's, which are those of its state at that step; NaN before the first one."""
    objective = objective_of(Quadratic(eigenvalues=[1.0, 3.0]), 3)
    initial, stop = normal_weights(3, 2), Stop(steps=20, gradient_norm=None, check_every=5)
    optimizer, trace = registry().get("optimizers", "adam")(rate=0.01), Trace(weights=3)
    saved = []

    def save(position):
        groups = position.groups()
        saved.append({g: {n: a.copy() for n, a in groups[g].items()} for g in groups})

    outcome = train(objective, optimizer, initial, stop, trace, save=save)
    assert np.isnan(outcome.preconditioner[:, 0]).all()
    weights, state = initial, optimizer.start(initial, torch.ones(3).double())
    for step in range(1, 21):
        weights, state = optimizer.step(objective, weights, state)
        if step in outcome.kept_step:
            place = list(outcome.kept_step).index(step)
            expected = optimizer.preconditioner(state).numpy()
            np.testing.assert_array_equal(outcome.preconditioner[:, place], expected)
    for groups in saved[::2]:
        position = Position.from_groups(groups, torch.device("cpu"))
        again = train(objective, optimizer, initial, stop, trace, resumed=position)
        np.testing.assert_array_equal(again.preconditioner, outcome.preconditioner)
    plain = train(objective, Descent(), initial, stop, trace)
    assert plain.preconditioner.size == 0


@pytest.mark.parametrize(
    "rule, looked",
    [
        ({"gradient_norm": None}, {0, 10, 20}),
        ({"gradient_norm": 1e-30}, {0, 1, 2, 5, 10, 20}),  # one could end there
        ({"gradient_norm": None, "loss": 1e-30}, {0, 1, 2, 5, 10, 20}),
    ],
)
def test_weights_alone_are_kept_without_a_look_where_no_rule_could_end_a_run(
    rule, looked, monkeypatch
):
    steps, look = [], training._look
    monkeypatch.setattr(training, "_look", lambda *args: (steps.append(args[-1]), look(*args))[1])
    objective, initial = objective_of(Quadratic(eigenvalues=[1.0, 3.0]), 3), normal_weights(3, 2)
    stop, trace = Stop(steps=20, check_every=10, **rule), Trace(points_per_decade=None, weights=3)
    outcome = train(objective, Descent(), initial, stop, trace)
    assert set(steps) == looked
    assert outcome.kept_step.tolist() == [0, 1, 2, 5, 10, 20]
    factor = 1 - 0.1 * np.array([1.0, 3.0])
    expected = initial.numpy()[:, None] * factor ** outcome.kept_step[:, None]
    np.testing.assert_allclose(outcome.kept, expected, rtol=1e-12)


class Counting(Descent):
    """Descent that notes how many steps it is asked for at once."""

    def steps(self, objective, weights, state, count):
        asked.append(count)
        return super().steps(objective, weights, state, count)


asked = []


def test_python_looks_at_signals_between_many_steps(monkeypatch):
    monkeypatch.setattr(training, "STEPS_TOGETHER", 4)
    objective, initial = relu(2, 2, 3)
    stop = Stop(steps=10, check_every=10, gradient_norm=None)
    asked.clear()
    train(objective, Counting(), initial, stop, Trace(points_per_decade=None))
    assert asked == [4, 4, 2]


def test_rounds_of_basin_tests_grow_rarer_with_the_steps():
    steps = (0, 19_999, 20_000, 39_999, 40_000, 79_999, 80_000)
    assert [_basin_every(step) for step in steps] == [200, 200, 400, 400, 800, 800, 1600]
