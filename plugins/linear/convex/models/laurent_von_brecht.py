"""A linear network whose loss decides whether a point is a spurious minimum."""

from __future__ import annotations

import numpy as np

import nnflow

from ._convex_loss import LinearNetworkLoss


class LaurentVonBrecht(LinearNetworkLoss):
    """L(W) = Σₛ ℓ(W_2W_1eₛ, Yeₛ), s = 1, 2, with 2 × 2 matrices and Y = E_21.

    Theorem 2 of Laurent & von Brecht 2018 (arXiv:1712.01473): under a convex loss with kinks a
    linear network may have spurious minima. Under the absolute error, W_2 = diag(1, 0) and
    W_1 = diag(0, 1) are one, with L = ‖W_2W_1 − Y‖₁ = 1. Under Huber's loss with δ < 1 the same
    point is a saddle with the eigenvalue (1 − √(1 + 4δ²))/2, twice. The infimum is 0, as it
    is for every ℓ with ℓ(t, t) = 0; other losses (the logistic one) are not meant here.
    """

    def chain(self):
        return (2, 2, 2)

    def samples(self):
        # the columns of I as inputs, those of E_21 as targets
        return np.eye(2), np.array([[0.0, 1.0], [0.0, 0.0]])

    def infimum(self):
        return 0.0  # at W_2W_1 = Y

    def share(self):
        return 1.0

    def convex(self, maps):
        return 2 * super().convex(maps)  # the sum over two samples


@nnflow.hookimpl
def nnflow_register(register):
    register("laurent_von_brecht", LaurentVonBrecht)
