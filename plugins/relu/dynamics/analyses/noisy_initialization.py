"""Where noisy starts end: at the teacher, at an image of it, or elsewhere."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, UserError, flag_mask, share

from .._teacher import at_teacher


class NoisyInitialization(Analysis):
    """Critical points of students of K orthonormal teachers whose first weights are
    symmetric_start's, as in Tian (arXiv:1703.00560, Conjecture 2 and Fig. 9).

    A run computes the teacher's function at w*, at an image of it under permutations, or with
    top weights aⱼ also at wᵢ = (aⱼ/aᵢ)e_π(i); a minimum of higher loss is spurious. Noise is a
    standard deviation, in units of x₀ as in the figure's captions; shares have Clopper–Pearson
    intervals at 99 %. Where the model has no top weights they are 1. Raises UserError where a
    configuration starts from another initializer.
    """

    needs = ("training", "critical_points")
    models = ("relu_teacher_student", "relu_top_weights")
    columns = {
        "neurons": "neurons K",
        "noise": "standard deviation of the noise over x₀",
        "split": "(x₀ − y₀)/x₀",
        "split_over_noise": "x₀ − y₀ over the noise",
        "runs": "runs",
        "teacher_share": "share of runs that reach w*",
        "global_share": "share of runs that compute the teacher's function",
        "spurious_share": "share of runs in a spurious minimum",
        "converged_share": "share of runs that met a stop rule",
        "median_steps": "median steps of runs that compute the teacher's function",
        "relative_steps": "median steps over those with top weights 1",
        "top_least": "least top weight",
        "top_most": "largest top weight",
        "mixed": "1 where the top weights have both signs",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        steps = []
        for configuration, critical in results.each("critical_points"):
            trained = results.at("training", configuration.label)
            median = _median_steps(critical, trained)
            steps.append((configuration, median))
            table.row(
                configuration,
                median_steps=median,
                **_start(results, configuration),
                **_shares(critical, trained),
                **_top(configuration, critical),
            )
        for configuration, relative in _relative(steps):
            table.row(configuration, relative_steps=relative)
        return table.dataset()


def _start(results, configuration) -> dict[str, float]:
    """The columns that describe the start."""
    start = configuration.settings.initializer
    if start.name != "symmetric_start":
        raise UserError(
            f"{results.study.file}: analyses: noisy_initialization is about starts of"
            f" symmetric_start, not {start.name!r}"
        )
    split = start.x - start.y
    return {
        "noise": start.noise / start.x,
        "split": split / start.x,
        "split_over_noise": split / start.noise if start.noise else np.inf,
    }


def _shares(critical, trained) -> dict[str, float | tuple[float, float, float]]:
    """The number of runs, and the shares of those that end in each way."""
    is_global = flag_mask(critical["is_global"], "yes")
    masks = {
        "teacher_share": is_global & at_teacher(critical["w"].values),
        "global_share": is_global,
        "spurious_share": flag_mask(critical["kind"], "minimum") & ~is_global,
        "converged_share": flag_mask(trained["status"], "converged"),
    }
    shares = {name: share(int(mask.sum()), len(mask)) for name, mask in masks.items()}
    return {"runs": len(is_global), **shares}


def _median_steps(critical, trained) -> float:
    """Over the runs that compute the teacher's function; NaN where none does."""
    steps = trained["steps"].values[flag_mask(critical["is_global"], "yes")]
    return float(np.median(steps)) if len(steps) else np.nan


def _top(configuration, critical) -> dict[str, float]:
    """Number of neurons, and their top weights."""
    neurons = critical["w"].shape[1]
    top = np.array(_top_weights(configuration) or [1.0] * neurons)
    return {
        "neurons": neurons,
        "top_least": top.min(),
        "top_most": top.max(),
        "mixed": float(top.min() < 0 < top.max()),
    }


def _top_weights(configuration):
    """None where the model has none of its own."""
    return getattr(configuration.settings.model, "top", None)


def _relative(steps):
    """(configuration, its steps over those with top weights 1) for those with top weights; none
    where no configuration has top weights 1."""
    topped = [(one, median) for one, median in steps if _top_weights(one)]
    plain = [median for one, median in topped if set(_top_weights(one)) == {1.0}]
    return [(one, median / plain[0]) for one, median in topped] if plain else []


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_initialization", NoisyInitialization)
