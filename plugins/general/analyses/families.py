"""The families of critical points that an ensemble reached."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, of_families, share

from .._blocks import block_sizes, turned
from .._padding import NONE, padded


class Families(Analysis):
    """Each family's loss, share of the runs, kind and lowest eigenvalue with its residual.

    Arrays (configuration, family) over the families in spectra.nc, by rising loss; those with fewer
    of them are padded with NaN, −1 and "". Shares are of all runs, with Clopper–Pearson
    intervals at 99 %. `blocks` (n ≥ 1 sizes, as in "5+1") and `turned` describe models with one
    weight matrix: how many rows are equal up to the order of their entries, and how many point
    against their nearest axis.

    Every tolerance between `family_spread` and `family_gap` would find the same families.
    """

    needs = ("critical_points", "spectra")
    columns = {
        "families": "families of critical points",
        "family_spread": "widest range of losses inside a family",
        "family_gap": "smallest difference between the losses of two families that are not global",
        "largest_residual": "largest norm of Hv - lambda v of any eigenvalue",
    }

    def compute(self, results):
        table, tables = Table(results, self.columns), []
        for configuration, critical in results.each("critical_points"):
            spectra = of_families(results.at("spectra", configuration.label))
            tables.append(_families(configuration, critical, spectra))
            table.row(configuration, **_columns(critical, spectra))
        most = max(len(table["loss"]) for table in tables)
        variables = {
            name: (
                ("configuration", "family"),
                padded([t[name] for t in tables], most),
                {"long_name": text},
            )
            for name, text in NAMES.items()
        }
        dataset = table.dataset().assign(variables)
        for name in ("kind", "is_global"):
            dataset[name].attrs |= spectra[name].attrs
        return dataset


NAMES = {
    "number": "number of the family in its configuration",
    "loss": "loss",
    "count": "runs",
    "share": "share of all runs",
    "share_low": "share of all runs: lower end of the 99 % interval",
    "share_high": "share of all runs: upper end of the 99 % interval",
    "min_eigenvalue": "lowest eigenvalue of the Hessian",
    "residual": "norm of Hv - lambda v at the lowest eigenvalue",
    "kind": "kind of critical point",
    "is_global": "is the loss the infimum?",
    "blocks": "sizes of the sets of rows that are equal up to order",
    "turned": "rows whose entry of largest magnitude is negative",
}


def _families(configuration, critical, spectra) -> dict[str, np.ndarray]:
    """The arrays of one configuration, (family,)."""
    runs = critical.sizes["run"]
    shares = np.array([share(int(count), runs) for count in spectra["count"].values])
    shares = shares.reshape(-1, 3)
    table = {name: spectra[name].values for name in ("loss", "count", "kind", "is_global")}
    table |= dict(zip(("share", "share_low", "share_high"), shares.T, strict=True))
    table["number"] = spectra["family"].values
    # matrix-free, the lower end may not have been asked for
    known = 1.0 if spectra["mode"].values[0] == 0 else np.nan
    table["min_eigenvalue"] = known * spectra["eigenvalue"].values[:, 0]
    table["residual"] = known * spectra["residual"].values[:, 0]
    matrices = _matrices(configuration, spectra)
    within = configuration.settings.classify.family_within
    # rows are compared entry by entry, as families are: points agree to far less than `within`
    sizes = ["+".join(map(str, block_sizes(matrix, within))) for matrix in matrices]
    table["blocks"] = np.array(sizes, dtype=str)
    table["turned"] = np.array([turned(matrix) for matrix in matrices], dtype=np.int64)
    return table


def _matrices(configuration, spectra) -> np.ndarray:
    """The families' weights, (family, neuron, input), of a model with one weight matrix; none
    for other models."""
    shapes = configuration.settings.model.shapes()
    ((name, shape), *others) = shapes.items()
    return np.empty((0, 1, 1)) if others or len(shape) != 2 else spectra[name].values


def _columns(critical, spectra) -> dict[str, float]:
    family, loss = critical["family"].values, critical["loss"].values
    numbers = np.unique(family[family != NONE])
    spreads = [np.ptp(loss[family == number]) for number in numbers]
    is_global = flag_mask(spectra["is_global"], "yes")
    losses = np.sort(spectra["loss"].values[~is_global])
    residuals = spectra["residual"].values
    return {
        "families": len(numbers),
        "family_spread": max(spreads, default=np.nan),
        "family_gap": np.diff(losses).min(initial=np.inf) if len(losses) > 1 else np.nan,
        "largest_residual": np.nanmax(residuals) if residuals.size else np.nan,
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("families", Families)
