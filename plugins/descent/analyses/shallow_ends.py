"""How runs of shallow networks with one input end, and why not at the global minimum."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, share_of

KINDS = ("global", "unbounded", "stuck", "flat", "moving")
"""In the order in which they are tested."""
GLOBAL = 1e-3
"""A loss below it counts as the global minimum, which is 0 on these targets for two neurons on."""
GROWTH = 0.05
"""Growth exponent d ln|W|/d ln(step) in each part of the last factor of ten, from which weights
count as unbounded; it is 1/6 for a·tanh(wx) on the target x."""
STEADY = 0.8
"""Part of the first of these exponents that the last one has to keep: else the growth dies away."""
STILL = 1e-6
"""Gradient norm below which a run is stuck."""
FALL = 0.01
"""Relative fall of the loss over the last factor of ten, below which it is flat."""
LEVEL = 2e-4
"""Half-width of the levels of the loss that are distinguished."""


class ShallowEnds(Analysis):
    """The exercise "Perform gradient descent numerically for a shallow network with 1D input.
    Observe whether GD converges to the global minimum and explain why if not".

    Each end is, in this order: `global`, a loss below 1e-3; `unbounded`, weights that grow as a
    power of the step; `stuck`, a gradient below 1e-6; `flat`, a loss that fell by less than 1 % in
    the last nine tenths of the steps; else `moving`. Of the ends that are not global it is counted
    how many have the loss of the best constant, and how many that of the best function with one
    kink: the levels of networks whose neurons are dead, or active at all samples, or all but one.

    For the figure `output` (end, sample) holds functions of each kind. And `growth_exponent` and
    `loss_exponent` are those of the gradient flow of a·tanh(wx) on the target x, whose infimum is
    not attained: a ~ t^(1/6), L ~ t^(−2/3). `flow_grows` is what the test of growth says of it.
    """

    needs = ("training",)
    models = ("mlp",)
    columns = {
        **{f"{kind}_share": f"share of runs whose end is {kind}" for kind in KINDS},
        "constant_level": "loss of the best constant",
        "kink_level": "least loss of a function with one kink",
        "constant_share": "share of the other ends that have the loss of the best constant",
        "level_share": "share of the other ends that have that or the least one of one kink",
        "affine_share": "share of the other ends at which no neuron has its kink among the samples",
        "runs": "runs",
        "growth_exponent": "exponent of a(t) of a·tanh(wx) on x",
        "loss_exponent": "exponent of its loss",
        "flow_grows": "1 where the test of growth calls its weights unbounded, else 0",
    }

    def compute(self, results):
        table, outputs, names = Table(results, self.columns), [], []
        grown, lost, called = unbounded()
        table.everywhere(growth_exponent=grown, loss_exponent=lost, flow_grows=float(called))
        for configuration, trained in results.each("training"):
            data = configuration.settings.dataset.load(None)
            x, y = data["inputs"][:, 0], data["targets"]
            steps = configuration.settings.stop.steps
            kind = ends(trained, steps)
            other, loss = kind != "global", trained["loss"].values
            constant, kink = best_losses(x, y)
            at_constant = np.abs(loss - constant) < LEVEL
            at_level = at_constant | (np.abs(loss - kink) < LEVEL)
            affine = ~kinked(trained, x).any(axis=1)
            table.row(
                configuration,
                **{f"{name}_share": share_of(kind == name) for name in KINDS},
                constant_level=constant,
                kink_level=kink,
                constant_share=share_of(at_constant[other]),
                level_share=share_of(at_level[other]),
                affine_share=share_of(affine[other]),
                runs=len(loss),
            )
            first = next(iter(results.configurations)).label
            if configuration.label == first:
                chosen = _chosen(other, at_constant, at_level)
                outputs = [_output(trained, x)[run] for run in chosen.values()]
                names, sample, target = list(chosen), x, y
        return table.dataset().assign(
            output=(("end", "sample"), np.array(outputs).reshape(len(names), -1)),
            end=("end", names),
            input=("sample", sample),
            target=("sample", target),
        )


def ends(trained, steps: int) -> np.ndarray:
    """The kind of each run's end, (run,) of text."""
    loss = trained["loss"].values
    traced, losses = trained["trace_step"].values, trained["trace_loss"].values
    before = losses[:, np.searchsorted(traced, steps / 10)]
    # NaN where a run had ended before
    fall = np.where(before > 0, (before - loss) / np.where(before > 0, before, 1), 1.0)
    names = [name for name in trained if str(name).startswith("kept_")]
    square = sum(
        (trained[name].values ** 2).reshape(*trained[name].shape[:2], -1).sum(axis=2)
        for name in names
    )
    kept = trained["kept_step"].values
    since = np.searchsorted(kept, steps / 10)
    with np.errstate(invalid="ignore"):
        pace = np.diff(np.log(square[:, since:])) / 2 / np.diff(np.log(kept[since:]))
    still = trained["gradient_norm"].values < STILL
    tests = (
        loss < GLOBAL,
        grows(pace),
        still,
        fall < FALL,
    )
    return np.select(tests, KINDS[:-1], KINDS[-1])


