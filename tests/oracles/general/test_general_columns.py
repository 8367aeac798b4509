"""Every column of the analyses that know no network, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import xarray as xr
from handmade import Handmade, analysis, assert_columns, flags
from studies import module

from nnflow import mean, share
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
GLOBAL = "no yes unknown"
VERDICTS = "spurious_minimum minimum maximum saddle unproved"
NAN = math.nan


def test_columns_of_critical_point_counts():
    critical = xr.Dataset(
        {
            "kind": flags(["minimum", "minimum", "minimum", "saddle", "degenerate", "nonsmooth",
                           "not_critical"], KINDS),
            "family": ("run", [0, 0, 1, 2, 3, -1, -1]),
            "loss": ("run", [1.0, 1.0, 2.0, 5.0, 3.0, -7.0, 90.0]),
        }
    )  # fmt: skip
    results = Handmade(
        {"all": {}, "none": {}},
        {"critical_points": {"all": critical, "none": critical.isel(run=[5, 6])}},
    )
    expected = {
        "critical_points": [4, 0],
        "minima": [2, 0],
        "saddles": [1, 0],
        "maxima": [0, 0],
        "degenerate": [1, 0],
        "lowest_loss": [1.0, NAN],
        "highest_loss": [5.0, NAN],
        "runs": [7, 2],
        "runs_elsewhere": [2, 2],
    }
    assert_columns(analysis("critical_point_counts"), results, expected)


def test_columns_of_local_minima_search():
    """A saddle has a negative eigenvalue that is known: an index of −1 is none. Runs at no critical
    point are no trials, and where there are only such the share is unknown."""
    critical = xr.Dataset(
        {
            "kind": flags(["minimum", "saddle", "saddle", "degenerate", "degenerate",
                           "degenerate", "nonsmooth", "not_critical"], KINDS),
            "is_global": flags(["yes", "no", "no", "no", "no", "no", "no", "no"], GLOBAL),
            "index": ("run", [0, 1, 2, 0, -1, 0, -1, -1]),
            "nullity": ("run", [0, 0, 1, 3, -1, 2, -1, -1]),
            "loss": ("run", [0.0, 1.0, 2.0, 3.0, 3.0 + 1e-9, 4.0, 5.0, 6.0]),
            "min_eigenvalue": ("run", [1.0, -0.5, -2.0, 0.0, -9.0, 0.0, NAN, NAN]),
        }
    )  # fmt: skip
    unknown = critical.isel(run=[0, 1, 7]).assign(
        is_global=flags(["unknown", "unknown", "unknown"], GLOBAL)
    )
    made = {"all": critical, "unknown": unknown, "lost": critical.isel(run=[7, 7])}
    classify = SimpleNamespace(global_within=1e-6)
    results = Handmade({label: {"classify": classify} for label in made}, {"critical_points": made})
    expected = {
        "runs": [8, 3, 2],
        "critical": [6, 2, 0],
        "at_infimum": [1, 1, 0],
        "saddles": [2, 1, 0],
        "suspects": [3, 0, 0],
        "nonsmooth": [1, 0, 0],
        "unfinished": [1, 1, 2],
        "suspect_share": [share(3, 6), share(0, 2), share(0, 0)],
        "share_bound": [NAN, 1 - 0.05 ** (1 / 2), NAN],
        "flattest_saddle": [-0.5, -0.5, NAN],
        "suspect_losses": [2, 0, 0],
        "suspect_nullity": [3, -1, -1],
    }
    assert_columns(analysis("local_minima_search"), results, expected)


def test_losses_decide_what_is_global_where_one_flag_is_unknown():
    """Least 1; of a kink and of what is at the least loss a negative eigenvalue says nothing."""
    critical = xr.Dataset(
        {
            "kind": flags(["minimum", "degenerate", "saddle", "saddle", "nonsmooth"], KINDS),
            "is_global": flags(["no", "no", "unknown", "no", "no"], GLOBAL),
            "index": ("run", [1, 0, 1, 2, 1]),
            "nullity": ("run", [0, 1, 0, 0, 0]),
            "loss": ("run", [1.0, 1.5, 2.0, 3.0, 4.0]),
            "min_eigenvalue": ("run", [1.0, 0.0, -0.5, -0.25, NAN]),
        }
    )
    results = Handmade(
        {"all": {"classify": SimpleNamespace(global_within=1e-6)}},
        {"critical_points": {"all": critical}},
    )
    names = ("at_infimum", "saddles", "suspects", "nonsmooth", "suspect_losses")
    found = analysis("local_minima_search").compute(results)
    assert [found[name].item() for name in names] == [1, 2, 1, 1, 1]
    # known flags are taken as they are
    critical["is_global"].values[2] = 0
    found = analysis("local_minima_search").compute(results)
    assert [found[name].item() for name in names] == [0, 3, 1, 1, 1]


def test_columns_of_spectrum_ends():
    spectra = xr.Dataset(
        {
            "loss": ("family", [2.0, 1.0]),
            "count": ("family", [9, 3]),
            "eigenvalue": (("family", "mode"), [[-1.0, 4.0], [2.0, 8.0]]),
            "residual": (("family", "mode"), [[0.0, 0.0], [0.5, 1.0]]),
        }
    )
    ends = spectra.assign(dense_eigenvalue=spectra["eigenvalue"]).assign_coords(mode=[0, -1])
    none = spectra.isel(family=slice(0))
    results = Handmade(
        {"whole": {}, "ends": {}, "none": {}},
        {"spectra": {"whole": spectra, "ends": ends, "none": none}},
    )
    nothing = (NAN, NAN, NAN)
    lowest = {
        "min_eigenvalue": [(2.0, 1.5, 2.5), (2.0, 1.5, 2.5), nothing],
        "max_eigenvalue": [(8.0, 7.0, 9.0), (8.0, 7.0, 9.0), nothing],
        # most of the least magnitudes over the least of the most, and the other way round
        "condition": [(4.0, 7 / 2.5, 9 / 1.5), nothing, nothing],
    }
    assert_columns(analysis("spectrum_ends"), results, lowest)
    frequent = {
        "min_eigenvalue": [(-1.0, -1.0, -1.0)] * 2 + [nothing],
        "max_eigenvalue": [(4.0, 4.0, 4.0)] * 2 + [nothing],
        "condition": [(4.0, 4.0, 4.0), nothing, nothing],
    }
    assert_columns(analysis("spectrum_ends", at="most_frequent"), results, frequent)


def test_an_end_of_a_spectrum_that_was_not_asked_for_is_unknown():
    """Three eigenvalues from below, from above, and from both ends."""
    spectra = xr.Dataset(
        {
            "loss": ("family", [1.0]),
            "eigenvalue": (("family", "mode"), [[2.0, 4.0, 8.0]]),
            "residual": (("family", "mode"), [[0.5, 0.0, 1.0]]),
            "dense_eigenvalue": (("family", "mode"), [[2.0, 4.0, 8.0]]),
        }
    )
    modes = {"below": [0, 1, 2], "above": [-3, -2, -1], "both": [0, 1, -1]}
    found = {label: spectra.assign_coords(mode=mode) for label, mode in modes.items()}
    results = Handmade({label: {} for label in modes}, {"spectra": found})
    nothing, low, high = (NAN, NAN, NAN), (2.0, 1.5, 2.5), (8.0, 7.0, 9.0)
    expected = {
        "min_eigenvalue": [low, nothing, low],
        "max_eigenvalue": [nothing, high, high],
        "condition": [NAN] * 3,
    }
    found = analysis("spectrum_ends").compute(results)
    for name in ("min_eigenvalue", "max_eigenvalue"):
        ends = zip(*(found[f"{name}{end}"].values for end in ("", "_low", "_high")), strict=True)
        np.testing.assert_array_equal(list(ends), expected[name])
    np.testing.assert_array_equal(found["condition"], expected["condition"])


def test_two_weights_of_two_names_are_a_plane():
    """L = a² + 10b."""
    model = SimpleNamespace(
        shapes=lambda: {"a": (1,), "b": (1,)},
        loss=lambda weights, data: (weights["a"] ** 2 + 10 * weights["b"])[:, 0],
    )
    found = module("loss_grid")._losses(model, np.array([1.0, 2, 3]), np.array([0.0, 1]))
    assert found.tolist() == [[1, 4, 9], [11, 14, 19]]


def certificates(verdicts, families, losses, eigenvalues):
    bounds = {
        "loss_low": np.array(losses) - 0.25, "loss_high": np.array(losses) + 0.25,
        "min_eigenvalue_low": np.array(eigenvalues) - 0.5,
        "min_eigenvalue_high": np.array(eigenvalues) + 0.5,
        "distance": np.array(losses) / 10, "radius": np.array(losses) / 5,
    }  # fmt: skip
    verdict = flags(verdicts, VERDICTS).rename({"run": "certificate"})
    columns = {name: ("certificate", values) for name, values in bounds.items()}
    return xr.Dataset({"verdict": verdict, "family": ("certificate", families), **columns})


def test_columns_of_proofs():
    """Of two families that are proved to be spurious minima, the lower one is shown."""
    critical = xr.Dataset(
        {
            "kind": flags(["minimum", "minimum", "minimum", "minimum", "saddle", "minimum"], KINDS),
            "is_global": flags(["no", "no", "no", "yes", "no", "unknown"], GLOBAL),
            "family": ("run", [1, 1, 2, 0, 3, 1]),
        }
    )
    proved = certificates(
        ["spurious_minimum", "spurious_minimum", "saddle", "unproved"],
        [2, 1, 3, 9],
        [7.0, 3.0, 5.0, 1.0],
        [0.75, 2.0, -1.0, 0.0],
    )
    nothing = critical.isel(run=[3])
    results = Handmade(
        {"all": {}, "none": {}},
        {
            "critical_points": {"all": critical, "none": nothing},
            "certificates": {"all": proved, "none": proved.isel(certificate=[3])},
        },
    )
    triple = (NAN, NAN, NAN)
    expected = {
        "proved_spurious": [2, 0],
        "proved_minimum": [0, 0],
        "proved_maximum": [0, 0],
        "proved_saddle": [1, 0],
        "unproved": [1, 1],
        "runs": [6, 1],
        "certified_share": [share(4, 6), share(0, 1)],
        "certified_of_spurious": [share(3, 3), share(0, 0)],
        "spurious_exists": [1.0, NAN],
        "proved_loss": [(3.0, 2.75, 3.25), triple],
        "proved_eigenvalue": [(2.0, 1.5, 2.5), triple],
        "proved_distance": [0.3, NAN],
        "proved_radius": [0.6, NAN],
        "saddle_loss": [(5.0, 4.75, 5.25), triple],
        "saddle_eigenvalue": [(-1.0, -1.5, -0.5), triple],
        "saddle_distance": [0.5, NAN],
        "saddle_radius": [1.0, NAN],
    }
    assert_columns(analysis("proofs"), results, expected)


def test_columns_of_families():
    critical = xr.Dataset(
        {"family": ("run", [0, 0, 1, 2, -1]), "loss": ("run", [0.0, 0.0, 2.0, 5.0, 9.0])}
    )
    critical["loss"][1] = 1e-9
    spectra = xr.Dataset(
        {
            "family": ("family", [0, 1, 2]),
            "loss": ("family", [0.0, 2.0, 5.0]),
            "count": ("family", [2, 1, 1]),
            "kind": flags(["minimum", "minimum", "saddle"], KINDS).rename({"run": "family"}),
            "is_global": flags(["yes", "no", "no"], GLOBAL).rename({"run": "family"}),
            "eigenvalue": (("family", "mode"), [[1.0, 2.0], [3.0, 4.0], [-1.0, 5.0]]),
            "residual": (("family", "mode"), [[1e-9, 1e-8], [1e-7, 0.0], [0.0, 0.0]]),
            "w": (("family", "neuron", "input"), [np.eye(2), -np.eye(2), [[1.0, 0.2], [0.1, -3]]]),
        }
    )
    parts = {
        "model": SimpleNamespace(shapes=lambda: {"w": (2, 2)}),
        "classify": SimpleNamespace(family_within=1e-6),
    }
    # two families, one of them global, of a model with another weight
    two = {"model": SimpleNamespace(shapes=lambda: {"w": (2, 2), "v": (2,)})}
    few = critical.isel(run=[0, 1, 2, 4])
    results = Handmade(
        {"all": parts, "few": parts | two},
        {
            "critical_points": {"all": critical, "few": few},
            "spectra": {"all": spectra, "few": spectra.isel(family=[0, 1])},
        },
    )
    expected = {
        "families": [3, 2],
        "family_spread": [1e-9, 1e-9],
        "family_gap": [3.0, NAN],
        "largest_residual": [1e-7, 1e-7],
    }
    dataset = assert_columns(analysis("families"), results, expected)
    assert dataset["share"].values[0].tolist() == [0.4, 0.2, 0.2]
    assert dataset["share_low"].values[0, 0] == share(2, 5)[1]
    assert dataset["share_high"].values[0, 0] == share(2, 5)[2]
    assert dataset["min_eigenvalue"].values[0].tolist() == [1.0, 3.0, -1.0]
    assert dataset["residual"].values[0].tolist() == [1e-9, 1e-7, 0.0]
    assert dataset["blocks"].values[0].tolist() == ["2", "2", "1+1"]
    assert dataset["turned"].values[0].tolist() == [0, 2, 1]
    assert dataset["number"].values[0].tolist() == [0, 1, 2]
    assert dataset["count"].values[0].tolist() == [2, 1, 1]
    assert dataset["number"].values[1].tolist() == [0, 1, -1]
    assert dataset["blocks"].values[1].tolist() == ["", "", ""]
    for name, words in (("kind", KINDS), ("is_global", GLOBAL)):
        assert dataset[name].attrs["flag_meanings"] == words
        assert dataset[name].attrs["long_name"]


def test_columns_of_loss_grid():
    """None over `configuration` alone: a window of the plane, given or a quarter wider than the
    points, and the loss there."""
    model = registry().get("models", "toy_valley")(epsilon=0.5)
    ends = xr.Dataset({"w": (("run", "weight"), [[0.0, 1.0], [4.0, np.nan]])})
    begun = xr.Dataset({"w": (("run", "weight"), [[-4.0, 3.0], [0.0, 2.0]])})
    nowhere = xr.full_like(ends, np.nan)
    settings = {"model": model, "dataset": None}
    results = Handmade(
        {"some": settings, "none": settings},
        {
            "initialization": {"some": begun, "none": nowhere},
            "critical_points": {"some": ends, "none": nowhere},
        },
    )
    dataset = assert_columns(analysis("loss_grid", size=3), results, {})
    assert list(dataset) == ["first", "second", "loss"]
    assert dataset["configuration"].values.tolist() == ["some", "none"]
    assert dataset["first"].values.tolist() == [[-6.0, 0.0, 6.0], [-1.0, 0.0, 1.0]]
    assert dataset["second"].values.tolist() == [[0.5, 2.0, 3.5], [-1.0, 0.0, 1.0]]
    assert dataset["loss"].dims == ("configuration", "second_place", "first_place")
    assert dataset["loss"].values[0, 2].tolist() == [
        (3.5 - x**2) ** 2 + x**2 / 2 for x in (-6, 0, 6)
    ]
    given = analysis("loss_grid", size=2, first=(1.0, 3.0)).compute(results)
    assert given["first"].values.tolist() == [[1.0, 3.0], [1.0, 3.0]]
    assert given["second"].values.tolist() == [[0.5, 3.5], [-1.0, 1.0]]


def test_columns_of_network_ends():
    """Means over the runs that have a value, the last recorded accuracies, shares of kinds."""
    critical = xr.Dataset(
        {
            "kind": flags(["minimum", "minimum", "saddle", "maximum", "degenerate", "nonsmooth",
                           "not_critical", "not_critical", "not_critical"], KINDS),
            "loss": ("run", [1.0, 3.0, 2.0, NAN, math.inf, NAN, NAN, NAN, NAN]),
            "gradient_norm": ("run", [0.5, 0.25] + [NAN] * 7),
            "min_eigenvalue": ("run", [-1.0] * 2 + [NAN] * 7),
            "max_eigenvalue": ("run", [4.0, 6.0] + [NAN] * 7),
        }
    )  # fmt: skip
    few = critical.isel(run=[0, 2])
    trace = [[0.1, 0.5, 0.9], [0.2, 0.75, NAN], *[[NAN] * 3] * 7]
    trained = xr.Dataset(
        {
            f"trace_{name}": (("run", "trace_step"), np.array(trace) * factor)
            for name, factor in (("accuracy", 1), ("test_accuracy", 0.5), ("test_loss", 4))
        }
    )
    spectra = xr.Dataset(
        {
            "eigenvalue": (("run", "mode"), [[-1.0, 4.0], [-1.0, 6.0]]),
            "residual": (("run", "mode"), [[1e-9, 2e-9], [3e-9, NAN]]),
            "dense_eigenvalue": (("run", "mode"), [[-1.25, 4.125], [NAN, NAN]]),
        }
    )
    results = Handmade(
        {"all": {}, "few": {}},
        {
            "critical_points": {"all": critical, "few": few},
            "training": {"all": trained, "few": xr.Dataset()},
            "spectra": {"all": spectra, "few": spectra[["eigenvalue", "residual"]].isel(run=[0])},
        },
    )
    nothing = (NAN, NAN, NAN)
    expected = {
        "runs": [9, 2],
        "loss": [mean([1.0, 3.0, 2.0]), mean([1.0, 2.0])],
        "gradient_norm": [mean([0.5, 0.25]), mean([0.5])],
        "min_eigenvalue": [(-1.0, -1.0, -1.0), mean([-1.0])],
        "max_eigenvalue": [mean([4.0, 6.0]), mean([4.0])],
        "accuracy": [mean([0.9, 0.75]), nothing],
        "test_accuracy": [mean([0.45, 0.375]), nothing],
        "test_loss": [mean([3.6, 3.0]), nothing],
        "share_minimum": [share(2, 9), share(1, 2)],
        "share_saddle": [share(1, 9), share(1, 2)],
        "share_maximum": [share(1, 9), share(0, 2)],
        "share_degenerate": [share(1, 9), share(0, 2)],
        "share_nonsmooth": [share(1, 9), share(0, 2)],
        "share_not_critical": [share(3, 9), share(0, 2)],
        "largest_residual": [3e-9, 2e-9],
        "dense_difference": [0.25, NAN],
    }
    assert_columns(analysis("network_ends"), results, expected)
