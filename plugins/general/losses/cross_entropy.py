"""Cross-entropy of a softmax classifier."""

from __future__ import annotations

import nnflow
from nnflow import (
    Compiled,
    LaneLoss,
    Loss,
    choose,
    exponential,
    load_row,
    store_row,
    torch,
)


def _slope(outputs, targets, tiles, parameter):
    """The probabilities less the targets, with exp of what the logits are below the highest."""
    for tile in range(tiles):
        highest = load_row(outputs, tile)
        for row in range(tiles + tile, len(outputs), tiles):
            logit = load_row(outputs, row)
            highest = choose(logit > highest, logit, highest)
        total = highest * 0.0
        for row in range(tile, len(outputs), tiles):
            grown = exponential(load_row(outputs, row) - highest)
            store_row(outputs, row, grown)
            total += grown
        for row in range(tile, len(outputs), tiles):
            store_row(outputs, row, load_row(outputs, row) / total - load_row(targets, row))


def _slope_in_numpy(outputs, targets, tiles, parameter):
    """Outputs (run, output, tile, LANES)."""
    highest = outputs[:, 0]
    for o in range(1, outputs.shape[1]):
        highest = choose(outputs[:, o] > highest, outputs[:, o], highest)
    grown = exponential(outputs - highest[:, None])
    total = highest * 0.0
    for o in range(outputs.shape[1]):
        total = total + grown[:, o]
    outputs[:] = grown / total[:, None] - targets


class CrossEntropy(Loss):
    """ℓ(o, c) = log Σⱼ exp oⱼ − o_c for logits o and the class c, an integer.

    It is positive, convex in o, and unchanged when a number is added to all logits.
    """

    targets = "classes"
    likelihood = True
    lanes = LaneLoss(Compiled(_slope, _slope_in_numpy))

    def __call__(self, outputs, targets):
        try:
            chosen = outputs.gather(-1, _classes(outputs, targets)).squeeze(-1)
        except RuntimeError:
            known = outputs.shape[-1]
            raise ValueError(
                f"the targets have the class {int(targets.max())}; {known} outputs have the classes"
                f" 0 to {known - 1}"
            ) from None
        return torch.logsumexp(outputs, dim=-1) - chosen

    def slope(self, outputs, targets):
        """The probabilities that the logits give, less 1 for the class itself."""
        classes = _classes(outputs, targets)
        less = -torch.ones_like(outputs[..., :1])
        # torch.softmax takes four times as long over a short last axis
        logs = outputs - torch.logsumexp(outputs, dim=-1, keepdim=True)
        return logs.exp_().scatter_add_(-1, classes, less)


def _classes(outputs, targets):
    """The class of each sample, (…, sample, 1)."""
    return targets.expand(outputs.shape[:-1]).unsqueeze(-1)


@nnflow.hookimpl
def nnflow_register(register):
    register("cross_entropy", CrossEntropy)
