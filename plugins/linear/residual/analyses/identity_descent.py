"""Gradient descent from the identity, mode by mode."""

from __future__ import annotations

from functools import cache

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis

from ....general._padding import padded

TOLERANCE = 1e-11
"""Relative tolerance of the flow of one mode."""
TIMES = 121
"""Times at which it is recorded, evenly spaced in their logarithm, and time 0."""


class IdentityDescent(Analysis):
    """Descent of a residual_linear_network from V = 0, as in Bartlett, Helmbold & Long 2018
    (arXiv:1802.06093).

    For a symmetric target, Σ = I and W_k = I + V_k, all W_k stay equal and commute with R, and
    each eigenvalue r of R has a mode of its own,

        dw/dt = 2c w^{K−1}(r − w^K),  w(0) = 1,

    with a limit w^K = max(r, 0) and so the loss c Σ min(r, 0)². Solved to rounding here:
    `flow_strength` w^K (configuration, mode, time) at the times `flow_time`, steps times rate.
    `tail` w(t) (configuration, tail, tail_time) of the flow with 2c = 1 and r = ½, 0, −½, to late
    times, and `tail_law`, what it tends to: w^K = r for r > 0; (1 + (2K − 2)t)^{−1/(2K−2)} for
    r = 0; for r < 0 a decay as exp(rt) for K = 2 and (|r|(K − 2)t)^{−1/(K−2)} for K ≥ 3.

    Columns of the descent are NaN unless the target is symmetric and the first weights are 0; those
    of the tails where the depth is 1.
    """

    needs = ("initialization", "training")
    models = ("residual_linear_network",)
    columns = {
        "last_loss": "loss at the last step",
        "stall": "c Σ min(r, 0)², the loss of the modes with negative eigenvalues at 0",
        "excess": "loss above that",
        "flow_excess": "the same of the flow at that time",
        "layer_spread": "largest ‖W_k − W_1‖_F",
        "commutator": "largest ‖W_kR − RW_k‖_F",
        "flow_error": "largest distance of a strength from the flow, of the order of the rate",
        "zero_law_error": "largest |w/law − 1| for r = 0",
        "tail_ratio": "for r < 0 w over its law at the last time; K = 2: −d log w/dt over |r|",
    }

    tail_time: PositiveFloat = 1e6
    """Last time of the tails."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        curves = []
        for configuration in results.configurations:
            flow, tails = _flow(results, configuration), _tails_of(configuration, self.tail_time)
            numbers = {name: cell for name, cell in {**flow, **tails}.items() if name not in ARRAYS}
            table.row(configuration, **numbers)
            curves.append({**NO_FLOW, **flow, **tails})
        variables = {
            name: (("configuration", *axes), padded([one[name] for one in curves]), text)
            for name, (axes, text) in ARRAYS.items()
        }
        return table.dataset().assign(variables).assign_coords(tail=list(TAILS))


def _flow(results, configuration) -> dict:
    """The columns and curves of a descent with a symmetric target from V = 0; else nothing."""
    settings = configuration.settings
    first = results.at("initialization", configuration.label)["v"].values
    symmetric = settings.model.rotation == 0 and not settings.model.covariance
    descends = hasattr(settings.optimizer, "rate") and settings.model.depth > 1
    if not symmetric or first.any() or not descends:
        return {}
    return _descent(configuration, results.at("training", configuration.label))


def _tails_of(configuration, last: float) -> dict:
    """A single layer reaches every target: there is no decay."""
    depth = configuration.settings.model.depth
    return _tails(depth, last) if depth > 1 else NO_TAILS


TAILS = (0.5, 0.0, -0.5)
"""Targets r of the tails."""
ARRAYS = {
    "flow_time": (("time",), {"long_name": "steps times rate"}),
    "flow_strength": (("mode", "time"), {"long_name": "strength of a mode"}),
    "tail_time": (("tail_step",), {"long_name": "time"}),
    "tail_weight": (("tail", "tail_step"), {"long_name": "weight w"}),
    "tail_law": (("tail", "tail_step"), {"long_name": "what w tends to"}),
}
NO_FLOW = {"flow_time": np.full(1, np.nan), "flow_strength": np.full((1, 1), np.nan)}
NO_TAILS = {
    "tail_time": np.full(1, np.nan),
    **dict.fromkeys(("tail_weight", "tail_law"), np.full((len(TAILS), 1), np.nan)),
}


def mode_flow(target: float, depth: int, times: np.ndarray) -> np.ndarray:
    """log w at rising times (time,) from 0 on, of dw/dt = w^{K−1}(r − w^K), w(0) = 1, for K ≥ 2.

    It is the logarithm that is solved for, as it keeps its digits while w decays.
    """
    from scipy.integrate import solve_ivp

    def speed(_, log):
        return np.exp((depth - 2) * log) * (target - np.exp(depth * log))

    def slope(_, log):
        slow = (depth - 2) * np.exp((depth - 2) * log) * target
        return (slow - (2 * depth - 2) * np.exp((2 * depth - 2) * log))[:, None]

    solved = solve_ivp(
        speed, (0, times[-1]), [0.0], method="LSODA", t_eval=times, jac=slope,
        rtol=TOLERANCE, atol=TOLERANCE,
    )  # fmt: skip
    return solved.y[0]


def _times(last: float) -> np.ndarray:
    return np.concatenate([[0.0], np.geomspace(min(1e-2, last / 10), last, TIMES - 1)])


def _descent(configuration, trained) -> dict:
    """The columns of a descent with a symmetric target."""
    model, rate = configuration.settings.model, configuration.settings.optimizer.rate
    values, power = np.array(model.values), model.depth
    weights, steps = trained["v"].values, int(trained["steps"].values.max())
    layers = weights + np.eye(weights.shape[-1])
    target = model.target()
    recorded = trained["trace_step"].values
    recorded = recorded[(recorded > 0) & (recorded <= steps)]
    pace = 2 * model.factor * rate
    times = _times(pace * steps)
    whole = np.unique(np.concatenate([times, pace * recorded]))
    flows = np.exp(power * np.stack([mode_flow(value, power, whole) for value in values]))
    at_steps = flows[:, np.searchsorted(whole, pace * recorded)]
    traced = trained["trace_strength"].values[0]
    traced = traced[np.isin(trained["trace_step"].values, recorded)].T
    last = float(trained["loss"].values.max())
    stall = model.factor * (np.minimum(values, 0) ** 2).sum() + model.infimum()
    flow_loss = model.factor * ((flows[:, -1] - values) ** 2).sum() + model.infimum()
    return {
        "last_loss": last,
        "stall": stall,
        "excess": last - stall,
        "flow_excess": flow_loss - stall,
        "layer_spread": np.linalg.norm(layers - layers[:, :1], axis=(2, 3)).max(),
        "commutator": np.linalg.norm(layers @ target - target @ layers, axis=(2, 3)).max(),
        "flow_error": np.nanmax(np.abs(traced - at_steps)),
        "flow_time": times,
        "flow_strength": flows[:, np.searchsorted(whole, times)],
    }


@cache
def _tails(depth: int, last: float) -> dict:
    """Flows of single modes to late times, beside their laws."""
    times = _times(last)
    logs = np.stack([mode_flow(r, depth, times) for r in TAILS])
    weights = np.exp(logs)
    laws = np.stack([_law(r, depth, times) for r in TAILS])
    row = {"tail_time": times, "tail_weight": weights, "tail_law": laws}
    row["zero_law_error"] = np.abs(weights[1] / laws[1] - 1).max()
    row["tail_ratio"] = weights[2, -1] / laws[2, -1] if depth > 2 else _rate(times, logs[2])
    return row


def _rate(times: np.ndarray, log: np.ndarray) -> float:
    """−d log w/dt at the end, over |r|."""
    return float(-(log[-1] - log[-2]) / (times[-1] - times[-2]) / -TAILS[2])


def _law(target: float, depth: int, times: np.ndarray) -> np.ndarray:
    if target > 0:
        return np.full(len(times), target ** (1 / depth))
    if target == 0:
        return (1 + (2 * depth - 2) * times) ** (-1 / (2 * depth - 2))
    if depth == 2:
        return np.exp(target * times)
    with np.errstate(divide="ignore"):
        return (-target * (depth - 2) * times) ** (-1 / (depth - 2))


@nnflow.hookimpl
def nnflow_register(register):
    register("identity_descent", IdentityDescent)
