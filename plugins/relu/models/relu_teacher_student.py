"""Two-layer ReLU networks that learn a two-layer ReLU teacher: the population loss."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import PositiveInt, model_validator

import nnflow
from nnflow import Spheres

from .._two_layer import TwoLayerRelu


class ReluTeacherStudent(TwoLayerRelu):
    """n students learn k orthonormal teacher neurons on Gaussian inputs.

    F(W) = ½ E_{x∼N(0,I)} (Σᵢ σ(wᵢ·x) − Σⱼ σ(vⱼ·x))²,  σ(t) = max(t, 0),  vⱼ = eⱼ,

    in closed form through E σ(w·x)σ(v·x) = ‖w‖‖v‖ h(θ)/2π with h(θ) = (π−θ)cos θ + sin θ
    and θ the angle between w and v (Cho & Saul 2009; Safran & Shamir 2018, Section 2, whose
    published numbers carry the factor ½ too). Symmetric under permutations of the students,
    of the teachers with their coordinates, and under rotations of the other coordinates.
    """

    k: PositiveInt
    """Teacher neurons."""
    n: PositiveInt
    """Student neurons."""
    inputs: PositiveInt | None = None
    """Input dimension d ≥ k; default: k."""
    norms: Literal["free", "unit"] = "free"
    """`unit`: the students are bound to the unit sphere, each."""

    top: ClassVar[None] = None

    @model_validator(mode="after")
    def _room_for_the_teachers(self):
        if self.inputs is not None and self.inputs < self.k:
            raise ValueError(f"inputs: {self.inputs} is less than k = {self.k}")
        if self.norms == "unit" and self.d == 1:
            raise ValueError("norms: unit vectors of one input can't move")
        return self

    @property
    def d(self):
        return self.inputs or self.k

    def infimum(self):
        """0 where the students can be the teachers; unit vectors in excess can't vanish."""
        if self.norms == "unit" and self.n != self.k:
            return None
        return super().infimum()

    def manifold(self):
        return Spheres(self.n, self.d) if self.norms == "unit" else None


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_teacher_student", ReluTeacherStudent)
