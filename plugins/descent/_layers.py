"""Fully connected networks by hand: forward, and the lecture's way back."""

from __future__ import annotations

from nnflow import torch

ACTIVATIONS = {
    "tanh": (lambda z: torch.tanh(z), lambda z: 1 - torch.tanh(z) ** 2),
    "sigmoid": (
        lambda z: torch.sigmoid(z),
        lambda z: torch.sigmoid(z) * (1 - torch.sigmoid(z)),
    ),
    "relu": (lambda z: torch.relu(z), lambda z: (z > 0).to(z.dtype)),
    "identity": (lambda z: z, lambda z: torch.ones_like(z)),
}
"""σ and σ′, elementwise."""


def outputs(matrices, inputs, activation, biases=None):
    """f̃(x) = W_K σ(… σ(W_1 x + b_1) …) + b_K, (run, sample, output).

    matrices: by layer, (run, outputs, inputs). biases: by layer, (run, outputs); None: zeros.
    inputs: (run, sample, feature).
    """
    value, _ = ACTIVATIONS[activation]
    for number, matrix in enumerate(matrices):
        if number:
            inputs = value(inputs)
        if biases is None:
            inputs = torch.bmm(inputs, matrix.mT)
        else:
            inputs = torch.baddbmm(biases[number][:, None], inputs, matrix.mT)
    return inputs


def layered_gradient(matrices, inputs, targets, activation):
    """∇_{W_k}L of L = ½ mean ‖f̃(x) − f(x)‖² over the samples, by layer, (run, outputs, inputs):

        (∇_{W_k}L)_{ij} = mean (F_{k−1})_j (F′_k W*_{k+1} ⋯ F′_{K−1} W*_K (f̃ − f))_i

    with the values F_k of layer k and the diagonal F′_k of its slopes σ′.
    """
    value, slope = ACTIVATIONS[activation]
    fed, sums = [inputs], []
    for matrix in matrices[:-1]:
        sums.append(fed[-1] @ matrix.mT)
        fed.append(value(sums[-1]))
    error = fed[-1] @ matrices[-1].mT - targets
    gradients = []
    for layer in reversed(range(len(matrices))):
        gradients.append(error.mT @ fed[layer] / inputs.shape[1])
        if layer:
            error = slope(sums[layer - 1]) * (error @ matrices[layer])
    return gradients[::-1]


def linear_gradient(matrices, inputs, targets):
    """∇_{W_k}L of the same loss where σ(z) = z, by the lecture's formula of linear networks:

        ∇_{W_k}L = W*_{k+1} ⋯ W*_K Δ Σ W*_1 ⋯ W*_{k−1},  ΔΣ = W_K ⋯ W_1 Σ − mean f(x)x*,

    with Σ = mean xx*. By layer, (run, outputs, inputs).
    """
    below = [torch.eye(inputs.shape[2], dtype=inputs.dtype).expand(len(inputs), -1, -1)]
    for matrix in matrices:
        below.append(matrix @ below[-1])
    pulled = ((below[-1] @ inputs.mT - targets.mT) @ inputs) / inputs.shape[1]
    gradients = []
    for matrix, product in zip(reversed(matrices), reversed(below[:-1]), strict=True):
        gradients.append(pulled @ product.mT)
        pulled = matrix.mT @ pulled
    return gradients[::-1]