def grows(pace: np.ndarray) -> np.ndarray:
    """Do weights grow as a power of the step: do all growth exponents (run, interval) exceed
    GROWTH, and does the last keep up with the first? No, of a run that ended before."""
    with np.errstate(invalid="ignore"):
        return (pace > GROWTH).all(axis=1) & (pace[:, -1] > STEADY * pace[:, 0])


def best_losses(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """½ mean squared error of the best constant, and the least of b + a·relu(±(x − c)), c on a
    grid."""
    away = x - np.linspace(x[0], x[-1], 2001)[1:-1, None]
    ramps = np.maximum(np.concatenate([away, -away]), 0)
    centered = ramps - ramps.mean(axis=1, keepdims=True)
    explained = (centered @ y) ** 2 / (centered**2).sum(axis=1)
    basis = np.stack([np.ones_like(x), ramps[explained.argmax()]], axis=1)
    rest = y - basis @ np.linalg.lstsq(basis, y, rcond=None)[0]
    return float(np.var(y) / 2), float((rest**2).mean() / 2)


def kinked(trained, x: np.ndarray) -> np.ndarray:
    """Does a neuron change between dead and active among the samples? (run, neuron)"""
    sums = trained["w1"].values[:, :, 0, None] * x + trained["b1"].values[:, :, None]
    active = sums > 0
    return active.any(axis=2) & ~active.all(axis=2)


def _output(trained, x: np.ndarray) -> np.ndarray:
    """The functions at the ends, (run, sample)."""
    sums = trained["w1"].values[:, :, 0, None] * x + trained["b1"].values[:, :, None]
    return (trained["w2"].values[:, 0, :, None] * np.maximum(sums, 0)).sum(axis=1) + trained[
        "b2"
    ].values


def _chosen(other, at_constant, at_level) -> dict[str, int]:
    """The first run of each sort of end."""
    sorts = {
        "global minimum": ~other,
        "best constant": other & at_constant,
        "one kink": other & at_level & ~at_constant,
    }
    return {name: int(np.argmax(mask)) for name, mask in sorts.items() if mask.any()}


def unbounded(last: float = 1e9) -> tuple[float, float, bool]:
    """Exponents of a and of L over the last factor of ten of the gradient flow of a·tanh(wx) on the
    target x, 41 samples, from a = w = 1; and what the test of growth says of its weights there."""
    from scipy.integrate import solve_ivp

    x = np.linspace(-1, 1, 41)

    def flow(_, state):
        a, w = state
        hidden = np.tanh(w * x)
        error = a * hidden - x
        return [-(error * hidden).mean(), -(error * a * (1 - hidden**2) * x).mean()]

    times = np.geomspace(last / 10, last, 4)
    found = solve_ivp(
        flow, (0, last), [1.0, 1.0], method="LSODA", t_eval=times, rtol=1e-10, atol=1e-12
    )
    a, w = found.y
    loss = ((a[:, None] * np.tanh(w[:, None] * x) - x) ** 2).mean(axis=1) / 2
    pace = np.diff(np.log(a**2 + w**2)) / 2 / np.diff(np.log(times))
    grown, lost = np.log10(a[-1] / a[0]), np.log10(loss[-1] / loss[0])
    return float(grown), float(lost), bool(grows(pace[None])[0])


@nnflow.hookimpl
def nnflow_register(register):
    register("shallow_ends", ShallowEnds)
