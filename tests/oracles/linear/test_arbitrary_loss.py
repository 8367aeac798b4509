"""Linear networks under convex losses, and the study about them."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from studies import AGREE, assert_drawn, complete, verdicts

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective, flatten
from nnflow.interfaces.model import size
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

LOSSES = ["squared", "logistic", {"name": "huber", "delta": 0.5}, "log_cosh"]
POINT = {"w1": [[0.0, 0.0], [0.0, 1.0]], "w2": [[1.0, 0.0], [0.0, 0.0]]}


def network(loss, widths=(3, 4, 2), **settings):
    kind = registry().get("models", "linear_network_convex_loss")
    return kind(widths=widths, loss_function=loss, **settings)


def counterexample(loss):
    """The objective of Theorem 2 under a loss, and its point as flat weights."""
    model = registry().get("models", "laurent_von_brecht")(loss_function=loss)
    objective = Objective(model, {}, Streams(0, "all", np.arange(1), "train"))
    named = {name: torch.tensor([part], dtype=torch.float64) for name, part in POINT.items()}
    return objective, flatten(named)


# The model


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_is_the_mean_over_the_samples(loss):
    model = network(loss)
    inputs, targets = model.samples()
    assert set(np.unique(targets)) == {-1, 1}
    random = np.random.default_rng(1)
    first, second = random.normal(size=(2, 4, 3)), random.normal(size=(2, 2, 4))
    weights = {"w1": torch.as_tensor(first), "w2": torch.as_tensor(second)}
    for run in range(2):
        outputs = torch.as_tensor(inputs @ (second[run] @ first[run]).T)
        expected = model.loss_function(outputs, torch.as_tensor(targets)).mean()
        torch.testing.assert_close(model.loss(weights, {})[run], expected, rtol=1e-13, atol=0)


def test_infimum_under_squared_error_is_that_of_least_squares():
    model = network("squared")
    inputs, targets = model.samples()
    misfit = np.linalg.lstsq(inputs, targets, rcond=None)[1]
    assert model.infimum() == pytest.approx(misfit.sum() / 2 / len(inputs), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_infimum_is_below_every_neighbour(loss):
    from scipy.optimize import minimize

    model = network(loss)

    def value(flat):
        return float(model.convex(torch.as_tensor(flat).reshape(1, 2, 3)))

    found = minimize(value, np.zeros(6), method="Nelder-Mead", options={"maxiter": 1e4})
    polished = minimize(value, found.x, method="BFGS", options={"gtol": 1e-9})
    assert model.infimum() <= polished.fun + 1e-12
    assert model.infimum() == pytest.approx(polished.fun, abs=1e-9)


def test_no_infimum_is_claimed_where_the_theorem_says_nothing():
    assert network("squared", widths=(3, 1, 3)).infimum() is None
    assert network("absolute").infimum() is None
    assert network("squared", widths=(3, 3)).infimum() is not None


def test_samples_depend_on_their_seed_only():
    one, other = network("squared"), network("log_cosh", widths=(3, 7, 7, 2))
    assert all(map(np.array_equal, one.samples(), other.samples()))
    assert not np.array_equal(one.samples()[0], network("squared", seed=1).samples()[0])


# The spurious minimum of Theorem 2


def test_kinked_point():
    objective, weights = counterexample("absolute")
    assert objective.loss(weights).item() == 1
    assert objective.gradient(weights).abs().max() == 0
    assert not objective.smooth(weights).item()
    assert objective.model.infimum() == 0
    reached = {"w1": torch.eye(2).double()[None], "w2": torch.tensor([[[0.0, 0], [1, 0]]]).double()}
    assert objective.model.loss(reached, {}).item() == 0


def test_no_small_perturbation_lowers_the_loss_with_a_kink():
    objective, weights = counterexample("absolute")
    random = torch.Generator().manual_seed(3)
    for radius in (1e-4, 1e-2, 0.2, 0.49):
        shift = radius * (2 * torch.rand(20_000, 8, generator=random, dtype=torch.float64) - 1)
        assert objective.loss(weights + shift).min() > 1
    # a large one does
    assert objective.loss(weights + 2 * torch.randn(20_000, 8, generator=random)).min() < 0.9


@pytest.mark.parametrize("delta", [0.1, 0.5, 0.9])
def test_huber_makes_it_a_saddle(delta):
    objective, weights = counterexample({"name": "huber", "delta": delta})
    assert objective.gradient(weights).abs().max() == 0
    values = torch.linalg.eigvalsh(objective.hessian(weights))[0]
    root = np.sqrt(1 + 4 * delta**2)
    expected = [(1 - root) / 2] * 2 + [0, 0, 0] + [(1 + root) / 2] * 2 + [2]
    np.testing.assert_allclose(values, expected, atol=1e-14)


def test_levenberg_marquardt_converges_to_saddles_quadratically():
    objective = Objective(network("log_cosh"), {}, Streams(0, "all", np.arange(30), "train"))
    start = 0.6 * torch.randn(
        30, size(objective.model), dtype=torch.float64, generator=torch.manual_seed(0)
    )
    method = registry().get("optimizers", "levenberg_marquardt")()
    weights, state = start, method.start(start, torch.ones(30, dtype=torch.float64))
    norms = []
    for _ in range(100):
        norms.append(objective.gradient(weights).norm(dim=1))
        weights, state = method.step(objective, weights, state)
    norms = torch.stack(norms)
    assert (norms.diff(dim=0) <= 0).all()
    assert (norms[-1] < 1e-10).sum() >= 28
    lowest = torch.linalg.eigvalsh(objective.hessian(weights))[:, 0]
    assert (lowest < -0.1).sum() >= 5


# The study


@pytest.fixture(scope="module")
def done(root, tmp_path_factory):
    """The study at its quick scale with fewer runs, after all its stages."""
    study = load_study(study_file("arbitrary_loss", root / "config/studies"))
    configurations = tuple(
        dataclasses.replace(
            configuration,
            settings=configuration.settings.model_copy(
                update={"runs": fewer(configuration.settings)}
            ),
        )
        for configuration in study.configurations
    )
    return complete(
        dataclasses.replace(study, configurations=configurations), tmp_path_factory.mktemp("loss")
    )


def fewer(experiment):
    """Runs that are enough: a thin layer's spurious minima are met by one run in five."""
    many = 40 if 1 in getattr(experiment.model, "widths", ()) else 10
    return min(experiment.runs, many)


