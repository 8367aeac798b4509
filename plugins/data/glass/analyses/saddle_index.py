"""The index of critical points of the spin glass against their energy."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveInt

import nnflow
from nnflow import Analysis, Table, share, torch

from .._disorders import by_disorder, over_disorders
from .._levels import EDGE, negative_share
from .._saddles import critical_points

CRITICAL = 1e-9
"""Largest gradient norm of a critical point; the curvature is of order 1 to 10."""
SIGNED = 1e-7
"""An eigenvalue below this has no sign; a point with such a one is left out."""
APART = 1e-6
"""Different critical points of one disorder differ by this in energy or have another index."""


class SaddleIndex(Analysis):
    """Critical points of all indices, from points along descents, by Newton's method on the
    squared gradient.

    Over `point`, along which configurations of fewer points have NaN: `point_energy`,
    `negative_share` of the eigenvalues and `point_disorder`. At energy u the Hessian's eigenvalues
    are −3u plus a semicircle, so that the share of negative ones is expected to be α(u), that of
    the shifted semicircle below 0. Intervals are those of means over disorders.
    """

    needs = ("training",)
    models = ("spherical_spin_glass",)
    columns = {
        "points": "different critical points found",
        "saddles": "those of index 1 or more",
        "converged": "share of the searches that end at a critical point",
        "index_error": "mean distance of the share of negative eigenvalues from α(u)",
        "index_bias": "mean of the share of negative eigenvalues, less α(u)",
        "correlation": "correlation of energy and index",
        "lowest_saddle": "lowest energy of a critical point of index 1 or more",
        "index_below": "highest share of negative eigenvalues below −E_∞",
        "minima_below": "share of the critical points below −E_∞ that are minima",
    }

    least_disorders: PositiveInt = 1
    """Configurations of fewer disorders are left out."""
    disorders: PositiveInt = 6
    """At most so many disorders."""
    runs: PositiveInt = 1
    """At most so many runs of each, whose kept weights are the starts."""
    most_spins: PositiveInt = 200
    """Larger Λ are left out: a step takes Λ³ operations for each start."""

    def compute(self, results):
        table, parts = Table(results, self.columns), []
        for place, (configuration, trained) in enumerate(results.each("training")):
            results.progress(place, len(results.configurations), configuration.label)
            model, groups = configuration.settings.model, by_disorder(configuration, trained)
            if model.size > self.most_spins or len(groups) < self.least_disorders:
                parts.append(_points([]))
                continue
            found = []
            for disorder, rows in groups[: self.disorders]:
                kept = trained["kept_spins"].values[rows[: self.runs]]
                starts = kept.reshape(-1, model.size)
                starts = torch.as_tensor(starts[np.isfinite(starts).all(axis=1)])
                fixed = model.with_values({"disorder": disorder})
                found.append((disorder, *_distinct(*critical_points(fixed, starts))))
            table.row(configuration, **_columns(found))
            parts.append(_points(found))
        return table.joined(parts)


def _distinct(energies, residuals, eigenvalues):
    """(energies, shares of negative eigenvalues, indices, converged) of different points."""
    held = (residuals < CRITICAL) & (np.abs(eigenvalues).min(axis=1) > SIGNED)
    energies, eigenvalues = energies[held], eigenvalues[held]
    index = (eigenvalues < 0).sum(axis=1)
    order = np.lexsort((energies, index))
    energies, index = energies[order], index[order]
    new = np.ones(len(energies), dtype=bool)
    new[1:] = (np.diff(energies) > APART) | (np.diff(index) > 0)
    shares = index[new] / eigenvalues.shape[1]
    return energies[new], shares, index[new], float(held.mean())


def _columns(found) -> dict:
    """found: (disorder, energies, shares, indices, converged) of each."""
    energies, shares, indices = (np.concatenate([f[part] for f in found]) for part in (1, 2, 3))
    saddle, below = indices > 0, energies < EDGE
    away = [f[2] - negative_share(f[1]) for f in found]
    return {
        "points": len(energies),
        "saddles": int(saddle.sum()),
        "converged": over_disorders([f[4] for f in found]),
        "index_error": over_disorders([np.abs(each).mean() for each in away if len(each)]),
        "index_bias": over_disorders([each.mean() for each in away if len(each)]),
        "correlation": over_disorders(
            [float(np.corrcoef(f[1], f[2])[0, 1]) for f in found if len(f[1]) > 2]
        ),
        "lowest_saddle": float(energies[saddle].min()) if saddle.any() else np.nan,
        "index_below": float(shares[below].max()) if below.any() else np.nan,
        "minima_below": share(int((below & ~saddle).sum()), int(below.sum())),
    }


def _points(found):
    import xarray as xr

    columns = ([np.full(len(f[1]), f[0], dtype=float), f[1], f[2]] for f in found)
    numbers, energies, shares = np.concatenate([np.empty((3, 0)), *columns], axis=1)
    return xr.Dataset(
        {
            "point_disorder": ("point", numbers),
            "point_energy": ("point", energies),
            "negative_share": ("point", shares),
        },
        {"point": np.arange(len(numbers))},
    )


@nnflow.hookimpl
def nnflow_register(register):
    register("saddle_index", SaddleIndex)
