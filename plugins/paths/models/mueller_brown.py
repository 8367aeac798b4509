"""The surface on which paths over saddles are tried, with three minima and two saddles."""

from __future__ import annotations

import nnflow
from nnflow import torch

from ...general.models._plane import PlaneModel

HEIGHT = (-200.0, -100.0, -170.0, 15.0)
SQUARE_X = (-1.0, -1.0, -6.5, 0.7)
PRODUCT = (0.0, 0.0, 11.0, 0.6)
SQUARE_Y = (-10.0, -10.0, -6.5, 0.7)
CENTER_X = (1.0, 0.0, -0.5, -1.0)
CENTER_Y = (0.0, 0.5, 1.5, 1.0)


class MuellerBrown(PlaneModel):
    """L(x, y) = Σᵢ Aᵢ exp(aᵢ(x−xᵢ)² + bᵢ(x−xᵢ)(y−yᵢ) + cᵢ(y−yᵢ)²), i = 1 … 4.

    K. Müller & L. D. Brown, Theor. Chim. Acta 53, 75 (1979). Minima at (−0.558, 1.442), (0.623,
    0.028) and (−0.050, 0.467), L = −146.700, −108.167 and −80.768; saddles at (−0.822, 0.624) and
    (0.212, 0.293), L = −40.665 and −72.249."""

    def loss(self, weights, data):
        values, *_ = _terms(weights["w"])
        return values.sum(dim=1)

    def gradient(self, weights, data):
        values, slopes_x, slopes_y, *_ = _terms(weights["w"])
        return {"w": torch.stack([(values * slopes_x).sum(1), (values * slopes_y).sum(1)], dim=1)}

    def hessian(self, weights, data):
        values, slopes_x, slopes_y, a, b, c = _terms(weights["w"])
        first = (values * (slopes_x**2 + 2 * a)).sum(1)
        mixed = (values * (slopes_x * slopes_y + b)).sum(1)
        second = (values * (slopes_y**2 + 2 * c)).sum(1)
        return torch.stack([first, mixed, mixed, second], dim=1).unflatten(1, (2, 2))

    def enclosure(self):
        from ._mueller_brown_enclosure import MuellerBrownEnclosure  # python-flint is for proofs

        return MuellerBrownEnclosure(zip(*ROWS, strict=True))


ROWS = (HEIGHT, SQUARE_X, PRODUCT, SQUARE_Y, CENTER_X, CENTER_Y)


def _terms(w):
    """The four terms, the factors of their derivatives, and the coefficients of the squares."""
    height, a, b, c, x0, y0 = (torch.as_tensor(row, dtype=w.dtype).to(w.device) for row in ROWS)
    x, y = w[:, :1] - x0, w[:, 1:] - y0
    values = height * torch.exp(a * x**2 + b * x * y + c * y**2)
    return values, 2 * a * x + b * y, b * x + 2 * c * y, a, b, c


@nnflow.hookimpl
def nnflow_register(register):
    register("mueller_brown", MuellerBrown)
