"""What the runs of each configuration ended at."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ._names import proper
from ._page import WIDE, note

PARTS = {
    "at_infimum": ("global minimum", "C0", ""),
    "saddles": ("saddle above the infimum", "C4", "////"),
    "suspects": ("perhaps a spurious minimum", "C3", ""),
    "nonsmooth": ("kink above the infimum", "C1", "...."),
    "unfinished": ("no critical point", "0.8", ""),
}
"""Columns of local_minima_search, with their names, colours and hatches."""


class EndsOfRuns(Figure):
    """Shares of the runs of each configuration that ended at the infimum, at saddles (by a negative
    Hessian eigenvalue), at what second order can't tell from spurious minima, at a point with a
    kink, or at no critical point. Configurations whose runs all ended in the same way share a row.
    Right: upper end of the 99 % interval of the share of spurious minima among the critical points,
    where there are several runs."""

    needs = ("local_minima_search",)

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import PercentFormatter

        found = results["local_minima_search"]
        runs = found["runs"].values
        parts = {name: found[name].values / runs for name in PARTS}
        rows = _rows(results.configurations, parts, runs, found["suspect_share_high"].values)
        lines = sum(text.count("\n") + 1 for text, *_ in rows)
        figure, axis = plt.subplots(figsize=(WIDE, min(1.2 + 0.17 * lines, 6.5)))
        heights = np.array([text.count("\n") + 1.4 for text, *_ in rows])
        places = np.cumsum(heights) - heights / 2
        left = np.zeros(len(rows))
        for name, (text, color, hatch) in PARTS.items():
            share = np.array([one[name] for _, one, *_ in rows])
            style = {"color": color, "hatch": hatch, "edgecolor": "white", "lw": 0.5}
            axis.barh(places, share, left=left, label=text, height=heights - 0.4, **style)
            left = left + share
        for place, (_, _, bound) in zip(places, rows, strict=True):
            if np.isfinite(bound):
                axis.text(1.01, place, f"< {100 * bound:.1f} %", va="center", fontsize=7)
        axis.text(1.01, -0.2, "spurious", fontsize=7, va="bottom")
        axis.set_yticks(places, [text for text, *_ in rows], fontsize=7)
        axis.tick_params(axis="y", length=0)
        axis.set(xlim=(0, 1), ylim=(heights.sum() + 0.1, 0), xlabel="share of runs")
        axis.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        figure.legend(loc="outside lower center", ncols=3)
        total, suspects = int(runs.sum()), int(found["suspects"].sum())
        figure.suptitle(
            f"{suspects or 'None'} of {total:,} runs {'ends' if suspects < 2 else 'end'} at what"
            " may be a spurious minimum"
        )
        note(figure, "right: share of the critical points, upper ends of 99 % intervals")
        return figure


def _rows(configurations, parts, runs, bounds) -> list[tuple[str, dict[str, float], float]]:
    """(names, shares, bound) of the rows: configurations of the same shares and number of runs
    together."""
    rows: dict[tuple, list[str]] = {}
    for place, configuration in enumerate(configurations):
        shares = tuple(float(part[place]) for part in parts.values())
        bound = float(bounds[place]) if runs[place] > 1 and shares[2] == 0 else np.nan
        rows.setdefault((*shares, str(bound)), []).append(_text(configuration))
    return [
        ("\n".join(dict.fromkeys(texts)), dict(zip(parts, key, strict=False)), float(key[-1]))
        for key, texts in rows.items()
    ]


def _text(configuration) -> str:
    """Loss, widths and optimizer of a configuration."""
    model, optimizer = configuration.settings.model, configuration.settings.optimizer
    loss = f"{proper(model.loss_function.name)}, " if hasattr(model, "loss_function") else ""
    widths = "–".join(map(str, model.chain())) if hasattr(model, "chain") else model.name
    given = ", given point" if configuration.settings.initializer.name == "given" else ""
    return f"{loss}{widths}{given or ', ' + proper(optimizer.name)}"


@nnflow.hookimpl
def nnflow_register(register):
    register("ends_of_runs", EndsOfRuns)
