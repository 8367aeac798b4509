"""Numbers sᵖ·x with an exact power p, so that nothing is lost, or divided by 0, at s = 0."""

from __future__ import annotations

from typing import Any

from ._arithmetic import Arithmetic


class Powers:
    """s, s², s³, …"""

    def __init__(self, s: Any) -> None:
        self.s = s
        self._known: dict[int, Any] = {1: s}

    def __getitem__(self, power: int) -> Any:
        if power not in self._known:
            self._known[power] = self[power - 1] * self.s
        return self._known[power]


class Scaled(Arithmetic):
    """sᵖ·value. The value may be an integer, a ball, a dual or a matrix of balls.

    A sum has the lower one of both powers, a product their sum. Integers may stand on either
    side; an integer 0 is what is not there, and stays out of sums.
    """

    __slots__ = ("power", "s", "value")

    def __init__(self, s: Powers, value: Any, power: int = 0) -> None:
        self.s, self.value, self.power = s, value, power

    def __add__(self, other):
        if not isinstance(other, Scaled):
            if isinstance(other, int) and other == 0:
                return self
            other = Scaled(self.s, other)
        gap = other.power - self.power
        if gap < 0:
            return Scaled(self.s, other.value + self.value * self.s[-gap], other.power)
        return Scaled(self.s, self.value + self._at(other.value, gap), self.power)

    def __mul__(self, other):
        if isinstance(other, Scaled):
            return Scaled(self.s, self.value * other.value, self.power + other.power)
        return 0 if isinstance(other, int) and other == 0 else self._of(self.value * other)

    def __truediv__(self, other):
        if isinstance(other, Scaled):
            return Scaled(self.s, self.value * (1 / other.value), self.power - other.power)
        return self._of(self.value * (1 / other))

    def sqrt(self) -> Scaled:
        """Of an even power."""
        return Scaled(self.s, self.value.sqrt(), self.power // 2)

    def over(self, power: int) -> Any:
        """The number divided by s to this power. Raises ValueError where it has less of them."""
        if self.power < power:
            raise ValueError(f"s to the power {self.power} is not divided by {power}")
        return self._at(self.value, self.power - power)

    def number(self) -> Any:
        """The number itself."""
        return self.over(0)

    def _of(self, value):
        return Scaled(self.s, value, self.power)

    def _at(self, value, power):
        return value if power == 0 else value * self.s[power]
