"""The figure of merge trees: leaves in an order without crossings, and what is gray or open."""

import sys

import matplotlib.colors
import numpy as np
import xarray as xr

from nnflow.interfaces.registry import registry


class Drawn(dict):
    """Datasets of analyses by name."""


def figure():
    return registry().get("figures", "merge_trees")


def planes(basins, errors=(0.0,)):
    """One configuration; basins: for each plane [(birth, death, parent, place)]; padded."""
    count = max(map(len, basins)) + 1
    birth, death, parent = (np.full((1, len(basins), count), np.nan) for _ in range(3))
    place = np.full((1, len(basins), count, 2), np.nan)
    for number, rows in enumerate(basins):
        for basin, (low, high, above, where) in enumerate(rows):
            birth[0, number, basin], death[0, number, basin] = low, high
            parent[0, number, basin], place[0, number, basin] = above, where
    axes = ("configuration", "plane")
    return xr.Dataset(
        {
            "basin_birth": ((*axes, "basin"), birth),
            "basin_death": ((*axes, "basin"), death),
            "basin_parent": ((*axes, "basin"), parent),
            "basin_place": ((*axes, "basin", "axis"), place),
            "sampling_error": (axes, [list(errors)]),
            "loss": ((*axes, "row", "column"), np.full((1, len(basins), 2, 2), 9.0)),
            "x": ((*axes, "column"), np.tile([-1.0, 1.0], (1, len(basins), 1))),
            "y": ((*axes, "row"), np.tile([-2.0, 2.0], (1, len(basins), 1))),
        },
        {"configuration": ["all"], "plane": ["random", "runs"][: len(basins)]},
    )


INSIDE = (0.5, 0.0)
INF = np.inf
TREE = [
    (0.0, INF, -1, INSIDE),
    (1.0, 8.0, 0, INSIDE),
    (2.0, 5.0, 1, (1.0, 0.0)),
    (3.0, 4.0, 0, (0.0, -2.0)),
    (3.5, 3.6, 2, INSIDE),
]


def drawn(*basins, errors=(0.0,)):
    made = figure()().draw(Drawn(loss_planes=planes(list(basins), errors)))
    assert len(made.axes) == len(basins)
    return made


def lines(axis):
    """(x, y) of the tree's lines, without those of labels."""
    found = [line for line in axis.lines if line.get_lw() > 1 and line.get_marker() != "o"]
    return [(tuple(line.get_xdata()), tuple(line.get_ydata()), line.get_color()) for line in found]


def test_no_bar_crosses_a_line():
    """A bar ends at the two lines that it joins; of those between, none reaches its level."""
    rng, leaves = np.random.default_rng(0), sys.modules[figure().__module__].leaves
    for _ in range(50):
        count = 8
        birth = np.sort(rng.random(count))
        parent, death = np.full(count, -1), np.full(count, INF)
        for number in range(1, count):
            alive = np.flatnonzero(death[:number] > birth[number])
            parent[number] = rng.choice(alive)
            ceiling = min(2.0, death[parent[number]])
            death[number] = rng.uniform(birth[number], ceiling)
        x = leaves(death, parent)
        assert sorted(x) == list(range(count))
        for number in range(1, count):
            low, high = sorted((x[number], x[parent[number]]))
            between = [other for other in range(count) if low < x[other] < high]
            assert all(death[other] <= death[number] for other in between)


def test_lines_and_bars_are_at_the_losses():
    (axis,) = drawn(TREE).axes
    found = lines(axis)
    vertical = sorted((y for x, y, _ in found if x[0] == x[1]), key=lambda y: y[0])
    assert [y[0] for y in vertical] == [birth for birth, *_ in TREE]
    assert [y[1] for y in vertical][1:] == [death for _, death, *_ in TREE[1:]]
    assert vertical[0][1] > 8
    bars = sorted(y[0] for x, y, _ in found if x[0] != x[1])
    assert bars == [3.6, 4.0, 5.0, 8.0]
    assert {text.get_text() for text in axis.texts} == {"3.6", "4", "5", "8"}


def test_the_border_is_open_and_noise_is_gray():
    made = drawn(TREE, [(0.0, INF, -1, INSIDE)], errors=(0.5, 0.0))
    axis, alone = made.axes
    markers = {line.get_ydata()[0]: line for line in axis.lines if line.get_marker() == "o"}
    faces = {low: matplotlib.colors.to_rgb(line.get_mfc()) for low, line in markers.items()}
    assert [low for low, face in faces.items() if face == (1.0, 1.0, 1.0)] == [2.0, 3.0]
    gray = [y[0] for x, y, color in lines(axis) if color == "0.65" and x[0] == x[1]]
    assert gray == [3.5]
    assert "3.6" not in {text.get_text() for text in axis.texts}
    assert len(alone.texts) == 0
    assert made.get_suptitle() == "The plane of (a) falls into 4 basins, as far as its grid tells"
    one = drawn([(0.0, INF, -1, INSIDE)])
    assert one.get_suptitle() == "Each plane is one basin, as far as its grid tells"
