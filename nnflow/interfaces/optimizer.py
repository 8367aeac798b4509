"""What an optimizer is: a pure step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nnflow.base.descent_arrays import DescentArrays
from nnflow.interfaces.plugin import Plugin

if TYPE_CHECKING:
    import numpy as np
    import torch

    from nnflow.interfaces.protocols import ObjectiveView

State = dict[str, "torch.Tensor"]


@dataclass(frozen=True)
class Descent:
    """Many steps that are taken at once, where the model has a compiled gradient:

        V⁺ = βV + α∇L(W),  W⁺ = W − V⁺,  or with `ahead` V⁺ = βV + α∇L(W − βV).

    steps: how many, a number or (run,). rate: α, (run, 1). velocity: V, (run, weight); None:
    W⁺ = W − α∇L(W) alone. momentum: β, a number or (run, 1). quiet: gradient norms, (run, 1), at
    and below which a run waits instead of its next step. A run may wait where its norm is higher by
    rounding errors. None: no run waits. Steps of each run and quiet norms go without a velocity.
    """

    steps: int | torch.Tensor
    rate: torch.Tensor
    velocity: torch.Tensor | None = None
    momentum: float | torch.Tensor = 0.0
    ahead: bool = False
    quiet: torch.Tensor | None = None

    def arrays(self, weights: torch.Tensor) -> DescentArrays:
        """Copies for compiled code to move in place."""
        import numpy as np
        import torch

        def by_run(value: Any, dtype: torch.dtype = weights.dtype) -> np.ndarray:
            value = torch.as_tensor(value, dtype=dtype)
            return value.reshape(-1).expand(len(weights)).numpy().copy()

        none, quiet = np.empty((0, 0)), self.quiet
        if quiet is None and isinstance(self.steps, torch.Tensor):
            quiet = -torch.ones_like(self.rate)
        return DescentArrays(
            weights=weights.numpy().copy(),
            velocity=none if self.velocity is None else self.velocity.numpy().copy(),
            left=by_run(self.steps, torch.int64),
            rate=by_run(self.rate),
            momentum=by_run(self.momentum),
            ahead=self.ahead,
            quiet=np.empty(0) if quiet is None else by_run(quiet),
        )

    def result(self, arrays: DescentArrays) -> Descended:
        """What `Objective.descend` gives, of such arrays."""
        import torch

        velocity = None if self.velocity is None else torch.from_numpy(arrays.velocity)
        return Descended(torch.from_numpy(arrays.weights), velocity, torch.from_numpy(arrays.left))


class Descended(NamedTuple):
    """Weights and velocity after a descent, and the steps that each run has left, (run,), as it
    waits."""

    weights: torch.Tensor
    velocity: torch.Tensor | None
    left: torch.Tensor


class Optimizer(Plugin):
    """A rule that moves the weights of many runs by one step.

    Weights are flat here, (run, weight); `objective.gradient(weights)` and
    `objective.loss(weights)` evaluate the model, `objective.minibatch(…)` restricts it
    to samples, `objective.streams` gives each run its own random numbers. Everything
    that must be remembered between steps is in `state`, tensors with a leading run axis:
    runs that have finished are cut out both of the weights and of the state.
    """

    kind: ClassVar[str] = "optimizers"

    is_gradient_descent: ClassVar[bool] = False
    """True if the step is W − α∇L(W), retracted where there is a manifold, with α in
    `state["rate"]`, (run, 1). Only then may the stop rules `basin` and `loss` decide a run
    before it has converged."""

    keeps_manifold: ClassVar[bool] = False
    """True if the weights stay on the objective's manifold, by `objective.retract(…)`. Only such
    an optimizer can train a model whose weights are bound to one."""

    keeps_constraints: ClassVar[bool] = False
    """True if the weights stay in the convex set `objective.constraints`, by its projection or its
    linear minimization. Only such an optimizer can train a model whose weights are confined to
    one."""

    needs_constraints: ClassVar[bool] = False
    """True if there is no step without a convex set."""

    def stable_curvature(self) -> Any:
        """The largest curvature λ > 0 of a quadratic λw²/2 on which the steps do not grow: 2/α for
        gradient descent. Where there is a preconditioner P, it is that of P^(−1/2)HP^(−1/2). A
        number, (run,) where settings vary; None: there is none, or it is not known."""
        return None

    def preconditioner(self, state: State) -> torch.Tensor | None:
        """The positive diagonal P that the last step was divided by, entry by entry, (run, weight);
        None: there is none. It is kept beside the weights along trajectories."""
        return None

    def start(self, weights: torch.Tensor, scale: torch.Tensor) -> State:
        """State before the first step.

        scale: (run,) 1, or 2⁻ᵐ for a run started again after it diverged m times; the
        step is to be scaled by it.
        """
        raise NotImplementedError

    def step(
        self, objective: ObjectiveView, weights: torch.Tensor, state: State
    ) -> tuple[torch.Tensor, State]:
        """Weights and state after one step; the arguments are left as they are."""
        raise NotImplementedError

    def steps(
        self, objective: ObjectiveView, weights: torch.Tensor, state: State, count: int
    ) -> tuple[torch.Tensor, State]:
        """The same after `count` steps, bit for bit. What is given here takes one after another; an
        optimizer may ask `objective.descend` for all of them."""
        for _ in range(count):
            weights, state = self.step(objective, weights, state)
        return weights, state


class Standing(Optimizer):
    """No step at all: the rule of studies that name no optimizer."""

    keeps_manifold = True
    keeps_constraints = True

    def start(self, weights, scale):
        return {}

    def step(self, objective, weights, state):
        return weights, state


Standing.name = "none"
