"""Weights in datasets and in tensors."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from nnflow.interfaces.model import Model
from nnflow.objective import flatten, unflatten


def weight_dimensions(model: Model) -> dict[str, tuple[str, ...]]:
    """Names of the axes of each weight."""
    named = model.dimensions()
    return {
        name: named.get(name, tuple(f"{name}_{axis}" for axis in range(len(shape))))
        for name, shape in model.shapes().items()
    }


def to_variables(model: Model, arrays: dict[str, np.ndarray], axis: str) -> dict[str, xr.Variable]:
    """Weights by name as variables over `axis` and their own axes."""
    dimensions = weight_dimensions(model)
    return {
        name: xr.Variable((axis, *dimensions[name]), array, {"long_name": f"weight {name}"})
        for name, array in arrays.items()
    }


def from_flat(model: Model, weights: torch.Tensor, axis: str = "run") -> dict[str, xr.Variable]:
    """Flat weights (run, weight) as variables."""
    arrays = {name: part.cpu().numpy() for name, part in unflatten(weights, model).items()}
    return to_variables(model, arrays, axis)


def to_flat(model: Model, dataset: xr.Dataset, device: str) -> torch.Tensor:
    """The weights of a dataset, (run, weight), float64."""
    named = {name: torch.as_tensor(dataset[name].values) for name in model.shapes()}
    return flatten(named).to(device=device, dtype=torch.float64)
