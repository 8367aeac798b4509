"""Splitting neurons of spurious minima: what one or two neurons more do."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Model, torch


class SplitMinima(Analysis):
    """Neurons of the points of `relu_symmetric_family`, split into parts along themselves.

    With wᵢ replaced by α₁wᵢ, …, α_r wᵢ, Σα = 1, loss and gradient stay as they were. Moving the
    parts by δ₁, …, δ_r with Σδ = 0 changes the loss to second order by

        ½ Σ_j δ_jᵀ(H_ii − ½I)δ_j/α_j,

    so that a negative eigenvalue −μ of H_ii − ½I makes a saddle of the split network:
    λ_min ≤ −½μ(1/α + 1/(1−α)) for r = 2, and −2μ at equal halves (Safran, Yehudai & Shamir 2021,
    arXiv:2006.01005). H_ii is computed at every k; the whole Hessian of the split network, with
    the given `network` at n = k + 1 and k + 2, where k is at most `dense_up_to`. For n = k + 2
    one neuron is split in three, or two are split.

    Arrays over `case`, by configuration (`where`): `neurons`, which kinds of neuron; `share`, α of
    the first part; `students` n; `lowest`, `second_variation`, `index`, `nullity`.
    """

    needs = ("critical_points",)
    models = ("relu_symmetric_family",)
    columns = {
        "split_curvature": "largest over the neurons of the lowest eigenvalue of H_ii − ½I",
        "split_along": "lowest eigenvalue of H_ii − ½I, a neuron along its teacher",
        "split_turned": "lowest eigenvalue of H_ii − ½I, a turned neuron",
        "one_more_highest": "n = k + 1: largest of the lowest eigenvalues over all splits",
        "two_more_highest": "n = k + 2: largest of the lowest eigenvalues over all splits",
        "split_bound_excess": "largest excess of a lowest eigenvalue over the second variation's",
        "half_split_error": "n = k + 1 at equal halves: lowest eigenvalue / 2λ(H_ii − ½I), minus 1",
        "split_loss_error": "largest change of the loss by a split",
        "split_gradient_norm": "largest gradient norm of a split network",
        "split_least_index": "least number of negative eigenvalues of a split network",
        "split_nullity_excess": "largest difference of the nullity of a split network from n − k",
    }

    network: Model = Field(examples=[{"name": "relu_teacher_student", "k": 2, "n": 2}])
    """The full network; its k and n are replaced."""
    shares: list[float] = [0.5, 0.25, 0.1]
    """Shares α of the first part; the rest goes to the others in equal parts."""
    dense_up_to: PositiveInt = 10
    """Largest k for which the split networks' Hessians are formed."""

    def compute(self, results):
        table, cases = nnflow.Table(results, self.columns), []
        for configuration, critical in results.each("critical_points"):
            model = configuration.settings.model
            weights = {"shift": torch.as_tensor(critical["shift"].values[:1])}
            curvatures = _curvatures(model, weights)
            table.row(
                configuration,
                split_curvature=max(curvatures.values()),
                **{f"split_{kind}": value for kind, value in curvatures.items()},
            )
            if model.k <= self.dense_up_to:
                splits = list(self._splits(configuration, model.matrix(weights)[0], curvatures))
                table.row(configuration, **_worst(splits))
                cases += [{"where": configuration.label, **split} for split in splits]
        return table.dataset().assign(_arrays(cases))

    def _splits(self, configuration, w, curvatures) -> Iterator[dict]:
        """One case after the other."""
        k, zero_below = len(w), configuration.settings.classify.zero_below
        whole = _properties(type(self.network)(k=k, n=k), w, zero_below)
        for kinds, parts in _choices(curvatures, configuration.settings.model.sizes):
            for share in self.shares:
                split = _parted(w, _neurons(kinds, k), parts, share)
                network = type(self.network)(k=k, n=len(split))
                properties = _properties(network, split, zero_below)
                bound = min(
                    curvatures[kind] * _factor(share, part)
                    for kind, part in zip(kinds, parts, strict=True)
                )
                yield {
                    "neurons": " and ".join(kinds),
                    "parts": " and ".join(map(str, parts)),
                    "share": share,
                    "students": len(split),
                    "lowest": properties["lowest"],
                    "second_variation": bound,
                    "index": properties["index"],
                    "nullity": properties["nullity"],
                    "loss_error": abs(properties["loss"] - whole["loss"]),
                    "split_gradient": properties["gradient"],
                    "own_nullity": whole["nullity"],
                }


