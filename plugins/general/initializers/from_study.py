"""First weights that are the last ones of another study's runs."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import NonNegativeFloat

import nnflow
from nnflow import Initializer, UserError


class FromStudy(Initializer):
    """Run i begins where run i mod n of another study ended, n the number of its runs, plus normal
    noise of standard deviation `noise`. The study has to be named under `uses`."""

    study: str
    """The other study."""
    configuration: str | None = None
    """Label of its configuration; null: the one of this study's own label or, where it has only
    one, that."""
    at: Literal["training", "critical_points", "initialization"] = "critical_points"
    """The dataset whose weights are taken."""
    noise: NonNegativeFloat = 0.0
    """Standard deviation of the noise of each weight."""

    varies = ("noise",)

    def used_studies(self):
        return (self.study,)

    def start(self, start):
        results = start.of(self.study)
        label = self.configuration
        if label is None:
            only = len(results.configurations) == 1
            label = results.configurations[0].label if only else start.label
        ended = results.at(self.at, label)
        drawn = {}
        for place, (name, shape) in enumerate(start.shapes.items()):
            if name not in ended or ended[name].shape[1:] != tuple(shape):
                raise UserError(
                    f"from_study: the study {self.study!r} has no weight {name!r} of shape"
                    f" {tuple(shape)} at {label}"
                )
            weights = ended[name].values[start.streams.runs % len(ended[name])]
            noise = self.noise * start.streams.normal(int(np.prod(shape)), draw=place)
            drawn[name] = weights + noise.reshape(-1, *shape)
        return drawn


@nnflow.hookimpl
def nnflow_register(register):
    register("from_study", FromStudy)
