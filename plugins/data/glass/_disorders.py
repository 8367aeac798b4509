"""Runs of a spin glass by their disorder."""

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
