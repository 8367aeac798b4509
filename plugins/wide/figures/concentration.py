"""Tails of means, their formulas and rate functions."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ...general.figures._page import beside, ink, note
from .._panels import titled

WORDS = {
    "signs": "±1",
    "gaussian": "N(0, 1)",
    "exponential": "Exp(1) − 1",
    "uniform": "uniform",
    "laplace": "Laplace",
    "atoms": "atoms",
}
END, TOP = 2.0, 1.2
"""Up to which x and height rate functions are drawn."""
MARKS = dict(zip(WORDS, "os^Dvx", strict=True))


class Concentration(Figure):
    """(a) P(η_n/n > x): exact (lines) and measured by importance sampling (marks; 99 % intervals
    are smaller); dashed, the bound e^{−nI(x)}. (b) P over the formula of Bahadur and Ranga Rao
    for densities; for ±1 also (open circles) over the lattice formula. (c) Rate functions."""

    needs = ("concentration", "summary")

    shown: list[str] = ["signs", "gaussian", "exponential"]
    """Laws of panels (a) and (b)."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["concentration"]
        figure, (tails, ratios, rates) = plt.subplots(1, 3, figsize=(6.75, 2.8))
        n = found["n"].values
        for place, law in enumerate(self.shown):
            one, mark = found.sel(law=law), MARKS[law]
            color = f"C{place}"
            exact, sampled = one["log_exact"].values, one["log_sampled"].values
            tails.plot(n, exact / np.log(10), color=color, lw=1)
            tails.plot(n, sampled / np.log(10), mark, color=color, ms=3.5)
            limit = float(results["summary"][f"{law}_rate"][0])
            tails.plot(n, -n * limit / np.log(10), "--", color=color, lw=0.8)
            tails.plot([], [], mark, ls="-", color=color, ms=3.5, lw=1, label=WORDS[law])
            ratio = np.exp(exact - one["log_density_formula"].values)
            ratios.plot(n, ratio, mark, ls="-", color=color, ms=3.5, lw=1)
            if law == "signs":
                lattice = np.exp(exact - one["log_first"].values)
                ratios.plot(n, lattice, mark, ls="-", color=color, mfc="white", ms=3.5, lw=1)
                ratios.annotate("±1, lattice formula (open)", (n[0], 1), (-2, 4), **TEXT)
                ratios.annotate("±1, formula for densities", (n[1], ratio[1]), (10, 28), **TEXT)
        ratios.axhline(1, color="black", lw=0.6)
        for place, law in enumerate(found["law"].values):
            one = found.sel(law=law)
            x, y = one["x_of_rate"].values, one["rate"].values
            rates.plot(x, y, color=f"C{place}", lw=1)
            seen = np.flatnonzero((x <= END) & (y <= TOP))[-1]
            inside = x[seen] < 0.95 * END
            left = inside and place < 2
            spot = x[seen] + (-0.05 if left else 0.05), y[seen] - 0.08 * inside
            side = "right" if left else "left"
            beside(rates, *spot, WORDS[law], color=ink(f"C{place}"), ha=side, va="center")
        tails.set(xlabel="$n$", ylabel=r"$\log_{10}$ P$(\eta_n/n > 0.3)$")
        ratios.set(xlabel="$n$", ylabel="P / formula", xscale="log", ylim=(0.6, 1.1))
        rates.set(xlabel="$x$", ylabel="$I(x)$", xlim=(0, 1.4 * END), ylim=(0, TOP))
        titles = "Tails fall as $e^{-nI}$", "±1 needs its own formula", "Heavier tails, lower $I$"
        titled((tails, ratios, rates), titles)
        tails.legend(fontsize=7, handletextpad=0.4, loc="lower left", borderpad=0)
        figure.suptitle(_told(found.sel(law=self.shown)), fontsize=9)
        note(figure, "(a) lines: exact, marks: sampled, dashed: the bound $e^{-nI}$")
        return figure


def _told(found) -> str:
    """How near the formulas come at the largest n."""
    last = found.isel(n=-1)
    formula = [
        float(last.sel(law=law)["log_first" if law == "signs" else "log_density_formula"])
        for law in last["law"].values
    ]
    ratios = np.exp(last["log_exact"].values - np.array(formula))
    worst = f"{100 * np.abs(ratios - 1).max():.1f} %"
    return f"At n = {int(last['n'])} the formula of Bahadur and Ranga Rao is right to {worst}"


TEXT = {"textcoords": "offset points", "fontsize": 7}


@nnflow.hookimpl
def nnflow_register(register):
    register("concentration", Concentration)