def test_every_claim_is_reproduced(done):
    found = verdicts(done)
    assert set(found.values()) <= AGREE | {"corrected"}, found
    corrected = {claim.split("[")[0] for claim, verdict in found.items() if verdict == "corrected"}
    assert corrected == {"order"}


def test_search_counts_every_run_once(done):
    found = done.read["local_minima_search"]
    parts = sum(
        found[name] for name in ("at_infimum", "saddles", "suspects", "nonsmooth", "unfinished")
    )
    assert (parts == found["runs"]).all()
    any_kind = found["saddles"].sel(
        configuration="loss_function=squared,optimizer=levenberg_marquardt"
    )
    assert any_kind > 0


def test_figures_are_drawn(done):
    assert_drawn(done.folder, done.study.settings.figures)


# The search on ends of known kind


def ends(kinds, losses, index, known):
    names = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
    codes = np.array([names.index(kind) for kind in kinds], dtype=np.int8)
    flags = {"flag_values": np.arange(6, dtype=np.int8), "flag_meanings": " ".join(names)}
    answers = ("no", "yes", "unknown")
    told = {"flag_values": np.arange(3, dtype=np.int8), "flag_meanings": " ".join(answers)}
    return xr.Dataset(
        {
            "kind": ("run", codes, flags),
            "loss": ("run", np.array(losses)),
            "is_global": ("run", np.array([answers.index(k) for k in known], np.int8), told),
            "index": ("run", np.array(index)),
            "nullity": ("run", np.full(len(kinds), 3)),
            "min_eigenvalue": ("run", -0.5 * np.array(index)),
        }
    )


@pytest.mark.parametrize("known", [["yes", *["no"] * 4, "yes"], ["unknown"] * 6])
def test_degenerate_points_above_the_infimum_are_suspects(known):
    found = ends(
        ["degenerate", "saddle", "degenerate", "minimum", "nonsmooth", "not_critical"],
        [0.0, 2.0, 1.0, 1.0, 1.0, -7.0],
        [0, 1, 0, 0, 0, 0],
        known,
    )
    experiment = SimpleNamespace(classify=SimpleNamespace(global_within=1e-8))
    configuration = SimpleNamespace(label="all", settings=experiment)
    results = SimpleNamespace(
        configurations=(configuration,), each=lambda name: [(configuration, found)]
    )
    table = (
        registry()
        .get("analyses", "local_minima_search")()
        .compute(results)
        .sel(configuration="all")
    )
    expected = {
        "runs": 6, "critical": 4, "at_infimum": 1, "saddles": 1, "suspects": 2, "nonsmooth": 1,
        "unfinished": 1, "flattest_saddle": -0.5, "suspect_losses": 1, "suspect_nullity": 3,
    }  # fmt: skip
    assert {name: float(table[name]) for name in expected} == expected
    assert table["suspect_share_low"] > 0 and np.isnan(table["share_bound"])