def _curvatures(model, weights) -> dict[str, float]:
    """The lowest eigenvalue of H_ii − ½I by kind of neuron."""
    names = ("turned",) if model.turned == model.k else ("along", "turned")
    values = [
        float(torch.linalg.eigvalsh(matrix[0])[0]) - 0.5 for _, matrix in model.own_blocks(weights)
    ]
    return dict(zip(names, values, strict=True))


def _choices(curvatures, sizes) -> Iterator[tuple[tuple[str, ...], tuple[int, ...]]]:
    """Which kinds of neuron are split, and in how many parts each."""
    for kind, size in zip(curvatures, sizes, strict=True):
        yield (kind,), (2,)
        yield (kind,), (3,)
        if size > 1:
            yield (kind, kind), (2, 2)
    if len(curvatures) == 2:
        yield tuple(curvatures), (2, 2)


def _neurons(kinds: tuple[str, ...], k: int) -> list[int]:
    """Indices of different neurons of these kinds: those along their teachers come first, the
    turned ones last."""
    before = [kinds[:i].count(kind) for i, kind in enumerate(kinds)]
    pairs = zip(kinds, before, strict=True)
    return [count if kind == "along" else k - 1 - count for kind, count in pairs]


def _parted(w, neurons, parts, share: float):
    """w with neurons split: the first part has this share, the others share the rest."""
    split, added = w.clone(), []
    for neuron, count in zip(neurons, parts, strict=True):
        added += [w[neuron] * (1 - share) / (count - 1)] * (count - 1)
        split[neuron] = share * w[neuron]
    return torch.cat([split, torch.stack(added)])


def _factor(share: float, parts: int) -> float:
    """The largest of Σ δ_j²/α_j over unit δ with Σδ = 0, numbers."""
    shares = np.array([share] + [(1 - share) / (parts - 1)] * (parts - 1))
    basis = np.linalg.svd(np.ones((1, parts)))[2][1:]
    return float(np.linalg.eigvalsh(basis @ np.diag(1 / shares) @ basis.T)[-1])


def _properties(model, w, zero_below: float) -> dict[str, float]:
    """Loss, gradient norm, lowest eigenvalue, index and nullity of one network (n, k)."""
    weights = {"w": w[None]}
    values = torch.linalg.eigvalsh(model.hessian(weights, {}))[0].numpy()
    zero = zero_below * np.abs(values).max()
    return {
        "loss": float(model.loss(weights, {})),
        "gradient": float(torch.linalg.vector_norm(model.gradient(weights, {})["w"])),
        "lowest": values[0],
        "index": int((values < -zero).sum()),
        "nullity": int((np.abs(values) <= zero).sum()),
    }


def _worst(cases) -> dict[str, float]:
    """The columns of the whole Hessians of one configuration."""
    k = min(case["students"] for case in cases) - 1

    def highest(n: int) -> float:
        return max(case["lowest"] for case in cases if case["students"] == n)

    halves = [c for c in cases if c["students"] == k + 1 and c["share"] == 0.5]
    return {
        "one_more_highest": highest(k + 1),
        "two_more_highest": highest(k + 2),
        "split_bound_excess": max(c["lowest"] - c["second_variation"] for c in cases),
        "half_split_error": max(
            (abs(c["lowest"] / c["second_variation"] - 1) for c in halves), default=np.nan
        ),
        "split_loss_error": max(c["loss_error"] for c in cases),
        "split_gradient_norm": max(c["split_gradient"] for c in cases),
        "split_least_index": min(c["index"] for c in cases),
        "split_nullity_excess": max(
            abs(c["nullity"] - c["own_nullity"] - (c["students"] - k)) for c in cases
        ),
    }


def _arrays(cases: list[dict]) -> dict:
    """Variables over `case`."""
    names = cases[0] if cases else ()
    return {name: ("case", np.array([case[name] for case in cases])) for name in names}


@nnflow.hookimpl
def nnflow_register(register):
    register("split_minima", SplitMinima)
