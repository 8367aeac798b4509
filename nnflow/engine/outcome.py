"""How runs ended, and where those stand that have not ended: all that training must remember."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import torch

from nnflow.interfaces.optimizer import Optimizer, State

STATUS = ("converged", "step_limit", "diverged")
STOPPED_BY = ("gradient_norm", "basin", "loss", "steps", "divergence")
RUNNING = -1

Groups = dict[str, dict[str, np.ndarray]]


@dataclass
class Outcome:
    """How the runs of one configuration ended; arrays over `run`.

    status, stopped_by: indices into STATUS and STOPPED_BY. restarts: how often the run
    began again with half the step. trace: {name: (run, trace_step, …)}, NaN after the end.
    kept: (run, kept_step, weight), the weights at the steps `kept_step`, NaN after the end.
    preconditioner: the optimizer's there, of the same shape; empty where it has none.
    """

    weights: torch.Tensor
    loss: np.ndarray
    gradient_norm: np.ndarray
    steps: np.ndarray
    status: np.ndarray
    stopped_by: np.ndarray
    restarts: np.ndarray
    trace_step: np.ndarray
    kept_step: np.ndarray
    kept: np.ndarray
    trace: dict[str, np.ndarray] = field(default_factory=dict)
    preconditioner: np.ndarray = field(default_factory=lambda: np.empty((0, 0, 0)))

    @classmethod
    def empty(cls, initial: torch.Tensor, trace_step: np.ndarray, kept_step: np.ndarray) -> Outcome:
        """Before the first step of any run."""
        runs = len(initial)
        return cls(
            weights=initial.clone(),
            loss=np.full(runs, np.nan),
            gradient_norm=np.full(runs, np.nan),
            steps=np.zeros(runs, dtype=np.int64),
            status=np.full(runs, RUNNING, dtype=np.int8),
            stopped_by=np.full(runs, RUNNING, dtype=np.int8),
            restarts=np.zeros(runs, dtype=np.int64),
            trace_step=trace_step,
            kept_step=kept_step,
            kept=np.full((runs, len(kept_step), initial.shape[1]), np.nan),
        )

    def groups(self) -> Groups:
        """All of it as plain arrays."""
        names = [each.name for each in fields(self) if each.name not in ("weights", "trace")]
        ends = {name: getattr(self, name) for name in names}
        return {"ends": {"weights": _array(self.weights), **ends}, "trace": self.trace}

    @classmethod
    def from_groups(cls, groups: Groups, device: torch.device) -> Outcome:
        """The inverse of `groups`."""
        ends = dict(groups["ends"])
        weights = torch.as_tensor(ends.pop("weights")).to(device)
        return cls(weights=weights, trace=dict(groups["trace"]), **ends)


@dataclass
class Position:
    """Where the runs of one configuration stand between two looks at the stop rules.

    rows: numbers of the running runs; theirs are weights, state, next_test (the steepness at the
    next basin test) and varied (settings of the optimizer that differ from run to run, (run, 1)).
    step: the last one checked, −1 before the first. halvings: of their step.
    Random numbers need no place here: they are functions of run and step.
    """

    outcome: Outcome
    rows: np.ndarray
    weights: torch.Tensor
    state: State
    next_test: np.ndarray
    varied: dict[str, torch.Tensor] = field(default_factory=dict)
    step: int = -1
    halvings: int = 0

    @classmethod
    def at_start(
        cls,
        optimizer: Optimizer,
        initial: torch.Tensor,
        outcome: Outcome,
        rows: np.ndarray,
        next_test: float,
        varied: dict[str, torch.Tensor],
        halvings: int = 0,
    ) -> Position:
        """The given rows at their first weights."""
        outcome.restarts[rows] = halvings
        weights = initial[torch.as_tensor(rows)]
        scale = torch.full_like(weights[:, 0], 2.0**-halvings)
        varied = {name: values[torch.as_tensor(rows)] for name, values in varied.items()}
        state = with_settings(optimizer, varied).start(weights, scale)
        tests = np.full(len(rows), next_test)
        return cls(outcome, rows, weights, state, tests, varied, halvings=halvings)

    def select(self, mask: np.ndarray) -> None:
        """Leave out the runs that are not in the mask, (run,) bool."""
        chosen = torch.as_tensor(np.flatnonzero(mask))
        self.weights = self.weights[chosen]
        self.state = {name: value[chosen] for name, value in self.state.items()}
        self.varied = {name: value[chosen] for name, value in self.varied.items()}
        self.rows, self.next_test = self.rows[mask], self.next_test[mask]

    def groups(self) -> Groups:
        """All of it as plain arrays."""
        running = {
            "rows": self.rows,
            "weights": _array(self.weights),
            "next_test": self.next_test,
            "step": np.array(self.step),
            "halvings": np.array(self.halvings),
        }
        state = {name: _array(value) for name, value in self.state.items()}
        varied = {name: _array(value) for name, value in self.varied.items()}
        return {**self.outcome.groups(), "running": running, "state": state, "varied": varied}

    @classmethod
    def from_groups(cls, groups: Groups, device: torch.device) -> Position:
        """The inverse of `groups`."""
        running = groups["running"]
        state = {name: torch.as_tensor(a).to(device) for name, a in groups["state"].items()}
        return cls(
            outcome=Outcome.from_groups(groups, device),
            rows=running["rows"],
            weights=torch.as_tensor(running["weights"]).to(device),
            state=state,
            next_test=running["next_test"],
            varied={n: torch.as_tensor(a).to(device) for n, a in groups.get("varied", {}).items()},
            step=int(running["step"]),
            halvings=int(running["halvings"]),
        )


def with_settings(optimizer: Optimizer, varied: dict[str, torch.Tensor]) -> Optimizer:
    """The optimizer with the settings of each run, (run, 1), in place of its own."""
    return optimizer.with_values(varied) if varied else optimizer


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy()
