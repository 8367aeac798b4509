"""All kinds of critical points of deep linear networks, constructed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, pairwise

import numpy as np
from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError

from ..._orthogonal import orthogonal


@dataclass(frozen=True)
class Pattern:
    """A kind of critical point of L(W) = ½‖Y − W_K ⋯ W₁‖².

    kept: which singular modes of Y the network has learned. zero: two of the K layers.
    extra: the rank, beside the kept modes, of all layers but those two, which have none.
    """

    kept: tuple[int, ...]
    zero: tuple[int, int]
    extra: int

    def inertia(self, widths: list[int], values: np.ndarray) -> tuple[int, int]:
        """Index and nullity of the Hessian where Y has the distinct singular values `values`.

        In coordinates where all layers are diagonal, the Hessian falls into pieces of two
        weights. With r kept modes and residual −Σ sᵢuᵢvᵢᵀ over the missed ones:

        - kept with kept: r² positive eigenvalues,
        - kept a with another input or output: a pair of the signs of s_a ± sᵢ for each missed
          mode i, else one that is positive,
        - extra dimensions: pairs of both signs ± for each missed mode that is seen through the
          layers before and behind the two zero ones, times the rank of the layers between,

        and all others are zero. It is a congruence, so the signs hold in all coordinates.
        """
        r, layers = len(self.kept), len(widths) - 1
        missed = [i for i in range(len(values)) if i not in self.kept and values[i] > 0]
        downhill = sum(values[i] > values[a] for i in missed for a in self.kept)
        low, high = self.zero
        outermost = (low, high) == (1, layers)
        seen = len(missed) if outermost else min(len(missed), self.extra)
        between = widths[low] - r if high == low + 1 else self.extra
        pairs = seen * between
        positive = r * r + r * (widths[0] - r) + r * (widths[-1] - r) - downhill + pairs
        index = downhill + pairs
        total = sum(a * b for a, b in pairwise(widths))
        return index, total - index - positive


def patterns(widths: list[int], modes: int) -> list[Pattern]:
    """The patterns of extra rank 0 and 1, for all sets of kept modes that fit through the
    hidden layers. With no extra rank the two zero layers are the outer ones."""
    layers = len(widths) - 1
    narrowest = min(widths)
    found = []
    for size in range(min(modes, narrowest) + 1):
        for kept in combinations(range(modes), size):
            found.append(Pattern(kept, (1, layers), 0))
            if layers > 2 and narrowest > size:
                pairs = combinations(range(1, layers + 1), 2)
                found.extend(Pattern(kept, pair, 1) for pair in pairs)
    return found


class LinearCriticalPoints(Initializer):
    """W_k = G_k (S_k ⊕ Z_k) G_{k−1}⁻¹ with S_k = diag(s_a^{1/K}) over the kept singular modes of
    Y, Z_k of rank 0 or 1 with two of the Z_k zero, random invertible G_k in the hidden layers,
    and the singular vectors of Y for the outer ones.

    Each is a critical point of ½‖Y − W_K ⋯ W₁‖² with the value ½Σs² over the missed singular
    values. Run i has the pattern i modulo their number: all subsets of modes, with every pair
    of zero layers. Chitour, Liao & Couillet (arXiv:1811.03568); the role of the pairs: Achour,
    Malgouyres & Gerchinovitz (arXiv:2107.13289).
    """

    target: list[list[float]] = Field(examples=[[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    """Y, (d_K, d₀): that of the model, whose X is the identity."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of normal numbers that are added to every entry: starts near the
    critical points."""

    def patterns(self, shapes) -> list[Pattern]:
        """The patterns of this target for weights of these shapes."""
        return patterns(_widths(shapes), min(len(self.target), len(self.target[0])))

    def draw(self, shapes, streams):
        widths, target = _widths(shapes), np.asarray(self.target, dtype=np.float64)
        if target.shape != (widths[-1], widths[0]):
            raise UserError(
                f"linear_critical_points.target: the shape is {target.shape}, the network maps"
                f" {widths[0]} inputs to {widths[-1]} outputs"
            )
        left, values, right = np.linalg.svd(target)
        found = self.patterns(shapes)
        layers = len(shapes)
        changes = [_invertible(widths[k], streams, k) for k in range(1, layers)]
        drawn = {}
        for k, (name, shape) in enumerate(shapes.items(), 1):
            diagonal = np.stack(
                [_layer(found[run % len(found)], k, shape, values, layers) for run in streams.runs]
            )
            behind = changes[k - 1][0] if k < layers else left
            before = changes[k - 2][1] if k > 1 else right
            noise = streams.normal(shape[0] * shape[1], draw=10 * layers + k)
            drawn[name] = behind @ diagonal @ before + self.noise * noise.reshape(-1, *shape)
        return drawn


def _widths(shapes) -> list[int]:
    """d₀, …, d_K."""
    matrices = list(shapes.values())
    if any(len(shape) != 2 for shape in matrices):
        raise UserError("linear_critical_points: the weights of a linear network are matrices")
    return [matrices[0][1], *(shape[0] for shape in matrices)]


def _invertible(size: int, streams, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Random G with singular values between ½ and 2, and G⁻¹, each (run, size, size)."""
    drawn = (streams.normal(size * size, draw=3 * draw + i) for i in (0, 1))
    one, other = (orthogonal(part.reshape(-1, size, size)) for part in drawn)
    values = 4.0 ** (streams.uniform(size, draw=3 * draw + 2)[:, None, :] - 0.5)
    return (one * values) @ other, np.swapaxes(other, 1, 2) @ np.swapaxes(one / values, 1, 2)


def _layer(pattern: Pattern, k: int, shape, values: np.ndarray, layers: int) -> np.ndarray:
    """S_k ⊕ Z_k. Hidden coordinates hold the kept modes first, then the extra dimensions; those
    of the input and the output are the modes of Y in their own order."""
    kept = list(pattern.kept)
    rest = [i for i in range(max(shape)) if i not in kept]
    hidden = list(range(len(kept) + pattern.extra))
    outer = kept + rest[: pattern.extra]
    rows = outer if k == layers else hidden
    columns = outer if k == 1 else hidden
    entries = [values[i] ** (1 / layers) for i in kept]
    entries += [0.0 if k in pattern.zero else 1.0] * pattern.extra
    layer = np.zeros(shape)
    layer[rows, columns] = entries
    return layer


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_critical_points", LinearCriticalPoints)
