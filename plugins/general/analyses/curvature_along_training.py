"""Curvature along training, beside the optimizer's own limit of stability."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Table, mean

from .._flat import kept_weights

REACHED = 0.99
"""Part of the limit at which a run counts as having reached it."""


class CurvatureAlongTraining(Analysis):
    """The highest eigenvalues of the Hessian, its sharpness first, at the kept weights of all runs
    (`trace: {weights: N}`), and its trace where asked for.

    Each point's eigenvectors begin the search at the next one. `limit` is the curvature at which
    the optimizer's steps begin to grow on a quadratic, 2/α for gradient descent; ratios are the
    sharpness in limits. Where the optimizer has a preconditioner P, all of this is that of
    P^(−1/2)HP^(−1/2), from the first step on. Means over runs are taken over the settings that vary
    first, so that the Student intervals (99 %) are over starts, which are independent.
    """

    needs = ("training", "objective")
    columns = {
        "start_ratio": "mean sharpness of the first weights, in limits",
        "settled_ratio": "mean sharpness over the last part of training, in limits",
        "settled_lowest": "lowest sharpness of a run's last part, its mean over time, in limits",
        "settled_highest": "highest sharpness of a run's last part, its mean over time, in limits",
        "unreached": "runs whose sharpness is below the limit over all of the last part",
        "runs": "runs",
        "loss_ratio": "largest ratio of a run's last loss to its loss where it reached the limit",
        "largest_residual": "largest residual of a sharpness, relative to it",
    }

    count: PositiveInt = 2
    """Eigenvalues at each point."""
    settled: Annotated[float, Field(gt=0, le=1)] = 0.5
    """The last part of the steps, over which means over time are taken."""
    tolerance: PositiveFloat = 1e-4
    """Residual at which an eigenvalue is taken, relative to the highest."""
    trace_error: PositiveFloat | None = None
    """Half the interval of the traces, in traces; null: no traces."""
    trace_most: Annotated[int, Field(ge=3)] = 300
    """Products for each trace at most."""

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for configuration, trained in results.each("training"):
            part = self._along(results, configuration, trained)
            parts.append(part)
            table.row(configuration, **self._summary(part, trained))
        return table.joined(parts)

    def _along(self, results, configuration, trained):
        import xarray as xr

        ways = kept_weights(results, configuration, trained, f"{self.name}: it")
        loss, steps = results.objective(configuration), trained["kept_step"].values
        shape = (*ways.shape[:2], self.count)
        values, residuals = np.full(shape, np.nan), np.full(shape, np.nan)
        traces = np.full((3, *ways.shape[:2]), np.nan)
        near = np.zeros((len(ways), 0, ways.shape[2]))
        scaled = trained["preconditioner"].values if "preconditioner" in trained else None
        known = np.isfinite(ways if scaled is None else ways + scaled).all(axis=2)
        for place in range(len(steps)):
            rows = np.flatnonzero(known[:, place])
            if not len(rows):
                continue
            start = near[rows] if near.shape[1] else None
            by = None if scaled is None else scaled[rows, place]
            found = loss.highest(ways[rows, place], self.count, start, self.tolerance, by)
            values[rows, place], residuals[rows, place] = found.values, found.residuals
            if not near.shape[1]:
                near = np.zeros((len(ways), self.count, ways.shape[2]))
            near[rows] = found.vectors
            for row in rows if self.trace_error else ():
                one = loss.trace(ways[row, place], self.trace_error, self.trace_most)
                traces[:, row, place] = one.estimate, one.low, one.high
            results.progress(place + 1, len(steps), f"steps · {configuration.label}")
        limit = _limits(configuration, len(ways))
        units = {"units": "1", "comment": "loss per squared weight"}
        of = "Hessian" if scaled is None else "preconditioned Hessian"
        variables = {
            "eigenvalue": (
                ("run", "kept_step", "mode"),
                values,
                {"long_name": f"highest eigenvalues of the {of}, descending", **units},
            ),
            "residual": (
                ("run", "kept_step", "mode"),
                residuals,
                {"long_name": "norm of Hv - lambda v", **units},
            ),
            "limit": (
                "run",
                limit,
                {"long_name": "curvature at which the optimizer's steps grow", **units},
            ),
        }
        if self.trace_error:
            words = ("trace of the Hessian", "its lower end, 99.9 %", "its upper end, 99.9 %")
            for name, text, part in zip(("", "_low", "_high"), words, traces, strict=True):
                attributes = {"long_name": text, **units}
                variables[f"trace{name}"] = (("run", "kept_step"), part, attributes)
        kept = {name: c for name, c in trained.coords.items() if c.dims == ("run",)}
        return xr.Dataset(variables, {**kept, "kept_step": trained["kept_step"]})

    def _summary(self, part, trained) -> dict:
        sharp = part["eigenvalue"].values[..., 0]
        relative = part["residual"].values[..., 0] / np.abs(sharp)
        known = {"runs": len(sharp), "largest_residual": float(np.nanmax(relative))}
        ratios = sharp / part["limit"].values[:, None]
        if not np.isfinite(ratios).any():
            return known
        steps = part["kept_step"].values.astype(float)
        ended = np.isfinite(sharp) * steps
        last = steps >= (1 - self.settled) * ended.max(axis=1, keepdims=True)
        settled = np.nanmean(np.where(last, ratios, np.nan), axis=1)
        reached = np.nanmax(np.where(last, ratios, np.nan), axis=1) >= REACHED
        starts = part["start"].values if "start" in part else np.arange(len(sharp))
        first = np.isfinite(ratios).any(axis=0).argmax()
        return {
            **known,
            "start_ratio": mean(_by_start(ratios[:, first], starts)),
            "settled_ratio": mean(_by_start(settled, starts)),
            "settled_lowest": float(settled.min()),
            "settled_highest": float(settled.max()),
            "unreached": int((~reached).sum()),
            "loss_ratio": _fall(ratios, steps, trained),
        }


def _limits(configuration, runs: int) -> np.ndarray:
    """The optimizer's limit of each run, (run,); NaN where it tells none."""
    settings = configuration.settings
    varied = configuration.grid.values("optimizer", np.arange(runs))
    limit = settings.optimizer.with_values(varied).stable_curvature()
    return np.broadcast_to(np.nan if limit is None else np.asarray(limit, dtype=float), runs).copy()


def _by_start(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Means over the runs of each start."""
    return np.array([values[starts == number].mean() for number in np.unique(starts)])


def _fall(ratios: np.ndarray, steps: np.ndarray, trained) -> float:
    """Largest ratio of the last loss to that at the first kept step at which a run was sharper than
    its limit; NaN where none was."""
    trace_step, losses = trained["trace_step"].values, trained["trace_loss"].values
    found = [np.nan]
    for row in np.flatnonzero((ratios >= REACHED).any(axis=1)):
        first = steps[np.argmax(ratios[row] >= REACHED)]
        known = np.flatnonzero(np.isfinite(losses[row]))
        place = known[np.searchsorted(trace_step[known], first, side="right") - 1]
        found.append(losses[row, known[-1]] / losses[row, place])
    return float(np.nanmax(found)) if len(found) > 1 else np.nan


@nnflow.hookimpl
def nnflow_register(register):
    register("curvature_along_training", CurvatureAlongTraining)
