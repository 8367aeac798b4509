"""Gradients of perceptrons in compiled code: against automatic derivatives, and bit for bit
everywhere."""

import hashlib
import importlib
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from processors import PROCESSORS, has, printed

from nnflow.base.automatic import automatic_gradient
from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces import Descent
from nnflow.interfaces.registry import registry

registry()
lanes = importlib.import_module("nnflow_plugins.general.models._mlp_lanes")

PAIRS = [
    ("tanh", "squared"),
    ("relu", "cross_entropy"),
    ("sigmoid", "logistic"),
    ({"name": "leaky_relu", "slope": 0.3}, {"name": "huber", "delta": 0.7}),
    ("identity", {"name": "cauchy", "scale": 0.5}),
]
"""Each is compiled by itself."""


def problem(widths, samples, runs, pair=PAIRS[0], classes=True, decay=0.0, seed=0):
    """An objective on random data, and random weights."""
    random = np.random.default_rng(seed)
    activation, loss = pair
    model = registry().get("models", "mlp")(
        widths=widths, activation=activation, loss_function=loss, weight_decay=decay
    )
    targets = random.standard_normal((samples, widths[-1]))
    if classes:
        targets = random.integers(0, widths[-1], samples)
    data = {"inputs": random.standard_normal((samples, widths[0])), "targets": targets}
    streams = Streams(0, "all", np.arange(runs), "minibatch")
    objective = Objective(model, {n: torch.from_numpy(a) for n, a in data.items()}, streams)
    return objective, torch.from_numpy(random.standard_normal((runs, model.size_if_known())))


def samples_of_each(runs, of, count, seed=0):
    random = np.random.default_rng(seed)
    return torch.from_numpy(np.stack([random.permutation(of)[:count] for _ in range(runs)]))


@pytest.mark.parametrize("minibatch", [False, True])
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_the_gradient_is_the_derivative_of_the_loss(pair, minibatch):
    classes = pair[1] != "squared"
    loss, weights = problem([5, 7, 3, 4], 37, 6, pair, classes, decay=0.01)
    if minibatch:
        loss = loss.minibatch(samples_of_each(6, 37, 11))
    assert loss.compiled_gradient(weights) is not None
    expected = automatic_gradient(loss._function, weights)
    size = expected.abs().max().item()
    found = loss.gradient(weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * size)
    closed = loss.model.gradient(loss.named(weights), loss.data)
    closed = torch.cat([part.flatten(1) for part in closed.values()], 1)
    np.testing.assert_allclose(found, closed, rtol=0, atol=1e-14 * size)


