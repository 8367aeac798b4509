"""Tails of means, their formulas and rate functions."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from .._panels import titled

WORDS = {
    "signs": "±1",
    "gaussian": "N(0, 1)",
    "exponential": "Exp(1) − 1",
    "uniform": "uniform",
    "laplace": "Laplace",
    "atoms": "atoms",
}
MARKS = dict(zip(WORDS, "os^Dvx", strict=True))


class Concentration(Figure):
    """(a) P(η_n/n > x): exact (lines) and measured by importance sampling (marks, as in (c); 99 %
    intervals are smaller); dashed, e^{−nI(x)}. (b) P over the formula of Bahadur and Ranga Rao
    for densities; for ±1 also (open circles) over the lattice formula. (c) Rate functions."""

    needs = ("concentration", "summary")

    shown: list[str] = ["signs", "gaussian", "exponential"]
    """Laws of panels (a) and (b)."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["concentration"]
        figure, (tails, ratios, rates) = plt.subplots(1, 3, figsize=(6.75, 2.6))
        n = found["n"].values
        for place, law in enumerate(self.shown):
            one, mark = found.sel(law=law), MARKS[law]
            color = f"C{place}"
            exact, sampled = one["log_exact"].values, one["log_sampled"].values
            tails.plot(n, exact / np.log(10), color=color, lw=1)
            tails.plot(n, sampled / np.log(10), mark, color=color, ms=3.5)
            limit = float(results["summary"][f"{law}_rate"][0])
            tails.plot(n, -n * limit / np.log(10), "--", color=color, lw=0.8)
            ratio = np.exp(exact - one["log_density_formula"].values)
            ratios.plot(n, ratio, mark, ls="-", color=color, ms=3.5, lw=1)
            if law == "signs":
                lattice = np.exp(exact - one["log_first"].values)
                ratios.plot(n, lattice, mark, ls="-", color=color, mfc="white", ms=3.5, lw=1)
                ratios.annotate("±1, lattice formula (open)", (n[0], 1), (-2, 4), **TEXT)
                ratios.annotate("±1, formula for densities", (n[1], ratio[1]), (-4, -9), **TEXT)
        ratios.axhline(1, color="black", lw=0.6)
        for place, law in enumerate(found["law"].values):
            one = found.sel(law=law)
            x, y = one["x_of_rate"].values, one["rate"].values
            rates.plot(x, y, color=f"C{place}", lw=1)
            at = min(np.searchsorted(y, 0.62), len(x) - 1)
            rates.plot(x[at], y[at], MARKS[law], color=f"C{place}", ms=4, label=WORDS[law])
        rates.legend(fontsize=6.5, handletextpad=0.2, loc="upper left", borderpad=0)
        tails.set(xlabel="$n$", ylabel=r"$\log_{10}$ P$(\eta_n/n > 0.3)$")
        ratios.set(xlabel="$n$", ylabel="P / formula", xscale="log", ylim=(0.6, 1.1))
        rates.set(xlabel="$x$", ylabel="$I(x)$", xlim=(0, 2), ylim=(0, 1.2))
        titles = "Tails fall as $e^{-nI}$", "±1 needs its own formula", "Heavier tails, lower $I$"
        titled((tails, ratios, rates), titles)
        return figure


TEXT = {"textcoords": "offset points", "fontsize": 7}


@nnflow.hookimpl
def nnflow_register(register):
    register("concentration", Concentration)
