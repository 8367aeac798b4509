"""The index of the ends of training, over the number of weights."""

from __future__ import annotations

import numpy as np
from pydantic import PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Table, mean


class EndIndex(Analysis):
    """Shares of the Hessian's eigenvalues at the ends of the first runs that are negative: below
    −`zero`, and below 0 by more than the error of an eigenvalue, √n ε ‖H‖. Ends of a budget of
    steps are no critical points; `gradient` says how far they are from one.
    """

    needs = ("training", "objective")
    columns = {
        "networks": "networks whose Hessian was computed",
        "index": "mean share of eigenvalues below the negative threshold",
        "highest_index": "the highest such share",
        "negative": "mean share of eigenvalues that are below 0 beyond their error",
        "near_zero": "mean share of eigenvalues between the thresholds",
        "gradient": "largest gradient norm at these ends",
    }

    zero: PositiveFloat = 1e-3
    """Eigenvalues smaller in absolute value count as 0, as in Choromanska et al. 2015."""
    runs: PositiveInt = 4
    """Networks of each configuration."""
    most_weights: PositiveInt = 1200
    """Larger networks are left out: a Hessian takes weights² numbers."""

    def compute(self, results):
        table = Table(results, self.columns)
        for place, (configuration, trained) in enumerate(results.each("training")):
            results.progress(place, len(results.configurations), configuration.label)
            model = configuration.settings.model
            count = sum(int(np.prod(shape)) for shape in model.shapes().values())
            if count > self.most_weights:
                continue
            loss, ends = results.objective(configuration), _ends(model, trained)[: self.runs]
            values = np.array([np.linalg.eigvalsh(loss.hessian(end[None])[0]) for end in ends])
            error = np.sqrt(count) * np.finfo(float).eps * np.abs(values).max(axis=1)
            index = (values < -self.zero).mean(axis=1)
            table.row(
                configuration,
                networks=len(ends),
                index=mean(index),
                highest_index=float(index.max()),
                negative=mean((values < -error[:, None]).mean(axis=1)),
                near_zero=mean((np.abs(values) <= self.zero).mean(axis=1)),
                gradient=float(trained["gradient_norm"].values[: len(ends)].max()),
            )
        return table.dataset()


def _ends(model, trained) -> np.ndarray:
    """(run, weight), of runs whose loss is finite."""
    parts = [trained[name].values for name in model.shapes()]
    flat = np.concatenate([part.reshape(len(part), -1) for part in parts], axis=1)
    return flat[np.isfinite(trained["loss"].values)]


@nnflow.hookimpl
def nnflow_register(register):
    register("end_index", EndIndex)
