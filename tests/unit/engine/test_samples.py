"""The one door for data: converted where harmless, refused in one line otherwise."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix

from nnflow import Dataset, Model, UserError
from nnflow.engine.samples import check_arrays, for_model, load_arrays

X = np.arange(6.0).reshape(3, 2)


def loaded(tmp_path, **arrays):
    class Given(Dataset):
        def load(self, folder):
            return arrays

    Given.name = "given"
    return load_arrays(Given(), tmp_path)


@pytest.mark.parametrize(
    "array",
    [
        X.tolist(), X[::-1][::-1], X.astype(">f8"), X.astype(np.float32), np.asfortranarray(X),
        torch.as_tensor(X), torch.as_tensor(X, dtype=torch.float32).requires_grad_(),
        np.ma.array(X, mask=False), X.astype(object),
        torch.as_tensor(X).to_sparse(), torch.as_tensor(X).bfloat16(),
    ],
    ids=str,
)  # fmt: skip
def test_harmless_forms_become_float64(tmp_path, array):
    found = loaded(tmp_path, inputs=array)["inputs"]
    assert found.dtype == np.float64 and found.dtype.isnative and found.flags.c_contiguous
    np.testing.assert_array_equal(found, X)


@pytest.mark.parametrize("kind", ["u1", "i2", ">i4", "u8"])
def test_whole_numbers_become_int64(tmp_path, kind):
    found = loaded(tmp_path, targets=np.array([0, 2, 1], dtype=kind))["targets"]
    assert found.dtype == np.int64 and found.tolist() == [0, 2, 1]


def test_images_keep_their_axes(tmp_path):
    assert loaded(tmp_path, inputs=np.zeros((300, 1, 8, 8)))["inputs"].shape == (300, 1, 8, 8)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"inputs": np.ma.masked_equal(X, 3)}, "'inputs' has masked values"),
        ({"inputs": X[:0]}, "no samples in inputs"),
        ({"inputs": X, "test_inputs": X[:0]}, "no samples in test_inputs"),
        ({"inputs": X, "targets": np.zeros(2)}, "arrays of different lengths"),
        ({"inputs": np.array([[1.0, np.nan]])}, "'inputs' has values that are not finite"),
        ({"inputs": X > 2}, "'inputs' is boolean"),
        ({"inputs": np.full(3, np.longdouble("1e400"))}, "values that are not finite"),
        ({"inputs": np.full(3, 2**63, np.uint64)}, "whole numbers above 2^63 - 1"),
        ({"inputs": csr_matrix(np.eye(3))}, "is no array, but csr_matrix"),
        ({"inputs": X * 1j}, "'inputs' has type complex128"),
        ({"inputs": np.array(["a", "b"])}, "not numbers"),
        ({"inputs": [[1, 2], [3]]}, "rows have different lengths"),
        ({"inputs": 3.0}, "its first axis must be the samples"),
        ({}, "gave no arrays"),
    ],
)
def test_what_is_refused(tmp_path, arrays, words):
    with pytest.raises(UserError) as caught:
        loaded(tmp_path, **arrays)
    assert str(caught.value).startswith("dataset 'given': ") and words in str(caught.value)


class Classifier(Model):
    def arrays(self):
        return {"inputs": "real", "targets": "classes"}


def test_a_model_gets_what_it_needs():
    model = Classifier()
    arrays = {
        "inputs": np.array([[3], [4]]),
        "targets": np.array([0, 1]),
        "test_inputs": np.ones(1, int),
    }
    check_arrays(model, None, arrays)
    found = for_model(model, arrays)
    assert found["inputs"].dtype == found["test_inputs"].dtype == np.float64
    assert found["targets"].dtype == np.int64


@pytest.mark.parametrize(
    ("targets", "words"),
    [
        (None, "needs 'targets'"),
        (np.array([0.0, 1.0]), "whole numbers, the classes from 0"),
        (np.array([-1, 1]), "negative classes"),
    ],
)
def test_a_model_that_needs_something_else(targets, words):
    arrays = {"inputs": np.ones((2, 1))} | ({} if targets is None else {"targets": targets})
    with pytest.raises(UserError, match=words):
        check_arrays(Classifier(), None, arrays)
