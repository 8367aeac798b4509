"""Two-layer ReLU networks with fixed top weights, the same in student and teacher."""

from __future__ import annotations

import math
from typing import Annotated

from pydantic import AfterValidator, Field

import nnflow

from ..._two_layer import TwoLayerRelu


def _not_zero(values: list[float]) -> list[float]:
    if not all(math.isfinite(value) and value for value in values):
        raise ValueError("expected finite numbers other than 0")
    return values


class ReluTopWeights(TwoLayerRelu):
    """K students learn K orthonormal teachers, with top weights aⱼ that are not trained.

    F(W) = ½ E_{x∼N(0,I)} (Σⱼ aⱼσ(wⱼ·x) − Σⱼ aⱼσ(eⱼ·x))² (Tian, arXiv:1703.00560, Section 7.3, the
    networks g₂). With aⱼ = 1 it is relu_teacher_student with n = k.
    """

    top: Annotated[list[float], Field(min_length=1), AfterValidator(_not_zero)] = Field(
        examples=[[1, 2, -1]]
    )
    """a₁, …, a_K."""

    @property
    def k(self):
        return len(self.top)

    n = d = k


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_top_weights", ReluTopWeights)
