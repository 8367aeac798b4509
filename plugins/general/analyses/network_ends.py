"""Where an ensemble of networks ended."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, mean, share

KINDS = ("minimum", "saddle", "maximum", "degenerate", "nonsmooth", "not_critical")
MEASURES = {
    "loss": "mean loss at the end",
    "gradient_norm": "mean Frobenius norm of the gradient at the end",
    "min_eigenvalue": "mean lowest eigenvalue of the Hessian",
    "max_eigenvalue": "mean highest eigenvalue of the Hessian",
}
OBSERVED = {
    "accuracy": "mean share of training samples classified rightly",
    "test_accuracy": "mean share of held-out samples classified rightly",
    "test_loss": "mean loss on the held-out samples",
}


class NetworkEnds(Analysis):
    """Loss, accuracies, gradient norm, ends of the spectrum and shares of each kind of point.

    Means over runs carry Student intervals, shares Clopper–Pearson intervals, both at 99 %.
    Accuracies are those of the last recorded step. `largest_residual` is the largest
    ‖Hv − λv‖ of any eigenvalue, and `dense_difference` the largest distance of a matrix-free
    eigenvalue from the dense Hessian's, NaN where none was compared.
    """

    needs = ("training", "critical_points", "spectra")

    @property
    def columns(self):
        shares = {
            f"share_{k}": f"share of runs that ended at: {k.replace('_', ' ')}" for k in KINDS
        }
        return {
            "runs": "runs",
            **MEASURES,
            **OBSERVED,
            **shares,
            "largest_residual": "largest norm of Hv - lambda v",
            "dense_difference": "largest distance of a matrix-free eigenvalue from the dense one",
        }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            spectra = results.at("spectra", configuration.label)
            table.row(
                configuration,
                runs=critical.sizes["run"],
                **_means(results, configuration.label, critical),
                **_shares(critical),
                **_residuals(spectra),
            )
        return table.dataset()


def _means(results, label: str, critical) -> dict:
    """Means over the runs at the critical points, and of what was observed last."""
    row = {name: mean(_finite(critical[name].values)) for name in MEASURES}
    trained = results.at("training", label)
    for name in OBSERVED:
        last = results.last(name, label) if f"trace_{name}" in trained else []
        row[name] = mean(_finite(last))
    return row


def _shares(critical) -> dict:
    """Shares of the runs by the kind of their end."""
    runs = critical.sizes["run"]
    return {
        f"share_{kind}": share(int(flag_mask(critical["kind"], kind).sum()), runs) for kind in KINDS
    }


def _residuals(spectra) -> dict[str, float]:
    """How well the eigenvalues are known."""
    difference = np.full(1, np.nan)
    if "dense_eigenvalue" in spectra:
        difference = np.abs(spectra["eigenvalue"].values - spectra["dense_eigenvalue"].values)
    return {
        "largest_residual": _largest(spectra["residual"].values),
        "dense_difference": _largest(difference),
    }


def _finite(values) -> np.ndarray:
    """The values of the runs that have one: a run that diverged has none."""
    values = np.asarray(values, dtype=float)
    return values[np.isfinite(values)]


def _largest(values: np.ndarray) -> float:
    finite = _finite(values)
    return float(finite.max()) if finite.size else np.nan


@nnflow.hookimpl
def nnflow_register(register):
    register("network_ends", NetworkEnds)