@given(
    st.lists(st.integers(1, 11), min_size=2, max_size=5),
    st.integers(1, 40),
    st.booleans(),
    st.integers(0, 1000),
)
@settings(max_examples=60, deadline=None)
def test_a_batch_may_be_split_anywhere(widths, samples, own, seed):
    runs = 7
    loss, weights = problem(widths, samples, runs, classes=False, decay=0.1, seed=seed)
    chosen = samples_of_each(runs, samples, -(-samples // 2), seed)
    together = (loss.minibatch(chosen) if own else loss).gradient(weights)
    for a, b in pairwise([0, 3, 4, runs]):
        part = loss.minibatch(chosen[a:b]) if own else loss
        assert torch.equal(part.gradient(weights[a:b]), together[a:b])
    compiled = (loss.minibatch(chosen) if own else loss).compiled_gradient(weights)
    np.testing.assert_array_equal(compiled.in_numpy(weights.numpy()), together)
    with patch("nnflow.base.run_gradient.PIECE", weights.shape[1] * chosen.shape[1] * 2):
        np.testing.assert_array_equal(compiled.of_runs(weights.numpy()), together)  # two at a time


@pytest.mark.parametrize("samples", [8 * lanes.FEWEST, 8 * lanes.FEWEST + 1, 200])
def test_many_samples_go_block_by_block(samples):
    """1101 inputs and neurons have FEWEST vectors in a block; the sums are those of all samples."""
    widths = [1090, 10, 1]
    assert lanes._block_tiles(np.array(widths)) == lanes.FEWEST
    loss, weights = problem(widths, samples, 2, classes=False)
    found = loss.gradient(0.05 * weights)
    expected = automatic_gradient(loss._function, 0.05 * weights)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-14 * expected.abs().max().item())
    compiled = loss.compiled_gradient(weights)
    np.testing.assert_array_equal(compiled.in_numpy(0.05 * weights.numpy()), found)
    assert torch.equal(loss.gradient(0.05 * weights[1:]), found[1:])


def test_what_is_left_to_torch():
    def compiled(loss, weights):
        return loss.compiled_gradient(weights) is not None

    assert compiled(*problem([64, 200, 10], 5, 2))
    assert not compiled(*problem([64, 300, 10], 5, 2))  # too many weights
    assert not compiled(*problem([3, 2], 5, 2, pair=("gelu", "squared")))
    assert not compiled(*problem([3, 2], 5, 2, pair=("tanh", "hinge")))
    loss, weights = problem([3, 2], 5, 2)
    assert not compiled(loss, weights.float())
    assert not compiled(loss.varying({"weight_decay": torch.ones(2).double()}), weights)
    for wrong in (torch.zeros(5, 3).double(), torch.zeros(5, 1, dtype=torch.int64)):
        loss.data["targets"] = wrong
        assert not compiled(loss, weights)  # the loss says what is wrong with that shape


def test_numbers_out_of_range_are_told_by_torch():
    loss, weights = problem([3, 2], 9, 2)
    for samples in ([[0, 9], [1, 2]], [[0, -1], [1, 2]]):
        with pytest.raises((IndexError, RuntimeError)):
            loss.minibatch(torch.tensor(samples)).gradient(weights)
    loss.data["targets"][4] = 2  # of the classes 0 and 1
    with pytest.raises((IndexError, RuntimeError, ValueError)):
        loss.gradient(weights)


def test_what_is_another_function_is_not_compiled():
    kind = registry().get("models", "mlp")
    loss, _ = problem([3, 2], 9, 2)

    class Twice(kind):
        def loss(self, weights, data):
            return 2 * super().loss(weights, data)

        def gradient(self, weights, data):
            return {name: 2 * part for name, part in super().gradient(weights, data).items()}

    class Steeper(type(registry().get("activations", "tanh")())):
        def __call__(self, values):
            return super().__call__(2 * values)

        def derivative(self, values, activated):
            return 2 * (1 - activated.square())

    given = {"widths": [3, 2, 2], "loss_function": "squared"}
    for model in (Twice(activation="tanh", **given), kind(activation=Steeper(), **given)):
        changed = Objective(model, loss.data, loss.streams)
        w = torch.randn(2, model.size_if_known(), dtype=torch.float64)
        assert changed.compiled_gradient(w) is None
        expected = automatic_gradient(changed._function, w)
        np.testing.assert_allclose(changed.gradient(w), expected, rtol=1e-12, atol=1e-14)


def test_a_sample_an_output_and_no_run():
    loss, weights = problem([1, 1, 1], 1, 3, classes=False)
    loss.data["targets"] = loss.data["targets"][:, 0]
    expected = automatic_gradient(loss._function, weights)
    assert loss.compiled_gradient(weights) is not None
    np.testing.assert_allclose(loss.gradient(weights), expected, rtol=1e-13)
    assert loss.gradient(weights[:0]).shape == (0, 4)


def test_targets_of_another_precision_are_no_classes():
    loss, weights = problem([3, 2], 9, 2, classes=False)
    loss.data["targets"] = loss.data["targets"].float()
    expected = automatic_gradient(loss._function, weights)
    np.testing.assert_allclose(loss.gradient(weights), expected, rtol=1e-13)


def test_diverging_runs_end_in_no_number_alone():
    for pair in PAIRS[:2]:
        loss, weights = problem([3, 4, 2], 9, 10, pair)
        weights[4, 0] = np.nan
        finite = loss.gradient(weights).isfinite().all(1)
        assert finite.sum() == 9 and not finite[4]


def started(optimizer, weights):
    return optimizer.start(weights, torch.ones(len(weights), dtype=torch.float64))


@pytest.mark.parametrize("name", ["gradient_descent", "heavy_ball", "nesterov"])
def test_many_steps_at_once_have_the_bits_of_single_ones(name, monkeypatch):
    optimizer = registry().get("optimizers", name)(rate=0.05)
    loss, weights = problem([3, 5, 2], 19, 5)
    state = started(optimizer, weights)
    assert loss.descend(weights, Descent(1, state["rate"])) is not None
    together, after = optimizer.steps(loss, weights, state, 30)
    monkeypatch.setattr("nnflow.base.run_gradient.PIECE", 1)  # a step of each at a time
    in_pieces, _ = optimizer.steps(loss, weights, state, 30)
    monkeypatch.setenv("NNFLOW_PLAIN", "1")
    assert loss.descend(weights, Descent(1, state["rate"])) is None
    alone, expected = optimizer.steps(loss, weights, state, 30)
    assert torch.equal(together, alone) and not torch.equal(together, weights)
    assert torch.equal(together, in_pieces)
    assert all(torch.equal(after[part], expected[part]) for part in expected)


def test_a_run_waits_where_its_gradient_is_quiet():
    loss, weights = problem([3, 5, 2], 19, 4)
    norms = loss.gradient(weights).norm(dim=1)
    quiet = torch.stack([0 * norms[0], 2 * norms[1], 0.9 * norms[2], 1e-3 * norms[3]])[:, None]
    rate = torch.full((4, 1), 0.05, dtype=torch.float64)
    found = loss.descend(weights, Descent(torch.tensor([3, 3, 500, 0]), rate, quiet=quiet))
    assert found.left[0] == 0 and found.left[1] == 3 and 0 < found.left[2] < 500
    assert torch.equal(found.weights[1], weights[1]) and torch.equal(found.weights[3], weights[3])
    last = loss.gradient(found.weights).norm(dim=1)
    assert last[2] <= quiet[2, 0]
    before = loss.descend(weights, Descent(500 - int(found.left[2]) - 1, rate))
    assert loss.gradient(before.weights).norm(dim=1)[2] > quiet[2, 0]


def test_a_minibatch_descends_over_the_samples_of_each_run():
    loss, weights = problem([3, 5, 2], 19, 4)
    part = loss.minibatch(samples_of_each(4, 19, 6))
    rate = torch.full((4, 1), 0.05, dtype=torch.float64)
    found = part.descend(weights, Descent(1, rate))
    assert torch.equal(found.weights, weights - rate * part.gradient(weights))
    with patch("nnflow.base.run_gradient.PIECE", 1):  # a run at a time
        assert torch.equal(part.descend(weights, Descent(1, rate)).weights, found.weights)


def digest():
    """Of gradients; steps have their bits."""
    found = []
    for pair in PAIRS[:2]:
        loss, weights = problem([10, 7, 5, 3], 77, 5, pair)
        found += [loss.gradient(weights)]
        found += [loss.minibatch(samples_of_each(5, 77, 12)).gradient(weights)]
    return hashlib.sha256(b"".join(one.numpy().tobytes() for one in found)).hexdigest()


SCRIPT = f"""
import sys
sys.path[:0] = {[str(Path(__file__).parents[up]) for up in (0, 1)]!r}
import test_mlp_lanes
print(test_mlp_lanes.digest())
"""


@pytest.mark.slow
def test_every_processor_gives_the_bits_of_numpy(tmp_path):
    found = {"this one": digest()}
    for name, (variables, feature) in PROCESSORS.items():
        if not feature or has(feature):
            (found[name],) = printed(SCRIPT, tmp_path / name, **variables)
    if len(found) < 3:
        pytest.skip("this processor has no AVX2")
    (plain,) = printed(SCRIPT, tmp_path, NNFLOW_PLAIN="1")
    assert found == dict.fromkeys(found, plain)
