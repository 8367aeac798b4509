"""Kinks of networks with piecewise linear activations, and of losses with kinks."""

from __future__ import annotations

from nnflow import torch

from .._nearby_kinks import nearby_kinks


def kinks_of_run(model, weights, data, within):
    """The kinks of one run; weights (1, …) by name.

    A neuron with the input s, a = σ(s), adds ½ jump |s| to a, and so to L as often as ∂L/∂a says.
    That number depends on the other kinks where one sample meets kinks in two layers: None there.
    """
    at = {name: part.detach().requires_grad_(True) for name, part in weights.items()}
    inputs, targets = data["inputs"], data["targets"]
    with torch.enable_grad():
        sums, activated, outputs = _forward(model, at, inputs)
        losses = model.loss_function(outputs, targets)
        total = losses.mean()
        of_loss = model.loss_function.kinks(outputs, targets)
        if of_loss is None:
            return None
        values, jumps = of_loss
        parts = [(values[0], jumps[0] / losses.numel(), values[0].sign())]
        wanted = [*at.values(), *activated]
        slopes = torch.autograd.grad(total, wanted, retain_graph=True, materialize_grads=True)
        for layer, pull in zip(sums, slopes[len(at) :], strict=True):
            open_gate = torch.where(layer[0] > 0, 1.0, -1.0).to(layer)
            parts.append((layer[0], pull[0] * (model.activation.jump or 0.0), open_gate))
        gradient = torch.cat([part.flatten() for part in slopes[: len(at)]])
        found = nearby_kinks(
            list(at.values()),
            gradient,
            *(torch.cat([part[i].flatten() for part in parts]) for i in range(3)),
            within,
        )
    met = [(part[0].detach().abs() <= within).any(-1) for part in parts]
    return None if (torch.stack(met).sum(0) > 1).any() else found


def _forward(model, weights, inputs):
    """Inputs and outputs of the hidden layers, (1, sample, neuron) each, and the network's
    outputs."""
    sums, activated = [], []
    values = inputs.expand(1, *inputs.shape[-2:])
    for layer in model.layers:
        if layer > 1:
            sums.append(values)
            values = model.activation(values)
            activated.append(values)
        values = torch.baddbmm(weights[f"b{layer}"].unsqueeze(1), values, weights[f"w{layer}"].mT)
    return sums, activated, values
