"""Linear networks whose layers are balanced and whose modes are decoupled."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError

from ....general._orthogonal import orthogonal


class BalancedLayers(Initializer):
    """W_k = O_k D_k O_{k−1}ᵀ,  D_k = diag(u₁^{1/K}, u₂^{1/K}, …), with random orthogonal O_k in
    the hidden layers and O₀ = O_K = I.

    Then W_{k+1}ᵀW_{k+1} = W_kW_kᵀ between layers where D_k has all entries that are not 0, and
    the network's map is diag(u₁, u₂, …), along the singular vectors of a target Y = (D 0): the
    case that Saxe, McClelland & Ganguli (arXiv:1312.6120) solve. A mode with uᵢ = 0 stays 0
    under the gradient flow: the start lies on the stable manifold of a saddle.
    """

    strengths: Annotated[list[NonNegativeFloat], Field(min_length=1, examples=[[0.1, 0.1]])]
    """u₁, u₂, …: first strengths of the modes."""
    rotated: bool = True
    """Random O_k; else O_k = I, where modes of strength 0 stay exactly 0."""

    def draw(self, shapes, streams):
        count, layers = len(self.strengths), len(shapes)
        narrowest = min(min(shape) for shape in shapes.values())
        if any(len(shape) != 2 for shape in shapes.values()) or count > narrowest:
            raise UserError(
                f"balanced_layers.strengths: {count} modes do not fit the weights' shapes"
                f" ({', '.join(map(str, shapes.values()))})"
            )
        entries = np.asarray(self.strengths) ** (1 / layers)
        drawn, before = {}, np.eye(next(iter(shapes.values()))[1])
        for number, (name, shape) in enumerate(shapes.items()):
            middle = np.zeros(shape)
            middle[np.arange(count), np.arange(count)] = entries
            last = number == layers - 1
            fixed = last or not self.rotated
            turned = np.eye(shape[0]) if fixed else _random(shape[0], streams, number)
            whole = turned @ middle @ np.swapaxes(before, -1, -2)
            drawn[name] = np.broadcast_to(whole, (len(streams.runs), *shape)).copy()
            before = turned
        return drawn


def _random(size: int, streams, draw: int) -> np.ndarray:
    """Orthogonal matrices (run, size, size)."""
    return orthogonal(streams.normal(size * size, draw=draw).reshape(-1, size, size))


@nnflow.hookimpl
def nnflow_register(register):
    register("balanced_layers", BalancedLayers)
