"""Reading and writing datasets: netCDF-4, atomic, with their provenance.

A study of one configuration keeps its variables at the root of the file; a study of several has
one group per configuration, named by its label. The same inputs give the same bytes:
nothing in a file depends on the clock.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from nnflow.base.conventions import CONVENTIONS, variable_attributes
from nnflow.base.errors import UserError

ENGINE = "netcdf4"
# packs in two thirds of the time of level 4, for files larger by 3 to 5 %
PACKED = {"zlib": True, "complevel": 1, "shuffle": True}

AXIS: dict[str, Any] = {"_FillValue": None}
"""Encoding of the values along a dimension, of which CF allows none to be missing."""


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
    except UnicodeEncodeError:
        raise UserError(_unwritable(path)) from None
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


GROUPS = (
    "One group per configuration: xarray.open_datatree(file), or"
    " xarray.open_dataset(file, group={label!r})"
)
"""What the root of a file with groups says, as it looks empty where it is opened as one dataset."""


def write(path: Path, datasets: Mapping[str, xr.Dataset], attributes: Mapping[str, Any]) -> None:
    """Write the datasets of a study's configurations to one file, each variable with the attributes
    that CF asks for.

    datasets: by configuration label. attributes: of the file; mappings are stored as JSON.
    """
    datasets = {label: _told(dataset) for label, dataset in datasets.items()}
    encoding = {
        f"/{label}" if len(datasets) > 1 else "/": {
            name: AXIS if name in d.sizes else _encoding(v) for name, v in d.variables.items()
        }
        for label, d in datasets.items()
    }
    if len(datasets) == 1:
        (only,) = datasets.values()
        tree = xr.DataTree(only)
    else:
        tree = xr.DataTree.from_dict({f"/{label}": d for label, d in datasets.items()})
    tree.attrs = {**tree.attrs, **root_attributes(attributes, list(datasets))}
    with replacing(path) as temporary:
        tree.to_netcdf(temporary, engine=ENGINE, encoding=encoding)


def root_attributes(attributes: Mapping[str, Any], labels: Sequence[str]) -> dict[str, str]:
    """Attributes of a file with these configurations: texts as they are, anything else as JSON."""
    told = {"Conventions": CONVENTIONS} | {
        key: value if isinstance(value, str) else json.dumps(value, sort_keys=True)
        for key, value in attributes.items()
    }
    return told if len(labels) == 1 else {"comment": GROUPS.format(label=[*labels, ""][0]), **told}


def _told(dataset: xr.Dataset) -> xr.Dataset:
    dataset = dataset.copy()
    for name, variable in dataset.variables.items():
        variable.attrs = variable_attributes(str(name), variable.dtype, variable.attrs)
    return dataset


def _encoding(variable: xr.Variable) -> dict[str, Any]:
    if variable.ndim == 0 or variable.dtype.kind in "OUS":
        return {}
    fill = {"_FillValue": None} if variable.dtype.kind in "iub" else {}
    return {**PACKED, **fill}


def read(path: Path) -> dict[str, xr.Dataset]:
    """The datasets of a file by configuration label ("" where the file has only one).

    Everything is loaded, so that no file stays open. Raises UserError for a missing or
    damaged file.
    """
    state = state_of(path)
    with naming_what_cant_be_read(path), xr.open_datatree(path, engine=ENGINE) as tree:
        tree.load()
        remember(path, state, tree.attrs)
        children = {label: node.to_dataset() for label, node in tree.children.items()}
        return children or {"": tree.to_dataset()}


def digest(file: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal digits."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def without_batches(folder: Path) -> list[Path]:
    """The datasets below a folder of results, in order, but for those of batches: the ones that
    `collect` joins them to hold the same."""
    return [file for file in sorted(folder.rglob("*.nc")) if file.parent.name != "batches"]


def tree(folder: Path) -> xr.DataTree:
    """All datasets below a folder of results as one tree, /STUDY/DATASET/CONFIGURATION, read when
    they are asked for; `without_batches`. Raises UserError where there are none, or one is
    damaged."""
    nodes: dict[str, xr.Dataset] = {}
    for file in without_batches(folder):
        path = file.relative_to(folder).with_suffix("")
        with naming_what_cant_be_read(file):
            opened = xr.open_datatree(file, engine=ENGINE)
        for node in opened.subtree:
            if node.has_data or node.is_root:
                nodes[f"{path.as_posix()}{node.path}".rstrip("/")] = node.to_dataset()
    if not nodes:
        raise UserError(f"{folder}: no datasets here")
    return xr.DataTree.from_dict(nodes)


@contextmanager
def naming_what_cant_be_read(path: Path) -> Iterator[None]:
    """Raise UserError where the block finds the file missing or damaged."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: missing; run the workflow to make it") from None
    except UnicodeError:
        raise UserError(_unwritable(path)) from None
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())
        if damage := _damage(path):
            raise UserError(
                f"{path}: not a readable netCDF file ({damage}): {reason}; delete it and run again"
            ) from None
        raise UserError(
            f"{path}: can't be read: {reason}; its size is right, so look first whether another"
            " process writes it, and whether the file system has locks"
        ) from None


SIGNATURE = b"\x89HDF\r\n\x1a\n"
"""What each netCDF-4 file begins with, as it is an HDF5 file."""
END_OF_FILE = {0: 40, 1: 44, 2: 28, 3: 28}
"""Where the superblock of HDF5, by version, says how long the file is (HDF5 File Format
Specification, section II.A)."""


def _damage(path: Path) -> str:
    """What is wrong with a file, as its first bytes and its length tell; "" where that is nothing,
    or where it can't be opened."""
    try:
        with path.open("rb") as file:
            head = file.read(64)
            length = file.seek(0, os.SEEK_END)
    except OSError:
        return ""
    if not head.startswith(SIGNATURE):
        return "empty" if not head else "no netCDF file"
    place = END_OF_FILE.get(head[8] if len(head) > 8 else -1)
    if place is None or len(head) < place + 8:
        return "cut short"
    end = int.from_bytes(head[place : place + 8], "little")
    return "cut short" if length < end else ""


def _unwritable(path: Path) -> str:
    text = str(path.absolute()).encode("ascii", "backslashreplace").decode()
    return (
        f"{text}: this locale"
        f" ({sys.getfilesystemencoding()}) has not the letters of the path; set PYTHONUTF8=1"
    )


_REMEMBERED: OrderedDict[Path, tuple[tuple[int, int, int], dict[str, Any]]] = OrderedDict()
REMEMBERED = 8
"""Files whose attributes are known without opening them again: to open one takes up to a quarter of
a second, as its groups and variables are then looked through."""


def remember(path: Path, state: tuple[int, int, int] | None, attributes: Mapping[str, Any]) -> None:
    """Keep the attributes of a file for `attributes`. state: the file's before it was opened."""
    if state is None:
        return
    _REMEMBERED[path] = state, dict(attributes)
    while len(_REMEMBERED) > REMEMBERED:
        _REMEMBERED.popitem(last=False)


def state_of(path: Path) -> tuple[int, int, int] | None:
    """What changes where a file is written again; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def attributes(path: Path) -> dict[str, Any]:
    """The attributes of a file, without its variables; {} where it can't be read."""
    import netCDF4

    try:
        if path in _REMEMBERED and _REMEMBERED[path][0] == state_of(path):
            return dict(_REMEMBERED[path][1])
        with netCDF4.Dataset(path) as file:
            return {name: file.getncattr(name) for name in file.ncattrs()}
    except UnicodeError:
        raise UserError(_unwritable(path)) from None
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
