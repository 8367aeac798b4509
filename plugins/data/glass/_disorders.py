"""Runs of a spin glass by their disorder, and ratios of means over what is independent."""

from __future__ import annotations

import numpy as np

from nnflow import mean


def by_disorder(configuration, dataset) -> list[tuple[int, np.ndarray]]:
    """(disorder, row numbers of its runs), whether it varies over the runs or not."""
    varied = dataset.coords.get("disorder")
    if varied is None:
        model = configuration.settings.model
        return [(int(model.disorder), np.arange(dataset.sizes["run"]))]
    numbers = varied.values.astype(int)
    return [(int(number), np.flatnonzero(numbers == number)) for number in np.unique(numbers)]


def over_disorders(values: list[float]) -> tuple[float, float, float]:
    """Mean and 99 % interval of numbers of single disorders, which are independent; those of runs
    with one disorder are not."""
    numbers = np.array(values, dtype=float)
    return mean(numbers[np.isfinite(numbers)])


def independent(configuration, trained) -> list[np.ndarray]:
    """Row numbers of the runs of each disorder, where there is one; else each run by itself."""
    if "disorder" in trained.coords:
        return [rows for _, rows in by_disorder(configuration, trained)]
    return [np.array([row]) for row in range(trained.sizes["run"])]


def ratio(above: np.ndarray, below: np.ndarray, groups) -> tuple[float, float, float]:
    """Mean of `above` over that of `below`, both (run,), with its 99 % interval to first order,
    over groups that are independent of each other."""
    above, below = (np.array([values[rows].mean() for rows in groups]) for values in (above, below))
    found = float(above.mean() / below.mean())
    _, low, high = mean((above - found * below) / below.mean())
    return found, max(found + low, 0.0), found + high
