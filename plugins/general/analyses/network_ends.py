"""Where an ensemble of networks ended."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, mean, share

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

    def compute(self, results):
        import xarray as xr

        rows = []
        for configuration, ends in results.each("critical_points"):
            trained = results.at("training", configuration.label)
            spectra = results.at("spectra", configuration.label)
            rows.append(_row(trained, ends, spectra))
        columns = {name: ("configuration", [row[name][0] for row in rows]) for name in rows[0]}
        table = xr.Dataset(
            columns,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )
        for name, (_, text) in rows[0].items():
            table[name].attrs["long_name"] = text
        return table


def _row(trained, ends, spectra) -> dict[str, tuple[float, str]]:
    """{column: (number, what it is)} of one point."""
    row = {"runs": (ends.sizes["run"], "runs")}
    for name, text in MEASURES.items():
        row |= _interval(name, mean(_finite(ends[name].values)), text)
    for name, text in OBSERVED.items():
        last = _last(trained[f"trace_{name}"].values) if f"trace_{name}" in trained else []
        row |= _interval(name, mean(_finite(last)), text)
    kind = ends["kind"]
    for number, meaning in enumerate(kind.attrs["flag_meanings"].split()):
        count = int((kind.values == number).sum())
        text = f"share of runs that ended at: {meaning.replace('_', ' ')}"
        row |= _interval(f"share_{meaning}", share(count, ends.sizes["run"]), text)
    residual = spectra["residual"].values
    row["largest_residual"] = (_largest(residual), "largest norm of Hv - lambda v")
    difference = np.full(1, np.nan)
    if "dense_eigenvalue" in spectra:
        difference = np.abs(spectra["eigenvalue"].values - spectra["dense_eigenvalue"].values)
    text = "largest distance of a matrix-free eigenvalue from the dense one"
    row["dense_difference"] = (_largest(difference), text)
    return row


def _interval(name: str, measured: tuple[float, float, float], text: str):
    value, low, high = measured
    return {
        name: (value, text),
        f"{name}_low": (low, f"{text}: lower end of the 99 % interval"),
        f"{name}_high": (high, f"{text}: upper end of the 99 % interval"),
    }


def _last(trace: np.ndarray) -> np.ndarray:
    """The last recorded value of each run, from (run, trace_step) with NaN after the end."""
    recorded = np.isfinite(trace)
    final = trace.shape[1] - 1 - recorded[:, ::-1].argmax(axis=1)
    return np.take_along_axis(trace, final[:, None], axis=1)[:, 0]


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
