"""The one door for data: what a dataset gives, as clean arrays or refused in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nnflow.base.errors import UserError
from nnflow.interfaces.dataset import Dataset
from nnflow.interfaces.model import Data, Minibatch, Model

if TYPE_CHECKING:
    import torch

HELD_OUT = "test_"
"""What the names of held-out arrays begin with; no minibatch touches them."""


class Drawn(Minibatch):
    """The given samples of each run, (run, sample) numbers, taken from arrays of all of them when
    they are asked for; held-out arrays are left as they are."""

    def __init__(self, whole: Data, samples: torch.Tensor):
        super().__init__({})
        self.whole, self.samples = whole, samples

    def __getitem__(self, name: str) -> torch.Tensor:
        if name.startswith(HELD_OUT):
            return self.whole[name]
        if name not in self._arrays:
            self._arrays[name] = taken(self.whole[name], self.samples)
        return self._arrays[name]

    def __contains__(self, name: object) -> bool:
        return name in self.whole

    def __iter__(self) -> Iterator[str]:
        return iter(self.whole)

    def __len__(self) -> int:
        return len(self.whole)


def taken(array: torch.Tensor, samples: torch.Tensor) -> torch.Tensor:
    """The samples with these numbers, in the shape of the numbers."""
    chosen = array.index_select(0, samples.flatten())  # array[samples] takes twice the time
    return chosen.reshape(*samples.shape, *array.shape[1:])


@cache
def load_arrays(dataset: Dataset, folder: Path | None) -> dict[str, np.ndarray]:
    """The arrays of a dataset: real numbers as float64, integers as int64, in native byte order and
    C order. Raises UserError, naming dataset, array and reason, for what can't be trained on."""
    if folder is None:
        raise _refused(dataset, "no folder for data: set NNFLOW_DATA, as there is no home folder")
    given = dataset.load(folder)
    if not isinstance(given, Mapping):
        raise _refused(dataset, f"gave no mapping of arrays, but {type(given).__name__}")
    arrays = {str(name): _clean(dataset, str(name), array) for name, array in given.items()}
    if not arrays:
        raise _refused(dataset, "gave no arrays")
    for held_out in (False, True):
        parts = {n: len(a) for n, a in arrays.items() if n.startswith(HELD_OUT) == held_out}
        if len(set(parts.values())) > 1:
            raise _refused(dataset, f"arrays of different lengths: {parts}")
        if 0 in parts.values():
            raise _refused(dataset, f"no samples in {', '.join(parts)}")
    return arrays


def check_arrays(model: Model, dataset: Dataset | None, arrays: Mapping[str, np.ndarray]) -> None:
    """Raise UserError where the model needs arrays that are not there, or of another sort."""
    for name, sort in model.arrays().items():
        if name not in arrays:
            has = f"dataset {dataset.name!r} has: {', '.join(arrays)}" if dataset else "no dataset"
            raise UserError(f"model {model.name!r} needs {name!r}; {has}")
        if sort == "classes" and arrays[name].dtype.kind != "i":
            needed = f"the model {model.name!r} needs whole numbers, the classes from 0"
            raise _refused(dataset, f"{name!r} has {_words(arrays[name])}; {needed}")
        if sort == "classes" and arrays[name].min() < 0:
            raise _refused(dataset, f"{name!r} has negative classes; they are counted from 0")


def for_model(model: Model, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays as the model reads them: whole numbers that it takes for real ones (pixels) become
    float64."""
    sorts = model.arrays()
    sorts = {**sorts, **{HELD_OUT + name: sort for name, sort in sorts.items()}}
    return {
        name: array.astype(np.float64) if sorts.get(name) == "real" else array
        for name, array in arrays.items()
    }


def _clean(dataset: Dataset, name: str, array: Any) -> np.ndarray:
    if type(array).__module__.partition(".")[0] == "torch":
        array = array.detach().cpu().to_dense()
        array = (array.double() if array.is_floating_point() else array).numpy()
    if isinstance(array, np.ma.MaskedArray):
        if np.ma.is_masked(array):
            raise _refused(dataset, f"{name!r} has masked values; a missing value is no number")
        array = array.data
    try:
        array = np.asarray(array)
        if array.dtype.kind == "O":
            array = np.array(array.tolist())
    except ValueError:
        raise _refused(dataset, f"{name!r} is no array: its rows have different lengths") from None
    if array.ndim == 0 and array.dtype.kind == "O":
        raise _refused(dataset, f"{name!r} is no array, but {type(array.item()).__name__}")
    if array.ndim == 0:
        raise _refused(dataset, f"{name!r} is a single number; its first axis must be the samples")
    if array.dtype.kind == "b":
        # true and false may be classes, pixels or labels of a margin: nobody can tell
        raise _refused(dataset, f"{name!r} is boolean; give 0 and 1, or -1 and 1")
    if array.dtype.kind not in "iuf":
        raise _refused(dataset, f"{name!r} has {_words(array)}, not numbers")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            array = array.astype(np.float64)
        if not np.isfinite(array).all():
            raise _refused(dataset, f"{name!r} has values that are not finite")
    if array.dtype.kind == "u" and array.size and array.max() > np.iinfo(np.int64).max:
        raise _refused(
            dataset, f"{name!r} has whole numbers above 2^63 - 1, the most that int64 holds"
        )
    return np.ascontiguousarray(array, dtype=array.dtype if array.dtype.kind == "f" else np.int64)


def _words(array: np.ndarray) -> str:
    return {"f": "real numbers", "i": "whole numbers"}.get(array.dtype.kind, f"type {array.dtype}")


def _refused(dataset: Dataset | None, reason: str) -> UserError:
    return UserError(f"dataset {dataset.name!r}: {reason}" if dataset else reason)
