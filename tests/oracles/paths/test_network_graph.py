"""Networks with an idle neuron: the lemma, the columns, and the study."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from handmade import Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow import torch
from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file

idle, refined = module("idle_neuron"), module("_refined")
INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])


def network(hidden, outputs=1, activation="tanh", decay=1e-3):
    """A network and its loss on the exclusive or."""
    targets = np.array([-1.0, 1.0, 1.0, -1.0]) if outputs == 1 else np.array([0, 1, 1, 0])
    model = registry().get("models", "mlp")(
        widths=[2, hidden, outputs],
        activation=activation,
        loss_function="logistic" if outputs == 1 else "cross_entropy",
        weight_decay=decay,
    )
    data = {"inputs": torch.as_tensor(INPUTS), "targets": torch.as_tensor(targets)}
    return model, Landscape(Objective(model, data, Streams(0, "all", np.arange(1), "x")))


def minima(loss, size, count=12):
    """Ends of descents from random weights."""
    found = refined.descended(loss, np.random.default_rng(0).standard_normal((count, size)), 400)
    found = found[np.isfinite(found).all(axis=1)]
    index, nullity = refined.inertia(loss, found)
    return found[(index == 0) & (nullity == 0)]


def test_an_idle_neuron_changes_no_output():
    one, loss = network(2, outputs=2)
    more, wider = network(3, outputs=2)
    weights = np.random.default_rng(0).standard_normal((5, 12))
    points = idle.with_idle(one, weights)
    assert points.shape == (5, 17)
    np.testing.assert_allclose(wider.loss(points), loss.loss(weights), rtol=1e-14)
    named = module("_flat").named_weights(more, points)
    assert (named["w1"][:, 2] == 0).all()
    assert (named["b1"][:, 2] == 0).all()
    assert (named["w2"][:, :, 2] == 0).all()


@pytest.mark.parametrize("outputs", [1, 2])
def test_the_spectrum_is_that_of_the_lemma(outputs):
    """At any weights; nothing in the proof needs a minimum but the gradient of the others."""
    decay = 0.01
    one, loss = network(2, outputs, decay=decay)
    _, wider = network(3, outputs, decay=decay)
    weights = np.random.default_rng(1).standard_normal((6, 8 + outputs + 2 * outputs - 2))
    points = idle.with_idle(one, weights)
    found = np.linalg.eigvalsh(wider.hessian(points))
    known = np.linalg.eigvalsh(loss.hessian(weights))
    turned = decay - idle.largest_slope(one, loss.data, weights)
    np.testing.assert_allclose(found[:, 0], np.minimum(known[:, 0], turned), rtol=1e-10, atol=1e-12)
    assert (np.abs(found - turned[:, None]).min(axis=1) < 1e-12).all()
    np.testing.assert_allclose(
        found.sum(axis=1), known.sum(axis=1) + decay * (3 + outputs), rtol=1e-12
    )


class Graphs(Handmade):
    """A study's results with datasets of analyses."""

    def __getitem__(self, name):
        return self._datasets[name]


def graphs(decay, places):
    """The minima of two neurons, of which those at `places` are saddles that were found of three,
    with another point."""
    one, loss = network(2, decay=decay)
    more, wider = network(3, decay=decay)
    points = minima(loss, 9)
    points = points[module("_graph").representatives(one, loss, points, 1e-6)]
    saddles = np.vstack([idle.with_idle(one, points[places]), np.ones((1, 13))])
    weights = np.full((2, len(points), 13), np.nan)
    weights[0, :, :9] = points
    found = np.full((2, len(saddles), 13), np.nan)
    found[1] = saddles[:, np.r_[2:4, 0:2, 4:6, 7, 6, 8, 10, 9, 11, 12]]  # two neurons exchanged
    dataset = xr.Dataset(
        {
            "minimum_weights": (("configuration", "minimum", "weight"), weights),
            "saddle_weights": (("configuration", "saddle", "weight"), found),
        },
        {"configuration": ["two", "three"]},
    )
    results = Graphs(
        {"two": {"model": one}, "three": {"model": more}}, {"landscape_graph": dataset}
    )
    results.objective = lambda configuration: {"two": loss, "three": wider}[configuration.label]
    return results, len(points)


