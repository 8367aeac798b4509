"""Perturbed gradient descent, which leaves strict saddles."""

from __future__ import annotations

import math
from typing import NamedTuple

from pydantic import PositiveFloat, PositiveInt, model_validator

import nnflow
from nnflow import Descent, Optimizer, torch

from .._ball import in_ball


class Parameters(NamedTuple):
    """What Algorithm 1 computes from its constants: η, r, g_thres, f_thres, t_thres."""

    rate: float
    radius: float
    gradient_threshold: float
    loss_threshold: float
    waiting_time: int


class PerturbedGradientDescent(Optimizer):
    """Gradient descent that adds noise where the gradient is small.

    Jin, Ge, Netrapalli, Kakade & Jordan, "How to escape saddle points efficiently", ICML
    2017 (arXiv:1703.00887), Algorithm 1. With χ = 3 max{log(dℓΔ_f/(cε²δ)), 4} for d weights:

        η = c/ℓ,  r = √c ε/(χ²ℓ),  g = √c ε/χ²,  f = c √(ε³/ρ)/χ³,  t = χℓ/(c²√(ρε)).

    In each step, where ‖∇L(W)‖ ≤ g and the last noise is more than t steps old: W̃ = W, then
    W moves by a point uniform in the ball of radius r. If t steps later the loss has not
    fallen by f below L(W̃), the algorithm returns W̃. Else W⁺ = W − η∇L(W).

    For ε ≤ ℓ²/ρ and c small enough, W̃ has ‖∇L‖ ≤ ε and λ_min ≥ −√(ρε), with probability
    1 − δ. The literal parameters are tiny (χ ≥ 12); each can be set instead, and then only
    those constants are needed that the others are computed from.

    A run that has returned stays at W̃, so that the step limit ends it; a stop rule on the
    gradient norm would end runs at saddles before noise is added: set `gradient_norm: null`.
    """

    smoothness: PositiveFloat | None = None
    """ℓ: Lipschitz constant of the gradient."""
    hessian_lipschitz: PositiveFloat | None = None
    """ρ: Lipschitz constant of the Hessian."""
    accuracy: PositiveFloat | None = None
    """ε: gradient norm of the points that are sought."""
    c: PositiveFloat | None = None
    """The constant c, at most some absolute c_max that the paper does not give."""
    failure: PositiveFloat | None = None
    """δ: allowed probability of failure."""
    loss_gap: PositiveFloat | None = None
    """Δ_f: at least L(W₀) − inf L."""
    rate: PositiveFloat | None = None
    """η, instead of the computed one."""
    radius: PositiveFloat | None = None
    """r, radius of the noise, instead of the computed one."""
    gradient_threshold: PositiveFloat | None = None
    """g_thres, the gradient norm at which noise is added, instead of the computed one."""
    loss_threshold: PositiveFloat | None = None
    """f_thres, the decrease that counts as an escape, instead of the computed one."""
    waiting_time: PositiveInt | None = None
    """t_thres, steps between noise and verdict, instead of the computed one (rounded up)."""

    varies = ("rate", "radius", "gradient_threshold", "loss_threshold")

    @model_validator(mode="after")
    def _complete(self):
        for name, constants in NEEDED.items():
            missing = [key for key in constants if getattr(self, key) is None]
            if getattr(self, name) is None and missing:
                raise ValueError(f"{name} or {missing[0]} is needed")
        return self

    def parameters(self, dimension: int) -> Parameters:
        """The five parameters for `dimension` weights."""
        computed = {}
        for name in Parameters._fields:
            given = getattr(self, name)
            computed[name] = self._compute(name, dimension) if given is None else given
        return Parameters(**computed)

    def _compute(self, name: str, dimension: int) -> float:
        ell, rho, epsilon, c = self.smoothness, self.hessian_lipschitz, self.accuracy, self.c
        if name == "rate":
            return c / ell
        ratio = dimension * ell * self.loss_gap / (c * epsilon**2 * self.failure)
        chi = 3 * max(math.log(ratio), 4)
        if name == "radius":
            return math.sqrt(c) * epsilon / (chi**2 * ell)
        if name == "gradient_threshold":
            return math.sqrt(c) * epsilon / chi**2
        if name == "loss_threshold":
            return c * math.sqrt(epsilon**3 / rho) / chi**3
        return math.ceil(chi * ell / (c**2 * math.sqrt(rho * epsilon)))

    def start(self, weights, scale):
        parameters = self.parameters(weights.shape[1])
        step = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)
        return {
            "rate": parameters.rate * scale[:, None],
            "step": step,
            "noise_step": step - parameters.waiting_time - 1,
            "anchor": weights.clone(),
            "anchor_loss": torch.full_like(scale, math.inf),
            "returned": torch.zeros_like(step, dtype=torch.bool),
        }

    def step(self, objective, weights, state):
        if state["returned"].all():
            return weights, state
        parameters = self.parameters(weights.shape[1])
        now, waiting = state["step"], ~state["returned"]
        gradient = objective.gradient(weights)
        norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
        quiet = (norm <= parameters.gradient_threshold).squeeze(1)
        noisy = waiting & quiet & (now - state["noise_step"] > parameters.waiting_time)
        if noisy.any():
            state = _anchored(objective, weights, state, noisy)
            weights = weights + parameters.radius * _noise(objective, weights, noisy, now)
            gradient = torch.where(noisy[:, None], objective.gradient(weights), gradient)
        due = waiting & (now - state["noise_step"] == parameters.waiting_time)
        if due.any():
            change = (objective.loss(weights) - state["anchor_loss"])[:, None]
            stayed = (change > -parameters.loss_threshold).squeeze(1)
            waiting = waiting & ~(due & stayed)
        moved = weights - state["rate"] * gradient
        moved = torch.where(waiting[:, None], moved, state["anchor"])
        step = torch.where(state["returned"], now, now + 1)
        return moved, {**state, "step": step, "returned": ~waiting}

    def steps(self, objective, weights, state, count):
        """Between noise and verdict, and until its gradient is small, a run descends."""
        left = torch.where(state["returned"], 0, count)
        while left.any():
            descent = self._descent(weights, state, left)
            together = objective.descend(weights, descent)
            if together is None:
                return super().steps(objective, weights, state, count)
            taken = descent.steps - together.left
            weights, left = together.weights, left - taken
            state = {**state, "step": state["step"] + taken}
            if not left.any():
                break
            stepped = self.step(objective, weights, state)
            weights, state = _chosen(left > 0, stepped, (weights, state))
            left = torch.where(state["returned"], 0, (left - 1).clamp(min=0))
        return weights, state

    def _descent(self, weights, state, left):
        """The steps until a verdict is due, or until noise may be."""
        parameters = self.parameters(weights.shape[1])
        due = state["noise_step"] + parameters.waiting_time - state["step"]
        watched = (due < 0)[:, None]
        quiet = torch.where(watched, parameters.gradient_threshold, -1.0)
        steps = torch.where(due < 0, left, torch.minimum(left, due))
        return Descent(steps, state["rate"], quiet=quiet.to(weights.dtype))


