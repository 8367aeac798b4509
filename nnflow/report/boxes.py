"""Boxes of a proof that a reader may zoom into."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import xarray as xr

from nnflow.study.types import Study


def boxes(study: Study, dataset: xr.Dataset) -> dict[str, Any]:
    """The boxes family by family, with what is proved on them.

    dataset: `low` and `high` over one dimension are the ends of intervals of a number. Each other
    pair NAME_low and NAME_high over it is a band that is proved there, and any other variable of
    floating-point numbers over it is told of the box that is chosen. The text `of_family` cuts the
    boxes into families. The attributes of `low`: `symbol` of the number; where it is better read as
    another one, `also` is that one's symbol, and `also_power` the power of the first that it is.
    Ends are float64 in base64, all else float32.
    """
    (axis,) = dataset["low"].dims
    along = [name for name, one in dataset.variables.items()
             if one.dims == (axis,) and one.dtype.kind == "f"]  # fmt: skip
    bands = [name[:-4] for name in along
             if name.endswith("_low") and f"{name[:-4]}_high" in along]  # fmt: skip
    ends = {f"{band}_{end}" for band in bands for end in ("low", "high")}
    told = [name for name in along if name not in ends | {"low", "high"}]
    names = dataset["of_family"].values.astype(str) if "of_family" in dataset else None
    families = [""] if names is None else list(dict.fromkeys(names.tolist()))
    meaning = dataset["low"].attrs
    return {
        "symbol": meaning.get("symbol", "x"),
        "also": meaning.get("also"),
        "power": float(meaning.get("also_power", 1)),
        "bands": [{"name": band, "low": _said(dataset, f"{band}_low"),
                   "high": _said(dataset, f"{band}_high")} for band in bands],
        "told": [_said(dataset, name) for name in told],
        "families": [
            _family(dataset if names is None else dataset.isel({axis: names == name}),
                    name, bands, told)
            for name in families
        ],
    }  # fmt: skip


def _said(dataset: xr.Dataset, name: str) -> str:
    return str(dataset[name].attrs.get("long_name", name.replace("_", " ")))


def _family(part: xr.Dataset, name: str, bands: list[str], told: list[str]) -> dict[str, Any]:
    """Boxes by rising ends."""
    part = part.isel({part["low"].dims[0]: np.argsort(part["low"].values, kind="stable")})
    return {
        "name": name.replace("_", " "),
        "count": part["low"].size,
        "ends": [_packed(part[end], "<f8") for end in ("low", "high")],
        "bands": [[_packed(part[f"{band}_{end}"], "<f4") for end in ("low", "high")]
                  for band in bands],
        "told": [_packed(part[one], "<f4") for one in told],
    }  # fmt: skip


def _packed(values: xr.DataArray, kind: str) -> str:
    return base64.b64encode(values.values.astype(kind).tobytes()).decode()
