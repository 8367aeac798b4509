"""All kinds of critical points of deep linear networks, constructed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain, combinations, pairwise

import numpy as np
from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError

from ....general._orthogonal import orthogonal


@dataclass(frozen=True)
class Pattern:
    """A kind of critical point of L(W) = ½‖Y − W_K ⋯ W₁‖², with r kept modes.

    kept: which singular modes of Y the network has learned. zero: the layers, counted from 1, that
    are zero beside the kept modes, at least two of them; the others have rank 1 there, along the
    first mode that is missed, where there is room for it.
    """

    kept: tuple[int, ...]
    zero: tuple[int, ...]

    def keeps_top(self) -> bool:
        """Are the r largest singular values kept?"""
        return self.kept == tuple(range(len(self.kept)))

    def through(self, widths: list[int]) -> int:
        """r_Z − r, the rank of W_{K−1} ⋯ W₂ beside the kept modes."""
        layers = len(widths) - 1
        if layers == 2:
            return widths[1] - len(self.kept)
        return int(self.zero == (1, layers))

    def inertia(self, widths: list[int], values: np.ndarray) -> tuple[int, int]:
        """Index and nullity of the Hessian where Y has the distinct singular values `values`.

        In coordinates where all layers are diagonal, the Hessian falls into pieces of two
        weights. With r kept modes and residual −Σ sᵢuᵢvᵢᵀ over the missed ones:

        - kept with kept: r² positive eigenvalues,
        - kept a with another input or output: a pair of the signs of s_a ± sᵢ for each missed
          mode i, else one that is positive,
        - where just two layers j < i are zero beside the kept modes, pairs of both signs for each
          missed mode that is seen through the layers before j and behind i, times the rank of the
          layers between, which is d_j − r where there are none; with three or more zero layers
          every second derivative there contains one of them, and vanishes,

        and all others are zero. It is a congruence, so the signs hold in all coordinates.
        """
        r, layers = len(self.kept), len(widths) - 1
        missed = [i for i in range(len(values)) if i not in self.kept and values[i] > 0]
        downhill = sum(values[i] > values[a] for i in missed for a in self.kept)
        pairs = 0
        if len(self.zero) == 2:
            low, high = self.zero
            seen = len(missed) if self.zero == (1, layers) else min(len(missed), 1)
            pairs = seen * (widths[low] - r if high == low + 1 else 1)
        positive = r * r + r * (widths[0] - r) + r * (widths[-1] - r) - downhill + pairs
        index = downhill + pairs
        total = sum(a * b for a, b in pairwise(widths))
        return index, total - index - positive


def patterns(widths: list[int], modes: int) -> list[Pattern]:
    """The patterns for all sets of kept modes that fit through the hidden layers: all layers zero
    beside them, and, where there is room for a further rank, every set of two or more."""
    layers, narrowest = range(1, len(widths)), min(widths)
    found = []
    for size in range(min(modes, narrowest) + 1):
        for kept in combinations(range(modes), size):
            found.append(Pattern(kept, tuple(layers)))
            if narrowest > size:
                some = (combinations(layers, count) for count in range(2, len(layers)))
                found.extend(Pattern(kept, zero) for zero in chain.from_iterable(some))
    return found


class LinearCriticalPoints(Initializer):
    """W_k = G_k (S_k ⊕ Z_k) G_{k−1}⁻¹ with S_k = diag(s_a^{1/K}) over the kept singular modes of
    Y, Z_k of rank 0 or 1 with two or more of them zero, random invertible G_k in the hidden layers,
    and the singular vectors of Y for the outer ones.

    Each is a critical point of ½‖Y − W_K ⋯ W₁‖² with the value ½Σs² over the missed singular
    values. Run i has the pattern i modulo their number: all subsets of modes, with every set of
    zero layers. Chitour, Liao & Couillet (arXiv:1811.03568); the role of pairs: Achour, Malgouyres
    & Gerchinovitz (arXiv:2107.13289). With r kept modes, r below the smallest width, and distinct
    singular values the Hessian has no negative eigenvalue if and only if the r largest are kept
    and three or more of the Z_k are zero (`Pattern.inertia`).
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
        drawn = self.beside(shapes, streams, 0.0)
        for k, (name, shape) in enumerate(shapes.items(), 1):
            noise = streams.normal(shape[0] * shape[1], draw=10 * len(shapes) + k)
            drawn[name] = drawn[name] + self.noise * noise.reshape(-1, *shape)
        return drawn

    def beside(self, shapes, streams, height: float) -> dict[str, np.ndarray]:
        """The constructed points with `height` in place of 0 in all Z_k that are zero, along the
        first missed mode, of the singular value s: with z of them the loss is lower by
        s·heightᶻ − ½·height²ᶻ."""
        widths, target = _widths(shapes), np.asarray(self.target, dtype=np.float64)
        if target.shape != (widths[-1], widths[0]):
            raise UserError(
                f"linear_critical_points.target: the shape is {target.shape}, the network maps"
                f" {widths[0]} inputs to {widths[-1]} outputs"
            )
        left, values, right = np.linalg.svd(target)
        found, layers = self.patterns(shapes), len(shapes)
        chosen = [found[run % len(found)] for run in streams.runs]
        changes = [_invertible(widths[k], streams, k) for k in range(1, layers)]
        drawn = {}
        for k, name in enumerate(shapes, 1):
            diagonal = np.stack([_layer(one, k, widths, values, height) for one in chosen])
            behind = changes[k - 1][0] if k < layers else left
            before = changes[k - 2][1] if k > 1 else right
            drawn[name] = behind @ diagonal @ before
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


def _layer(pattern: Pattern, k: int, widths, values: np.ndarray, height: float) -> np.ndarray:
    """S_k ⊕ Z_k. Hidden coordinates hold the kept modes first, then the further one; those of the
    input and the output are the modes of Y in their own order."""
    layers, r = len(widths) - 1, len(pattern.kept)
    missed = [i for i in range(len(values)) if i not in pattern.kept]
    room = missed[: min(1, min(widths) - r)]
    hidden, outer = list(range(r + len(room))), [*pattern.kept, *room]
    entries = [values[i] ** (1 / layers) for i in pattern.kept]
    entries += [height if k in pattern.zero else 1.0] * len(room)
    layer = np.zeros((widths[k], widths[k - 1]))
    layer[outer if k == layers else hidden, outer if k == 1 else hidden] = entries
    return layer


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_critical_points", LinearCriticalPoints)
