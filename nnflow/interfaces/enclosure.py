"""What an enclosure is: a loss and its derivatives over boxes of weights, in ball arithmetic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flint import arb, arb_mat


@dataclass(frozen=True)
class Block:
    """One part of a Hessian that symmetry splits: a symmetric matrix over a box of weights,
    and how often each of its eigenvalues occurs in the whole Hessian."""

    name: str
    multiplicity: int
    matrix: arb_mat


class Enclosure:
    """Rigorous enclosures of a loss and its derivatives (python-flint's Arb).

    A box of weights is an arb_mat (weight, 1) of balls, flat in the order of the model's
    `shapes`; every result contains the true value at every point of the box, at whatever
    precision `flint.ctx.prec` is set to. What can't be enclosed is NaN or infinite, never
    wrong: certify calls it unproved. (Write x * x: python-flint's x ** 2 is NaN around 0.)

    For a model whose weights are the parameters p of a symmetric family of networks W(p),
    `gradient` and `hessian` are those of L(W(p)) in p, while `blocks` are the parts of
    ∇²L(W), the Hessian over all weights of the network.
    """

    def smooth(self, box: arb_mat) -> bool:
        """Is L proved to be twice continuously differentiable on the whole box?"""
        return True

    def none_beyond(self, radius: float) -> bool:
        """Is it proved that no critical point has an entry of modulus `radius` or more? With it, a
        list of the critical points in a box is one of all."""
        return False

    def loss(self, box: arb_mat) -> arb:
        """L."""
        raise NotImplementedError

    def gradient(self, box: arb_mat) -> arb_mat:
        """∇L in the model's own weights, (weight, 1)."""
        raise NotImplementedError

    def hessian(self, box: arb_mat) -> arb_mat:
        """The Jacobian of `gradient`, (weight, weight)."""
        raise NotImplementedError

    def blocks(self, box: arb_mat) -> list[Block]:
        """Symmetric matrices whose eigenvalues, with their multiplicities, are those of the
        Hessian of the whole network at each point of the box; default: `hessian` itself."""
        return [Block("all", 1, self.hessian(box))]
