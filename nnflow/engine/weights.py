"""Weights in datasets and in tensors."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from nnflow.engine.objective import Objective, flatten, unflatten
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


def with_buffers(
    objective: Objective,
    dataset: xr.Dataset,
    device: str | torch.device,
    precision: torch.dtype = torch.float64,
) -> Objective:
    """The objective with the buffers of a dataset's runs. precision: of those that are real."""
    buffers = {}
    for name in objective.model.buffers():
        values = torch.as_tensor(dataset[name].values).to(device)
        buffers[name] = values.to(precision) if values.is_floating_point() else values
    return objective.keeping(buffers) if buffers else objective


def buffer_variables(objective: Objective, axis: str = "run") -> dict[str, xr.Variable]:
    """The buffers of an objective's runs as variables."""
    axes = weight_dimensions(objective.model)
    return {
        name: xr.Variable((axis, *axes[name]), part.cpu().numpy(), {"long_name": f"buffer {name}"})
        for name, part in objective.buffers.items()
    }


def kept_from_flat(model: Model, kept: np.ndarray) -> dict[str, xr.Variable]:
    """Weights along trajectories, (run, kept_step, weight), as variables kept_NAME."""
    axes = weight_dimensions(model)
    return {
        f"kept_{name}": xr.Variable(
            ("run", "kept_step", *axes[name]),
            part.numpy(),
            {"long_name": f"weight {name} along the trajectory"},
        )
        for name, part in unflatten(torch.as_tensor(kept), model).items()
    }


def kept_to_flat(model: Model, dataset: xr.Dataset, device: str) -> torch.Tensor:
    """The inverse: (run, kept_step, weight), NaN after a run's end."""
    parts = [torch.as_tensor(dataset[f"kept_{name}"].values).flatten(2) for name in model.shapes()]
    return torch.cat(parts, dim=2).to(device=device, dtype=torch.float64)
