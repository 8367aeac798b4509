"""Files of named arrays: .npz, .npy, netCDF, .safetensors, and what torch.save writes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nnflow import UserError, torch

ENDINGS = (".npz", ".npy", ".nc", ".safetensors", ".pt", ".pth")
WHOLE = "array"
"""The name of the one array of a .npy file."""


def read_arrays(file: Path, key: str | None = None) -> dict[str, np.ndarray]:
    """{name: array}. key: of a file of torch, the entry that holds the tensors. Raises UserError,
    naming the file, where it can't be read as one."""
    if not file.is_file():
        raise UserError(f"{file}: there is no such file")
    readers = {
        ".npz": _npz,
        ".npy": _npy,
        ".nc": _netcdf,
        ".safetensors": _safetensors,
        ".pt": _torch,
        ".pth": _torch,
    }
    if file.suffix not in readers:
        raise UserError(f"{file}: files of arrays end in {', '.join(ENDINGS)}")
    try:
        found = readers[file.suffix](file)
    except UserError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise UserError(f"{file}: can't be read as {file.suffix}: {reason[:200]}") from error
    return {name: _array(file, name, value) for name, value in _entry(file, found, key).items()}


def _npz(file: Path) -> dict[str, Any]:
    with np.load(file, allow_pickle=False) as opened:
        return dict(opened)


def _npy(file: Path) -> dict[str, Any]:
    return {WHOLE: np.load(file, allow_pickle=False)}


def _netcdf(file: Path) -> dict[str, Any]:
    import xarray as xr

    with xr.open_dataset(file) as opened:
        return {str(name): variable.values for name, variable in opened.data_vars.items()}


def _safetensors(file: Path) -> dict[str, Any]:
    try:
        library = importlib.import_module("safetensors.torch")  # no package that nnflow brings
    except ImportError:
        raise UserError(f"{file}: takes the package safetensors: pip install safetensors") from None
    return library.load_file(file)


def _torch(file: Path) -> dict[str, Any]:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        if type(error).__name__ != "UnpicklingError":
            raise
        raise UserError(
            f"{file}: holds more than tensors, and reading that runs code of whoever wrote it;"
            " save the state_dict alone: torch.save(module.state_dict(), file)"
        ) from error


def _entry(file: Path, found: Any, key: str | None) -> Mapping[str, Any]:
    """The mapping from names to arrays in what was read."""
    if not isinstance(found, Mapping):
        raise UserError(f"{file}: holds {type(found).__name__}, not arrays by name")
    if key is not None:
        if key not in found or not isinstance(found[key], Mapping):
            raise UserError(f"{file}: has no arrays under {key!r} (it has: {_few(found)})")
        return found[key]
    inner = [str(name) for name, value in found.items() if isinstance(value, Mapping)]
    if inner:
        raise UserError(
            f"{file}: holds mappings, not arrays; say which one by `key` (there are:"
            f" {', '.join(inner)})"
        )
    return found


def _array(file: Path, name: Any, value: Any) -> np.ndarray:
    if type(value).__module__.partition(".")[0] == "torch":
        if value.dtype in (torch.bfloat16, torch.float16):
            value = value.float()  # exact
        value = value.detach().cpu().numpy()
    array = np.asarray(value)
    if array.dtype.kind not in "iufb":
        raise UserError(f"{file}: {name!r} has type {array.dtype}, not real numbers")
    return array


def _few(names: Any) -> str:
    names = [str(name) for name in names]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
