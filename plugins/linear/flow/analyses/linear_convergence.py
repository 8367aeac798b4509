"""Where runs of linear networks end, and that they stay bounded on the way."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat

import nnflow
from nnflow import Analysis, flag_mask

from ..._matrices import off_values
from ._boundedness import barrier, constants


class LinearConvergence(Analysis):
    """Ends of the runs beside the critical values, and the bound

    dg/dt ≤ −C₀g^K + C₁(1 + g^{K−1}),  g = ‖W_K‖²,

    of Chitour, Liao & Couillet (arXiv:1811.03568) along gradient flows, with the constants that
    `_boundedness` derives from each run's start. dg/dt = 2⟨Y, Π⟩ − 2‖Π‖² with Π = W_K⋯W₁, for
    X = I; ‖Π‖² follows from the loss and the strengths.
    """

    needs = ("training", "critical_points")
    models = ("linear_network",)
    columns = {
        "runs": "runs",
        "not_critical": "runs that did not reach a critical point",
        "off_values": "runs whose last loss is no critical value ½Σs²",
        "not_global": "runs that did not reach the global minimum",
        "global_share": "share of runs that reached the global minimum",
        "largest_norm": "largest ‖W‖ along all runs",
        "bound_violations": "recorded times at which dg/dt exceeds its bound, g = ‖W_K‖²",
        "norm_over_barrier": "largest g over what the bound and its start allow",
        "manifold_error": "largest distance of the last loss from ½Σs² over modes begun at 0",
    }

    within: PositiveFloat = 1e-9
    """A loss this near to a critical value is that value."""

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, trained in results.each("training"):
            settings = configuration.settings
            critical = results.at("critical_points", configuration.label)
            table.row(configuration, **self._ends(settings.model, critical))
            if "trace_squared_norm" in trained:
                table.row(configuration, largest_norm=_largest_norm(trained))
            if settings.optimizer.name == "gradient_flow":
                table.row(configuration, **_bounded(settings.model, trained))
            if (strengths := getattr(settings.initializer, "strengths", None)) is not None:
                error = _manifold_error(settings.model, strengths, critical)
                table.row(configuration, manifold_error=error)
        return table.dataset()

    def _ends(self, model, critical) -> dict[str, float | tuple[float, float, float]]:
        """How many runs ended where."""
        reached = flag_mask(critical["is_global"], "yes")
        return {
            "runs": len(reached),
            "not_critical": flag_mask(critical["kind"], "not_critical").sum(),
            "off_values": off_values(model, critical["loss"].values, self.within),
            "not_global": (~reached).sum(),
            "global_share": nnflow.share(int(reached.sum()), len(reached)),
        }


def _largest_norm(trained) -> float:
    return float(np.sqrt(np.nanmax(trained["trace_squared_norm"].values.sum(axis=2))))


def _manifold_error(model, strengths: list[float], critical) -> float:
    """Modes that begin at 0 stay there, and cost ½s² each."""
    values = model.modes[1]
    begun = np.pad(strengths, (0, len(values) - len(strengths)))
    expected = (values[begun == 0] ** 2).sum() / 2
    return np.abs(critical["loss"].values - expected).max()


def _bounded(model, trained) -> dict[str, float]:
    """How often a run exceeds the bound on dg/dt, and how near g comes to what it allows."""
    layers = len(model.widths) - 1
    norms, entries = trained["trace_squared_norm"].values, trained["trace_imbalance"].values
    size = (model.y**2).sum()
    first, second = constants(model.widths, np.sqrt(size), entries[:, 0], norms[:, 0])
    g = norms[..., -1]
    overlap = trained["trace_strength"].values @ model.modes[1]
    squared = 2 * trained["trace_loss"].values - size + 2 * overlap
    slope = 2 * overlap - 2 * squared
    bound = -first * g**layers + second[:, None] * (1 + g ** (layers - 1))
    allowed = np.maximum(g[:, 0], barrier(first, second, layers))
    # NaN after a run's end compares as false
    return {
        "bound_violations": (slope > bound + 1e-12 * np.abs(bound)).sum(),
        "norm_over_barrier": np.nanmax(g / allowed[:, None]),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_convergence", LinearConvergence)
