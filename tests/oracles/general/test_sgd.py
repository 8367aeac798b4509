"""Minibatch SGD against torch.optim.SGD, one network at a time."""

import numpy as np
import pytest
import torch
from networks import RUNS, SAMPLES, classes, network, problem
from pydantic import ValidationError

from nnflow.base.errors import UserError
from nnflow.engine.training import train
from nnflow.interfaces.registry import registry
from nnflow.study.stage_settings import Stop, Trace

STEPS = 40
MINIBATCH = 4  # leaves one of the 25 samples out of each epoch
SCHEDULES = {
    "constant": lambda step: 1.0,
    "cosine": lambda step: (1 + np.cos(np.pi * min(step / 30, 1))) / 2,
    "step_decay": lambda step: 0.1 ** ((step >= 15) + (step >= 22.5)),
    "linear_decay": lambda step: np.interp(step, [15, 22.5], [1, 0.1]),
}


def sgd(**settings):
    defaults = {"rate": 0.3, "minibatch": MINIBATCH, "total_steps": 30}
    return registry().get("optimizers", "sgd")(**{**defaults, **settings})


def walk(optimizer, objective, weights, steps, scale=1.0):
    state = optimizer.start(weights, torch.full((len(weights),), scale, dtype=torch.float64))
    for _ in range(steps):
        weights, state = optimizer.step(objective, weights, state)
    return weights


def reference(objective, weights, run, rate, momentum, factor):
    """The same walk by torch's optimizer, with the run's own minibatches."""
    model = network(objective, weights[run], "tanh")
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum)
    batches = SAMPLES // MINIBATCH
    for step in range(STEPS):
        order = objective.streams.permutation(SAMPLES, draw=step // batches)[run]
        start = step % batches * MINIBATCH
        batch = torch.as_tensor(order[start : start + MINIBATCH])
        optimizer.param_groups[0]["lr"] = rate * factor(step)
        optimizer.zero_grad()
        inputs, targets = objective.data["inputs"][batch], objective.data["targets"][batch]
        classes(model(inputs), targets).backward()
        optimizer.step()
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_walks_as_torch_does(schedule, momentum):
    objective, weights = problem()
    moved = walk(sgd(schedule=schedule, momentum=momentum), objective, weights, STEPS)
    for run in range(RUNS):
        expected = reference(objective, weights, run, 0.3, momentum, SCHEDULES[schedule])
        torch.testing.assert_close(moved[run], expected, rtol=1e-9, atol=1e-11)


def test_a_halved_scale_is_half_the_rate():
    objective, weights = problem()
    halved = walk(sgd(momentum=0.5), objective, weights, STEPS, scale=0.5)
    slower = walk(sgd(momentum=0.5, rate=0.15), objective, weights, STEPS)
    assert torch.equal(halved, slower)


def test_every_epoch_goes_through_the_samples_once_in_an_order_of_its_own():
    objective, weights = problem()
    optimizer = sgd(minibatch=5)
    state = optimizer.start(weights, torch.ones(RUNS, dtype=torch.float64))
    orders = []
    for _ in range(10):
        weights, state = optimizer.step(objective, weights, state)
        orders.append(state["order"].clone())
    for epoch in (orders[0], orders[5]):
        assert torch.equal(epoch.sort(dim=1).values, torch.arange(SAMPLES).expand(RUNS, -1))
    assert all(torch.equal(orders[0], order) for order in orders[:5])
    assert (orders[0] != orders[5]).any(dim=1).all()
    assert (orders[0][0] != orders[0][1]).any()


@pytest.mark.parametrize("rows", [[0], [4, 2], [5, 0, 1, 3]])
def test_a_trajectory_has_the_same_bits_whatever_its_companions(rows):
    objective, weights = problem(widths=[64, 16, 10], runs=6)
    optimizer = sgd(momentum=0.9, schedule="cosine")
    stop, trace = Stop(steps=STEPS, check_every=7), Trace()
    together = train(objective, optimizer, weights, stop, trace)
    alone = train(objective.take(np.array(rows)), optimizer, weights[rows], stop, trace)
    assert torch.equal(together.weights[rows], alone.weights)
    np.testing.assert_array_equal(together.loss[rows], alone.loss)
    for name, values in together.trace.items():
        np.testing.assert_array_equal(values[rows], alone.trace[name])


def test_the_trace_ends_at_the_last_step():
    objective, weights = problem()
    outcome = train(objective, sgd(), weights, Stop(steps=STEPS), Trace())
    assert outcome.trace_step[-1] == STEPS
    np.testing.assert_array_equal(outcome.trace["loss"][:, -1], outcome.loss)


def test_a_schedule_needs_its_length():
    with pytest.raises(ValidationError, match="total_steps is needed with schedule 'cosine'"):
        sgd(schedule="cosine", total_steps=None)


def test_a_linear_decay_goes_from_one_milestone_to_another():
    with pytest.raises(ValidationError, match="milestones: schedule 'linear_decay' needs two"):
        sgd(schedule="linear_decay", milestones=[0.5])


def test_a_minibatch_larger_than_the_data_is_a_mistake():
    objective, weights = problem()
    with pytest.raises(UserError, match="26 is more than the 25 samples"):
        walk(sgd(minibatch=26), objective, weights, 1)


def test_sgd_without_data_is_a_mistake():
    objective, weights = problem()
    with pytest.raises(UserError, match="names no dataset"):
        walk(sgd(), type(objective)(objective.model, {}, objective.streams), weights, 1)
