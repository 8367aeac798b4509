"""How often gradient descent ends in a minimum that is not global."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

import nnflow
from nnflow import Analysis, UserError, flag_mask, mean, share

from ....general._blocks import block_sizes, turned

COLUMNS = {
    "runs": "runs",
    "spurious_share": "share of runs that end in a spurious minimum",
    "stopped_above_share": "share of runs that stopped with a loss above the threshold, whatever"
    " they reached",
    "saddle_share": "share of runs that end at a saddle that is not global",
    "undecided_share": "share of runs that end neither at the infimum nor at a minimum or a saddle",
    "mean_min_eigenvalue": "mean lowest Hessian eigenvalue of the spurious runs",
    "mean_loss": "mean loss of the spurious runs",
    "spurious_families": "families of spurious minima",
    "smallest_eigenvalue": "lowest Hessian eigenvalue of any spurious family",
}
FAMILY_COLUMNS = {
    "count": "runs in",
    "loss": "loss of",
    "min_eigenvalue": "lowest eigenvalue of",
}
"""For each number P of turned neurons, as pP_count, …: the family that is described."""
CHECK_COLUMNS = {
    "median_steps": "median steps until a run was decided",
    "max_steps": "most steps until a run was decided",
    "unfinished": "runs that diverged or met the step limit",
    "restarted": "runs that diverged at first and began again with a smaller step",
    "zero_range_low": "relative zero thresholds that give every run the same kind: lower end",
    "zero_range_high": "relative zero thresholds that give every run the same kind: upper end",
    "spurious_zero_range_low": "relative zero thresholds that give every run that is not global the"
    " same kind: lower end",
    "spurious_zero_range_high": "relative zero thresholds that give every run that is not global"
    " the same kind: upper end",
    "global_gap_low": "highest loss of a run called global",
    "global_gap_high": "lowest loss of a run not called global",
    "largest_gradient_norm": "largest gradient norm of a polished point",
    "largest_distance": "largest distance by which polishing moved a run (runs that were decided"
    " early included)",
    "largest_spurious_distance": "largest distance by which polishing moved a run that is not"
    " global",
}


class SpuriousMinima(Analysis):
    """Shares, mean losses and mean lowest eigenvalues of spurious minima, and how sensitive they
    are to thresholds.

    A run is spurious where its critical point is a minimum and its loss not the infimum. A
    loss that stayed high is not enough, as gradient descent also stops at strict saddles.
    Shares carry Clopper–Pearson intervals, means over the spurious runs Student intervals,
    both at 99 %; the interval of a mean over fewer runs than `few` is the whole line. Every loss
    threshold between the columns global_gap_low and global_gap_high calls the same runs global.

    The columns pP_… describe the family with P neurons turned against the others in a block of
    their own (isotropy S_{n−P} × S_P); of several such families, the most frequent one. Raises
    UserError where the model does not know its infimum.
    """

    needs = ("training", "critical_points", "spectra")

    few: PositiveInt = 10
    """A mean over fewer spurious runs has no interval: a handful may well be of one family
    and so agree to all digits, though others of the same configuration would not."""
    most_turned: NonNegativeInt = 3
    """Largest number of turned neurons of the families that have columns."""

    @property
    def columns(self):
        families = {}
        for number in range(1, self.most_turned + 1):
            family = f"the spurious family with {number} turned neuron{'s' * (number > 1)}"
            families |= {
                f"p{number}_{name}": f"{what} {family}" for name, what in FAMILY_COLUMNS.items()
            }
        return COLUMNS | families | CHECK_COLUMNS

    def compute(self, results):
        table = nnflow.Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            trained = results.at("training", configuration.label)
            spectra = nnflow.of_families(results.at("spectra", configuration.label))
            above = _above(results, configuration, trained)
            table.row(
                configuration,
                **_shares(critical, above),
                **_means(critical, self.few),
                **_families(critical, spectra),
                **_turned_families(configuration, spectra, self.most_turned),
                **_training(trained),
                **_thresholds(critical),
                **_polishing(critical),
            )
        return table.dataset()


def _not_global(dataset) -> np.ndarray:
    """Where the loss is not the infimum."""
    return flag_mask(dataset["is_global"], "no")


def _spurious(dataset) -> np.ndarray:
    """Where the critical point is a minimum, and not a global one."""
    return flag_mask(dataset["kind"], "minimum") & _not_global(dataset)


def _above(results, configuration, trained) -> np.ndarray:
    """(run,) where training stopped above the threshold of what is global; a run that diverged has
    no loss, and did not stop below it."""
    settings = configuration.settings
    if settings.model.infimum() is None:
        raise UserError(
            f"{results.study.file}: analyses: spurious_minima needs a model that knows"
            f" its infimum ({settings.model.name} does not)"
        )
    threshold = settings.classify.global_within + settings.model.infimum()
    return ~(trained["loss"].values < threshold)


def _shares(critical, above: np.ndarray) -> dict:
    """The number of runs, and the shares of those that end in each way."""
    runs = critical.sizes["run"]
    not_global, spurious = _not_global(critical), _spurious(critical)
    saddle = flag_mask(critical["kind"], "saddle") & not_global
    masks = {
        "spurious_share": spurious,
        "stopped_above_share": above,
        "saddle_share": saddle,
        "undecided_share": not_global & ~spurious & ~saddle,
    }
    return {"runs": runs, **{name: share(int(mask.sum()), runs) for name, mask in masks.items()}}


def _means(critical, few: int) -> dict:
    """Means over the spurious runs."""
    spurious = _spurious(critical)
    columns = {}
    for name in ("min_eigenvalue", "loss"):
        average, low, high = mean(critical[name].values[spurious])
        if 0 < spurious.sum() < few:
            low, high = -np.inf, np.inf
        columns[f"mean_{name}"] = (average, low, high)
    return columns


def _families(critical, spectra) -> dict:
    """How many spurious families there are, and the lowest eigenvalue of all."""
    numbers = np.unique(critical["family"].values[_spurious(critical)])
    eigenvalues = spectra["eigenvalue"].values[_spurious(spectra), :1]
    lowest = eigenvalues.min() if eigenvalues.size else np.nan
    return {"spurious_families": len(numbers), "smallest_eigenvalue": lowest}


def _turned_families(configuration, spectra, most: int) -> dict:
    """Count, loss and lowest eigenvalue of the families with 1 … `most` turned neurons."""
    counts = spectra["count"].values
    frequent: dict[int, int] = {}
    for family, number in _symmetric(configuration, spectra):
        if number not in frequent or counts[family] > counts[frequent[number]]:
            frequent[number] = family
    columns = {f"p{number}_count": 0 for number in range(1, most + 1)}
    for number, family in frequent.items():
        if 1 <= number <= most:
            columns |= {
                f"p{number}_count": counts[family],
                f"p{number}_loss": spectra["loss"].values[family],
                f"p{number}_min_eigenvalue": spectra["eigenvalue"].values[family, 0],
            }
    return columns


def _symmetric(configuration, spectra) -> Iterator[tuple[int, int]]:
    """(index, turned neurons) of the spurious families with isotropy S_{n−P} × S_P."""
    shapes = configuration.settings.model.shapes()
    ((name, shape), *others) = shapes.items()
    if others or len(shape) != 2:
        return
    within = configuration.settings.classify.family_within
    for family in np.flatnonzero(_spurious(spectra)):
        matrix = spectra[name].values[family]
        number = turned(matrix)
        if sorted(block_sizes(matrix, within)) == sorted((shape[0] - number, number)):
            yield int(family), number


def _training(trained) -> dict:
    """How long training took, and how many runs it did not finish."""
    steps = trained["steps"].values
    return {
        "median_steps": float(np.median(steps)),
        "max_steps": int(steps.max()),
        "unfinished": int((~flag_mask(trained["status"], "converged")).sum()),
        "restarted": int((trained["restarts"].values > 0).sum()),
    }


def _thresholds(critical) -> dict:
    """Between which thresholds each run keeps its kind, and is global or not."""
    not_global, loss = _not_global(critical), critical["loss"].values
    ranges = critical["zero_range"].values
    low, high = _intersection(ranges)
    spurious_low, spurious_high = _intersection(ranges[not_global])
    below = loss[flag_mask(critical["is_global"], "yes")]
    return {
        "zero_range_low": low,
        "zero_range_high": high,
        "spurious_zero_range_low": spurious_low,
        "spurious_zero_range_high": spurious_high,
        "global_gap_low": np.nanmax(below) if below.size else np.nan,
        "global_gap_high": np.nanmin(loss[not_global]) if not_global.any() else np.nan,
    }


def _intersection(intervals: np.ndarray) -> tuple[float, float]:
    """The part that intervals (run, 2) have in common; NaN for none."""
    if not intervals.size:
        return np.nan, np.nan
    return float(np.nanmax(intervals[:, 0])), float(np.nanmin(intervals[:, 1]))


def _polishing(critical) -> dict:
    """What polishing left of the gradient, and how far it went."""
    not_global, distance = _not_global(critical), critical["distance"].values
    return {
        "largest_gradient_norm": float(np.nanmax(critical["gradient_norm"].values)),
        "largest_distance": float(np.nanmax(distance)),
        "largest_spurious_distance": (
            float(np.nanmax(distance[not_global])) if not_global.any() else np.nan
        ),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("spurious_minima", SpuriousMinima)
