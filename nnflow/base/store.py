"""Reading and writing datasets: netCDF-4, atomic, with their provenance.

A study of one configuration keeps its variables at the root of the file; a study of several has
one group per configuration, named by its label. The same inputs give the same bytes:
nothing in a file depends on the clock.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nnflow.base.errors import UserError

ENGINE = "netcdf4"
# packs in two thirds of the time of level 4, for files larger by 3 to 5 %
PACKED = {"zlib": True, "complevel": 1, "shuffle": True}


@contextmanager
def replacing(path: Path):
    """A temporary path beside `path`, moved over it when the block ends well.

    Whatever stops the process, `path` holds either the old content or the whole new one.
    Raises UserError where the folder can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
    except OSError as error:
        raise UserError(f"{path}: can't be written: {error.strerror}") from None
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        if not isinstance(error, OSError) and "netcdf" not in str(error).lower():
            raise
        # netCDF4 says "NetCDF: HDF error" where the disk is full
        reason = getattr(error, "strerror", None) or f"{error} (disk full?)"
        raise UserError(f"{path}: can't be written: {reason}") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write(path: Path, datasets: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> None:
    """Write the datasets of a study's configurations to one file.

    datasets: by configuration label. attributes: of the file; mappings are stored as JSON.
    """
    encoding = {
        f"/{label}" if len(datasets) > 1 else "/": {name: _encoding(v) for name, v in d.items()}
        for label, d in datasets.items()
    }
    if len(datasets) == 1:
        (only,) = datasets.values()
        tree = xr.DataTree(only)
    else:
        tree = xr.DataTree.from_dict({f"/{label}": d for label, d in datasets.items()})
    tree.attrs = {**tree.attrs, **text_attributes(attributes)}
    with replacing(path) as temporary:
        tree.to_netcdf(temporary, engine=ENGINE, encoding=encoding)


def text_attributes(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Attributes of a file: texts as they are, anything else as JSON."""
    return {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in attributes.items()
    }


def _encoding(variable: xr.DataArray) -> dict[str, Any]:
    if variable.ndim == 0 or variable.dtype.kind in "OUS":
        return {}
    fill = {"_FillValue": None} if variable.dtype.kind in "iub" else {}
    return {**PACKED, **fill}


def read(path: Path) -> dict[str, xr.Dataset]:
    """The datasets of a file by configuration label ("" where the file has only one).

    Everything is loaded, so that no file stays open. Raises UserError for a missing or
    damaged file.
    """
    with naming_what_cant_be_read(path), xr.open_datatree(path, engine=ENGINE) as tree:
        tree.load()
        children = {label: node.to_dataset() for label, node in tree.children.items()}
        return children or {"": tree.to_dataset()}


@contextmanager
def naming_what_cant_be_read(path: Path) -> Iterator[None]:
    """Raise UserError where the block finds the file missing or damaged."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run the workflow to make it") from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        raise UserError(
            f"{path}: not a readable netCDF file (cut short?): {' '.join(str(error).split())};"
            " delete it and run again"
        ) from None


def attributes(path: Path) -> dict[str, Any]:
    """The attributes of a file, without its variables; {} where it can't be read."""
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            return {name: file.getncattr(name) for name in file.ncattrs()}
    except OSError:
        return {}


def flags(values: np.ndarray, meanings: tuple[str, ...], **attributes: str) -> xr.Variable:
    """A categorical variable over `run`, with CF's flag_values and flag_meanings."""
    return xr.Variable(
        ("run",),
        np.asarray(values, dtype=np.int8),
        {
            "flag_values": np.arange(len(meanings), dtype=np.int8),
            "flag_meanings": " ".join(meanings),
            **attributes,
        },
    )
