"""Published numbers of a study over k and n, as its claims have them."""

from __future__ import annotations

from nnflow import share


def published_points(results, column: str) -> list[tuple[int, int, float, float, float]]:
    """(n − k, k, value, low, high) for each published number that the summary's column is held
    against; the interval is that of the published trials, if any. A claim whose every number is
    corrected is left out."""
    rows = []
    for claim in results.study.settings.claims:
        if claim.value != column or not isinstance(claim.published, dict):
            continue
        if set(claim.published) <= set(claim.corrected or ()):
            continue
        for label, value in claim.published.items():
            parameters = dict(pair.split("=") for pair in label.split(","))
            k, n = (int(parameters[name]) for name in "kn")
            low = high = value
            if claim.trials:
                _, low, high = share(round(value * claim.trials), claim.trials)
            rows.append((n - k, k, value, low, high))
    return rows
