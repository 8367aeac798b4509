"""Weights in datasets and in tensors."""

from __future__ import annotations

import torch
import xarray as xr

from nnflow.engine.objective import flatten, unflatten
from nnflow.interfaces.model import Model, weight_dimensions


def from_flat(model: Model, weights: torch.Tensor, axis: str = "run") -> dict[str, xr.Variable]:
    """Flat weights (run, weight) as variables."""
    axes = weight_dimensions(model)
    return {
        name: xr.Variable((axis, *axes[name]), part.cpu().numpy(), {"long_name": f"weight {name}"})
        for name, part in unflatten(weights, model).items()
    }


def to_flat(model: Model, dataset: xr.Dataset, device: str) -> torch.Tensor:
    """The weights of a dataset, (run, weight), float64."""
    named = {name: torch.as_tensor(dataset[name].values) for name in model.shapes()}
    return flatten(named).to(device=device, dtype=torch.float64)
