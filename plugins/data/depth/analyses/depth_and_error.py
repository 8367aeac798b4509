"""How often networks of different depth err."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, mean


class DepthAndError(Analysis):
    """Errors of ensembles of classifiers in percent of the samples, means over the runs with 99 %
    Student intervals, at the last recorded step."""

    needs = ("training",)
    models = ("mlp", "small_convolution")
    columns = {
        "runs": "runs",
        "weights": "weights of a network",
        "test_error": "mean percentage of held-out samples classified wrongly",
        "train_error": "mean percentage of training samples classified wrongly",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration in results.configurations:
            label, shapes = configuration.label, configuration.settings.model.shapes()
            test, train = (results.last(name, label) for name in ("test_accuracy", "accuracy"))
            table.row(
                configuration,
                runs=len(test),
                weights=sum(int(np.prod(shape)) for shape in shapes.values()),
                test_error=mean(100 * (1 - test)),
                train_error=mean(100 * (1 - train)),
            )
        return table.dataset()


@nnflow.hookimpl
def nnflow_register(register):
    register("depth_and_error", DepthAndError)
