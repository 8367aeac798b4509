"""Energies of the spherical spin glass: random points, and the minima that descent reaches."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share

from .._disorders import by_disorder, over_disorders
from .._levels import EDGE, lowest

APART = 1e-6
"""Energies per spin of different minima of one disorder are farther apart: they differ by about
1/Λ, and polished ones are known to 1e-13."""


class SpinGlass(Analysis):
    """Energies per spin at random points and at the minima that descent from them reaches.

    Numbers are averaged over the runs of each disorder first; the intervals are those of the means
    over disorders.
    """

    needs = ("training", "critical_points")
    models = ("spherical_spin_glass",)
    columns = {
        "spins": "Λ",
        "disorders": "draws of the couplings",
        "runs": "runs, over all disorders",
        "random_variance": "Λ times the mean square of the energy at random points",
        "minimum_share": "share of the runs that end at a minimum",
        "energy": "mean energy per spin of the minima",
        "above_edge": "mean energy per spin of the minima, less −E_∞",
        "spread": "standard deviation of the minima's energies, of one disorder",
        "disorder_spread": "standard deviation over disorders of their mean energy",
        "below_edge": "share of the minima with energies below −E_∞",
        "below_ground": "share of the minima with energies below −E_0",
        "lowest": "lowest energy per spin that was found",
        "softest": "mean of the lowest eigenvalue of the Hessian at the minima",
        "different": "different minima over runs, of one disorder",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            random = results.at("training", configuration.label)["trace_loss"].values[:, 0]
            rows = by_disorder(configuration, critical)
            size = configuration.settings.model.size
            table.row(
                configuration,
                spins=size,
                disorders=len(rows),
                runs=critical.sizes["run"],
                random_variance=over_disorders([size * (random[r] ** 2).mean() for _, r in rows]),
                **_minima(critical, [r for _, r in rows]),
            )
        return table.dataset()


def _minima(critical, rows: list[np.ndarray]) -> dict:
    """The columns about minima. rows: of each disorder."""
    minimum = flag_mask(critical["kind"], "minimum")
    energies, soft = critical["loss"].values, critical["min_eigenvalue"].values
    chosen = [r[minimum[r]] for r in rows if minimum[r].any()]
    means = [energies[r].mean() for r in chosen]
    all_energies = energies[minimum]
    return {
        "minimum_share": share(int(minimum.sum()), len(minimum)),
        "energy": over_disorders(means),
        "above_edge": over_disorders([value - EDGE for value in means]),
        "spread": over_disorders([energies[r].std(ddof=1) for r in chosen if len(r) > 1]),
        "disorder_spread": _deviation(np.array(means)),
        "below_edge": _share([(energies[r] < EDGE).mean() for r in chosen]),
        "below_ground": _share([(energies[r] < lowest()).mean() for r in chosen]),
        "lowest": float(all_energies.min()) if len(all_energies) else np.nan,
        "softest": over_disorders([soft[r].mean() for r in chosen]),
        "different": over_disorders([_different(energies[r]) / len(r) for r in chosen]),
    }


def _share(shares: list[float]) -> tuple[float, float, float]:
    """Mean of the shares of single disorders, with the binomial interval of as many trials as there
    are disorders: numbers from 0 to 1 vary no more than those that are 0 or 1."""
    return share(float(np.sum(shares)), len(shares))


def _different(energies: np.ndarray) -> int:
    """How many energies are farther than `APART` from the one before."""
    return 1 + int((np.diff(np.sort(energies)) > APART).sum())


def _deviation(values: np.ndarray) -> tuple[float, float, float]:
    """Standard deviation of normal numbers and its 99 % interval, by the χ² law."""
    from scipy.special import chdtri

    if len(values) < 2:
        return np.nan, np.nan, np.nan
    free, found = len(values) - 1, float(values.std(ddof=1))
    low, high = (found * np.sqrt(free / chdtri(free, tail)) for tail in (0.005, 0.995))
    return found, float(low), float(high)


@nnflow.hookimpl
def nnflow_register(register):
    register("spin_glass", SpinGlass)
