"""How often gradient descent ends in a minimum that is not global."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import NonNegativeInt, PositiveInt

import nnflow
from nnflow import Analysis, UserError, flag_mask, mean, share

from ....general._blocks import block_sizes, turned


class SpuriousMinima(Analysis):
    """Shares, mean losses and mean lowest eigenvalues of spurious minima, and how far they
    hang on thresholds.

    A run is spurious where its critical point is a minimum and its loss not the infimum. A
    loss that stayed high is not enough, as gradient descent also stops at strict saddles.
    Shares carry Clopper–Pearson intervals, means over the spurious runs Student intervals,
    both at 99 %; means over fewer runs than `few` have the whole line instead.

    Swept thresholds: every relative zero threshold for eigenvalues from zero_range_low to
    zero_range_high gives each run of the point the same kind (of all runs, and of those that
    are not global, whose kinds decide what is spurious); every loss threshold from
    global_gap_low to global_gap_high calls the same runs global.

    pP_… is the family with P neurons turned against the others in a block of their own
    (isotropy S_{n−P} × S_P); of several such families, the most frequent one.
    """

    needs = ("training", "critical_points", "spectra")

    few: PositiveInt = 10
    """A mean over fewer spurious runs has no interval: a handful may well be of one family
    and so agree to all digits, though others of the same point would not."""
    most_turned: NonNegativeInt = 3
    """Columns are given for families with 1 … so many turned neurons."""

    def compute(self, results):
        import xarray as xr

        rows = []
        for configuration, ends in results.each("critical_points"):
            if configuration.settings.model.infimum() is None:
                raise UserError(
                    f"{results.study.file}: analyses: spurious_minima needs a model that knows"
                    f" its infimum ({configuration.settings.model.name} does not)"
                )
            trained = results.at("training", configuration.label)
            spectra = results.at("spectra", configuration.label)
            row = (
                _shares(configuration, trained, ends)
                | _means(ends, self.few)
                | _families(ends, spectra)
            )
            row |= _turned_families(configuration, spectra, self.most_turned)
            rows.append(
                row | _course(trained) | _thresholds(configuration, ends) | _polishing(ends)
            )
        columns = {
            name: ("configuration", [row[name][0] for row in rows], {"long_name": text})
            for name, (_, text) in rows[0].items()
        }
        return xr.Dataset(
            columns,
            {"configuration": [configuration.label for configuration in results.configurations]},
        )


Row = dict[str, tuple[float, str]]
"""{column: (number, what it is)} of one point."""


def _elsewhere(dataset) -> np.ndarray:
    """Where the loss is not the infimum."""
    return flag_mask(dataset["is_global"], "no")


def _spurious(dataset) -> np.ndarray:
    """Where the critical point is a minimum, and not a global one."""
    return flag_mask(dataset["kind"], "minimum") & _elsewhere(dataset)


def _interval(name: str, measured: tuple[float, float, float], text: str) -> Row:
    value, low, high = measured
    return {
        name: (value, text),
        f"{name}_low": (low, f"{text}: lower end of the 99 % interval"),
        f"{name}_high": (high, f"{text}: upper end of the 99 % interval"),
    }


def _shares(configuration, trained, ends) -> Row:
    runs = ends.sizes["run"]
    elsewhere, spurious = _elsewhere(ends), _spurious(ends)
    saddle = flag_mask(ends["kind"], "saddle") & elsewhere
    threshold = (
        configuration.settings.classify.global_within + configuration.settings.model.infimum()
    )
    masks = {
        "spurious_share": (spurious, "share of runs that end in a spurious minimum"),
        "stopped_above_share": (
            # a run that diverged has no loss, and did not stop below the threshold
            ~(trained["loss"].values < threshold),
            "share of runs that stopped with a loss above the threshold, whatever they reached",
        ),
        "saddle_share": (saddle, "share of runs that end at a saddle that is not global"),
        "undecided_share": (
            elsewhere & ~spurious & ~saddle,
            "share of runs that end neither at the infimum nor at a minimum or a saddle",
        ),
    }
    row: Row = {"runs": (runs, "runs")}
    for name, (mask, text) in masks.items():
        row |= _interval(name, share(int(mask.sum()), runs), text)
    return row


def _means(ends, few: int) -> Row:
    spurious = _spurious(ends)
    names = {
        "min_eigenvalue": "mean lowest Hessian eigenvalue of the spurious runs",
        "loss": "mean loss of the spurious runs",
    }
    row: Row = {}
    for name, text in names.items():
        average, low, high = mean(ends[name].values[spurious])
        if 0 < spurious.sum() < few:
            low, high = -np.inf, np.inf
        row |= _interval(f"mean_{name}", (average, low, high), text)
    return row


def _families(ends, spectra) -> Row:
    numbers = np.unique(ends["family"].values[_spurious(ends)])
    eigenvalues = spectra["eigenvalue"].values[_spurious(spectra), :1]
    lowest = eigenvalues.min() if eigenvalues.size else np.nan
    return {
        "spurious_families": (len(numbers), "families of spurious minima"),
        "smallest_eigenvalue": (lowest, "lowest Hessian eigenvalue of any spurious family"),
    }


def _turned_families(point, spectra, most: int) -> Row:
    """Count, loss and lowest eigenvalue of the families with 1 … `most` turned neurons."""
    found: dict[int, int] = {}
    for place, count, number in _symmetric(point, spectra):
        if number not in found or count > spectra["count"].values[found[number]]:
            found[number] = place
    row: Row = {}
    for number in range(1, most + 1):
        place = found.get(number)
        text = f"the spurious family with {number} turned neuron{'s' * (number > 1)}"
        for name, values, what in (
            ("count", spectra["count"].values, "runs in"),
            ("loss", spectra["loss"].values, "loss of"),
            ("min_eigenvalue", spectra["eigenvalue"].values[:, 0], "lowest eigenvalue of"),
        ):
            none = 0 if name == "count" else np.nan
            row[f"p{number}_{name}"] = (none if place is None else values[place], f"{what} {text}")
    return row


def _symmetric(configuration, spectra) -> Iterator[tuple[int, int, int]]:
    """(place, runs, turned neurons) of the spurious families with isotropy S_{n−P} × S_P."""
    shapes = configuration.settings.model.shapes()
    ((name, shape), *others) = shapes.items()
    if others or len(shape) != 2:
        return
    within = configuration.settings.classify.family_within
    for place in np.flatnonzero(_spurious(spectra)):
        matrix = spectra[name].values[place]
        number = turned(matrix)
        if sorted(block_sizes(matrix, within)) == sorted((shape[0] - number, number)):
            yield int(place), int(spectra["count"].values[place]), number


def _course(trained) -> Row:
    steps = trained["steps"].values
    ended = flag_mask(trained["status"], "converged")
    return {
        "median_steps": (float(np.median(steps)), "median steps until a run was decided"),
        "max_steps": (int(steps.max()), "most steps until a run was decided"),
        "unfinished": (int((~ended).sum()), "runs that diverged or met the step limit"),
        "restarted": (
            int((trained["restarts"].values > 0).sum()),
            "runs that diverged at first and began again with a smaller step",
        ),
    }


def _thresholds(point, ends) -> Row:
    elsewhere, loss = _elsewhere(ends), ends["loss"].values
    below = loss[flag_mask(ends["is_global"], "yes")]
    row: Row = {}
    for name, bounds, runs in (
        ("zero_range", ends["zero_range"].values, "every run"),
        ("spurious_zero_range", ends["zero_range"].values[elsewhere], "every run not global"),
    ):
        text = f"relative zero thresholds that judge {runs} alike"
        ends_of = _common(bounds)
        row[f"{name}_low"] = (ends_of[0], f"{text}: lower end")
        row[f"{name}_high"] = (ends_of[1], f"{text}: upper end")
    row["global_gap_low"] = (
        np.nanmax(below, initial=-np.inf) if below.size else np.nan,
        "highest loss of a run called global",
    )
    row["global_gap_high"] = (
        np.nanmin(loss[elsewhere]) if elsewhere.any() else np.nan,
        "lowest loss of a run not called global",
    )
    return row


def _common(bounds: np.ndarray) -> tuple[float, float]:
    """The part that intervals (run, 2) have in common; NaN for none."""
    if not bounds.size:
        return np.nan, np.nan
    return float(np.nanmax(bounds[:, 0])), float(np.nanmin(bounds[:, 1]))


def _polishing(ends) -> Row:
    elsewhere = _elsewhere(ends)
    distance = ends["distance"].values
    return {
        "largest_gradient_norm": (
            float(np.nanmax(ends["gradient_norm"].values)),
            "largest gradient norm of a polished point",
        ),
        "largest_distance": (
            float(np.nanmax(distance)),
            "farthest that polishing moved a run (runs that were decided early included)",
        ),
        "largest_spurious_distance": (
            float(np.nanmax(distance[elsewhere])) if elsewhere.any() else np.nan,
            "farthest that polishing moved a run that is not global",
        ),
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("spurious_minima", SpuriousMinima)
