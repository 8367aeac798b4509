"""The border of training: dimensions of known sets, zooms, and training against plain loops."""

from functools import partial

import numpy as np
import pytest
from handmade import Between, Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, module, verdicts

from nnflow.interfaces.registry import registry
from nnflow.study.loading import load_study, study_file


@pytest.fixture
def plugin():
    return module("training_border")


def test_dimensions_of_known_sets(plugin):
    """A line has 1, a filled square 2, a Sierpiński carpet ln 8/ln 3 (boxes of powers of 2 on
    powers of 3: to .1)."""
    line = np.zeros((512, 512), dtype=bool)
    line[200] = True
    assert plugin.dimension(line).mean() == pytest.approx(1)
    assert plugin.dimension(np.ones((512, 512), dtype=bool)).mean() == pytest.approx(2)
    carpet = np.ones((1, 1), dtype=bool)
    for _ in range(6):
        hole = np.zeros_like(carpet)
        row = np.hstack([carpet] * 3)
        carpet = np.vstack([row, np.hstack([carpet, hole, carpet]), row])
    assert plugin.dimension(carpet).mean() == pytest.approx(np.log(8) / np.log(3), abs=0.1)
    assert np.isnan(plugin.dimension(np.zeros((64, 64), dtype=bool))).all()


def test_the_border_and_the_next_zoom(plugin):
    trains = np.zeros((64, 64), dtype=bool)
    trains[10, 50] = True
    edge = plugin.border(trains)
    assert {tuple(cell) for cell in np.argwhere(edge)} == {(10, 50), (10, 49), (9, 50)}
    extent = plugin.densest(edge, ((0.0, 64.0), (0.0, 640.0)))
    assert extent == ((48.0, 56.0), (80.0, 160.0))


def test_the_network_is_trained_as_autograd_does(plugin):
    """One setting, by torch's gradients; it must agree on both sides of the border."""
    import torch

    network = plugin.Network(3)
    x = torch.as_tensor(network.inputs[0, :, :, 0])
    y = torch.as_tensor(network.targets[:, 0])
    for rates in ((0.5, 0.5), (3.0, 2.5), (8.0, 0.4)):
        w = torch.tensor(network.first[:, :, 0], requires_grad=True)
        a = torch.tensor(network.second[:, 0], requires_grad=True)
        losses = []
        for _ in range(30):
            loss = ((a @ torch.tanh(w @ x) - y) ** 2).mean() / 2
            grad_w, grad_a = torch.autograd.grad(loss, (w, a))
            losses.append(loss.item())
            w = (w - rates[0] * grad_w).detach().requires_grad_()
            a = (a - rates[1] * grad_a).detach().requires_grad_()
        expected = np.mean(losses[-3:]) < losses[0]
        found = network.trains(np.array([rates[0]]), np.array([rates[1]]), 30)
        assert found.tolist() == [expected]


def test_the_parabola_trains_where_its_eigenvalues_allow(plugin):
    """I − diag(η)H, spectral radius below 1, apart from settings near to it."""
    first, second, beside = plugin.CURVATURES
    rates = np.random.default_rng(0).uniform(0, 6, (400, 2))
    step = np.eye(2) - rates[:, :, None] * np.array([[first, beside], [beside, second]])
    radius = np.abs(np.linalg.eigvals(step)).max(axis=1)
    told = np.abs(radius - 1) > 0.02
    with np.errstate(all="ignore"):
        found = plugin.parabola_trains(*rates.T, 400)
    assert 20 < (radius < 1).sum() < 380
    assert (found == (radius < 1))[told].all()


def test_ripples_are_descended_as_autograd_does(plugin):
    """By torch's gradients, with a rate for each weight; settings on both sides of the border."""
    import torch

    first, second, beside = plugin.CURVATURES
    a, k = plugin.HEIGHT, plugin.FREQUENCY
    # on the border, where a wrong slope turns some of them within so few steps
    rates = np.random.default_rng(0).uniform([0.4, 3.8], [0.75, 4.5], (60, 2))
    expected = []
    for rate in torch.as_tensor(rates):
        w = torch.ones(2, dtype=torch.float64)
        for _ in range(40):
            w.requires_grad_()
            x, y = w
            loss = (first * x**2 + second * y**2) / 2 + beside * x * y + a * torch.cos(k * w).sum()
            w = (w - rate * torch.autograd.grad(loss, w)[0]).detach()
        expected.append(bool(w.norm() < plugin.FAR))
    assert 10 < sum(expected) < 50
    assert plugin.ripples_stay(*rates.T, 40).tolist() == expected


def test_ripples_that_are_convex_leave_the_border_smooth(plugin):
    """Their curvature ak² is a twentieth of the parabola's lowest one."""
    lowest = np.linalg.eigvalsh([[1.0, 0.5], [0.5, 0.4]])[0]
    low = partial(plugin.ripples_stay, height=0.05 * lowest / plugin.FREQUENCY**2)
    found = plugin.trained_map(low, plugin.EXTENTS["ripples"], 128, 60)
    assert plugin.dimension(plugin.border(found)).mean() < 1.05
    rough = plugin.trained_map(plugin.ripples_stay, ((1.8, 2.0), (0.6, 1.0)), 128, 60)
    assert plugin.dimension(plugin.border(rough)).mean() > 1.2


def test_columns_of_training_border():
    registry()
    expected = {
        "network_dimension": [(Between(1, 2), Between(-30, 2), Between(1, 30))],
        "ripples_dimension": [(Between(1, 2), Between(-30, 2), Between(1, 30))],
        "control_dimension": [(Between(0.8, 1.1), Between(-30, 1.1), Between(0.8, 30))],
        "least_dimension": [Between(1, 2)],
        "ripples_least": [Between(0.8, 2)],
        "settings": [128**2],
        "finest": [12 / 8 / 128],
        "steps": [40],
        "digits": [53],
    }
    plugin = analysis("training_border", size=128, zooms=2, steps=40)
    found = assert_columns(plugin, Handmade({"all": {}}, seed=3), expected)
    assert found["trains"].shape == (3, 2, 128, 128)
    assert found["kind"].values.tolist() == ["network", "ripples", "control"]
    assert 0 < found["trains"].values[:, 0].mean() < 1


@pytest.mark.slow
def test_the_study(root, tmp_path):
    study = load_study(study_file("training_border", root / "config/studies"))
    job = complete(study, tmp_path)
    assert set(verdicts(job).values()) <= AGREE
    assert_drawn(job.folder, study.settings.figures)
