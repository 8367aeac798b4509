"""Four answers to one question: which rate is best?"""

from __future__ import annotations

import nnflow
from nnflow import Figure

from ...general.figures._page import HALF, beside

ANSWERS = {
    "bound": ("best_bound", "the lecture's bound: $1/M$", "-", "o", (0.97, 0.86, "right")),
    "nonconvex": ("best_nonconvex", r"exact, not convex: $2/(\sqrt{3}M)$", "--", "s",
                  (1.18, 0.86, "left")),
    "quadratic": ("best_quadratic", r"quadratic: $2/(\mu+M)$", ":", "^", (1.46, 2.2, "right")),
    "convex": ("best_convex_10", "exact, convex, 10 steps; tends to $2/M$", "-.", "D",
               (0.73, 2.48, "left")),
}  # fmt: skip
"""Column of the minimum, words, line, mark, and where the words stand."""


class BestRate(Figure):
    """What is minimized by each answer to the exercise "What is the optimal value of α?", over its
    least value, after 10 steps (11 points): the lecture's bound of the squared gradient, the exact
    worst squared gradient without convexity (known for αM ≤ √3), the exact worst loss of convex
    functions, and the squared contraction of quadratics with μ = M/10. Marks: the minima, those of
    the last two found by descent itself."""

    needs = ("worst_cases",)

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["worst_cases"]
        figure, axis = plt.subplots(figsize=(HALF, 3.0))
        rate = found["relative_rate"].values
        for place, (answer, (column, text, style, mark, at)) in enumerate(ANSWERS.items()):
            color, best = f"C{place}", float(found[column].values[0])
            axis.plot(rate, found["worst"].sel(answer=answer), style, color=color, lw=1.3)
            axis.plot(best, 1, mark, color=color, ms=6, zorder=4)
            beside(axis, at[0], at[1], text, ha=at[2], va="center")
        axis.set(xlim=(0.4, 2), ylim=(0.75, 2.6), yticks=[1, 1.5, 2, 2.5])
        axis.set(xlabel=r"rate $\alpha M$", ylabel="worst case, over its least value")
        axis.set_title("The best rate depends on what it has to be best for", fontsize=9)
        return figure


@nnflow.hookimpl
def nnflow_register(register):
    register("best_rate", BestRate)
