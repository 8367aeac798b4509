"""Weights that were trained elsewhere."""

from __future__ import annotations

import glob
import re
from pathlib import Path

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Initializer, UserError

from .._array_files import read_arrays

PREFIXES = ("module.", "_orig_mod.")
"""What torch's DataParallel and compile put before all names."""


class Checkpoint(Initializer):
    """Run i begins with the weights, and buffers, of the i-th file: a state_dict of torch (.pt,
    .pth, .safetensors) or arrays by name (.npz, .nc). Torch's files are read with weights_only, so
    that reading runs no code."""

    paths: str | list[str] = Field(examples=["runs/seed-*/model.pt"])
    """A file, or a pattern whose files, in the order of the numbers in their names, are the runs;
    or a list of them. Relative to the project folder."""
    key: str | None = None
    """The entry that holds the state_dict, in files of torch that hold more; null: the file is
    one."""

    def files(self, folder):
        """The files of the runs, in order. Raises UserError where a pattern meets none."""
        found = []
        for pattern in [self.paths] if isinstance(self.paths, str) else self.paths:
            met = sorted(glob.glob(pattern, recursive=True), key=_natural)
            if not met:
                raise UserError(f"checkpoint.paths: no file is called {pattern}")
            found += map(Path, met)
        return tuple(found)

    def count(self):
        return len(self.files(Path()))

    def start(self, start):
        files = self.files(Path())
        last = int(start.streams.runs.max())
        if last >= len(files):
            raise UserError(
                f"checkpoint.paths: {len(files)} files for {last + 1} runs; set"
                f" `runs: {len(files)}`"
            )
        read = [self._read(files[run], start.model) for run in start.streams.runs]
        names = set.intersection(*(set(one) for one in read))
        return {name: np.stack([one[name] for one in read]) for name in names}

    def _read(self, file, model):
        """Weights and buffers of one file. Raises UserError, telling each name that does not
        fit."""
        found = _without_prefix(read_arrays(file, self.key))
        weights, buffers = model.shapes(), model.buffers()
        shared = model.shared()
        wanted = {**weights, **buffers}
        wrong = [f"{name!r} is missing" for name in wanted if name not in found and name in weights]
        wrong += [
            f"{name!r} is missing" for name in buffers if name not in found and model.saves(name)
        ]
        for name, array in found.items():
            first = shared.get(name, name)
            if first not in wanted:
                wrong.append(f"{name!r} is not in the model")
            elif array.shape != tuple(wanted[first]):
                wrong.append(f"{name!r} has the shape {array.shape}, not {tuple(wanted[first])}")
            elif name in shared and first in found and not np.array_equal(array, found[first]):
                wrong.append(f"{name!r} differs from {first!r}, with which it is one weight")
        if wrong:
            more = f" (and {len(wrong) - 12} more)" if len(wrong) > 12 else ""
            raise UserError(
                f"{file}: does not fit the model {model.name!r}: {'; '.join(wrong[:12])}{more}"
            )
        return {name: found[name] for name in wanted if name in found}


def _without_prefix(arrays):
    for prefix in PREFIXES:
        if arrays and all(name.startswith(prefix) for name in arrays):
            return {name.removeprefix(prefix): array for name, array in arrays.items()}
    return arrays


def _natural(path):
    """seed-2 before seed-10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]


@nnflow.hookimpl
def nnflow_register(register):
    register("checkpoint", Checkpoint)
