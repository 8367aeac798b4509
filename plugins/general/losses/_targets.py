"""What the losses of real outputs share: targets in the outputs' shape, deviations and their
sizes."""

from __future__ import annotations

from nnflow import torch


def as_outputs(outputs, targets):
    """Targets with the last axis of the outputs. Integer targets (…, sample) are classes and
    stand for unit vectors; real ones (…, sample) belong to networks with one output."""
    if not targets.dtype.is_floating_point:
        return torch.nn.functional.one_hot(targets, outputs.shape[-1]).to(outputs.dtype)
    # one sample of each run's own, (run, 1), ends like one output of each sample
    alone = (*targets.shape, 1) == tuple(outputs.shape)
    return targets.unsqueeze(-1) if alone or targets.shape[-1] != outputs.shape[-1] else targets


def signs(outputs, targets):
    """Targets as labels ±1: classes stand for +1 at their own output, −1 at the others."""
    labels = as_outputs(outputs, targets)
    return labels if targets.dtype.is_floating_point else 2 * labels - 1


def deviations(outputs, targets):
    """o − t, (…, sample, output)."""
    return outputs - as_outputs(outputs, targets)


def sizes(deviations):
    """|r|, with the subgradient 0 at r = 0 and no second derivative: for that of torch's own
    torch imports its compiler, for a second."""
    return deviations.detach().sign() * deviations
