"""Cross-entropy of a softmax classifier."""

from __future__ import annotations

import nnflow
from nnflow import Loss, torch


class CrossEntropy(Loss):
    """ℓ(o, c) = log Σⱼ exp oⱼ − o_c for logits o and the class c, an integer.

    It is positive, convex in o, and unchanged when a number is added to all logits.
    """

    targets = "classes"
    likelihood = True

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
