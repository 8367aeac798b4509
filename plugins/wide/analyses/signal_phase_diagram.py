"""The phase diagram of wide networks over both variances."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, NonNegativeFloat

import nnflow
from nnflow import Activation, Analysis

from .._moments import moments
from .._phase_diagram import REASONS, phase_diagram
from .._signal import critical_line, critical_weight_variance

LINE = (1e-4, 1e2)
"""Least and largest q at which the line is drawn."""
Range = tuple[NonNegativeFloat, NonNegativeFloat]


class SignalPhaseDiagram(Analysis):
    """q*, χ₁, a, c*, b, ξ_q and ξ_c over a grid of α_w² and α_h², and the line χ₁ = 1.

    Variables (weight_variance, bias_variance), with `xi_q_error` and `xi_c_error`, `count` of fixed
    points and `reason`, whose meanings are attributes. The line χ₁ = 1 is `line_weight`,
    `line_bias` (node,), along q.
    """

    columns = {
        "cells": "cells of the diagram",
        "without": "cells without a fixed point",
        "several": "cells with several fixed points",
        "chaotic": "cells with χ₁ > 1",
        "relative_error": "largest bound of the relative error of ξ_q and ξ_c where they are below"
        " 1000 and α_h > 0",
        "line_at": "α_w² of the line χ₁ = 1 at α_h² = .05; NaN: it is not met",
    }

    activation: Activation
    """σ."""
    weight_variances: Range = (0.5, 4.0)
    """Least and largest α_w²."""
    bias_variances: Range = (0.0, 1.0)
    """Least and largest α_h²."""
    size: Annotated[int, Field(ge=2)] = 61
    """Cells along each side."""

    def compute(self, results):
        import xarray as xr

        w, h = (np.linspace(*x, self.size) for x in (self.weight_variances, self.bias_variances))
        one = moments(self.activation)
        found = phase_diagram(one, w, h)
        axes = ("weight_variance", "bias_variance")
        maps = {name: (axes, getattr(found, name)) for name in found.__dataclass_fields__}
        dataset = xr.Dataset(maps, {axes[0]: w, axes[1]: h})
        dataset["reason"].attrs = {"flag_values": [0, 1, 2, 3], "flag_meanings": " ".join(
            word.replace(" ", "_") for word in REASONS)}  # fmt: skip
        for name, line in zip(axes, critical_line(one, np.geomspace(*LINE, 200)), strict=True):
            text = {"long_name": f"{name.replace('_', ' ')} of the line χ₁ = 1"}
            dataset[f"line_{name.split('_')[0]}"] = ("node", line, text)
        table = nnflow.Table(results, self.columns)
        table.everywhere(
            cells=found.q.size, without=int((found.reason == 1).sum()),
            several=int((found.count > 1).sum()), chaotic=int((found.chi1 > 1).sum()),
            relative_error=_error(found, h > 0), line_at=critical_weight_variance(one, 0.05),
        )  # fmt: skip
        return table.dataset().merge(dataset)


def _error(found, rows: np.ndarray) -> float:
    worst = []
    for name in ("xi_q", "xi_c"):
        value, error = (getattr(found, f"{name}{end}")[:, rows] for end in ("", "_error"))
        short = value < 1000
        worst.append((error[short] / value[short]).max(initial=0))
    return float(max(worst))


@nnflow.hookimpl
def nnflow_register(register):
    register("signal_phase_diagram", SignalPhaseDiagram)
