"""Where noisy starts beside a teacher end: at the teacher, at an image of it, or elsewhere."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, UserError, flag_mask, share

from ....linear._matrices import table

NEAR = 1e-3
"""Largest distance of an entry from w*'s at which a polished end is w*: far above what polishing
leaves (1e-9) and far below the distance of w* from its next image (1)."""


class NoisyInitialization(Analysis):
    """Ends of students of K orthonormal teachers whose first weights are symmetric_start's, as in
    Tian (arXiv:1703.00560, Conjecture 2 and Fig. 9).

    Columns: `neurons` K, `noise` (standard deviation over x₀, the unit of the figure's captions),
    `split` (x₀ − y₀)/x₀, `split_over_noise` of the two; `runs`; the shares, with Clopper–Pearson
    intervals at 99 %, of runs that reach w* itself, `teacher_share`, that compute the teacher's
    function, `global_share` (w*, an image of it under permutations, or with top weights also
    wᵢ = (aⱼ/aᵢ)e_π(i)), and that end in a minimum above, `spurious_share`; `converged_share` of
    those that met a stop rule; `median_steps` over runs that reach the teacher's function. For
    top weights aⱼ (1, where the model has none): `top_least`, `top_most`, and `mixed`, 1 where they
    have both signs; `relative_steps`, the median steps over those of the point of relu_top_weights
    with all aⱼ = 1, NaN without one.
    """

    needs = ("training", "critical_points")

    def compute(self, results):
        rows = {
            configuration.label: _row(results, configuration)
            for configuration in results.configurations
        }
        topped = [p for p in results.configurations if p.settings.model.name == "relu_top_weights"]
        ones = [rows[p.label] for p in topped if set(p.settings.model.top) == {1.0}]
        for configuration in topped if ones else ():
            row = rows[configuration.label]
            row["relative_steps"] = row["median_steps"] / ones[0]["median_steps"]
        return table(rows, COLUMNS)


COLUMNS = {
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


def _row(results, configuration) -> dict[str, float]:
    model, start = configuration.settings.model, configuration.settings.initializer
    if start.name != "symmetric_start":
        raise UserError(
            f"{results.study.file}: analyses: noisy_initialization is about starts of"
            f" symmetric_start, not {start.name!r}"
        )
    ends = results.at("critical_points", configuration.label)
    trained = results.at("training", configuration.label)
    weights = ends["w"].values
    top = np.array(getattr(model, "top", [1.0] * weights.shape[1]))
    reached = flag_mask(ends["is_global"], "yes")
    masks = {
        "teacher_share": reached & (np.abs(weights - np.eye(len(top))).max(axis=(1, 2)) < NEAR),
        "global_share": reached,
        "spurious_share": flag_mask(ends["kind"], "minimum") & ~reached,
        "converged_share": flag_mask(trained["status"], "converged"),
    }
    split = start.x - start.y
    row = {
        "neurons": len(top),
        "noise": start.noise / start.x,
        "split": split / start.x,
        "split_over_noise": split / start.noise if start.noise else np.inf,
        "runs": len(weights),
        "median_steps": np.median(trained["steps"].values[reached]) if reached.any() else np.nan,
        "top_least": top.min(),
        "top_most": top.max(),
        "mixed": float(top.min() < 0 < top.max()),
    }
    for name, mask in masks.items():
        row[name], row[f"{name}_low"], row[f"{name}_high"] = share(int(mask.sum()), len(mask))
    return row


@nnflow.hookimpl
def nnflow_register(register):
    register("noisy_initialization", NoisyInitialization)
