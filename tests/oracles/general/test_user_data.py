"""Data of the user's own: datasets of torch, and arrays in files."""

import sys

import numpy as np
import pytest
import torch
import xarray as xr
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from nnflow.base.errors import UserError
from nnflow.engine.samples import load_arrays
from nnflow.interfaces.registry import registry


class Squares(Dataset):
    """Sample i is (i, i²), negative where it is held out."""

    def __init__(self, count=5, train=True):
        self.count, self.sign = count, 1 if train else -1

    def __len__(self):
        return self.count

    def __getitem__(self, number):
        if number >= self.count:
            raise IndexError
        return torch.tensor([float(self.sign * number)]), self.sign * number**2


class Noisy(Squares):
    def __getitem__(self, number):
        return torch.rand(1), number


class Ragged(Squares):
    def __getitem__(self, number):
        return torch.ones(number + 1), number


class Pictures(Squares):
    def __getitem__(self, number):
        return object(), number


class Named(Squares):
    def __getitem__(self, number):
        return {"inputs": torch.ones(2) * number, "weights": number}


class Stream(IterableDataset):
    def __iter__(self):
        yield torch.ones(1), 1


class Endless:
    pass


def generator():
    return ((torch.ones(1), i) for i in range(3))


def loader():
    return DataLoader(Squares())


def alone():
    return [torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0])]


def half():
    return TensorDataset(torch.ones(3, 2, dtype=torch.float16), torch.arange(3))


def dataset(name, **settings):
    return registry().get("datasets", name)(**settings)


def of_torch(target, folder, **settings):
    found = dataset("torch_dataset", target=f"test_user_data:{target}", **settings)
    return load_arrays(found, folder)


def test_all_samples_of_a_dataset_of_torch_are_read(tmp_path):
    arrays = of_torch("Squares", tmp_path, settings={"count": 4}, held_out={"train": False})
    np.testing.assert_array_equal(arrays["inputs"], [[0.0], [1.0], [2.0], [3.0]])
    assert arrays["inputs"].dtype == np.float64
    np.testing.assert_array_equal(arrays["targets"], [0, 1, 4, 9])
    np.testing.assert_array_equal(arrays["test_targets"], [0, -1, -4, -9, -16])
    assert len(of_torch("Squares", tmp_path, samples=2)["inputs"]) == 2


def test_samples_may_be_mappings_or_tensors_alone(tmp_path):
    named = of_torch("Named", tmp_path)
    assert set(named) == {"inputs", "weights"}
    np.testing.assert_array_equal(of_torch("alone", tmp_path)["inputs"], [[1, 2], [3, 4]])
    assert of_torch("half", tmp_path)["inputs"].dtype == np.float64


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("generator", "is a generator, which is empty after it was read once; give a torch.utils"),
        ("Stream", "is a generator"),
        ("loader", "is a DataLoader; give its dataset"),
        ("Endless", "no torch.utils.data.Dataset with __len__ and __getitem__"),
        ("Noisy", "sample 0 has another 'inputs' the second time"),
        ("Ragged", "samples do not fit together"),
        ("Pictures", "sample 0: 'inputs' is object, no tensor; add a transform"),
    ],
)
def test_what_is_no_fixed_set_of_samples_is_refused(target, words, tmp_path):
    with pytest.raises(UserError) as error:
        of_torch(target, tmp_path)
    assert words in str(error.value) and f"test_user_data:{target}" in str(error.value)
    assert "\n" not in str(error.value)


def test_parts_without_a_name_and_empty_datasets_are_refused(tmp_path):
    with pytest.raises(UserError, match="has 2 parts, and `names` names 1"):
        of_torch("Squares", tmp_path, names=["inputs"])
    with pytest.raises(UserError, match="has no samples"):
        of_torch("Squares", tmp_path, settings={"count": 0})
    with pytest.raises(UserError, match=r"its constructor fails: TypeError.*see `held_out`"):
        of_torch("Squares", tmp_path, held_out={"training": False})


ARRAYS = {"inputs": np.arange(6.0).reshape(3, 2), "targets": np.array([2, 0, 1])}


def save(name):
    """The arrays in a file of each form."""
    if name.endswith(".npz"):
        np.savez(name, **ARRAYS)
    elif name.endswith(".nc"):
        axes = {"inputs": ("sample", "feature"), "targets": ("sample",)}
        xr.Dataset({n: (axes[n], a) for n, a in ARRAYS.items()}).to_netcdf(name)
    else:
        torch.save({n: torch.as_tensor(a) for n, a in ARRAYS.items()}, name)


@pytest.mark.parametrize("name", ["data.npz", "data.nc", "data.pt"])
def test_arrays_are_those_of_the_file(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(name)
    found = dataset("array_files", paths=name)
    arrays = load_arrays(found, tmp_path)
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[key], array)
    assert [str(file) for file in found.files(tmp_path)] == [name]
    renamed = dataset("array_files", paths=name, names={"targets": "inputs"}, samples=2)
    np.testing.assert_array_equal(load_arrays(renamed, tmp_path)["targets"], ARRAYS["inputs"][:2])


def test_each_array_may_have_its_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, array in ARRAYS.items():
        np.save(name, array)
    found = dataset("array_files", paths={n: f"{n}.npy" for n in ARRAYS})
    arrays = load_arrays(found, tmp_path)
    for key, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[key], array)


def test_safetensors_take_their_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "data.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="takes the package safetensors: pip install"):
        load_arrays(dataset("array_files", paths="data.safetensors"), tmp_path)


def test_safetensors_are_read_where_the_package_is_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file(ARRAYS, "data.safetensors")
    arrays = load_arrays(dataset("array_files", paths="data.safetensors"), tmp_path)
    np.testing.assert_array_equal(arrays["inputs"], ARRAYS["inputs"])


def test_files_that_can_not_be_read_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", **ARRAYS)
    (tmp_path / "broken.npz").write_bytes(b"no zip")
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    for settings, words in (
        ({"paths": "nowhere.npz"}, "nowhere.npz: there is no such file"),
        ({"paths": "broken.npz"}, "broken.npz: can't be read as .npz"),
        ({"paths": "objects.npy"}, "objects.npy: can't be read as .npy"),
        ({"paths": "data.npz", "names": {"inputs": "x"}}, "data.npz has no 'x' for 'inputs'"),
        ({"paths": {"inputs": "data.npz"}}, "data.npz has several arrays"),
    ):
        with pytest.raises(UserError) as error:
            load_arrays(dataset("array_files", **settings), tmp_path)
        assert words in str(error.value)
    (tmp_path / "data.csv").write_text("1,2", encoding="utf-8")
    with pytest.raises(UserError, match="files of arrays end in"):
        load_arrays(dataset("array_files", paths="data.csv"), tmp_path)
