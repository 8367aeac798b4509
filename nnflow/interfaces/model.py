"""What a model is: a loss over many runs at once, and whatever else it knows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar

from nnflow.base.errors import UserError
from nnflow.interfaces.enclosure import Enclosure
from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np
    import torch

    from nnflow.base.run_gradient import RunGradient
    from nnflow.base.side_by_side import LaneGradient
    from nnflow.base.streams import Streams
    from nnflow.interfaces.constraints import ConvexSet
    from nnflow.interfaces.kinks import Kinks
    from nnflow.interfaces.manifolds import Manifold

T = TypeVar("T", bound=Any)
Shapes = dict[str, tuple[int, ...]]
Weights = Mapping[str, "torch.Tensor"]
Data = Mapping[str, "torch.Tensor"]


class Minibatch(Mapping[str, "torch.Tensor"]):
    """Data whose arrays, but for the held-out ones, begin with an axis over the runs: each run has
    samples of its own."""

    def __init__(self, arrays: Data):
        self._arrays = dict(arrays)

    def __getitem__(self, name: str) -> torch.Tensor:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class Composed(NamedTuple):
    """A loss as a function of outputs, L(W) = price(f(W), W).

    outputs: f(W), (run, …). price: L, (run,), of outputs and weights. likelihood: are the outputs
    natural parameters of a distribution of the targets, and is the price, but for what weights cost
    by themselves, the mean of its −log p?
    """

    outputs: torch.Tensor
    price: Callable[[torch.Tensor, Weights], torch.Tensor]
    likelihood: bool


class Model(Plugin):
    """A loss landscape L(W).

    Every method sees the weights of many runs at once: a mapping from the names of
    `shapes` to tensors (run, *shape). `data` holds the study's dataset by name
    (`inputs`, `targets`, …), with no leading run axis or, in a `Minibatch`, which differs
    from run to run, with one; it is empty for a population loss. A model with `buffers` finds
    them among the weights.

    Only `shapes` and `loss` are required. What a model leaves out is derived from the
    loss by automatic differentiation, or goes without.
    """

    kind: ClassVar[str] = "models"

    def shapes(self) -> Shapes:
        """Names and shapes of one run's weights; a matrix is (outputs, inputs)."""
        raise NotImplementedError

    def loss(self, weights: Weights, data: Data) -> torch.Tensor:
        """L(W), (run,)."""
        raise NotImplementedError

    def buffers(self) -> Shapes:
        """Names and shapes of further numbers that belong to a run as its weights do, and that
        nothing moves: running statistics of a normalization, frozen weights. They are kept beside
        the weights in all datasets, and given with them to every method."""
        return {}

    def statistics(self, weights: Weights, data: Data) -> dict[str, torch.Tensor] | None:
        """The buffers as the data make them at W, {name: (run, *shape)}: means and variances of
        what enters a batch norm, say; None: no buffer describes the data."""
        return None

    def reading(self) -> Model:
        """The model whose loss reads those buffers, where this one's takes the statistics of the
        samples at hand; by default the model itself."""
        return self

    def shared(self) -> dict[str, str]:
        """{further name: name among `shapes` or `buffers`} of weights that go by several names in
        files that others have written."""
        return {}

    def saves(self, buffer: str) -> bool:
        """Is this buffer in such files? One that is not begins as `initial` says."""
        return True

    def initial(self, streams: Streams) -> dict[str, np.ndarray]:
        """First weights and buffers by a law of the model's own, {name: (run, *shape)}; a model
        that has buffers has such a law. All randomness comes from `streams`. Raises UserError
        where there is none."""
        raise UserError(f"model {self.name!r} has no initialization of its own")

    def size_if_known(self) -> int | None:
        """Number of weights of one run, for planning; None where that takes more than reading
        the settings, as of networks that torch has to build."""
        return size(self)

    def gradient(self, weights: Weights, data: Data) -> dict[str, torch.Tensor] | None:
        """∇L(W), each (run, *shape), in closed form; None: by automatic differentiation."""
        return None

    def lane_gradient(self, data: Data) -> LaneGradient | None:
        """∇L as code that is compiled takes it, for all uses in the place of `gradient`, so that
        an optimizer may take many steps in one compiled call; None: not known. Asked for in float64
        on a processor alone, where there is no manifold, constraint or buffer, and where no setting
        of the model differs from run to run."""
        return None

    def run_gradient(self, data: Data) -> RunGradient | None:
        """The same for a loss that is a mean over samples, as `lane_gradient` is for one without:
        code that takes a run at a time. data: all samples; a minibatch is told by numbers of them.
        """
        return None

    def hessian(self, weights: Weights, data: Data) -> torch.Tensor | None:
        """∇²L(W) over the flattened weights in the order of `shapes`,
        (run, weight, weight); None: by automatic differentiation."""
        return None

    def third_derivative_bound(self, weights: Weights, radius: torch.Tensor) -> torch.Tensor | None:
        """B with ‖∇²L(U) − ∇²L(W)‖ ≤ B‖U − W‖ for all U within `radius` (run,) of W;
        (run,), inf where there is none; None: not known for this model. The stop rule `basin` and
        the classification of minima rest on it."""
        return None

    def on_plane(
        self, center: Weights, first: Weights, second: Weights, data: Data
    ) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor] | None:
        """(x, y) ↦ L(center + x·first + y·second), each (point,), where the model has a cheaper way
        than `loss` at every point; None: it has none. The three have a leading axis of length 1."""
        return None

    def composed(self, weights: Weights, data: Data) -> Composed | None:
        """L as a function of outputs, for Gauss–Newton and Fisher matrices; None: not told."""
        return None

    def arrays(self) -> dict[str, str]:
        """The arrays of a dataset that the loss reads, {name: "real" or "classes"}: real numbers,
        or whole ones from 0. A study without them is refused before any job; empty: not told."""
        return {}

    def manifold(self) -> Manifold | None:
        """What the flat weights, in the order of `shapes`, are bound to; None: nothing. Then
        the optimizer has to stay there, and gradients, kinds and spectra are those along it;
        `loss`, `gradient` and `hessian` stay those of all weights."""
        return None

    def constraints(self) -> ConvexSet | None:
        """The closed convex set that the flat weights, in the order of `shapes`, are confined to;
        None: they are free. Then the optimizer has to keep them there, and what vanishes at a
        critical point is W − P(W − ∇L), with the projection P; `loss`, `gradient` and `hessian`
        stay those of all weights, and are asked for in the set only."""
        return None

    def smooth(self, weights: Weights, data: Data) -> torch.Tensor | None:
        """(run,) bool: is L twice differentiable around W? None: everywhere."""
        return None

    def kinks(self, weights: Weights, data: Data, within: float) -> list[Kinks | None] | None:
        """For each run the kinks of L whose surfaces pass W at a distance of at most `within`, to
        first order; an entry is None where they can't be said. None: the model does not say."""
        return None

    def interchangeable(self) -> tuple[str, ...]:
        """Names among `dimensions` of axes whose entries, such as hidden neurons, may be put into
        another order: in all weights and buffers that have the axis at once, which leaves L as it
        is."""
        return ()

    def permuted(self, weights: Mapping[str, T], orders: Mapping[str, np.ndarray]) -> dict[str, T]:
        """The weights, and buffers where they are given, tensors or arrays (run, *shape), with the
        entries of axes in another order: orders {axis: places}, entry i is the one that was at
        places[i]."""
        moved = dict(weights)
        for name, axes in self.dimensions().items():
            for place, axis in enumerate(axes, start=1):
                if axis in orders and name in moved:
                    moved[name] = moved[name][(slice(None),) * place + (orders[axis],)]
        return moved

    def canonical(self, weights: Weights) -> dict[str, torch.Tensor]:
        """One chosen image of W under the model's symmetry, for display."""
        return dict(weights)

    def invariants(self, weights: Weights) -> torch.Tensor | None:
        """(run, number): numbers that are the same for a point's images under the model's
        symmetry and, for practical purposes, differ otherwise; None: the weights."""
        return None

    def outputs(self, weights: Weights, inputs: torch.Tensor) -> torch.Tensor | None:
        """What the network gives for inputs (sample, …): (run, sample, output); None: the model is
        no function of inputs, or does not say. Tangent kernels are those of this function."""
        return None

    def observables(self, weights: Weights, data: Data) -> dict[str, torch.Tensor]:
        """Further scalars (run,) or small arrays (run, …) recorded along a trajectory."""
        return {}

    def infimum(self) -> float | None:
        """inf L, where it is known."""
        return None

    def enclosure(self) -> Enclosure | None:
        """L and its derivatives over boxes of weights, for certificates; None: not known."""
        return None

    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """Names of the axes of each weight, for the datasets; default NAME_0, NAME_1, …"""
        return {}


def size(model: Model) -> int:
    """Number of weights of one run."""
    return sum(math.prod(shape) for shape in model.shapes().values())


def weight_dimensions(model: Model) -> dict[str, tuple[str, ...]]:
    """Names of the axes of each weight and buffer: the model's, or NAME_0, NAME_1, …"""
    named = model.dimensions()
    return {
        name: named.get(name, tuple(f"{name}_{axis}" for axis in range(len(shape))))
        for name, shape in {**model.shapes(), **model.buffers()}.items()
    }
