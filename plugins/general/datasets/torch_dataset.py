"""A torch.utils.data.Dataset of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Dataset, UserError, torch

from .._import_path import ImportPath, call, in_words, source_files


class TorchDataset(Dataset):
    """All samples of a torch.utils.data.Dataset, each a tuple of what `names` says, a mapping by
    name, or one tensor."""

    target: ImportPath
    """The class, or a function that gives a dataset: `module:Name`, of a file in the project folder
    or beside a study, or of an installed package."""
    settings: dict[str, Any] = {}
    """What it is called with."""
    held_out: dict[str, Any] | None = None
    """What it is called with for the held-out samples, such as `{train: false}`; null: none are."""
    names: list[str] = ["inputs", "targets"]
    """What the parts of a sample are called, in order."""
    samples: PositiveInt | None = None
    """Samples used, the first ones, of those that are not held out; null: all."""

    def __hash__(self):
        return hash(self.model_dump_json())

    def files(self, folder):
        """The user's own files that the dataset is made from."""
        return source_files(self.target)

    def load(self, folder):
        arrays = self._read(self.settings, "settings", self.samples)
        if self.held_out is not None:
            held_out = self._read(self.held_out, "held_out", None)
            arrays |= {f"test_{name}": array for name, array in held_out.items()}
        return arrays

    @classmethod
    def arrays_of(cls, given, names=("inputs", "targets")):
        """The arrays of a dataset that is there already, for notebooks."""
        path = {"target": "torch.utils.data:Dataset", "names": list(names)}
        return cls.model_validate(path)._all(given, None)

    def _read(self, settings, key, most):
        """The arrays of one dataset."""
        return self._all(call(self.target, settings, key), most)

    def _all(self, given, most):
        self._check(given)
        count = len(given) if most is None else min(most, len(given))
        parts = [self._sample(given, number) for number in range(count)]
        for name, array in parts[0].items():
            if not np.array_equal(array, self._sample(given, 0)[name], equal_nan=True):
                raise self._refused(
                    f"sample 0 has another {name!r} the second time; a loss is over fixed samples:"
                    " leave out random transforms"
                )
        arrays = {}
        for name in parts[0]:
            try:
                arrays[name] = np.stack([part[name] for part in parts])
            except (KeyError, ValueError) as error:
                raise self._refused(f"samples do not fit together: {in_words(error)}") from None
        return arrays

    def _check(self, given):
        """Raise UserError for what can't be read twice, or has no samples."""
        if isinstance(given, torch.utils.data.DataLoader):
            raise self._refused(
                "is a DataLoader; give its dataset, as nnflow draws minibatches itself"
            )
        if hasattr(given, "__next__") or isinstance(given, torch.utils.data.IterableDataset):
            raise self._refused(
                "is a generator, which is empty after it was read once; give a"
                " torch.utils.data.Dataset with __len__ and __getitem__"
            )
        if not (hasattr(given, "__len__") and hasattr(given, "__getitem__")):
            raise self._refused(
                f"gives {type(given).__name__}, no torch.utils.data.Dataset with __len__ and"
                " __getitem__"
            )
        if len(given) == 0:
            raise self._refused("has no samples")

    def _sample(self, given, number):
        """One sample as arrays by name."""
        try:
            sample = given[number]
        except Exception as error:
            raise self._refused(f"sample {number}: {in_words(error)}") from error
        if isinstance(sample, Mapping):
            named = {str(name): part for name, part in sample.items()}
        else:
            parts = sample if isinstance(sample, tuple | list) else (sample,)
            if len(parts) > len(self.names):
                raise self._refused(
                    f"sample {number} has {len(parts)} parts, and `names` names {len(self.names)}"
                )
            named = dict(zip(self.names, parts, strict=False))
        return {name: self._array(number, name, part) for name, part in named.items()}

    def _array(self, number, name, part):
        if isinstance(part, torch.Tensor):
            return part.detach().cpu().numpy()
        array = (
            np.asarray(part) if isinstance(part, int | float | np.generic | np.ndarray) else None
        )
        if array is None or array.dtype.kind not in "iuf":
            raise self._refused(
                f"sample {number}: {name!r} is {type(part).__name__}, no tensor; add a transform"
                " that makes it one"
            )
        return array

    def _refused(self, reason):
        return UserError(f"dataset 'torch_dataset': {self.target}: {reason}")


@nnflow.hookimpl
def nnflow_register(register):
    register("torch_dataset", TorchDataset)
