"""What a reader of the report may play with, as the page's scripts get it."""

import base64
import json

import numpy as np
import pytest
from two_studies import BOWL, BOXES, FAMILIES, two_studies

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.report.interactive import interactives
from nnflow.report.terrain import SIDE, _thinned


@pytest.fixture
def shown(tmp_path, plugins):
    """shown(dataset): what the report has of a study whose analysis gave the dataset."""
    plan = two_studies(tmp_path, plugins)
    study, folder = plan.loaded["ridges"], plan.results / "quick/ridges"

    def of(dataset):
        store.write(folder / "analyses/thing.nc", {"": dataset}, {})
        return list(interactives(study, folder))

    return of


def numbers(text: str, kind: str) -> np.ndarray:
    return np.frombuffer(base64.b64decode(text), kind)


def test_a_marked_dataset_is_shown_and_no_other(shown):
    (found,) = shown(BOWL)
    assert (found.kind, found.analysis) == ("descent", "thing")
    assert found.labels == ("runs=10", "runs=20")
    for terrain in json.loads(found.data):
        assert (terrain["first"], terrain["second"]) == ([-2.0, 2.0], [-2.0, 2.0])
        assert (terrain["size"], terrain["rate"]) == ([41, 41], None)
        values = numbers(terrain["loss"], "<f4").reshape(41, 41)
        np.testing.assert_allclose(values, BOWL["loss"].values[0], rtol=1e-7)
    plain = BOWL.copy()
    plain.attrs = {}
    assert shown(plain) == []


def test_members_of_a_family_stand_by_rising_width(shown):
    (found,) = shown(FAMILIES.isel(configuration=[2, 4, 0, 3, 1]))
    told = json.loads(found.data)
    assert told["blocks"] == ["aligned", "turned"]
    # families in the order of the dataset
    assert [one["name"] for one in told["families"]] == ["one: S_(k−1) × S_1", "all: S_k"]
    one, everything = (family["members"] for family in told["families"])
    assert [member["width"] for member in one] == [3, 4, 5]
    assert [member["kind"] for member in one] == ["saddle", "saddle", "minimum"]
    assert [member["width"] for member in everything] == [3, 100]
    # what is padded in the dataset is left out
    assert everything[1]["eigenvalues"] == [0.2, 30.0]
    assert everything[1]["multiplicities"] == [9990, 10]
    # a block that is not there has no numbers; JSON knows no NaN
    assert (everything[0]["sizes"], everything[0]["own"]) == ([0, 3], [None, -0.9])
    assert everything[0]["between"] == [[None, None], [None, 0.02]]
    # six digits
    precise = FAMILIES.assign(loss=("configuration", np.full(5, 1 / 3)))
    (found,) = shown(precise)
    assert json.loads(found.data)["families"][0]["members"][0]["loss"] == 0.333333


def test_boxes_stand_family_by_family_with_all_of_their_bounds(shown):
    order = [9, 3, 1, 2, 0, 7, 6, 5, 4, 8]
    (found,) = shown(BOXES.isel(box=order))
    told = json.loads(found.data)
    assert (told["symbol"], told["also"], told["power"]) == ("s", "k", -2.0)
    assert told["bands"] == [
        {"name": "gap", "low": "at least this", "high": "at most this"},
        {"name": "loss", "low": "loss low", "high": "loss high"},
    ]
    # `number` is no measured one
    assert told["told"] == ["half-width of the tube"]
    two, one = told["families"]
    assert [(family["name"], family["count"]) for family in (two, one)] == [
        ("two turned", 2), ("one turned", 8),
    ]  # fmt: skip
    # ends are exact
    low, high = (numbers(end, "<f8") for end in one["ends"])
    np.testing.assert_array_equal(low, np.arange(8) / 16)
    np.testing.assert_array_equal(high, np.arange(1, 9) / 16)
    bounds = [[numbers(end, "<f4") for end in band] for band in one["bands"]]
    np.testing.assert_array_equal(bounds[0][0], 1 - np.arange(1, 9) / 16)
    assert bounds[0][1][0] == np.inf
    np.testing.assert_allclose(numbers(one["told"][0], "<f4"), np.arange(1, 9) * 1e-5)
    np.testing.assert_array_equal(numbers(two["ends"][0], "<f8"), [0.0, 0.1])


def test_boxes_of_one_family_need_no_names(shown):
    plain = BOXES.drop_vars("of_family")
    for name in ("symbol", "also", "also_power"):
        del plain["low"].attrs[name]
    (found,) = shown(plain)
    told = json.loads(found.data)
    assert (told["symbol"], told["also"], told["power"]) == ("x", None, 1.0)
    assert [(one["name"], one["count"]) for one in told["families"]] == [("", 10)]


def test_no_name_ends_the_script(shown):
    (found,) = shown(FAMILIES.assign_coords(block=["</script><b>", "turned"]))
    assert "<" not in found.data and json.loads(found.data)["blocks"][0] == "</script><b>"


def test_a_mark_that_cannot_be_shown_is_told(shown):
    with pytest.raises(UserError, match=r"ridges\.yaml: analyses\.thing: interactive: the report"
                       r" knows no 'box' \(there are: descent, families, boxes\)"):  # fmt: skip
        shown(BOXES.assign_attrs(interactive="box"))
    with pytest.raises(UserError, match="interactive: boxes needs the variable 'high', which"):
        shown(BOXES.drop_vars("high"))


@pytest.mark.parametrize(
    ("count", "kept"), [(2, 2), (5, 5), (SIDE, SIDE), (2 * SIDE - 1, SIDE), (202, 68), (500, 100)]
)
def test_a_side_is_thinned_evenly(count, kept):
    places = _thinned(count)
    assert len(places) == kept <= SIDE and places[0] == 0
    assert count - 1 - places[-1] < places.step
