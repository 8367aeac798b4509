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
    assert plugin.dimension(line).tolist() == [1] * 4  # sides of 4, 8, …, 64
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


def test_the_network_is_trained_as_autograd_does(plugin, monkeypatch):
    """One setting, by torch's gradients, loss by loss, on both sides of the border."""
    import torch

    seen, see = [], plugin.Losses.see
    monkeypatch.setattr(plugin.Losses, "see", lambda self, x: seen.append(x) or see(self, x))
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
        seen.clear()
        found = network.trains(np.array([rates[0]]), np.array([rates[1]]), 30)
        assert found.tolist() == [expected]
        np.testing.assert_allclose(np.ravel(seen)[:8], losses[:8], rtol=1e-9)


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


def test_the_losses_of_the_parabola(plugin, monkeypatch):
    """½(x² + 0.4y²) + ½xy at (1, 1), and after a step of the rates ½ and 1: (¼, 0.1)."""
    seen, see = [], plugin.Losses.see
    monkeypatch.setattr(plugin.Losses, "see", lambda self, x: seen.append(x) or see(self, x))
    plugin.parabola_trains(np.array([0.5]), np.array([1.0]), 2)
    expected = [0.7 + 0.5, (0.25**2 + 0.4 * 0.1**2) / 2 + 0.5 * 0.25 * 0.1]
    assert np.ravel(seen) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("losses", "fell"),
    [
        ([6.0] + [99.0] * 17 + [1.0, 9.0], True),  # the mean of the last tenth is 5
        ([6.0] + [0.0] * 17 + [3.0, 9.0], False),  # and 6
        ([6.0, 9, 9, 9, 5], True),
        ([6.0, 0, 0, 0, 7], False),
        ([6.0, 0, 0, 0, np.nan], False),
    ],
)
def test_losses_fall_by_the_mean_of_the_last_tenth(plugin, losses, fell):
    kept = plugin.Losses(len(losses))
    for loss in losses:
        kept.see(np.array([loss]))
    assert kept.fell().tolist() == [fell]


def test_settings_are_the_centres_of_the_cells_of_a_map(plugin):
    """The first rate goes along rows; more settings than are trained together."""
    size = 65
    told = plugin.trained_map(
        lambda first, second, steps: (first < 2) & (second > 0.5) & (steps == 7),
        ((0.0, 6.5), (0.0, 65.0)), size, 7,
    )  # fmt: skip
    first, second = 0.05 + 0.1 * np.arange(size), 0.5 + np.arange(size)
    np.testing.assert_array_equal(told, (first < 2) & (second[:, None] > 0.5))
    assert told[:, 19].any() and not told[:, 20].any() and not told[0].any()


def test_zooms_go_where_most_of_the_border_is(plugin, monkeypatch):
    """A line in column 100 of 128 has the dimension 1, a chequerboard 2, one setting 0. The part of
    the line is the seventh of eight along the first rate, that of the setting the fourth, and the
    third along the second rate."""
    line, setting = np.zeros((2, 128, 128), dtype=bool)
    line[:, 100:], setting[42, 50] = True, True
    board = np.indices((128, 128)).sum(axis=0) % 2 == 0
    maps = iter([line, line, board, setting, board, board, board, board, board])
    monkeypatch.setattr(plugin, "trained_map", lambda *_: next(maps))
    found = analysis("training_border", size=128, zooms=3).compute(Handmade({"all": {}}))
    names = ("least_dimension", "ripples_least", "finest", "settings")
    assert [found[name].item() for name in names] == [1, 0, 1.5 / 8 / 128, 128**2]
    means = [found[f"{name}_dimension"].item() for name in ("network", "ripples", "control")]
    assert means == pytest.approx([4 / 3, 4 / 3, 2])
    assert found["low"].values[..., 0].tolist() == [[0, 9, 10.125], [0, 1.125, 1.125], [0, 0, 0]]
    assert found["high"].values[..., 0].tolist() == [
        [12, 10.5, 10.125 + 1.5 / 8], [3, 1.5, 1.125 + 0.375 / 8], [3, 0.375, 0.375 / 8],
    ]  # fmt: skip
    assert found["low"].values[..., 1].tolist() == [[0, 0, 0], [0, 1.5, 1.5], [0, 0, 0]]
    ends = [[3, 3 / 8, 3 / 64], [6, 1.5 + 6 / 8, 1.5 + 6 / 64], [6, 6 / 8, 6 / 64]]
    assert found["high"].values[..., 1].tolist() == ends


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
