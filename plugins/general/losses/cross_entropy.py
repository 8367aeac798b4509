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
        classes = targets.expand(outputs.shape[:-1]).unsqueeze(-1)
        try:
            chosen = outputs.gather(-1, classes).squeeze(-1)
        except RuntimeError:
            known = outputs.shape[-1]
            raise ValueError(
                f"the targets have the class {int(targets.max())}; {known} outputs have the classes"
                f" 0 to {known - 1}"
            ) from None
        return torch.logsumexp(outputs, dim=-1) - chosen


@nnflow.hookimpl
def nnflow_register(register):
    register("cross_entropy", CrossEntropy)
