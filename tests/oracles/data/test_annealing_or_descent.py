"""Annealing beside descent, and the index of ends: columns by hand, the study."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns
from networks import problem
from scipy import stats
from studies import AGREE, assert_drawn, complete, verdicts

from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


def mlp(neurons):
    return registry().get("models", "mlp")(
        widths=[4, neurons, 2], activation="relu", loss_function="cross_entropy"
    )


def optimizer(name, **settings):
    return registry().get("optimizers", name)(**settings)


def trained(train, test, steps):
    return xr.Dataset(
        {
            "loss": ("run", train),
            "steps": ("run", np.full(len(train), steps) - (np.arange(len(train)) == 1)),
            "trace_test_loss": (
                ("run", "trace_step"),
                np.stack([np.ones(len(test)), test], axis=1),
            ),
        },
        {"trace_step": [0, steps]},
    )


def test_columns_of_annealing_or_descent():
    """Differences are annealing less descent, with Welch's interval as SciPy has it; a run without
    a loss is left out; 30 steps of 5 of 50 samples with gradients are 9 passes."""
    losses = {
        "sgd": ([1.0, 2, 4, np.nan], [2.0, 2, 5, 1]),
        "simulated_annealing": ([3.0, 3, 5, 9], [1.0, 2, 3, 3]),
    }
    parts = {
        "sgd": optimizer("sgd", rate=1, minibatch=5),
        "simulated_annealing": optimizer("simulated_annealing", temperature=1, total_steps=30),
    }
    data = SimpleNamespace(samples=50)
    settings = {n: {"model": mlp(3), "optimizer": parts[n], "dataset": data} for n in losses}
    results = Handmade(settings, {"training": {n: trained(*v, 30) for n, v in losses.items()}})
    descent, annealed = (np.array(losses[n])[:, : 3 if n == "sgd" else 4] for n in losses)
    row = {}
    for name, ours, theirs in zip(("less_train", "less_test"), annealed, descent, strict=True):
        low, high = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.99)
        row[name] = (ours.mean() - theirs.mean(), pytest.approx(low), pytest.approx(high))

    def near(value):
        return (value, Between(-99, value), Between(value, 99))

    nothing = (np.nan, np.nan, np.nan)
    expected = {
        "runs": [3, 4],
        "neurons": [3, 3],
        "passes": [9, 30],
        "train_loss": [near(7 / 3), near(5)],
        "test_loss": [near(3), near(9 / 4)],
        "lowest": [1, 3],
        "less_train": [nothing, row["less_train"]],
        "less_test": [nothing, row["less_test"]],
    }
    assert_columns(analysis("annealing_or_descent"), results, expected)


class Curved:
    """Hessians with given eigenvalues, turned."""

    def hessian(self, points):
        values = np.array([-0.5, -5e-4, 0, 2] + [1.0] * 16)
        turn = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 20)))[0]
        return (turn * values * np.sign(points[:, :1])) @ turn.T * np.ones((len(points), 1, 1))


def test_columns_of_end_index():
    """20 weights; of the eigenvalues one is below −.001, one more below 0, two are near 0; the
    second network has the opposite signs. The third isn't looked at."""
    model = registry().get("models", "mlp")(
        widths=[3, 3, 2], activation="relu", loss_function="cross_entropy"
    )
    count = sum(int(np.prod(shape)) for shape in model.shapes().values())
    assert count == 20
    weights = {
        name: (("run", *(f"{name}_{i}" for i in range(len(shape)))), np.ones((3, *shape)))
        for name, shape in model.shapes().items()
    }
    ends = xr.Dataset(
        {**weights, "loss": ("run", [1.0, 1, 1]), "gradient_norm": ("run", [0.1, 0.3, 0.9])}
    )
    first = next(iter(model.shapes()))
    ends[first][1] *= -1
    large = model.model_copy(update={"widths": [3, 4, 2]})
    results = Handmade(
        {"large": {"model": large}, "all": {"model": model}},
        {"training": {"large": ends, "all": ends}},
    )
    results.objective = lambda configuration: Curved()

    def near(value):
        return (value, Between(-99, value), Between(value, 99))

    nothing = (np.nan, np.nan, np.nan)
    expected = {
        "networks": [np.nan, 2],
        "index": [nothing, near((1 / 20 + 17 / 20) / 2)],
        "highest_index": [np.nan, 17 / 20],
        "negative": [nothing, near((2 / 20 + 17 / 20) / 2)],
        "near_zero": [nothing, near(2 / 20)],
        "gradient": [np.nan, 0.3],
    }
    assert_columns(analysis("end_index", runs=2, most_weights=20), results, expected)
    few = analysis("end_index", most_weights=19).compute(results)
    assert np.isnan(few["index"].values).all()


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale."""
    study = load_study(study_file("annealing_or_descent", root / "config/studies"))
    return complete(study, tmp_path_factory.mktemp("annealing"))


@pytest.mark.slow
def test_no_claim_differs_and_the_figure_is_drawn(done):
    """Twelve networks of each kind leave some differences open."""
    found = verdicts(done)
    assert set(found.values()) <= AGREE | {"undecided", "not_measured"}, found
    assert set(found.values()) & AGREE
    assert_drawn(done.folder, done.study.settings.figures)


@pytest.mark.parametrize("runs", [1, 2, 7])
def test_many_moves_at_once_have_the_bits_of_single_ones(runs):
    """And of fewer runs beside them."""
    optimizer = registry().get("optimizers", "simulated_annealing")(
        temperature=0.1, total_steps=300, last=1e-3, coordinates=2
    )
    objective, weights = problem(runs=runs)
    rate = torch.ones(runs, dtype=torch.float64)
    at = together = weights.clone()
    state = kept = optimizer.start(weights, rate)
    for _ in range(150):
        at, state = optimizer.step(objective, at, state)
    together, _ = optimizer.steps(objective, together, kept, 150)
    assert torch.equal(at, together) and not torch.equal(at, weights)
    alone = objective.take(np.array([0]))
    first, _ = optimizer.steps(alone, weights[:1], optimizer.start(weights[:1], rate[:1]), 150)
    assert torch.equal(first, at[:1])
