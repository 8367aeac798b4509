"""Arrays of one's own, from files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, PositiveInt

import nnflow
from nnflow import Dataset, UserError

from .._array_files import read_arrays


class ArrayFiles(Dataset):
    """The arrays of a file, or of a file for each: .npz, .npy, netCDF (.nc), .safetensors, or a
    mapping of tensors that torch has saved (.pt). The first axis of each is the samples."""

    paths: str | dict[str, str] = Field(examples=["data.npz"])
    """A file with named arrays; or the file of each array: `{inputs: x.npy, targets: y.npy}`. Paths
    are relative to the project folder."""
    names: dict[str, str] = {}
    """What the arrays are called in a file with named arrays: `{inputs: x_train, targets:
    y_train}`; empty: as here, `inputs`, `targets`, `test_inputs`, …"""
    samples: PositiveInt | None = None
    """Samples used, the first ones, of those that are not held out; null: all."""

    def __hash__(self):
        return hash(self.model_dump_json())

    def files(self, folder):
        """Each file once, in order."""
        named = [self.paths] if isinstance(self.paths, str) else self.paths.values()
        return tuple(Path(file) for file in dict.fromkeys(named))

    def load(self, folder):
        arrays = self._named() if isinstance(self.paths, str) else self._each()
        return {
            name: array if name.startswith("test_") else array[: self.samples]
            for name, array in arrays.items()
        }

    def _named(self):
        found = read_arrays(Path(self.paths))
        for name, there in self.names.items():
            if there not in found:
                raise UserError(
                    f"dataset 'array_files': {self.paths} has no {there!r} for {name!r} (it has:"
                    f" {', '.join(found)})"
                )
        return {name: found[there] for name, there in self.names.items()} or found

    def _each(self):
        arrays = {}
        for name, file in self.paths.items():
            found = read_arrays(Path(file))
            if len(found) != 1:
                raise UserError(
                    f"dataset 'array_files': {file} has several arrays ({', '.join(found)}); name"
                    " it alone, with `names`"
                )
            (arrays[name],) = found.values()
        return arrays


@nnflow.hookimpl
def nnflow_register(register):
    register("array_files", ArrayFiles)