def _chosen(rows, yes, no):
    """Weights and state of the first where `rows` holds, else of the second."""

    def chosen(one, other):
        return torch.where(rows.reshape(-1, *[1] * (one.dim() - 1)), one, other)

    return chosen(yes[0], no[0]), {name: chosen(yes[1][name], no[1][name]) for name in no[1]}


def _anchored(objective, weights, state, noisy):
    """The state after noise: when, where and at which loss it was added."""
    return {
        **state,
        "noise_step": torch.where(noisy, state["step"], state["noise_step"]),
        "anchor": torch.where(noisy[:, None], weights, state["anchor"]),
        "anchor_loss": torch.where(noisy, objective.loss(weights), state["anchor_loss"]),
    }


def _noise(objective, weights, noisy, now):
    """Points uniform in the unit ball for the `noisy` runs, 0 for the others."""
    rows = torch.nonzero(noisy).squeeze(1).cpu().numpy()
    streams, draw = objective.streams.take(rows), now.cpu().numpy()[rows]
    inside = in_ball(1.0, streams.normal(weights.shape[1] + 2, draw=draw))
    noise = torch.zeros_like(weights)
    noise[noisy] = torch.as_tensor(inside).to(weights.device)
    return noise


_ALL = ("smoothness", "accuracy", "c", "failure", "loss_gap")
NEEDED = {
    "rate": ("smoothness", "c"),
    "radius": _ALL,
    "gradient_threshold": _ALL,
    "loss_threshold": (*_ALL, "hessian_lipschitz"),
    "waiting_time": (*_ALL, "hessian_lipschitz"),
}
"""The constants that each parameter is computed from."""


@nnflow.hookimpl
def nnflow_register(register):
    register("perturbed_gradient_descent", PerturbedGradientDescent)
