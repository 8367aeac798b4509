"""Minima of a network with an idle neuron beside theirs."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, Table, torch

from ...general._flat import named_weights
from .._graph import invariants
from .._refined import inertia


class IdleNeuron(Analysis):
    """What minima of a network of one hidden layer become when a neuron is added whose weights are
    all 0; with `landscape_graph` of a study that has both widths.

    **Lemma.** Let σ(0) = 0, weight decay λ. The wider network has there a gradient of 0, and the
    Hessian of the narrower one beside a block of the new neuron's weights, with the eigenvalues λ
    and λ ± sᵢ, where sᵢ are the singular values of G = σ'(0) Σ x̃ ∇ℓᵀ/N, x̃ = (x, 1), ∇ℓ the slope
    of the loss of a sample in its outputs. *Proof.* The neuron adds c σ(w·x̃) to the outputs. At 0
    its slope in c is σ(0) = 0, in w it is c σ'(0) x̃ = 0, and of its second derivatives only that in
    c and w, σ'(0)x̃, is not 0. So none of its weights changes the outputs to first order, and the
    second order has ∇ℓ · ∂²o alone. ∎

    A network of one output has one singular value: a strict minimum with an idle neuron is a saddle
    of index 1 where |G| > λ, over which the neuron is turned on with one sign or the other, and a
    strict minimum where |G| < λ.

    Raises UserError for another model than `mlp` of one hidden layer with σ smooth and σ(0) = 0.
    """

    models = ("mlp",)
    needs = ("landscape_graph", "objective")
    columns = {
        "idle": "minima found of the network with a neuron fewer, with an idle neuron",
        "idle_gradient": "largest gradient norm at one of them",
        "idle_minima": "of them strict minima",
        "idle_saddles": "of them saddles of index 1",
        "idle_missed": "of these saddles those that the search from this network's minima missed",
        "idle_minima_missed": "of the strict minima those that neither runs nor descents reached",
        "idle_eigenvalue_error": "largest difference between the lowest eigenvalue of the Hessian"
        " and that of the lemma",
    }

    within: PositiveFloat = 1e-6
    """Points whose losses and invariants differ by less are equivalent."""

    def compute(self, results):
        table, found = Table(results, self.columns), results["landscape_graph"]
        widths = {}
        for configuration in results.configurations:
            model = configuration.settings.model
            self._checked(results, model)
            widths[tuple(model.widths)] = configuration
        for (inputs, hidden, outputs), wide in widths.items():
            narrow = widths.get((inputs, hidden - 1, outputs))
            if narrow is not None:
                table.row(wide, **self._row(results, found, narrow, wide))
        return table.dataset()

    def _checked(self, results, model) -> None:
        if len(model.widths) != 3 or not model.activation.smooth or _slope(model)[0] != 0:
            raise nnflow.UserError(
                f"{results.study.file}: analyses.idle_neuron: needs networks of one hidden layer,"
                " with a smooth activation that is 0 at 0"
            )

    def _row(self, results, found, narrow, wide) -> dict:
        model, loss = wide.settings.model, results.objective(wide)
        fewer = results.objective(narrow)
        begun = _points(found, narrow, "minimum")
        points = with_idle(narrow.settings.model, begun)
        index, nullity = inertia(loss, points)
        lowest = np.linalg.eigvalsh(loss.hessian(points))[:, 0]
        turned = model.weight_decay - largest_slope(narrow.settings.model, fewer.data, begun)
        wanted = np.minimum(np.linalg.eigvalsh(fewer.hessian(begun))[:, 0], turned)
        minima, saddles = (points[(index == kind) & (nullity == 0)] for kind in (0, 1))
        known = [_points(found, wide, part) for part in ("minimum", "saddle")]
        return {
            "idle": len(points),
            "idle_gradient": float(np.linalg.norm(loss.gradient(points), axis=1).max()),
            "idle_minima": len(minima),
            "idle_saddles": len(saddles),
            "idle_missed": self._missed(model, loss, saddles, known[1]),
            "idle_minima_missed": self._missed(model, loss, minima, known[0]),
            "idle_eigenvalue_error": float(np.abs(lowest - wanted).max()),
        }

    def _missed(self, model, loss, points, known) -> int:
        """Points that are images of none of the known ones."""
        if not len(points) or not len(known):
            return len(points)
        heights = np.abs(loss.loss(points)[:, None] - loss.loss(known))
        one, other = invariants(model, points), invariants(model, known)
        gaps = np.abs(one[:, None] - other).max(axis=2)
        same = (heights < self.within) & (gaps < self.within)
        return int((~same.any(axis=1)).sum())


def with_idle(model, weights: np.ndarray) -> np.ndarray:
    """Networks (point, weight) of one hidden layer with one neuron more, all of whose weights
    are 0."""
    named = named_weights(model, weights)
    count, (inputs, _, outputs) = len(weights), model.widths
    parts = {
        "w1": np.concatenate([named["w1"], np.zeros((count, 1, inputs))], axis=1),
        "b1": np.concatenate([named["b1"], np.zeros((count, 1))], axis=1),
        "w2": np.concatenate([named["w2"], np.zeros((count, outputs, 1))], axis=2),
        "b2": named["b2"],
    }
    return np.concatenate([parts[name].reshape(count, -1) for name in model.shapes()], axis=1)


def largest_slope(model, data: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    """The largest singular value of G at each network, (point,)."""
    inputs, targets = (torch.as_tensor(data[name]) for name in ("inputs", "targets"))
    named = {name: torch.as_tensor(part) for name, part in named_weights(model, weights).items()}
    outputs = model.outputs(named, inputs)
    slopes = model.loss_function.slope(outputs, targets) / len(inputs)
    features = torch.cat([inputs, torch.ones_like(inputs[:, :1])], dim=1)
    matrices = _slope(model)[1] * features.mT @ slopes
    return torch.linalg.matrix_norm(matrices, ord=2).numpy()


def _slope(model) -> tuple[float, float]:
    """σ(0) and σ'(0)."""
    zero = torch.zeros(1, dtype=torch.float64)
    value = model.activation(zero)
    return float(value), float(model.activation.derivative(zero, value))


def _points(found, configuration, part: str) -> np.ndarray:
    """Minima or saddles of one configuration, (point, weight)."""
    points = found.sel(configuration=configuration.label)[f"{part}_weights"].values
    shapes = configuration.settings.model.shapes().values()
    points = points[:, : sum(int(np.prod(shape)) for shape in shapes)]
    return points[np.isfinite(points).all(axis=1)]


@nnflow.hookimpl
def nnflow_register(register):
    register("idle_neuron", IdleNeuron)
