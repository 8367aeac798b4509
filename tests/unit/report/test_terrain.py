"""Losses that a reader may descend."""

import base64
import json

import numpy as np
import pytest
from two_studies import BOWL, two_studies

from nnflow.base import store
from nnflow.report.terrain import SIDE, _thinned, terrains


def test_a_marked_dataset_is_shown_and_no_other(tmp_path, plugins):
    plan = two_studies(tmp_path, plugins)
    study, folder = plan.loaded["ridges"], plan.results / "quick/ridges"
    (found,) = terrains(study, folder)
    assert (found.analysis, found.labels) == ("thing", ("runs=10", "runs=20"))
    for shown in json.loads(found.data):
        assert (shown["first"], shown["second"]) == ([-2.0, 2.0], [-2.0, 2.0])
        assert (shown["size"], shown["rate"]) == ([41, 41], None)
        values = np.frombuffer(base64.b64decode(shown["loss"]), "<f4").reshape(41, 41)
        np.testing.assert_allclose(values, BOWL["loss"].values[0], rtol=1e-7)
    plain = BOWL.copy()
    plain.attrs = {}
    store.write(folder / "analyses/thing.nc", {"": plain}, {})
    assert not list(terrains(study, folder))


@pytest.mark.parametrize(
    ("count", "kept"), [(2, 2), (5, 5), (SIDE, SIDE), (2 * SIDE - 1, SIDE), (202, 68), (500, 100)]
)
def test_a_side_is_thinned_evenly(count, kept):
    places = _thinned(count)
    assert len(places) == kept <= SIDE and places[0] == 0
    assert count - 1 - places[-1] < places.step
