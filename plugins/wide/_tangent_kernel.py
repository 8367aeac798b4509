"""Neural tangent kernels Θ(x, x') = Σ ∂f/∂θ(x) ∂f/∂θ(x'), of infinite and of finite width.

NTK parametrization (Jacot et al. 2018): z = (α_w/√n)W x + α_h b in every layer, the readout
included, all entries of W and b from N(0, 1) and trained. Then, with Σ¹ = Θ¹ = α_w² x·x'/d + α_h²,

    Σˡ⁺¹ = α_w² E σσ + α_h²,   Θˡ⁺¹ = Θˡ α_w² E σ'σ' + Σˡ⁺¹.

Ordinary layers (standard parametrization: weights of variance α_w²/n, trained as they are) give the
same functions and another kernel, which grows with the width.
"""

from __future__ import annotations

import numpy as np

from nnflow import Streams, UserError

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


def ntk(model, inputs, weights=None, *, rates=None, dtype=None) -> np.ndarray:
    """Θ of all outputs of a model plugin, (run, sample·output, sample·output).

    The parametrization is that of the model's own weights, whose kernel grows with the width for
    ordinary layers. rates {weight: number} multiplies the part of each weight, and leaves out those
    that are not named: α_w²/n for a matrix with n inputs and α_h² for a vector give the NTK
    parametrization of the same function (`ntk_rates`), learning rates of their own the kernel of
    that descent.

    model: one whose `outputs(weights, inputs)` are (run, sample, output). inputs: (sample, …), an
    array or tensor. weights: {name: (run, …)}; None: one network with matrix entries from
    N(0, 1/inputs of the matrix) and vectors of 0. Fully connected networks, the model `mlp`, go by
    products of Gram matrices, in blocks; others by torch.func's Jacobian of a run at a time, which
    needs the memory of sample × output × weight. dtype: of the result and the products; None: that
    of the inputs. Entries go sample by sample, their outputs running fastest.

    Raises UserError for a model without outputs, and for rates of weights that it has not.
    """
    import torch

    inputs = torch.as_tensor(inputs)
    if weights is None:
        weights = _drawn(model, inputs.dtype)
    weights = {name: torch.as_tensor(values) for name, values in weights.items()}
    shapes = model.shapes()
    if model.outputs(weights, inputs[:1]) is None:
        raise UserError(f"model {model.name!r}: is no function of inputs: it has no tangent kernel")
    for name in rates or ():
        if name not in shapes:
            raise UserError(f"model {model.name!r}: rates: has no weight {name!r}")
    rates = dict.fromkeys(shapes, 1.0) if rates is None else rates
    kernel = _mlp_kernel if model.name == "mlp" else _jacobian_kernel
    return kernel(model, weights, inputs, rates, dtype)


def ntk_rates(model, weight_variance: float, bias_variance: float) -> dict[str, float]:
    """The rates of the NTK parametrization: α_w²/n for a matrix (outputs, n), α_h² for a vector.

    Raises UserError for a weight of more axes."""
    rates = {}
    for name, shape in model.shapes().items():
        if len(shape) > 2:
            raise UserError(f"model {model.name!r}: {name!r} is neither a matrix nor a vector")
        rates[name] = bias_variance if len(shape) < 2 else weight_variance / shape[1]
    return rates


def _drawn(model, dtype):
    """One network, LeCun's rule."""
    import torch

    streams, drawn = Streams(0, "ntk", np.arange(1), "weights"), {}
    for place, (name, shape) in enumerate(model.shapes().items()):
        entries = streams.normal(int(np.prod(shape)), draw=place).reshape(1, *shape)
        scale = 0.0 if len(shape) < 2 else np.prod(shape[1:]) ** -0.5
        drawn[name] = torch.as_tensor(scale * entries, dtype=dtype)
    return drawn


def _jacobian_kernel(model, weights, inputs, rates, dtype) -> np.ndarray:
    import torch

    moving = [name for name in model.shapes() if rates.get(name, 0.0)]
    kernels = []
    for run in range(len(next(iter(weights.values())))):
        one = {name: values[run : run + 1] for name, values in weights.items()}

        def of_moving(some, one=one):
            return model.outputs({**one, **some}, inputs)[0]

        jacobians = torch.func.jacrev(of_moving)({name: one[name] for name in moving})
        kernel = 0.0
        for name, jacobian in jacobians.items():
            rows = jacobian.flatten(2).flatten(0, 1)
            kernel = kernel + rates[name] * (rows @ rows.mT)
        kernels.append(kernel.detach().numpy())
    return np.stack(kernels).astype(dtype or inputs.numpy().dtype, copy=False)


def _mlp_kernel(model, weights, inputs, rates, dtype) -> np.ndarray:
    from ._nonlinearity import nonlinearity

    dtype = dtype or inputs.numpy().dtype
    sigma = nonlinearity(model.activation)
    named = {name: weight.detach().numpy().astype(dtype) for name, weight in weights.items()}
    layers = Layers([named[f"w{i}"] for i in model.layers], [named[f"b{i}"] for i in model.layers],
                    [1.0] * len(model.layers), 1.0, sigma)  # fmt: skip
    entering, sums = layers.forward(inputs.numpy().astype(dtype))
    runs, samples, outputs = sums[-1].shape
    kernel = np.zeros((runs, samples * outputs, samples * outputs), dtype)
    backward = [layers.backward(sums, one_hot(sums[-1], k)) for k in range(outputs)]
    for place, (layer, values) in enumerate(zip(model.layers, entering, strict=True)):
        slopes = np.stack([one[place] for one in backward], axis=2)  # run, sample, output, neuron
        slopes = np.ascontiguousarray(slopes, dtype).reshape(runs, samples * outputs, -1)
        values = np.ascontiguousarray(values, dtype)
        own = [np.asarray(rates.get(f"{kind}{layer}", 0.0), dtype) for kind in "wb"]
        for run in range(runs):
            _add_products(kernel[run], values[run], slopes[run], outputs, *own)
    return kernel


def _add_products(kernel, values, slopes, outputs: int, weight, bias) -> None:
    """kernel += (weight·values·values' + bias) × slopes·slopes', block by block of its lower
    half."""
    step = max(1, BLOCK // outputs)
    starts = range(0, len(values), step)
    for i in starts:
        for j in range(0, i + 1, step):
            gram = weight * (values[i : i + step] @ values[j : j + step].T) + bias
            rows, columns = (slice(k * outputs, (k + step) * outputs) for k in (i, j))
            part = slopes[rows] @ slopes[columns].T
            shape = (gram.shape[0], outputs, gram.shape[1], outputs)
            part = part.reshape(shape)
            part *= gram[:, None, :, None]
            part = part.reshape(shape[0] * outputs, -1)
            kernel[rows, columns] += part
            if i != j:
                kernel[columns, rows] += part.T
