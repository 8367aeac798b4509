"""Drift of what the gradient flow of a linear network conserves."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Figure

from ....general.figures._page import WIDE, lettered, note, power

FLOOR = 1e-17
"""Smaller drifts are drawn at this height."""


class LinearInvariants(Figure):
    """Drift of the invariants W_{j+1}ᵀW_{j+1} − W_jW_jᵀ, the largest over their entries. (a)
    Against time, the median over runs, for the gradient flow and for gradient descent with each
    rate from the same starts. (b) At the end of each run, against the rate; the line has
    slope 1."""

    needs = ("training", "linear_invariants")

    def draw(self, results):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import LogLocator

        figure, (left, right) = plt.subplots(1, 2, figsize=(WIDE, 2.9))
        found = results["linear_invariants"]
        drifts, last = {}, None
        for place, configuration in enumerate(_compared(results)):
            optimizer = configuration.settings.optimizer
            flows = optimizer.name == "gradient_flow"
            step = optimizer.interval if flows else optimizer.rate
            time, drift = _drift(results.at("training", configuration.label), step)
            label = "gradient flow" if flows else f"gradient descent, α = {step:g}"
            left.plot(time, drift, color="black" if flows else f"C{place}", label=label)
            if flows and len(drift):
                last = float(drift[-1])
            if not flows:
                ends = found["run_drift"].values[found["where"].values == configuration.label]
                drifts[step] = ends
                right.plot(np.full(len(ends), step), ends, ".", color=f"C{place}", alpha=0.6)
        rates = np.array(sorted(drifts))
        middle = np.exp(np.mean([np.log(np.median(d) / rate) for rate, d in drifts.items()]))
        right.plot(rates, middle * rates, color="black", lw=0.8)
        left.set(xscale="log", yscale="log", xlabel="time", ylabel="drift of the invariants")
        right.set(xscale="log", yscale="log", xlabel="rate α", ylabel="drift at the end")
        right.set_xticks(rates, [f"{rate:g}" for rate in rates])
        right.xaxis.minorticks_off()
        right.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        right.yaxis.set_major_formatter(lambda value, place: f"{value:g}")
        right.yaxis.minorticks_off()
        if len(rates):
            centre = float(np.exp(np.log(rates).mean()))
            right.annotate(
                "slope 1", (centre, middle * centre), (10, -12), textcoords="offset points",
                fontsize=7,
            )  # fmt: skip
        left.legend(loc="center right", fontsize=7)
        lettered((left, right), "along the way", "at the end")
        figure.suptitle(_told(found, last, drifts))
        note(figure, "(a): medians over the runs, (b): single runs", "interval at 99 %")
        return figure


def _told(found, flow: float | None, drifts) -> str:
    """How far the flow drifts, and how the descent's drift goes with its rate."""
    slopes = [float(found[f"drift_slope{end}"].max()) for end in ("", "_low", "_high")]
    text = f"the drift of descent goes as α to the power {slopes[0]:.2f}"
    if np.isfinite(slopes).all():
        text += f" ({slopes[1]:.2f} to {slopes[2]:.2f})"
    return f"The flow drifts by {power(flow)}; {text}" if flow else text[0].upper() + text[1:]


def _compared(results) -> list:
    """The points of gradient descent that are fitted, and the flow from the same starts."""
    slope = results["linear_invariants"]["drift_slope"]
    descents = [p for p in results.configurations if np.isfinite(slope.sel(configuration=p.label))]
    trained = {repr((p.settings.model, p.settings.initializer)) for p in descents}
    flows = [
        p
        for p in results.configurations
        if p.settings.optimizer.name == "gradient_flow"
        and repr((p.settings.model, p.settings.initializer)) in trained
    ]
    return [*flows, *descents]


def _drift(trained, step: float) -> tuple[np.ndarray, np.ndarray]:
    """Times and median drifts, as long as half of the runs are on their way."""
    values = trained["trace_imbalance"].values
    drift = np.abs(values - values[:, :1]).max(axis=2)[:, 1:]
    kept = np.isfinite(drift).mean(axis=0) >= 0.5
    time = trained["trace_step"].values[1:] * step
    return time[kept], np.maximum(np.nanmedian(drift[:, kept], axis=0), FLOOR)


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_invariants", LinearInvariants)
