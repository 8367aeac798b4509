"""The marks of the figure `landscape`: each critical point once, as far as it is in the panel."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from nnflow.interfaces.registry import registry

registry()  # which makes nnflow_plugins

KINDS = "minimum saddle maximum degenerate nonsmooth"


class Model:
    @staticmethod
    def shapes():
        return {"w1": (), "w2": ()}


@pytest.fixture
def axis():
    figure, axis = plt.subplots()
    axis.set(xlim=(-1, 1), ylim=(-2, 2))
    yield axis
    plt.close(figure)


def marks(axis, *ends):
    """The counts of `_marks` for ends (w1, w2, kind), which are all of one family."""
    from nnflow_plugins.general.figures.landscape import _marks

    first, second, kinds = zip(*ends, strict=True)
    data = xr.Dataset(
        {
            "w1": ("run", np.array(first, dtype=float)),
            "w2": ("run", np.array(second, dtype=float)),
            "kind": ("run", [KINDS.split().index(kind) for kind in kinds]),
            "family": ("run", np.zeros(len(ends), dtype=int)),
        }
    )
    data["kind"].attrs["flag_meanings"] = KINDS
    return _marks(axis, Model(), data)


def test_images_of_one_point_under_a_symmetry_are_marked_each(axis):
    assert marks(axis, (0, 1, "minimum"), (1, 0, "minimum"), (0.5, 0.5, "saddle")) == {
        "minimum": 2,
        "saddle": 1,
    }
    places = np.concatenate([drawn.get_offsets() for drawn in axis.collections])
    assert sorted(map(tuple, places.tolist())) == [(0, 1), (0.5, 0.5), (1, 0)]


def test_ends_that_no_eye_tells_apart_are_one(axis):
    assert marks(axis, (0, 1, "minimum"), (1e-9, 1 - 1e-9, "minimum")) == {"minimum": 1}
    assert marks(axis, (0, 1, "minimum"), (0.1, 1, "minimum")) == {"minimum": 2}


def test_ends_outside_of_the_panel_are_not_counted(axis):
    assert marks(axis, (0, 3, "minimum"), (-1.5, 0, "saddle"), (0, 0, "maximum")) == {"maximum": 1}
