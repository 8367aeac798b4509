"""Weights of datasets as flat vectors."""

from __future__ import annotations

import numpy as np

from nnflow import UserError


def flat_weights(model, dataset, prefix: str = "") -> np.ndarray:
    """The weights of a stage's dataset, (run, weight); with the prefix `kept_` those on the way,
    (run, step, weight)."""
    axes = 2 if prefix else 1
    parts = [dataset[prefix + name].values for name in model.shapes()]
    return np.concatenate([part.reshape(*part.shape[:axes], -1) for part in parts], axis=axes)


def kept_weights(results, configuration, trained, asker: str) -> np.ndarray:
    """The weights on the way, (run, step, weight). Raises UserError where the study keeps none;
    asker: the analysis that needs them, and for what."""
    model = configuration.settings.model
    if f"kept_{next(iter(model.shapes()))}" not in trained:
        raise UserError(f"{results.study.file}: analyses.{asker} needs `trace: {{weights: N}}`")
    return flat_weights(model, trained, "kept_")


def named_weights(model, flat: np.ndarray) -> dict[str, np.ndarray]:
    """Flat weights (point, weight) by name, each (point, *shape)."""
    named, used = {}, 0
    for name, shape in model.shapes().items():
        count = int(np.prod(shape))
        named[name] = flat[:, used : used + count].reshape(-1, *shape)
        used += count
    return named
