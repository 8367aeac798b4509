"""Sharpness and loss along training, beside the limit of stability."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Figure, UserError

NAMES = {"adam": "Adam", "sgd": "SGD"}
MARKERS = "osD^v"


class CurvatureAlongTraining(Figure):
    """(a) Highest eigenvalue of the Hessian at the kept weights of one configuration, one line for
    each setting, the first start's; the dashed lines are the optimizer's limits of stability.
    (b) The same of all configurations in units of their own limits, all settings and starts.
    (c) The loss, of the first setting and start. After Cohen et al. 2021, Fig. 1, and 2022,
    Fig. 1."""

    needs = ("curvature_along_training", "training")

    configuration: str | None = None
    """Label of the configuration in (a); null: the first."""
    most: PositiveInt = 5
    """Maximum number of settings and of configurations."""

    def draw(self, results):
        import matplotlib.pyplot as plt

        found = results["curvature_along_training"]
        labels = [str(name) for name in found["configuration"].values]
        label = self.configuration or labels[0]
        if label not in labels:
            raise UserError(f"{results.study.file}: figures: no configuration {label!r}")
        figure, axes = plt.subplots(1, 3, figsize=(6.75, 2.5), layout="constrained")
        part, trained = found.sel(configuration=label), results.at("training", label)
        for place, (words, runs) in enumerate(_settings(part)[: self.most]):
            style = {**_style(place), "color": f"C{labels.index(label)}"}
            _sharpness(axes[0], part.isel(run=runs[0]), words, style)
        for place, name in enumerate(labels[: self.most]):
            part, trained = found.sel(configuration=name), results.at("training", name)
            ratios = part["eigenvalue"].values[..., 0] / part["limit"].values[:, None]
            axes[1].plot(part["kept_step"], ratios.T, **{**_style(place), "lw": 0.5, "ms": 1.5})
            axes[2].plot(
                trained["trace_step"],
                trained["trace_loss"][0],
                label=_short(name),
                **{**_style(place), "ms": 2, "markevery": 8},
            )
        if len(labels) > 1:
            axes[2].legend(fontsize=6.5, frameon=False, loc="lower left")
        axes[1].axhline(1, color="k", lw=0.8, ls="--", zorder=0)
        axes[0].set(ylabel="sharpness", yscale="log")
        axes[1].set(ylabel="sharpness / limit", ylim=(0, 1.8))
        axes[2].set(ylabel="loss", yscale="log")
        heads = (_short(label), "in units of the limit", "loss")
        for axis, letter, head in zip(axes, "abc", heads, strict=True):
            _finish(axis, f"({letter}) {head}")
        figure.suptitle(_title(found, labels[: self.most]), fontsize=8.5)
        return figure


def _style(place: int) -> dict:
    return {"color": f"C{place}", "marker": MARKERS[place % 5], "ms": 2.5, "lw": 0.9}


def _short(label: str) -> str:
    """A configuration in words: its optimizer, where that is what differs."""
    name = label.removeprefix("optimizer=")
    return NAMES.get(name, name.replace("_", " "))


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


def _sharpness(axis, run, words: str, style: dict) -> None:
    limit = float(run["limit"])
    axis.plot(run["kept_step"], run["eigenvalue"][..., 0], **style)
    if np.isfinite(limit):
        axis.axhline(limit, color=style["color"], lw=0.8, ls="--")
        text = f"limit at {words}" if words else "limit"
        axis.text(0.15, limit * 1.01, text, fontsize=6.5, va="bottom")


def _finish(axis, head: str) -> None:
    axis.set(xlabel="step")
    axis.set_xscale("symlog", linthresh=1, linscale=0.5)
    axis.set_xlim(left=0)
    if axis.get_yscale() == "log":
        axis.yaxis.set_major_formatter("{x:g}")
        axis.yaxis.set_minor_formatter(_few)
        axis.tick_params(axis="y", which="minor", labelsize=7)
    axis.set_title(head, loc="left", fontsize=8)
    axis.tick_params(labelsize=7)
    axis.xaxis.label.set_size(8)
    axis.yaxis.label.set_size(8)


def _title(found, labels: list[str]) -> str:
    parts = []
    for label in labels:
        part = found.sel(configuration=label)
        ratio = float(part["settled_ratio"])
        half = (float(part["settled_ratio_high"]) - float(part["settled_ratio_low"])) / 2
        named = f" ({_short(label)})" if label != "all" else ""
        if np.isfinite(ratio):
            parts.append(f"{ratio:.2f} ± {half:.2f}{named}")
    if not parts:
        return "Highest eigenvalue of the Hessian along training"
    numbers = ", ".join(parts)
    return (
        f"At last the sharpness is {numbers}\nof the limit of stability, dashed (means over starts,"
        " 99 %)"
    )


def _few(value: float, place: int) -> str:
    """Names of minor ticks: 2 and 5 times powers of ten."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


@nnflow.hookimpl
def nnflow_register(register):
    register("curvature_along_training", CurvatureAlongTraining)
