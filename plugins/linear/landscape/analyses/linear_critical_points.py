"""Constructed critical points of deep linear networks beside what is predicted of them."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis

from ..._matrices import constructed, critical_values, matrices, ranks, table

COLUMNS = {
    "patterns": "patterns of critical points that were constructed",
    "largest_gradient": "largest gradient norm at a constructed point",
    "critical_values": "distinct critical values among the constructed points",
    "value_error": "largest error of ½Σs² over the missed singular values s",
    "value_factor": "‖Y − ΠW‖² over Σs² of the missed singular values, mean",
    "index_mismatches": "points whose Hessian index is not the predicted one",
    "nullity_mismatches": "points whose Hessian nullity is not the predicted one",
    "rank_mismatches": "points with another rank r_R or r_Z than constructed",
    "full_rank_points": "points with r_R = d_y",
    "full_rank_loss": "largest loss of a point with r_R = d_y",
    "wide_points": "points with r_Z > r_R below full rank",
    "wide_points_level": "of these, points whose Hessian has no negative eigenvalue",
    "bad_saddles": "patterns of points that are not global and have no negative eigenvalue",
    "ranked_points": "points with r_Z = r_R that keep the top singular values, below full rank",
    "ranked_points_steep": "of these, points whose Hessian has a negative eigenvalue",
    "zero_spectrum_error": "largest error of the predicted Hessian eigenvalues at W = 0",
}


class LinearCriticalPoints(Analysis):
    """Value, ranks, Hessian index and nullity of every constructed critical point, held against
    the combinatorial prediction of the initializer `linear_critical_points`.

    Per run: `rank_R`, `rank_Z`, `index`, `nullity`, `predicted_index`, `predicted_nullity`,
    `value`, `loss`, each over `run` with the point's label in `where`; columns of the summary:
    see their long names. Points with noise or another initializer have no numbers.
    """

    needs = ("critical_points",)

    def compute(self, results):
        rows, runs = {}, []
        for configuration, ends in results.each("critical_points"):
            initializer = constructed(configuration)
            if initializer is None or initializer.noise:
                rows[configuration.label] = {}
                continue
            found = _measured(configuration.settings.model, initializer, ends)
            rows[configuration.label] = _row(configuration.settings.model, found, ends)
            runs.append({"where": np.full(len(found["loss"]), configuration.label), **found})
        dataset = table(rows, COLUMNS)
        for name in runs[0] if runs else ():
            dataset[name] = ("run", np.concatenate([part[name] for part in runs]))
        return dataset


def _measured(model, initializer, ends) -> dict[str, np.ndarray]:
    """What is measured and predicted, by run."""
    values = model.modes[1]
    patterns = initializer.patterns(model.shapes())
    chosen = [patterns[run % len(patterns)] for run in ends["run"].values]
    predicted = np.array([pattern.inertia(model.widths, values) for pattern in chosen])
    missed = [np.delete(values, pattern.kept) for pattern in chosen]
    rank_r, rank_z = ranks(matrices(model, ends))
    return {
        "pattern": ends["run"].values % len(patterns),
        "kept": np.array([len(pattern.kept) for pattern in chosen]),
        "keeps_top": np.array([p.kept == tuple(range(len(p.kept))) for p in chosen]),
        "extra": np.array([_through(pattern, model) for pattern in chosen]),
        "rank_R": rank_r,
        "rank_Z": rank_z,
        "index": ends["index"].values,
        "nullity": ends["nullity"].values,
        "predicted_index": predicted[:, 0],
        "predicted_nullity": predicted[:, 1],
        "value": np.array([(part**2).sum() / 2 for part in missed]),
        "loss": ends["loss"].values,
    }


def _through(pattern, model) -> int:
    """The rank of W_{K−1} ⋯ W₂ beside the kept modes."""
    layers = len(model.widths) - 1
    if layers == 2:
        return model.widths[1] - len(pattern.kept)
    return pattern.extra if pattern.zero == (1, layers) else 0


def _row(model, found, ends) -> dict[str, float]:
    values, full = model.modes[1], min(model.widths)
    index, loss = found["index"], found["loss"]
    below = found["rank_R"] < full
    wide = below & (found["rank_Z"] > found["rank_R"])
    ranked = below & (found["rank_Z"] == found["rank_R"]) & found["keeps_top"]
    bad = (index == 0) & (loss - model.infimum() > 1e-9)
    known = np.abs(loss[:, None] - critical_values(values, full)) < 1e-9
    missing = found["value"] > 0
    wrong = (found["rank_R"] != found["kept"]) | (found["rank_Z"] != found["kept"] + found["extra"])
    return {
        "patterns": len(np.unique(found["pattern"])),
        "largest_gradient": ends["gradient_norm"].values.max(),
        "critical_values": known.any(axis=0).sum(),
        "value_error": np.abs(loss - found["value"]).max(),
        "value_factor": (loss[missing] / found["value"][missing]).mean(),
        "index_mismatches": (index != found["predicted_index"]).sum(),
        "nullity_mismatches": (found["nullity"] != found["predicted_nullity"]).sum(),
        "rank_mismatches": wrong.sum(),
        "full_rank_points": (~below).sum(),
        "full_rank_loss": loss[~below].max(initial=0),
        "wide_points": wide.sum(),
        "wide_points_level": (index[wide] == 0).sum(),
        "bad_saddles": len(np.unique(found["pattern"][bad])),
        "ranked_points": ranked.sum(),
        "ranked_points_steep": (index[ranked] > 0).sum(),
        "zero_spectrum_error": _zero_error(model),
    }


def _zero_error(model) -> float:
    """At W = 0: eigenvalues ±s, d₁ of each, and zeros with two matrices; zeros with more."""
    from nnflow import torch

    zero = {n: torch.zeros(1, *shape, dtype=torch.float64) for n, shape in model.shapes().items()}
    eigenvalues = torch.linalg.eigvalsh(model.hessian(zero, {}))[0].numpy()
    expected = np.zeros(len(eigenvalues))
    if len(model.widths) == 3:
        pairs = np.repeat(model.modes[1], model.widths[1])
        expected[: len(pairs)], expected[len(expected) - len(pairs) :] = -pairs, pairs
    return float(np.abs(eigenvalues - np.sort(expected)).max())


@nnflow.hookimpl
def nnflow_register(register):
    register("linear_critical_points", LinearCriticalPoints)
