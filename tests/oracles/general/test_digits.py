"""Known facts about the digits, and what the settings do to them."""

import sys

import numpy as np
import pytest
from sklearn.datasets import load_digits

from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry

# per class, from the data set's documentation (UCI repository, optical recognition of digits)
COUNTS = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


@pytest.fixture(scope="module")
def digits():
    return registry().get("datasets", "digits")


@pytest.fixture(scope="module")
def split(digits, tmp_path_factory):
    return digits().load(tmp_path_factory.mktemp("data"))


def test_all_samples_are_there_once(digits, split, tmp_path):
    whole = digits(test_share=0).load(tmp_path)
    assert set(whole) == {"inputs", "targets"}
    assert whole["inputs"].shape == (1797, 64)
    np.testing.assert_array_equal(np.bincount(whole["targets"]), COUNTS)
    parts = np.concatenate([split["inputs"], split["test_inputs"]])
    np.testing.assert_array_equal(np.sort(parts, axis=0), np.sort(whole["inputs"], axis=0))


def test_they_are_those_that_scikit_learn_loads(digits, tmp_path, monkeypatch):
    module = sys.modules[digits.__module__]
    ours, theirs = digits(test_share=0).load(tmp_path), load_digits()
    order = np.lexsort(np.c_[ours["inputs"] * 16, ours["targets"]].T)
    again = np.lexsort(np.c_[theirs.data, theirs.target].T)
    np.testing.assert_array_equal(ours["inputs"][order] * 16, theirs.data[again])
    np.testing.assert_array_equal(ours["targets"][order], theirs.target[again])
    monkeypatch.setattr(module, "FILE", "elsewhere")  # as in a release that moved it
    for name, array in digits(test_share=0).load(tmp_path).items():
        np.testing.assert_array_equal(ours[name], array)


def test_the_split_is_a_fifth_and_disjoint(split):
    assert split["inputs"].shape == (1438, 64)
    assert split["test_inputs"].shape == (359, 64)
    train = {row.tobytes() for row in split["inputs"]}
    assert not train & {row.tobytes() for row in split["test_inputs"]}


def test_types_and_ranges(split):
    assert split["inputs"].dtype == np.float64
    assert split["targets"].dtype == np.int64
    assert split["inputs"].min() == 0
    assert split["inputs"].max() == 1
    # pixels count 4×4 blocks of bits: multiples of 1/16
    np.testing.assert_array_equal(split["inputs"] * 16, np.round(split["inputs"] * 16))


def test_the_same_settings_give_the_same_samples_and_another_seed_others(digits, split, tmp_path):
    again, other = digits().load(tmp_path), digits(split=1).load(tmp_path)
    for name, array in split.items():
        np.testing.assert_array_equal(array, again[name])
    assert (other["targets"] != split["targets"]).any()


def test_standardized_over_the_training_samples(digits, split, tmp_path):
    inputs = digits(scaling="standard").load(tmp_path)["inputs"]
    constant = split["inputs"].std(axis=0) == 0
    assert constant.sum() >= 3  # three pixels are white in every image
    np.testing.assert_allclose(inputs.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(inputs.std(axis=0)[~constant], 1, rtol=1e-12)
    assert not inputs[:, constant].any()


def test_a_limit_keeps_the_first_samples_and_the_held_out_ones(digits, split, tmp_path):
    few = digits(samples=100).load(tmp_path)
    np.testing.assert_array_equal(few["inputs"], split["inputs"][:100])
    np.testing.assert_array_equal(few["test_targets"], split["test_targets"])


def test_more_samples_than_there_are_is_a_mistake(digits, tmp_path):
    with pytest.raises(UserError, match="samples: 1439 asked for, but only 1438"):
        digits(samples=1439).load(tmp_path)


def test_only_the_first_digits():
    arrays = registry().get("datasets", "digits")(classes=3, test_share=0.1).load(None)
    for name in ("targets", "test_targets"):
        assert set(arrays[name].tolist()) == {0, 1, 2}
    assert sum(len(arrays[f"{part}targets"]) for part in ("", "test_")) == 178 + 182 + 177
