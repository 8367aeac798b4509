"""What follows from sums and products of numbers of any kind."""

from __future__ import annotations


class Arithmetic:
    """Differences, signs and numbers on the left, for a class that adds and multiplies."""

    __slots__ = ()

    def __radd__(self, other):
        return self + other

    def __rmul__(self, other):
        return self * other

    def __neg__(self):
        return self * -1

    def __sub__(self, other):
        return self + -other

    def __rsub__(self, other):
        return -self + other