def test_columns():
    """One of the saddles was found, as an image; with much weight decay there is none to find."""
    nan = np.nan
    results, count = graphs(1e-3, [0])
    assert count >= 3
    expected = {
        "idle": [nan, count],
        "idle_gradient": [nan, pytest.approx(0, abs=1e-11)],
        "idle_minima": [nan, 0],
        "idle_saddles": [nan, count],
        "idle_missed": [nan, count - 1],
        "idle_minima_missed": [nan, 0],
        "idle_eigenvalue_error": [nan, pytest.approx(0, abs=1e-11)],
    }
    assert_columns(analysis("idle_neuron"), results, expected)
    results, count = graphs(0.2, [0])
    assert count == 1
    expected |= {"idle": [nan, 1], "idle_minima": [nan, 1], "idle_saddles": [nan, 0]}
    expected |= {"idle_missed": [nan, 0], "idle_minima_missed": [nan, 1]}
    assert_columns(analysis("idle_neuron"), results, expected)


def test_points_are_known_by_their_loss_and_all_their_invariants(monkeypatch):
    """The first is; the second has another invariant, the third another loss."""
    monkeypatch.setattr(idle, "invariants", lambda model, points: points[:, 1:])
    loss = SimpleNamespace(loss=lambda points: points[:, 0])
    points = np.array([[0.0, 0, 0], [1, 1, 1], [2, 0, 0]])
    known = points + 1e-6 * np.array([[0.9, 0.9, 0], [0, 0, 1.1], [1.1, 0, 0]])
    missed = analysis("idle_neuron")._missed
    assert missed(None, loss, points, known) == 2
    assert missed(None, loss, points, known[:0]) == 3 and missed(None, loss, points[:0], known) == 0


def test_errors_of_idle_neurons_are_the_largest(monkeypatch):
    """Lowest eigenvalues 1¼ and 1 where the narrow network has 1 and 3, and the other mode 5."""
    monkeypatch.setattr(idle, "_points", lambda found, configuration, part: np.zeros((2, 2)))
    monkeypatch.setattr(idle, "with_idle", lambda model, points: points)
    monkeypatch.setattr(idle, "inertia", lambda loss, points: (np.array([0, 1]), np.zeros(2)))
    monkeypatch.setattr(idle, "largest_slope", lambda *_: np.zeros(2))
    monkeypatch.setattr(idle.IdleNeuron, "_missed", lambda self, model, loss, points, known: 0)

    def loss(*lowest):
        return SimpleNamespace(
            data={},
            hessian=lambda points: np.stack([np.diag([low, 3.0]) for low in lowest]),
            gradient=lambda points: np.array([[3e-3, 4e-3], [1e-3, 0]]),
        )

    losses = iter([loss(1.25, 1), loss(1, 1)])
    results = SimpleNamespace(objective=lambda one: next(losses))
    parts = [SimpleNamespace(settings=SimpleNamespace(model=SimpleNamespace(weight_decay=5)))] * 2
    row = analysis("idle_neuron")._row(results, None, *parts)
    assert row["idle_gradient"] == pytest.approx(5e-3)
    assert row["idle_eigenvalue_error"] == pytest.approx(0.25)
    assert (row["idle"], row["idle_minima"], row["idle_saddles"]) == (2, 1, 1)


@pytest.mark.parametrize("settings", [{"activation": "sigmoid"}, {"widths": [2, 2, 2, 1]}])
def test_mistakes(settings):
    parts = {"widths": [2, 2, 1], "activation": "tanh", "loss_function": "logistic"} | settings
    model = registry().get("models", "mlp")(**parts)
    results = Graphs({"all": {"model": model}}, {"landscape_graph": xr.Dataset()})
    with pytest.raises(UserError, match="needs networks of one hidden layer") as error:
        analysis("idle_neuron").compute(results)
    assert "\n" not in str(error.value)


def test_the_study(root, tmp_path):
    study = load_study(study_file("network_graph", root / "config/studies"))
    done = complete(study, tmp_path)
    assert set(verdicts(done).values()) <= AGREE
    assert_drawn(done.folder, study.settings.figures)
