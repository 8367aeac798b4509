"""The surface of Müller and Brown in balls, its complete list, and graphs beside known ones."""

import numpy as np
import pytest
import xarray as xr
from flint import arb, arb_mat
from handmade import Handmade, analysis, assert_columns
from studies import AGREE, assert_drawn, complete, verdicts

import nnflow
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry
from nnflow.proofs.complete import complete_list
from nnflow.study.loading import load_study, study_file

MINIMA = [[-0.558224, 1.441726], [0.623499, 0.028038], [-0.050011, 0.466694]]
SADDLES = [[-0.822002, 0.624313], [0.212487, 0.292988]]


def surface():
    return registry().get("models", "mueller_brown")()


def named(points):
    return {"w": nnflow.torch.as_tensor(np.asarray(points, dtype=float))}


def test_boxes_hold_the_loss_and_its_derivatives():
    """And not much more: around a point the width is that of the box."""
    model, rng = surface(), np.random.default_rng(0)
    enclosure = model.enclosure()
    for center in rng.uniform(-1.5, 1.5, (50, 2)):
        box = arb_mat(2, 1, [arb(x, 1e-6) for x in center.tolist()])
        points = named(center + rng.uniform(-1e-6, 1e-6, (20, 2)))
        true = [
            model.loss(points, {})[:, None],
            model.gradient(points, {})["w"],
            model.hessian(points, {}).reshape(-1, 4),
        ]
        balls = [
            [enclosure.loss(box)],
            enclosure.gradient(box).entries(),
            enclosure.hessian(box).entries(),
        ]
        for values, row in zip(true, balls, strict=True):
            for ball, column in zip(row, values.numpy().T, strict=True):
                slack = 1e-12 * (1 + np.abs(column).max())
                assert float(ball.lower()) - slack <= column.min()
                assert column.max() <= float(ball.upper()) + slack
                assert float(ball.rad()) < 0.02 * (1 + np.abs(column).max())


def test_it_has_five_critical_points_in_the_whole_plane():
    enclosure = surface().enclosure()
    found = complete_list(enclosure, (np.full(2, -4.0), np.full(2, 4.0)))
    assert found.undecided == []
    assert sorted(found.kinds()) == ["minimum"] * 3 + ["saddle"] * 2
    points = np.array(found.points)
    for place in [*MINIMA, *SADDLES]:
        assert np.abs(points - place).max(axis=1).min() < 1e-5
    assert enclosure.none_beyond(4.0)


def test_beyond_which_square_it_rises_outwards():
    """Proved from 4 on; where it is, w·∇L > 0 along circles; and it is not at 1."""
    model = surface()
    enclosure = model.enclosure()
    assert [enclosure.none_beyond(radius) for radius in (0.5, 1.0, 2.0, 3.0)] == [False] * 4
    for radius in (4.0, 5.0, 8.0):
        assert enclosure.none_beyond(radius)
        angle = np.linspace(0, 2 * np.pi, 2000)
        points = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
        slope = model.gradient(named(points), {})["w"].numpy()
        assert ((points * slope).sum(axis=1) > 0).all()
    inside = np.random.default_rng(0).uniform(-1, 1, (500, 2))
    slope = model.gradient(named(inside), {})["w"].numpy()
    assert ((inside * slope).sum(axis=1) < 0).any()


KNOWN = {
    "minima": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]],
    "saddles": [
        {"at": [0.5, 0.0], "height": 2.0, "joins": [0, 1]},
        {"at": [0.0, 0.5], "height": 3.0, "joins": [0, 2]},
    ],
}


def graph(minima, saddles, edges, levels):
    """A dataset as `landscape_graph` writes it, with room for one point more."""
    nan = [[np.nan, np.nan]]
    return xr.Dataset(
        {
            "minimum_weights": (("configuration", "minimum", "weight"), [minima + nan]),
            "saddle_weights": (("configuration", "saddle", "weight"), [saddles + nan]),
            "edge": (("configuration", "saddle", "side"), [edges + nan]),
            "saddle_loss": (("configuration", "saddle"), [[*levels, np.nan]]),
        },
        {"configuration": ["all"]},
    )


class Graphs(Handmade):
    """A study's results with datasets of analyses."""

    def __getitem__(self, name):
        return self._datasets[name]


def held(dataset):
    return Graphs({"all": {"model": surface()}}, {"landscape_graph": dataset})


ALL = ("known_minima", "found_minima", "new_minima", "known_edges", "right_edges", "wrong_edges")


@pytest.mark.parametrize(
    ("minima", "saddles", "edges", "levels", "counts", "error"),
    [
        # all there, in another order
        ([[0, 1], [0, 0], [1, 0]], [[0, 0.5], [0.5, 0]], [[0, 1], [2, 1]], [3, 2],
         (3, 3, 0, 2, 2, 0), 0.0),
        # places to their digits, a height that is off
        ([[0, 1.0009], [0, 0], [1, 0]], [[0, 0.5], [0.5, 0]], [[0, 1], [2, 1]], [3, 2.25],
         (3, 3, 0, 2, 2, 0), 0.25),
        # a saddle that is not known, and then one that is too low
        ([[0, 0], [1, 0], [0, 1]], [[0.3, 0.3], [0.5, 0]], [[0, 1], [0, 1]], [9, 1.5],
         (3, 3, 0, 2, 1, 1), 0.5),
        # a minimum elsewhere: the edge to it is wrong
        ([[0, 1.002], [0, 0], [1, 0]], [[0, 0.5], [0.5, 0]], [[0, 1], [2, 1]], [3, 2],
         (3, 2, 1, 2, 1, 1), 0.0),
        # the right places, joined in another way
        ([[0, 0], [1, 0], [0, 1]], [[0, 0.5], [0.5, 0]], [[1, 2], [0, 0]], [3, 2],
         (3, 3, 0, 2, 0, 2), 0.0),
        # one saddle found twice, the other not at all
        ([[0, 0], [1, 0], [0, 1]], [[0.5, 0], [0.5, 0.0005]], [[0, 1], [1, 0]], [2, 2],
         (3, 3, 0, 2, 1, 0), 0.0),
        # a saddle that nobody knows
        ([[0, 0], [1, 0], [0, 1]], [[0.7, 0.7]], [[1, 2]], [9], (3, 3, 0, 2, 0, 1), 0.0),
    ],
)  # fmt: skip
def test_columns(minima, saddles, edges, levels, counts, error):
    plugin = analysis("known_graph", known={"mueller_brown": KNOWN})
    results = held(graph(minima, saddles, edges, levels))
    wanted = {name: [count] for name, count in zip(ALL, counts, strict=True)}
    assert_columns(plugin, results, wanted | {"height_error": [pytest.approx(error)]})


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"himmelblau": KNOWN}, "no graph of the model 'mueller_brown' is named"),
        ({"mueller_brown": KNOWN | {"minima": [[0.0]]}}, "places must have 2 weights"),
        ({"mueller_brown": KNOWN | {"minima": [[0.0, 0.0]]}}, "joins: no such minimum"),
    ],
)
def test_mistakes(known, words):
    results = held(graph([[0, 0]], [], [], []))
    with pytest.raises(UserError, match=words) as error:
        analysis("known_graph", known=known).compute(results)
    assert "\n" not in str(error.value)


def test_the_study(root, tmp_path):
    study = load_study(study_file("known_graph", root / "config/studies"))
    done = complete(study, tmp_path)
    found = verdicts(done)
    assert set(found.values()) <= AGREE
    assert {name for name, verdict in found.items() if verdict == "proved"}
    assert_drawn(done.folder, study.settings.figures)
