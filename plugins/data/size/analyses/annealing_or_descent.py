"""Ends of simulated annealing beside those of gradient descent, on the same networks."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, mean


class AnnealingOrDescent(Analysis):
    """Training and held-out losses at the ends of two optimizers, for each network of one hidden
    layer, whose configurations differ in their optimizer alone.

    `passes` are evaluations of the loss over all samples, where a gradient counts as two more. The
    columns `less_train` and `less_test` of the annealed networks are their mean loss less that of
    descent from the same law of first weights, with Welch's interval at 99 %: above 0 descent
    is better.
    """

    needs = ("training",)
    models = ("mlp",)
    columns = {
        "runs": "networks whose loss is finite",
        "neurons": "neurons of the hidden layer",
        "passes": "evaluations of all samples in a run; a gradient counts as two more",
        "train_loss": "mean training loss",
        "test_loss": "mean loss on the held-out samples",
        "lowest": "lowest training loss of a run",
        "less_train": "mean training loss of annealing, less that of descent",
        "less_test": "mean held-out loss of annealing, less that of descent",
    }

    def compute(self, results):
        table, descended = Table(results, self.columns), {}
        found = {}
        for configuration, trained in results.each("training"):
            losses = np.stack(
                [trained["loss"].values, results.last("test_loss", configuration.label)]
            )
            found[configuration.label] = losses[:, np.isfinite(losses).all(axis=0)]
            if not _annealed(configuration):
                descended[tuple(configuration.settings.model.widths)] = found[configuration.label]
        for configuration, trained in results.each("training"):
            widths, losses = configuration.settings.model.widths, found[configuration.label]
            other = descended.get(tuple(widths)) if _annealed(configuration) else None
            row = {}
            if other is not None:
                row = {
                    name: _difference(ours, theirs)
                    for name, ours, theirs in zip(
                        ("less_train", "less_test"), losses, other, strict=True
                    )
                }
            table.row(
                configuration,
                runs=losses.shape[1],
                neurons=widths[1],
                passes=_passes(configuration, trained),
                train_loss=mean(losses[0]),
                test_loss=mean(losses[1]),
                lowest=float(losses[0].min()),
                **row,
            )
        return table.dataset()


def _annealed(configuration) -> bool:
    return configuration.settings.optimizer.name == "simulated_annealing"


def _passes(configuration, trained) -> float:
    """Of a run that takes all its steps."""
    settings, steps = configuration.settings, int(trained["steps"].max())
    if _annealed(configuration):
        return float(steps)
    return 3.0 * steps * settings.optimizer.minibatch / settings.dataset.samples


def _difference(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float, float]:
    """Of two means, with Welch's interval."""
    from scipy.special import stdtrit

    parts = [values.var(ddof=1) / len(values) for values in (ours, theirs)]
    free = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (ours, theirs), strict=True)
    )
    half = float(stdtrit(free, 0.995) * np.sqrt(sum(parts)))
    found = float(ours.mean() - theirs.mean())
    return found, found - half, found + half


@nnflow.hookimpl
def nnflow_register(register):
    register("annealing_or_descent", AnnealingOrDescent)
