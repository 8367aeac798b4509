"""Neural tangent kernels Θ(x, x') = Σ ∂f/∂θ(x) ∂f/∂θ(x'), of infinite and of finite width.

NTK parametrization (Jacot et al. 2018): z = (α_w/√n)W x + α_h b in every layer, the readout
included, all entries of W and b from N(0, 1) and trained. Then, with Σ¹ = Θ¹ = α_w² x·x'/d + α_h²,

    Σˡ⁺¹ = α_w² E σσ + α_h²,   Θˡ⁺¹ = Θˡ α_w² E σ'σ' + Σˡ⁺¹.

Ordinary layers (standard parametrization: weights of variance α_w²/n, trained as they are) give the
same functions and another kernel, which grows with the width.
"""

from __future__ import annotations

import numpy as np

from ._fully_connected import Layers, one_hot
from ._moments import Moments

BLOCK = 2_000
"""Rows of a kernel that are made at once."""


def limit_kernels(
    moments: Moments, weight_variance: float, bias_variance: float, inputs: np.ndarray, hidden: int
) -> tuple[np.ndarray, np.ndarray]:
    """Σ and Θ of a network with `hidden` hidden layers and one output, (sample, sample) each.

    inputs: (sample, feature).
    """
    w, h = weight_variance, bias_variance
    sigma = w * inputs @ inputs.T / inputs.shape[1] + h
    theta = sigma.copy()
    for _ in range(hidden):
        q = np.diagonal(sigma)
        c = np.clip(sigma / np.sqrt(np.outer(q, q)), -1, 1)
        np.fill_diagonal(c, 1.0)
        values, slopes = moments.pair(q[:, None], q, c)[0]
        sigma = w * values + h
        theta = theta * w * slopes + sigma
    return sigma, theta


def ntk(model, weights, inputs, dtype=None) -> np.ndarray:
    """Θ of all outputs of a model plugin in its own parametrization, (run, sample·output, ditto).

    model: one with `outputs(weights, inputs)`, (run, sample, output). weights: {name: (run, …)};
    inputs: (sample, feature), torch tensors. Fully connected networks, the model `mlp`, go by
    products of Gram matrices, in blocks; others by torch.func's Jacobian, which needs the memory of
    run × sample × output × weight. dtype: of the result and the products; None: that of the inputs.
    Entries go sample by sample, their outputs running fastest.

    Raises TypeError for a model without `outputs`.
    """
    if not hasattr(model, "outputs"):
        raise TypeError(f"model {model.name!r} has no method `outputs`: no tangent kernel")
    if model.name == "mlp":
        return _mlp_kernel(model, weights, inputs, dtype)
    return _jacobian_kernel(model, weights, inputs)


def _jacobian_kernel(model, weights, inputs) -> np.ndarray:
    import torch

    def of_run(one):
        return model.outputs({k: w[None] for k, w in one.items()}, inputs)[0]

    jacobians = torch.func.vmap(torch.func.jacrev(of_run))(weights)
    rows = torch.cat([j.flatten(3).flatten(1, 2) for j in jacobians.values()], dim=-1)
    return (rows @ rows.mT).numpy()


def _mlp_kernel(model, weights, inputs, dtype) -> np.ndarray:
    from ._nonlinearity import nonlinearity

    dtype = dtype or inputs.numpy().dtype
    sigma = nonlinearity(model.activation)
    named = {name: weight.numpy().astype(dtype) for name, weight in weights.items()}
    layers = Layers([named[f"w{i}"] for i in model.layers], [named[f"b{i}"] for i in model.layers],
                    [1.0] * len(model.layers), 1.0, sigma)  # fmt: skip
    entering, sums = layers.forward(inputs.numpy().astype(dtype))
    runs, samples, outputs = sums[-1].shape
    kernel = np.zeros((runs, samples * outputs, samples * outputs), dtype)
    backward = [layers.backward(sums, one_hot(sums[-1], k)) for k in range(outputs)]
    for layer, values in enumerate(entering):
        slopes = np.stack([one[layer] for one in backward], axis=2)  # run, sample, output, neuron
        slopes = np.ascontiguousarray(slopes, dtype).reshape(runs, samples * outputs, -1)
        values = np.ascontiguousarray(values, dtype)
        for run in range(runs):
            _add_products(kernel[run], values[run], slopes[run], outputs)
    return kernel


def _add_products(kernel, values, slopes, outputs: int) -> None:
    """kernel += (values·values' + 1) × slopes·slopes', block by block of its lower half."""
    step = max(1, BLOCK // outputs)
    starts = range(0, len(values), step)
    for i in starts:
        for j in range(0, i + 1, step):
            gram = values[i : i + step] @ values[j : j + step].T + 1
            rows, columns = (slice(k * outputs, (k + step) * outputs) for k in (i, j))
            part = slopes[rows] @ slopes[columns].T
            shape = (gram.shape[0], outputs, gram.shape[1], outputs)
            part = part.reshape(shape)
            part *= gram[:, None, :, None]
            part = part.reshape(shape[0] * outputs, -1)
            kernel[rows, columns] += part
            if i != j:
                kernel[columns, rows] += part.T
