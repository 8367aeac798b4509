"""Constructed critical points of deep linear networks beside what is predicted of them."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Streams, torch

from ..._matrices import constructed, has_descent, matrices, ranks, values_of

HEIGHTS = (0.1, 0.2, 0.4)
"""ε along the curves that leave bad saddles; 0.1⁵ is far above rounding."""

ROUNDING = 1e-12
"""A loss that changes by less has not changed."""


class LinearCriticalPoints(Analysis):
    """Value, ranks, Hessian index and nullity of every constructed critical point, held against
    the combinatorial prediction of the initializer `linear_critical_points`.

    Per run: `rank_R`, `rank_Z`, `index`, `nullity`, `predicted_index`, `predicted_nullity`,
    `value`, `loss`, with the configuration's label in `where`. Configurations with noise or
    another initializer have no numbers. The tolerance of losses is `classify.global_within`.
    """

    needs = ("critical_points",)
    models = ("linear_network",)
    columns = {
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
        "ranked_points": "points with r_Z = r_R that keep the top singular values, not full rank",
        "ranked_points_steep": "of these, points whose Hessian has a negative eigenvalue",
        "rule_mismatches": "points where the rule of ranks and the Hessian disagree on a descent",
        "bad_saddles_left": "bad saddles from which the constructed curve lowers the loss",
        "curve_error": "largest relative error of the curve's descent s·εᶻ − ½ε²ᶻ, z zero layers",
        "no_saddles": "points that are not global from which the loss does not both fall and rise",
        "zero_spectrum_error": "largest error of the predicted Hessian eigenvalues at W = 0",
    }

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        runs = []
        for configuration, critical in results.each("critical_points"):
            initializer, settings = constructed(configuration), configuration.settings
            if initializer is None or initializer.noise:
                continue
            found = _measured(settings.model, initializer, critical)
            within = settings.classify.global_within
            table.row(
                configuration,
                largest_gradient=critical["gradient_norm"].values.max(),
                zero_spectrum_error=_zero_error(settings.model),
                **_predicted(found),
                **_valued(settings.model, found, within),
                **_by_rank(settings.model, found),
                **_curves(settings.model, initializer, found, within),
                no_saddles=_no_saddles(settings.model, initializer, found, critical, within),
                rule_mismatches=_rule_mismatches(settings.model, found, critical),
            )
            runs.append({"where": np.full(len(found["loss"]), configuration.label), **found})
        return table.dataset().assign(
            {name: ("run", np.concatenate([part[name] for part in runs])) for name in _names(runs)}
        )


def _names(runs: list[dict]) -> list[str]:
    return list(runs[0]) if runs else []


def _measured(model, initializer, critical) -> dict[str, np.ndarray]:
    """What is measured and predicted, by run."""
    values = model.modes[1]
    patterns = initializer.patterns(model.shapes())
    chosen = [patterns[run % len(patterns)] for run in critical["run"].values]
    predicted = np.array([pattern.inertia(model.widths, values) for pattern in chosen])
    missed = [np.delete(values, pattern.kept) for pattern in chosen]
    rank_r, rank_z = ranks(matrices(model, critical))
    return {
        "pattern": critical["run"].values % len(patterns),
        "kept": np.array([len(pattern.kept) for pattern in chosen]),
        "keeps_top": np.array([pattern.keeps_top() for pattern in chosen]),
        "extra": np.array([pattern.through(model.widths) for pattern in chosen]),
        "rank_R": rank_r,
        "rank_Z": rank_z,
        "index": critical["index"].values,
        "nullity": critical["nullity"].values,
        "predicted_index": predicted[:, 0],
        "predicted_nullity": predicted[:, 1],
        "value": np.array([(part**2).sum() / 2 for part in missed]),
        "loss": critical["loss"].values,
    }


def _predicted(found) -> dict[str, int]:
    """Where the prediction fails."""
    through = found["kept"] + found["extra"]
    return {
        "patterns": len(np.unique(found["pattern"])),
        "index_mismatches": (found["index"] != found["predicted_index"]).sum(),
        "nullity_mismatches": (found["nullity"] != found["predicted_nullity"]).sum(),
        "rank_mismatches": (
            (found["rank_R"] != found["kept"]) | (found["rank_Z"] != through)
        ).sum(),
    }


def _valued(model, found, within: float) -> dict[str, float]:
    """The losses, beside the critical values and the infimum."""
    loss, value = found["loss"], found["value"]
    known = np.abs(loss[:, None] - values_of(model)) < within
    missing = value > 0
    return {
        "critical_values": known.any(axis=0).sum(),
        "value_error": np.abs(loss - value).max(),
        "value_factor": (loss[missing] / value[missing]).mean(),
        "bad_saddles": len(_bad_saddles(model, found, within)),
    }


def _bad_saddles(model, found, within: float) -> np.ndarray:
    """The patterns of points that are not global and have no negative eigenvalue."""
    bad = (found["index"] == 0) & (found["loss"] - model.infimum() > within)
    return np.unique(found["pattern"][bad])


def _by_rank(model, found) -> dict[str, float]:
    """The points of each relation between r_R, r_Z and d_y."""
    index, below = found["index"], found["rank_R"] < min(model.widths)
    wide = below & (found["rank_Z"] > found["rank_R"])
    ranked = below & (found["rank_Z"] == found["rank_R"]) & found["keeps_top"]
    return {
        "full_rank_points": (~below).sum(),
        "full_rank_loss": found["loss"][~below].max(initial=0),
        "wide_points": wide.sum(),
        "wide_points_level": (index[wide] == 0).sum(),
        "ranked_points": ranked.sum(),
        "ranked_points_steep": (index[ranked] > 0).sum(),
    }


def _rule_mismatches(model, found, critical) -> int:
    """Below full rank the Hessian has a negative eigenvalue where the kept modes are not the top
    ones, or `has_descent`."""
    layers = matrices(model, critical)
    below = found["rank_R"] < min(model.widths)
    steep = ~found["keeps_top"] | has_descent(layers, model.y, found["kept"])
    return int((below & (steep != (found["index"] > 0))).sum())


def _curves(model, initializer, found, within: float) -> dict[str, float]:
    """Bad saddles are saddles: a curve leaves each with a lower loss, of the order of the number z
    of its zero layers, where ε stands in place of each zero."""
    shapes = model.shapes()
    patterns = initializer.patterns(shapes)
    runs = _bad_saddles(model, found, within)
    if not len(runs):
        return {"bad_saddles_left": 0}
    streams = Streams(0, "linear_critical_points", runs, "curves")
    losses = [_losses(model, initializer.beside(shapes, streams, e)) for e in (0.0, *HEIGHTS)]
    falls = losses[0] - np.stack(losses[1:])
    zeros = np.array([len(patterns[run].zero) for run in runs])
    values = np.array([np.delete(model.modes[1], patterns[run].kept)[0] for run in runs])
    powers = np.power.outer(HEIGHTS, zeros)
    expected = values * powers - powers**2 / 2
    return {
        "bad_saddles_left": (falls > 0).all(axis=0).sum(),
        "curve_error": np.abs(falls / expected - 1).max(),
    }


def _no_saddles(model, initializer, found, critical, within: float) -> int:
    """Patterns of points that are not global from which the loss does not both fall and rise: by
    the signs of the Hessian's eigenvalues, or along the curve and its mirror image, in which one
    of the zero layers has the other sign."""
    shapes, weights = model.shapes(), matrices(model, critical)
    patterns = initializer.patterns(shapes)
    modes = sum(layer[0].size for layer in weights)
    falls, rises = found["index"] > 0, found["index"] + found["nullity"] < modes
    runs = np.unique(found["pattern"])
    streams = Streams(0, "linear_critical_points", runs, "curves")
    level, curve = (initializer.beside(shapes, streams, e) for e in (0.0, HEIGHTS[0]))
    mirrored = {name: part.copy() for name, part in curve.items()}
    for row, run in enumerate(runs):
        name = f"w{patterns[run].zero[0]}"
        mirrored[name][row] = 2 * level[name][row] - curve[name][row]
    lower, higher = (_losses(model, one) - _losses(model, level) for one in (curve, mirrored))
    place = np.searchsorted(runs, found["pattern"])
    saddle = (falls | (lower[place] < -ROUNDING)) & (rises | (higher[place] > ROUNDING))
    elsewhere = found["loss"] - model.infimum() > within
    return len(np.unique(found["pattern"][elsewhere & ~saddle]))


def _losses(model, weights) -> np.ndarray:
    tensors = {name: torch.as_tensor(part) for name, part in weights.items()}
    return model.loss(tensors, {}).numpy()


def _zero_error(model) -> float:
    """At W = 0: eigenvalues ±s, d₁ of each, and zeros with two matrices; zeros with more."""
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
