"""Two-layer ReLU networks that learn a two-layer ReLU teacher from samples."""

from __future__ import annotations

from pydantic import Field, PositiveInt

import nnflow
from nnflow import Kinks, Model, UserError, torch


class ReluTeacherStudentEmpirical(Model):
    """n students learn k orthonormal teacher neurons on the samples of a dataset.

    F(W) = 1/(2N) Σₛ (Σᵢ σ(wᵢ·xₛ) − Σⱼ σ(vⱼ·xₛ))²,  σ(t) = max(t, 0),  vⱼ = eⱼ,

    what `relu_teacher_student` is the expectation of when the inputs xₛ ∈ ℝᵏ are Gaussian. F
    is piecewise quadratic, with kinks where a sample lies on the hyperplane of a student.
    Symmetric under permutations of the students.
    """

    k: PositiveInt = Field(examples=[6])
    """Teacher neurons; also the input dimension."""
    n: PositiveInt = Field(examples=[6])
    """Student neurons."""

    def shapes(self):
        return {"w": (self.n, self.k)}

    def arrays(self):
        return {"inputs": "real"}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def infimum(self):
        return 0.0 if self.n >= self.k else None

    def loss(self, weights, data):
        inputs = self._inputs(weights, data)
        excess = torch.relu(_sums(weights, inputs)).sum(2) - _targets(inputs)
        return excess.square().mean(1) / 2

    def gradient(self, weights, data):
        """∇_{wᵢ}F = 1/N Σₛ rₛ 1[wᵢ·xₛ > 0] xₛ with r the error of the output."""
        inputs = self._inputs(weights, data)
        sums = _sums(weights, inputs)
        excess = torch.relu(sums).sum(2) - _targets(inputs)
        pull = (sums > 0) * (excess / inputs.shape[1])[..., None]
        return {"w": torch.bmm(pull.mT, inputs)}

    def hessian(self, weights, data):
        """H_ij = 1/N Σₛ 1[wᵢ·xₛ > 0] 1[wⱼ·xₛ > 0] xₛxₛᵀ, away from the kinks."""
        inputs = self._inputs(weights, data)
        # run by run: the features of all runs at once would not fit into memory
        return torch.stack(
            [
                _second_moment(active[..., None] * samples[:, None])
                for active, samples in zip(_sums(weights, inputs) > 0, inputs, strict=True)
            ]
        )

    def smooth(self, weights, data):
        """F has a kink where wᵢ·xₛ = 0 for some student and sample, up to rounding."""
        inputs = self._inputs(weights, data)
        length = torch.linalg.vector_norm(inputs, dim=2)[..., None]
        reach = length * torch.linalg.vector_norm(weights["w"], dim=2)[:, None]
        touching = (_sums(weights, inputs).abs() <= TOUCHING * reach) & (length > 0)
        return ~touching.flatten(1).any(dim=1)

    def kinks(self, weights, data, within):
        """Where wᵢ·xₛ = 0: F grows by ½(rₛ/N)|wᵢ·xₛ| there, beside what is smooth."""
        inputs = self._inputs(weights, data)
        sums = _sums(weights, inputs)
        excess = (torch.relu(sums).sum(2) - _targets(inputs)) / inputs.shape[1]
        gradient = self.gradient(weights, data)["w"].flatten(1)
        near = sums.abs() <= within * torch.linalg.vector_norm(inputs, dim=2)[..., None]
        return [_kinks(*one) for one in zip(inputs, sums, excess, gradient, near, strict=True)]

    def canonical(self, weights):
        """Students in the order of the teachers along or against which they point most;
        students without a teacher follow by falling norm."""
        return {"w": torch.stack([_canonical(w) for w in weights["w"]])}

    def invariants(self, weights):
        """The sorted entries of each column, and the sorted norms and sums of the rows."""
        w = weights["w"]
        parts = [w.mT.flatten(0, 1), torch.linalg.vector_norm(w, dim=2), w.sum(2)]
        return torch.cat([part.sort(dim=1).values.reshape(len(w), -1) for part in parts], dim=1)

    def _inputs(self, weights, data):
        """(run, sample, k), a view."""
        if "inputs" not in data:
            raise UserError("model 'relu_teacher_student_empirical': the study has no dataset")
        inputs = data["inputs"]
        if inputs.shape[-1] != self.k:
            raise UserError(
                f"model 'relu_teacher_student_empirical': k is {self.k}, but the dataset's inputs"
                f" have {inputs.shape[-1]} entries"
            )
        return inputs.expand(len(weights["w"]), *inputs.shape[-2:])


TOUCHING = 1e-12
"""|cos| of the angle between a student and a sample below which the sample is on the kink."""


def _sums(weights, inputs):
    """w·x, (run, sample, n); one product per run, so that how runs are grouped does not
    change their last bits."""
    return torch.bmm(inputs, weights["w"].mT)


def _targets(inputs):
    """The teacher's outputs, (run, sample)."""
    return torch.relu(inputs).sum(2)


def _kinks(inputs, sums, excess, gradient, near):
    """The kinks of one run; near (sample, n) says which count."""
    samples, neurons = torch.nonzero(near, as_tuple=True)
    normals = inputs.new_zeros(len(samples), sums.shape[1], inputs.shape[1])
    normals[torch.arange(len(samples)), neurons] = inputs[samples]
    signs = torch.where(sums[samples, neurons] > 0, 1.0, -1.0)
    parts = gradient, normals.flatten(1), excess[samples], signs
    return Kinks(*(part.detach().cpu().double().numpy() for part in parts))


def _second_moment(features):
    """Mean of ffᵀ over the features f of the samples, from (sample, n, k)."""
    flat = features.flatten(1)
    return flat.T @ flat / len(flat)


def _canonical(w):
    from scipy.optimize import linear_sum_assignment

    students, teachers = linear_sum_assignment(-w.abs().cpu().numpy())
    order = list(students[teachers.argsort()])
    left = [i for i in range(len(w)) if i not in order]
    return w[order + sorted(left, key=lambda i: -float(w[i].norm()))]


@nnflow.hookimpl
def nnflow_register(register):
    register("relu_teacher_student_empirical", ReluTeacherStudentEmpirical)
