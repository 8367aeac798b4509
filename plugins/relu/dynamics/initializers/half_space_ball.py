"""A ball around zero so small that half of it is nearer to the teacher than zero is."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import Field

import nnflow
from nnflow import Initializer

from ....general._ball import uniform_in_ball


class HalfSpaceBall(Initializer):
    """All d weights of a run are uniform in the ball of radius r = ε√(2π/(d + 1)).

    That is the radius of Tian (arXiv:1703.00560, Theorem 6) for a teacher of norm 1, recovered
    from its proof: the part of the ball's upper half that is not in {‖w − w*‖ < ‖w*‖} has height
    at most r²/2, so that the probability of this region is at least (1 − ε)/2.
    """

    epsilon: Annotated[float, Field(gt=0, le=1, examples=[0.1])]
    """ε."""

    def draw(self, shapes, streams):
        size = sum(math.prod(shape) for shape in shapes.values())
        return uniform_in_ball(self.radius(size), shapes, streams)

    def radius(self, size: int) -> float:
        """r, for d = `size` weights."""
        return self.epsilon * math.sqrt(2 * math.pi / (size + 1))


@nnflow.hookimpl
def nnflow_register(register):
    register("half_space_ball", HalfSpaceBall)
