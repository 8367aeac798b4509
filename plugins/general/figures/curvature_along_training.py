"""Sharpness and loss along training, beside the limit of stability."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, UserError

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9")
"""Okabe & Ito's, which colour-blind readers tell apart."""
MARKERS = "osD^v"


class CurvatureAlongTraining(Figure):
    """(a) Highest eigenvalue of the Hessian at the kept weights, one line for each setting, the
    first start's; the dashed line of the same colour is the optimizer's limit of stability. (b) The
    same in units of that limit, all starts. (c) The loss. After Cohen et al. 2021, Fig. 1."""

    needs = ("curvature_along_training", "training")

    configuration: str | None = None
    """Label of the configuration; null: the first."""
    most: PositiveInt = 5
    """Maximum number of settings."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["curvature_along_training"]
        label = self.configuration or str(found["configuration"].values[0])
        if label not in found["configuration"].values:
            raise UserError(f"{results.study.file}: figures: no configuration {label!r}")
        part, trained = found.sel(configuration=label), results.at("training", label)
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.5), layout="constrained")
        settings = _settings(part)[: self.most]
        for place, (words, runs) in enumerate(settings):
            style = {"color": COLORS[place % 5], "marker": MARKERS[place % 5], "ms": 2.5, "lw": 0.9}
            _lines(axes, part.isel(run=runs), trained.isel(run=runs), words, style)
        axes[1].axhline(1, color="k", lw=0.8, ls="--", zorder=0)
        axes[0].set(ylabel="sharpness", yscale="log")
        axes[1].set(ylabel="sharpness / limit", ylim=(0, None))
        axes[2].set(ylabel="loss", yscale="log")
        for axis, letter in zip(axes, "abc", strict=True):
            axis.set(xlabel="step")
            axis.set_xscale("symlog", linthresh=1, linscale=0.5)
            axis.set_xlim(left=0)
            if axis.get_yscale() == "log":
                axis.yaxis.set_major_formatter("{x:g}")
                axis.yaxis.set_minor_formatter(_few)
                axis.tick_params(axis="y", which="minor", labelsize=7)
            axis.set_title(f"({letter})", loc="left", fontsize=8, fontweight="bold")
            axis.tick_params(labelsize=7)
            axis.xaxis.label.set_size(8)
            axis.yaxis.label.set_size(8)
        if not np.isfinite(part["settled_ratio"]):
            figure.suptitle("Highest eigenvalue of the Hessian along training", fontsize=8.5)
            return figure
        ratio = float(part["settled_ratio"])
        half = (float(part["settled_ratio_high"]) - float(part["settled_ratio_low"])) / 2
        figure.suptitle(
            f"At last the sharpness is {ratio:.2f} ± {half:.2f} of the limit of stability, dashed"
            " (mean over starts, 99 %)",
            fontsize=8.5,
        )
        return figure


def _settings(part) -> list[tuple[str, np.ndarray]]:
    """What varies in words, with its runs."""
    names = [n for n, c in part.coords.items() if c.dims == ("run",) and n not in ("run", "start")]
    if not names:
        return [("", np.arange(part.sizes["run"]))]
    rows = list(zip(*(part[name].values for name in names), strict=True))
    words = [", ".join(f"{n} {v:g}" for n, v in zip(names, row, strict=True)) for row in rows]
    return [
        (text, np.array([w == text for w in words]).nonzero()[0]) for text in dict.fromkeys(words)
    ]


def _lines(axes, part, trained, words: str, style: dict) -> None:
    steps = part["kept_step"].values
    sharp, limit = part["eigenvalue"].values[..., 0], part["limit"].values
    axes[0].plot(steps, sharp[0], **style)
    if np.isfinite(limit[0]):
        axes[0].axhline(limit[0], color=style["color"], lw=0.8, ls="--")
        text = f"limit at {words}" if words else "limit"
        axes[0].text(0.15, limit[0] * 1.01, text, fontsize=6.5, va="bottom")
    axes[1].plot(steps, (sharp / limit[:, None]).T, **{**style, "lw": 0.6, "ms": 1.5})
    axes[2].plot(
        trained["trace_step"], trained["trace_loss"][0], **{**style, "ms": 1.5, "markevery": 8}
    )


def _few(value: float, place: int) -> str:
    """Names of minor ticks: 2 and 5 times powers of ten."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


@nnflow.hookimpl
def nnflow_register(register):
    register("curvature_along_training", CurvatureAlongTraining)
