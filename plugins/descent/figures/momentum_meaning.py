"""What the coefficients α and β of momentum mean."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import WIDE, beside, lettered
from .._recursions import radius
from ..analyses.momentum_map import CASES

STYLES = ("-", "--", "-.", ":")


class MomentumMeaning(Figure):
    """The exercise "How can we interpret the coefficients α and β?". (a) Steps of the heavy ball
    under a constant gradient 1, over α: after about 1/(1 − β) steps (dots) they are near to
    1/(1 − β), so that α/(1 − β) is the effective rate and 1/(1 − β) the memory. (b) Measured decay
    per step of a mode with curvature λ (marks), over what the effective rate promises, against
    αλ/(1 − √β)², and the exact one (lines): it is kept as long as the mode is slow, and at 1 (grey)
    oscillations begin. The curves for β > 0 can't be distinguished."""

    needs = ("momentum_map",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.7))
        decay = results["momentum_map"]["decay"]
        for place, beta in enumerate(CASES):
            style = {"color": f"C{place}", "ls": STYLES[place], "lw": 1.3}
            step = pushed(beta, 40)
            count = np.arange(1, 41)
            left.plot(count, step, **style)
            memory = round(1 / (1 - beta))
            left.plot(memory, step[memory - 1], "o", color=f"C{place}", ms=4)
            beside(left, 40.5, step[-1], rf"$\beta={beta:g}$", va="center")
            u = np.geomspace(1e-3, 3, 400)
            s = u * (1 - np.sqrt(beta)) ** 2 if beta else u
            kept = -np.log(np.maximum(radius("heavy_ball", s, beta), 1e-12)) / (s / (1 - beta))
            right.plot(u, kept, **style)
            measured = decay.sel(case=beta)
            right.plot(measured["speed"], measured, "o^sD"[place], color=f"C{place}", ms=3.5,
                       mfc="white", mew=0.8)  # fmt: skip
        beside(right, 0.38, 1.75, r"$\beta=0$", ha="right")
        together = ", ".join(f"{beta:g}" for beta in CASES[1:])
        beside(right, 2e-3, 0.8, rf"$\beta={together}$: one curve")
        right.axvline(1, color="0.6", lw=0.8)
        left.set(xlabel="step", ylabel=r"length of the step, over $\alpha$", xlim=(0, 47))
        right.set(xscale="log", xlim=(1e-3, 3), ylim=(0, 2.4))
        right.set(xlabel=r"$\alpha\lambda/(1-\sqrt{\beta})^2$")
        right.set_ylabel(r"decay, over $\alpha\lambda/(1-\beta)$")
        figure.suptitle(
            r"$\alpha/(1-\beta)$ is the rate of slow modes, $1/(1-\beta)$ the memory in steps",
            fontsize=9,
        )
        lettered((left, right), "a constant gradient", "modes, measured (marks) and exact")
        return figure


def pushed(beta: float, count: int) -> np.ndarray:
    """Lengths of the first steps of the heavy ball where the gradient is 1 everywhere, α = 1."""
    v, steps = 0.0, []
    for _ in range(count):
        v = beta * v + 1
        steps.append(v)
    return np.array(steps)


@nnflow.hookimpl
def nnflow_register(register):
    register("momentum_meaning", MomentumMeaning)
