"""Eigenvalues of the Hessian apart from the bulk, before, during and after training."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Table, mean

from .._flat import kept_weights

TIMES = ("before", "during", "after")
"""First, middle and last of the kept weights."""

BEYOND = 3
"""Outliers that are looked for beyond the number of classes."""


class OutlierEigenvalues(Analysis):
    """The highest eigenvalues of the Hessian and its density at the first, the middle and the last
    of each run's kept weights (`trace: {weights: N}`), for networks of any size: by products alone.

    Outliers are the eigenvalues above the widest gap: with λ₁ ≥ λ₂ ≥ … they are the m first ones
    for the m ≤ C + 3, C the number of classes, at which λₘ/λₘ₊₁ is largest. Means over runs carry
    Student intervals (99 %).
    """

    needs = ("training", "objective")

    runs: PositiveInt = 3
    """Number of runs, the first ones."""
    steps: PositiveInt = 40
    """Lanczos steps of each probe of a density."""
    probes: Annotated[int, Field(ge=2)] = 3
    """Random vectors of a density."""
    tolerance: PositiveFloat = 1e-3
    """Residual at which an eigenvalue is taken, relative to the highest."""

    @property
    def columns(self):
        found = {
            "classes": "classes C",
            "weights": "weights of the network",
            "runs": "runs",
            "largest_residual": "largest norm of Hv - lambda v, relative to the highest eigenvalue",
        }
        for time in TIMES:
            found[f"outliers_{time}"] = f"mean number of outliers {time} training"
            found[f"excess_{time}"] = f"mean number of outliers {time} training, less classes"
            found[f"gap_{time}"] = f"mean ratio of eigenvalues at the gap {time} training"
            found[f"share_{time}"] = f"mean share of the trace in the outliers {time} training"
        return found

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            part, facts = self._at(results, configuration, trained)
            parts.append(part)
            table.row(configuration, **facts)
        return table.joined(parts)

    def _at(self, results, configuration, trained):
        ways = kept_weights(results, configuration, trained, f"{self.name}: it")[: self.runs]
        kept = np.flatnonzero(np.isfinite(ways).all(axis=(0, 2)))
        places = kept[[0, len(kept) // 2, -1]]
        loss = results.objective(configuration)
        classes = int(loss.data["targets"].max()) + 1
        count = min(classes + BEYOND + 1, ways.shape[2] // 2)
        highest = np.empty((len(ways), len(TIMES), count))
        wrong, total = np.empty_like(highest), np.empty(highest.shape[:2])
        shape = (*highest.shape[:2], self.probes, min(self.steps, ways.shape[2]))
        nodes, weights = np.empty(shape), np.empty(shape)
        for time, place in enumerate(places):
            for run in range(len(ways)):
                found = loss.ends(ways[run, place], 0, count, self.tolerance)
                highest[run, time] = found.highest[::-1]
                wrong[run, time] = found.highest_residual[::-1]
                numbers = loss.density(ways[run, place], self.steps, self.probes)
                nodes[run, time], weights[run, time] = numbers
                total[run, time] = ways.shape[2] * np.nansum(numbers[0] * numbers[1]) / self.probes
                done = time * len(ways) + run + 1
                of = len(TIMES) * len(ways)
                results.progress(done, of, f"points · {configuration.label}")
        facts = {
            "classes": classes,
            "weights": ways.shape[2],
            "runs": len(ways),
            "largest_residual": float((wrong / highest[..., :1]).max()),
        }
        counts, gaps = outliers(highest)
        inside = np.arange(count) < counts[..., None]
        shares = np.where(inside, highest, 0).sum(axis=2) / total
        for time, name in enumerate(TIMES):
            facts[f"outliers_{name}"] = mean(counts[:, time])
            facts[f"excess_{name}"] = mean(counts[:, time] - classes)
            facts[f"gap_{name}"] = mean(gaps[:, time])
            facts[f"share_{name}"] = mean(shares[:, time])
        return _dataset(trained["kept_step"].values[places], highest, wrong, nodes, weights), facts


def outliers(highest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many eigenvalues (…, count), descending, lie above the widest gap, and its ratio; those
    that are not positive count as the smallest positive ones."""
    least = np.finfo(float).tiny
    logs = np.log(np.maximum(highest, least))
    gaps = logs[..., :-1] - logs[..., 1:]
    return gaps.argmax(axis=-1) + 1, np.exp(np.minimum(gaps.max(axis=-1), 700))


def _dataset(steps, highest, wrong, nodes, weights):
    import xarray as xr

    units = {"units": "1", "comment": "loss per squared weight"}
    axes = ("run", "time")
    return xr.Dataset(
        {
            "step": ("time", steps, {"long_name": "step of training", "units": "1"}),
            "eigenvalue": (
                (*axes, "mode"),
                highest,
                {"long_name": "highest eigenvalues of the Hessian, descending", **units},
            ),
            "residual": ((*axes, "mode"), wrong, {"long_name": "norm of Hv - lambda v", **units}),
            "density_node": (
                (*axes, "probe", "node"),
                nodes,
                {"long_name": "node of the spectral density", **units},
            ),
            "density_weight": (
                (*axes, "probe", "node"),
                weights,
                {"long_name": "share of eigenvalues at the node", "units": "1"},
            ),
        },
        {"time": list(TIMES), "mode": np.arange(highest.shape[-1])},
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("outlier_eigenvalues", OutlierEigenvalues)
