"""Krylov spaces of symmetric operators, every vector orthogonal to all earlier ones.

Lanczos with a full orthogonalization (no ghosts), grown one product at a time and shrunk to its
best vectors where it is full: the thick restart of Wu & Simon (2000), Krylov–Schur of Stewart
(2001).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Product = Callable[[np.ndarray], np.ndarray]

BROKEN = 1e-12
"""A new direction shorter than this, as a fraction of the norm seen so far, is rounding: the space
is invariant."""
AGAIN = 0.7
"""A vector that orthogonalization leaves this part of is orthogonal to rounding; a shorter one is
orthogonalized again (Daniel, Gragg, Kaufman & Stewart 1976)."""
BLOCK = 2**16
"""Columns of a basis that are turned at once."""


def orthogonalized(basis: np.ndarray, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(rest, parts) with image = parts @ basis + rest and rest orthogonal to the orthonormal basis,
    (vector, size)."""
    parts = np.zeros(len(basis))
    parts[-2:] = basis[-2:] @ image  # Lanczos' recurrence: only these are more than rounding
    image = image - parts[-2:] @ basis[-2:]
    for _ in range(2):
        before = np.linalg.norm(image)
        more = basis @ image
        image -= more @ basis
        parts += more
        if np.linalg.norm(image) > AGAIN * before:
            break
    return image, parts


class Space:
    """H V = V C + v cᵀ for an orthonormal basis V of `steps` vectors and the next one, v.

    C and c are what the products gave, so the residuals are those of the products whether or not
    they are symmetric and exact: ‖HVs − θVs‖² = ‖Cs − θs‖² + (cᵀs)².
    """

    def __init__(self, product: Product, start: np.ndarray, room: int) -> None:
        """room: vectors of the basis at most; memory is taken as they come."""
        self.product, self.steps, self.scale = product, 0, 0.0
        self.products = 0
        self.broken = False
        """Was the space ever invariant? It then went on from a random vector."""
        self.first = 0
        """Products of the start vector that the space holds: a Krylov space of so many steps, and
        more where it was shrunk since."""
        self._dropped = 0.0  # norm of what H V lost when the space was shrunk
        self._whole = False
        self._random = np.random.default_rng(1)
        self._basis = np.empty((room + 1, len(start)))
        self._basis[0] = start / np.linalg.norm(start)
        self._known = np.zeros((room + 1, room))  # C, and cᵀ below it

    @property
    def full(self) -> bool:
        """Is there no room for another vector?"""
        return self.steps == self._known.shape[1]

    @property
    def whole(self) -> bool:
        """Is it all of space?"""
        return self.steps == self._basis.shape[1]

    def grow(self) -> None:
        """One more vector, by one product."""
        step = self.steps
        rest, parts = orthogonalized(self._basis[: step + 1], self.product(self._basis[step]))
        length = float(np.linalg.norm(rest))
        self.scale = max(self.scale, float(np.abs(parts).max()), length)
        self._known[: step + 1, step] = parts
        self.steps, self.products = step + 1, self.products + 1
        if not self.broken and self.first == step:
            self.first = self.steps
        if length > BROKEN * self.scale and not self.whole:
            self._known[step + 1, step] = length
            self._basis[step + 1] = rest / length
        elif not self.whole:
            self.broken, self._dropped = True, max(self._dropped, length)
            drawn = self._random.standard_normal(len(rest))
            rest, _ = orthogonalized(self._basis[: self.steps], drawn)
            self._basis[self.steps] = rest / np.linalg.norm(rest)

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Ritz values θ, ascending, and their vectors s in the basis, (step,) and (step, value)."""
        small = self._known[: self.steps, : self.steps]
        return np.linalg.eigh((small + small.T) / 2)

    def left(self, turn: np.ndarray) -> np.ndarray:
        """|cᵀs| of each column s of `turn`: what more steps may still lower."""
        return np.abs(self._known[self.steps, : self.steps] @ turn)

    def residuals(self, values: np.ndarray, turn: np.ndarray) -> np.ndarray:
        """‖HVs − θVs‖ of each value θ with its column s of `turn`."""
        inside = self._known[: self.steps, : self.steps] @ turn - turn * values
        return np.hypot(np.linalg.norm(inside, axis=0), self.left(turn)) + self._dropped

    def vectors(self, turn: np.ndarray) -> np.ndarray:
        """Vs of each column s of `turn`, (size, column)."""
        return (turn.T @ self._basis[: self.steps]).T

    def shrink(self, turn: np.ndarray) -> None:
        """V becomes V·turn, with orthonormal columns, Ritz vectors."""
        kept, steps = turn.shape[1], self.steps
        inside = self._known[:steps, :steps] @ turn
        small = turn.T @ inside
        self._dropped += float(np.linalg.norm(inside - turn @ small))
        beside = self._known[steps, :steps] @ turn
        for start in range(0, self._basis.shape[1], BLOCK):
            part = slice(start, start + BLOCK)
            self._basis[:kept, part] = turn.T @ self._basis[:steps, part]
        self._basis[kept] = self._basis[steps]
        self._known[:] = 0
        self._known[:kept, :kept], self._known[kept, :kept] = small, beside
        self.steps = kept
