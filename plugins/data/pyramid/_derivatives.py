"""First and second derivatives of the squared error of a multilayer network, in closed form.

Of ½Σ‖z_K − y‖² with z_k = W_k a_(k−1) + b_k, a_k = σ(z_k) and a_0 = x, all arrays (run, neuron,
sample): δ_K = z_K − y and δ_k = σ'(z_k) W_(k+1)ᵀδ_(k+1) are the derivatives in z_k; those in W_k
and b_k are δ_k a_(k−1)ᵀ and the sum of δ_k over the samples. Second derivatives are the changes of
these with one weight after another (Pearlmutter 1994), with a further axis of these weights.
"""

from __future__ import annotations

from typing import NamedTuple

from nnflow import torch


class Pass(NamedTuple):
    """matrices: W_1, …, W_K. values: a_0, …, a_(K−1). sums: z_1, …, z_(K−1). slopes: σ' there.
    errors: δ_1, …, δ_K. back: W_(k+1)ᵀδ_(k+1) of the hidden layers."""

    matrices: list[torch.Tensor]
    values: list[torch.Tensor]
    sums: list[torch.Tensor]
    slopes: list[torch.Tensor]
    errors: list[torch.Tensor]
    back: list[torch.Tensor]


def passed(matrices, biases, activation, inputs, targets) -> Pass:
    """All of these; inputs (neuron, sample)."""
    values, sums = [inputs.expand(len(matrices[0]), *inputs.shape)], []
    for matrix, bias in zip(matrices, biases, strict=True):
        sums.append(torch.baddbmm(bias[..., None], matrix, values[-1]))
        values.append(activation(sums[-1]))
    slopes = [activation.derivative(*pair) for pair in zip(sums[:-1], values[1:-1], strict=True)]
    errors, back = [sums.pop() - targets], []
    for matrix, slope in zip(matrices[:0:-1], reversed(slopes), strict=True):
        back.insert(0, matrix.mT @ errors[0])
        errors.insert(0, back[0] * slope)
    return Pass(matrices, values[:-1], sums, slopes, errors, back)


def gradients(at: Pass) -> list[torch.Tensor]:
    """Those in W_1, b_1, W_2, …"""
    found = []
    for error, value in zip(at.errors, at.values, strict=True):
        found += [error @ value.mT, error.sum(dim=2)]
    return found


def hessian(at: Pass, activation) -> torch.Tensor:
    """(run, weight, weight), with the weights in the order W_1 row by row, b_1, W_2, …"""
    sizes = [m.shape[1] * (m.shape[2] + 1) for m in at.matrices]
    starts = [sum(sizes[:layer]) for layer in range(len(sizes))]
    full = at.values[0].new_empty(len(at.values[0]), sum(sizes), sum(sizes))
    bends = [_bend(activation, values) for values in at.sums]
    for first, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        columns = slice(start, start + size)
        for layer, change in _changes(at, bends, first):
            rows = slice(starts[layer], starts[layer] + sizes[layer])
            full[:, rows, columns] = change
            full[:, columns, rows] = change.mT
    return full


def _changes(at: Pass, bends, first: int):
    """(layer, how its gradients change with the weights of the layer `first`), from the last layer
    down to that one."""
    moved = [_moved(at.matrices[first], at.values[first])]  # z_k, (run, neuron, weight, sample)
    for matrix, slope in zip(at.matrices[first + 1 :], at.slopes[first:], strict=True):
        moved.append(_times(matrix, slope[:, :, None] * moved[-1]))
    error = moved.pop()  # of δ
    for layer in range(len(at.matrices) - 1, first, -1):
        slope, sums = at.slopes[layer - 1][:, :, None], moved.pop()
        yield layer, _change(error, at.values[layer], at.errors[layer], slope * sums)
        curved = (at.back[layer - 1] * bends[layer - 1])[:, :, None]
        error = _times(at.matrices[layer].mT, error) * slope + curved * sums
    yield first, _change(error, at.values[first], at.errors[first], None)


def _moved(matrix, values):
    """How W a + b moves with each of its weights, (run, neuron, weight, sample)."""
    runs, outputs = matrix.shape[:2]
    own = torch.eye(outputs, dtype=values.dtype, device=values.device)[:, :, None, None]
    of_matrix = own * values[:, None, None]  # (run, neuron, row, column, sample)
    of_bias = own[:, :, 0].expand(runs, outputs, outputs, values.shape[2])
    return torch.cat([of_matrix.flatten(2, 3), of_bias], dim=2)


def _times(matrix, moved):
    return (matrix @ moved.flatten(2)).unflatten(2, moved.shape[2:])


def _change(error, values, errors, moved):
    """The change of δaᵀ, row by row, and of the sum of δ, (run, own weight, weight): with δ, and
    with a where that moves."""
    of_matrix = error @ values.mT[:, None]  # (run, row, weight, column)
    if moved is not None:
        of_matrix = of_matrix + (errors[:, None] @ moved.mT).movedim(1, 3)
    rows = of_matrix.transpose(2, 3).flatten(1, 2)
    return torch.cat([rows, error.sum(dim=3)], dim=1)


def _bend(activation, values):
    """σ''."""
    at = values.detach().requires_grad_(True)
    with torch.enable_grad():
        slope = activation.derivative(at, activation(at))
        if not slope.requires_grad:
            return torch.zeros_like(values)
        (bend,) = torch.autograd.grad(slope.sum(), at)
    return bend
