"""The gradient of deep ReLU networks, layer by layer, against automatic differentiation."""

from __future__ import annotations

import itertools

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Streams, torch


class MultilayerGradient(Analysis):
    """Proposition 2 of Tian (arXiv:1703.00560) on random deep ReLU networks.

    J = ½‖g − g*‖² over N samples, where g sums the outputs of the last layer. With u_j the output
    of node j of a layer c, X_c what the layer is fed, D_j the gates of the node and

        Q_j = 1 in the last layer,  Q_k = Σ_j w_jk D_jQ_j  over the nodes j of the layer above k,

    all N × N and diagonal, the gradient with respect to the weights of node j is

        ∇_{w_j}J = X_cᵀ D_j Q_j Σ_{j'} (Q_{j'}u_{j'} − Q*_{j'}u*_{j'}),

    the sum over the nodes of the layer, starred for a teacher of the same shape. So layers count
    from the output: the proposition's layer c + 1 is the one below c. Read the other way, Q would
    not end in 1 at the output.

    Arrays over `depth`, `width`, `network`: `error`, the largest difference between the formula
    and automatic differentiation over the largest entry of the gradient, over all layers; and
    `residual_error`, the largest difference between Σ_{j'}(…) and g − g*, over max|g − g*|.
    """

    columns = {
        "identity_error": "largest relative difference from automatic differentiation",
        "residual_error_most": "largest relative difference of a layer's sum from g − g*",
        "networks": "random pairs of student and teacher",
    }

    depths: tuple[PositiveInt, ...] = (1, 2, 3, 4, 6)
    """Numbers of hidden layers."""
    widths: tuple[PositiveInt, ...] = (4, 10, 30)
    """Nodes of the widest layer; every second layer has one node less."""
    inputs: PositiveInt = 7
    """Input dimension."""
    samples: PositiveInt = 50
    """N."""
    networks: PositiveInt = 10
    """Random pairs of student and teacher of each depth and width."""

    def compute(self, results):
        seed = results.study.settings.seed
        pairs = itertools.product(self.depths, self.widths)
        errors = np.array([self._errors(depth, width, seed) for depth, width in pairs])
        shape = (len(self.depths), len(self.widths), 2, self.networks)
        error, residual_error = np.moveaxis(errors.reshape(shape), 2, 0)
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            identity_error=error.max(),
            residual_error_most=residual_error.max(),
            networks=error.size,
        )
        axes = ("depth", "width", "network")
        arrays = {
            "error": (axes, error, {"long_name": "relative difference of the gradients"}),
            "residual_error": (axes, residual_error, {"long_name": "that of the layers' sums"}),
        }
        axes_values = {"depth": list(self.depths), "width": list(self.widths)}
        return table.dataset().assign(arrays).assign_coords(axes_values)

    def _errors(self, depth: int, width: int, seed: int) -> np.ndarray:
        """Both errors of each network, (2, network)."""
        runs = np.arange(self.networks)
        streams = Streams(seed, f"{depth}x{width}", runs, "multilayer_gradient")
        sizes = [self.inputs, *(max(1, width - layer % 2) for layer in range(depth))]
        data = _normal(streams, 0, self.samples, self.inputs)
        student, teacher = (
            [
                _normal(streams, 1 + 2 * layer + part, below, above) * (2 / below) ** 0.5
                for layer, (below, above) in enumerate(itertools.pairwise(sizes))
            ]
            for part in (0, 1)
        )
        layered, sums, difference = layered_gradient(student, teacher, data)
        automatic = _automatic(student, teacher, data)
        error = [
            (one - other).abs().amax((1, 2)) / other.abs().amax((1, 2)).clamp_min(TINY)
            for one, other in zip(layered, automatic, strict=True)
        ]
        scale = difference.abs().amax(1).clamp_min(TINY)
        residual = [(one - difference).abs().amax(1) / scale for one in sums]
        return np.stack([torch.stack(part).amax(0).numpy() for part in (error, residual)])


TINY = 1e-300
"""Keeps the gradient of a layer whose nodes are all dead, which is 0 in both, from 0/0."""


def layered_gradient(student, teacher, data):
    """Proposition 2 for many networks at once: the gradient by layer, first to last, each (run,
    below, above); the sum Σ_{j'} (…) of each layer, (run, sample); and g − g*, (run, sample).

    student, teacher: weights by layer, each (run, below, above). data: (run, sample, input).
    """
    fed, outputs, gates = _forward(student, data)
    _, teacher_outputs, teacher_gates = _forward(teacher, data)
    above, teacher_above = (_above(*part) for part in ((student, gates), (teacher, teacher_gates)))
    gradients, sums = [], []
    for layer, below in enumerate(fed):
        student_sum = (above[layer] * outputs[layer]).sum(2)
        total = student_sum - (teacher_above[layer] * teacher_outputs[layer]).sum(2)
        gradients.append(below.mT @ (gates[layer] * above[layer] * total[..., None]))
        sums.append(total)
    return gradients, sums, outputs[-1].sum(2) - teacher_outputs[-1].sum(2)


def _forward(weights, data):
    """What each layer is fed, puts out, and its gates, each (run, sample, node)."""
    fed, outputs, gates = [], [], []
    for matrix in weights:
        fed.append(data)
        drive = data @ matrix
        gates.append((drive > 0).to(drive.dtype))
        data = gates[-1] * drive
        outputs.append(data)
    return fed, outputs, gates


def _above(weights, gates):
    """The diagonals of Q by layer, each (run, sample, node)."""
    diagonals = [torch.ones_like(gates[-1])]
    for matrix, gate in zip(reversed(weights[1:]), reversed(gates[1:]), strict=True):
        diagonals.append((gate * diagonals[-1]) @ matrix.mT)
    return diagonals[::-1]


def _automatic(student, teacher, data):
    """∇J by automatic differentiation, without gates."""

    def output(weights):
        values = data
        for matrix in weights:
            values = torch.relu(values @ matrix)
        return values.sum(2)

    leaves = [matrix.clone().requires_grad_() for matrix in student]
    loss = (output(leaves) - output(teacher)).square().sum() / 2
    return torch.autograd.grad(loss, leaves)


def _normal(streams: Streams, draw: int, *shape: int):
    drawn = streams.normal(int(np.prod(shape)), draw=draw)
    return torch.as_tensor(drawn.reshape(-1, *shape))


@nnflow.hookimpl
def nnflow_register(register):
    register("multilayer_gradient", MultilayerGradient)
