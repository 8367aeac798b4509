"""Whether the energy of a minimum is told by the disorder or by the start."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask

from .._disorders import by_disorder

CONFIDENCE = 0.99


class DisorderShare(Analysis):
    """Energies of minima within a disorder, over starts, and between disorders.

    `within` is the standard deviation about the mean of the disorder, all disorders together; its
    interval is that of the logarithm of its square, with the standard error √((κ − 1)/f), κ the
    fourth moment over the squared second, f starts less disorders: energies need not be normal.
    Means of a few starts scatter between disorders though these be alike. The analysis of variance
    takes that away: `between` is the standard deviation of the means over all starts,
    `disorder_share` the part of the whole variance that is its square, with the intervals of
    Fisher's F; NaN with one disorder. `within_ratio`, where a configuration has one disorder and
    another of equal Λ has several: its `within` over theirs, 1 if one disorder is as any other.
    """

    needs = ("critical_points",)
    models = ("spherical_spin_glass",)
    columns = {
        "starts": "minima of a disorder, in the mean over disorders",
        "within": "standard deviation over starts of the minima's energies, of one disorder",
        "between": "standard deviation over disorders of the mean energy over all starts",
        "disorder_share": "share of the variance of energies that is between disorders",
        "within_ratio": "`within` of one disorder over that of several, at the same Λ",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        groups = {c.label: (c, _energies(c, found)) for c, found in results.each("critical_points")}
        for configuration, energies in groups.values():
            between, part = _between(energies)
            table.row(
                configuration,
                starts=float(np.mean([len(each) for each in energies])) if energies else np.nan,
                within=_within(energies),
                between=between,
                disorder_share=part,
                within_ratio=_ratio(energies, _several(configuration, groups.values())),
            )
        return table.dataset()


def _energies(configuration, critical) -> list[np.ndarray]:
    """Energies of the minima of each disorder that has two or more."""
    minimum = flag_mask(critical["kind"], "minimum")
    found = [
        critical["loss"].values[rows[minimum[rows]]]
        for _, rows in by_disorder(configuration, critical)
    ]
    return [each for each in found if len(each) > 1]


def _several(configuration, groups) -> list[np.ndarray]:
    """Energies, by disorder, of a configuration of several disorders with as many spins."""
    size = configuration.settings.model.size
    alike = (e for c, e in groups if c.settings.model.size == size and len(e) > 1)
    return next(alike, [])


def _within(energies: list[np.ndarray]) -> tuple[float, float, float]:
    return _root(*_pooled(energies))


def _root(variance: float, half: float) -> tuple[float, float, float]:
    """The root, with its interval, of what has a logarithm known to ± half."""
    value, factor = np.sqrt(variance), np.exp(half / 2)
    return float(value), float(value / factor), float(value * factor)


def _pooled(energies: list[np.ndarray]) -> tuple[float, float]:
    """The variance about the means of disorders, and half of the interval of its logarithm."""
    if not energies:
        return np.nan, np.nan
    from scipy.special import ndtri

    away = np.concatenate([each - each.mean() for each in energies])
    free = len(away) - len(energies)
    kurtosis = (away**4).mean() / (away**2).mean() ** 2
    half = ndtri((1 + CONFIDENCE) / 2) * np.sqrt((kurtosis - 1) / free)
    return float((away**2).sum() / free), float(half)


def _between(energies: list[np.ndarray]) -> tuple[tuple, tuple]:
    """Standard deviation of the disorders' means, and its square's share of the variance; each
    with its interval, from the quantiles of F."""
    if len(energies) < 2:
        return (np.nan,) * 3, (np.nan,) * 3
    from scipy.special import fdtri

    counts = np.array([len(each) for each in energies])
    means, total, disorders = [each.mean() for each in energies], counts.sum(), len(energies)
    free = total - disorders
    equal = (total - (counts**2).sum() / total) / (disorders - 1)  # starts of each, if all had that
    variance, _ = _pooled(energies)
    centre = np.average(means, weights=counts)
    spread = float((counts * (means - centre) ** 2).sum() / (disorders - 1) / variance)  # F
    quantiles = fdtri(disorders - 1, free, [(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2])
    tails = np.array([1, *quantiles])
    odds = np.maximum(spread / tails - 1, 0) / equal  # between over within, of variances
    return (
        tuple(float(value) for value in np.sqrt(odds * variance)),
        tuple(float(value) for value in odds / (1 + odds)),
    )


def _ratio(energies, others) -> tuple[float, float, float]:
    if len(energies) != 1 or not others:
        return (np.nan,) * 3
    (own, half), (theirs, other_half) = _pooled(energies), _pooled(others)
    return _root(own / theirs, np.hypot(half, other_half))


@nnflow.hookimpl
def nnflow_register(register):
    register("disorder_share", DisorderShare)
