"""Two-layer ReLU networks that learn a two-layer ReLU teacher, whatever their settings."""

from __future__ import annotations

import math

from nnflow import Model, torch

from . import _lanes, _loops
from ._population import hessian, orthonormal_gradient, orthonormal_loss


class TwoLayerRelu(Model):
    """n students learn k orthonormal teacher neurons on Gaussian inputs in d dimensions:

    F(W) = ½ E_{x∼N(0,I)} (Σᵢ aᵢσ(wᵢ·x) − Σⱼ aⱼσ(vⱼ·x))²,  σ(t) = max(t, 0),  vⱼ = eⱼ.

    A model has its settings, and from them k, n, d and `top`: the top weights a where n = k, or
    None, which are 1.
    """

    def shapes(self):
        return {"w": (self.n, self.d)}

    def dimensions(self):
        return {"w": ("neuron", "input")}

    def interchangeable(self):
        return ("neuron",) if self.top is None else ()

    def infimum(self):
        return 0.0 if self.n >= self.k else None

    def loss(self, weights, data):
        w = weights["w"]
        if _compiled(w):
            return torch.from_numpy(_lanes.loss(w.numpy(), self.k, self.top))
        return orthonormal_loss(w, self.k, *self._tops(w))

    def outputs(self, weights, inputs):
        """The student's Σᵢ aᵢσ(wᵢ·x), (run, sample, 1)."""
        w = weights["w"]
        top = torch.ones_like(w[0, :, 0]) if self.top is None else self._tops(w)[0]
        return (torch.relu(inputs @ w.mT) @ top)[..., None]

    def gradient(self, weights, data):
        w = weights["w"].detach()
        if _compiled(w):
            return {"w": torch.from_numpy(_lanes.gradient(w.numpy(), self.k, self.top))}
        top = None if self.top is None else self._tops(w)[0]
        return {"w": orthonormal_gradient(w, self.k, top)}

    def lane_gradient(self, data):
        return _lanes.lane_gradient(self.n, self.k, self.top)

    def hessian(self, weights, data):
        w = weights["w"]
        if _compiled(w) and (found := _loops.hessian(w.numpy(), self.k, self.top)) is not None:
            return torch.from_numpy(found)
        teachers = torch.eye(self.d, dtype=w.dtype, device=w.device)[: self.k]
        top = None if self.top is None else self._tops(w)[0]
        return hessian(w, teachers, top, torch)

    def third_derivative_bound(self, weights, radius):
        """B = max_i [3√3/4 |aᵢ|(Σ_{j≠i}|aⱼ|‖wⱼ‖ + Σ|aⱼ|)/‖wᵢ‖²]/π + 3√(n−1) max a²/(π minᵢ‖wᵢ‖),
        with each norm at its worst within the radius.

        In a direction δ the third derivative of E σ(w·x)σ(v·x) is at most
        3√3/4 ‖v‖‖δ_w‖³/(π‖w‖²) in w alone, and its mixed ones at most ‖δ_w‖²‖δ_v‖/(π‖w‖):
        both are Gaussian moments on the hyperplane w·x = 0, where E|z|³ = 2√(2/π). Summing
        over the pairs with Σⱼ‖δⱼ‖ ≤ √(n−1)‖δ‖ gives B, smaller than the bound of Safran &
        Shamir (2018) by a factor that grows with n (10 at n = k = 10, 24 at 20).
        """
        norms = torch.linalg.vector_norm(weights["w"], dim=2)
        top, teachers = (part.abs() for part in self._tops(norms))
        lengths = top * norms
        smallest = norms - radius[:, None]
        others = lengths.sum(1, keepdim=True) - lengths + top.norm() * radius[:, None]
        alone = (0.75 * math.sqrt(3) * top * (others + teachers.sum()) / smallest**2).amax(1)
        mixed = 3 * math.sqrt(self.n - 1) * top.amax() ** 2 / smallest.amin(1)
        return torch.where(smallest.amin(1) > 0, (alone + mixed) / math.pi, math.inf)

    def smooth(self, weights, data):
        """F is twice differentiable where no student vanishes."""
        return torch.linalg.vector_norm(weights["w"], dim=2).amin(1) > VANISHED

    def enclosure(self):
        """Known where there are as many inputs as teachers, and neither constraints nor top
        weights."""
        from ._enclosure import ReluEnclosure  # python-flint is needed for proofs alone

        if self.d > self.k or self.manifold() or self.top is not None:
            return None
        return ReluEnclosure(self.n, self.k)

    def canonical(self, weights):
        """Students in the order of the teachers along or against which they point most, from the
        best match to the worst opposition; students without a teacher, and teachers without a
        student, follow by the falling norm of their row or column. The other coordinates are
        rotated so that their columns are zero above the diagonal, and not negative on it. With top
        weights, which tell students apart, W itself."""
        if self.top is not None:
            return dict(weights)
        return {"w": torch.stack([_canonical(w, self.k) for w in weights["w"]])}

    def invariants(self, weights):
        """Of the products aᵢwᵢ the sorted entries, and the sorted norms and sums of rows and
        columns; of the coordinates beyond the teachers', the sorted products of the rows."""
        w = weights["w"]
        if self.top is not None:
            w = self._tops(w)[0][:, None] * w
        w, beyond = w[..., : self.k], w[..., self.k :]
        parts = [w.flatten(1)]
        parts += [f(w, dim=dim) for dim in (1, 2) for f in (torch.linalg.vector_norm, torch.sum)]
        if self.d > self.k:
            parts.append((beyond @ beyond.mT).flatten(1))
        return torch.cat([part.sort(dim=1).values for part in parts], dim=1)

    def _tops(self, like):
        """Top weights of the students (n,) and of the teachers (k,)."""
        if self.top is None:
            return like.new_ones(self.n), like.new_ones(self.k)
        top = torch.as_tensor(self.top, dtype=like.dtype).to(like.device)
        return top, top


def _compiled(w):
    """Are these numbers that compiled code takes, and no variables to differentiate in?"""
    return w.device.type == "cpu" and w.dtype == torch.float64 and not w.requires_grad


VANISHED = 1e-6
"""Norm below which a student counts as zero, where F has a kink."""


def _canonical(w, k):
    from scipy.optimize import linear_sum_assignment

    w, beyond = w[:, :k], w[:, k:]
    students, teachers = linear_sum_assignment(-w.abs().cpu().numpy())
    matched = w[students, teachers]
    order = torch.argsort(matched, descending=True).cpu().numpy()
    students, teachers = students[order], teachers[order]
    left = [i for i in range(w.shape[0]) if i not in students]
    left.sort(key=lambda i: -float(w[i].norm()))
    unmatched = [j for j in range(w.shape[1]) if j not in teachers]
    unmatched.sort(key=lambda j: -float(w[:, j].norm()))
    rows = [*students, *left]
    return torch.cat([w[rows][:, [*teachers, *unmatched]], _triangular(beyond[rows])], dim=1)


def _triangular(rows):
    """(n, d) rows, rotated: zero above the diagonal, not negative on it."""
    rotated = rows @ torch.linalg.qr(rows.mT, mode="complete").Q
    signs = torch.ones(rows.shape[1], dtype=rows.dtype, device=rows.device)
    signs[: len(rows)] = torch.where(rotated.diagonal() < 0, -1.0, 1.0)
    return (rotated * signs).tril()
