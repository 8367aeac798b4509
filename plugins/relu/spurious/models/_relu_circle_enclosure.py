"""Two ReLU neurons on the unit circle over boxes of angles, in ball arithmetic."""

from __future__ import annotations

from flint import arb, arb_mat

from nnflow import Enclosure


class ReluCircleEnclosure(Enclosure):
    """The formulas of the model, with balls for numbers; angles of modulus up to 3π/2, so that
    their differences are at most 3π."""

    def loss(self, box):
        a, b = box.entries()
        aligned = sum((_kappa(t) + _kappa(t - arb.pi() / 2) for t in (a, b)), arb(0))
        return 1 + 1 / (2 * arb.pi()) + _kappa(a - b) - aligned

    def gradient(self, box):
        a, b = box.entries()
        mutual = _slope(a - b)
        return arb_mat([[mutual - _pull(_slope, a)], [-mutual - _pull(_slope, b)]])

    def hessian(self, box):
        a, b = box.entries()
        mutual = _curvature(a - b)
        first, second = (mutual - _pull(_curvature, t) for t in (a, b))
        return arb_mat([[first, -mutual], [-mutual, second]])


def _pull(function, angle):
    """A sum over the two teachers."""
    return function(angle) + function(angle - arb.pi() / 2)


def _delta(angle):
    """δ(t) = min(|π − |t||, |3π − |t||), the distance from the nearest odd multiple of π;
    NaN for |t| > 3π."""
    size = abs(angle)
    if not bool(size <= 3 * arb.pi()):
        return arb.nan()
    return abs(arb.pi() - size).min(abs(3 * arb.pi() - size))


def _kappa(angle):
    return (abs(angle.sin()) + _delta(angle) * angle.cos()) / (2 * arb.pi())


def _slope(angle):
    return -_delta(angle) * angle.sin() / (2 * arb.pi())


def _curvature(angle):
    return (abs(angle.sin()) - _delta(angle) * angle.cos()) / (2 * arb.pi())
