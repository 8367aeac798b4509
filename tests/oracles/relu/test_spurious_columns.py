"""Every column of the analyses of spurious minima, on hand-made results."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import xarray as xr
from handmade import Between, Handmade, analysis, assert_columns, flags
from students import objective
from studies import module

from nnflow import mean, share
from nnflow.base.errors import UserError
from nnflow.interfaces.registry import registry

KINDS = "minimum saddle maximum degenerate nonsmooth not_critical"
NAN, INF = math.nan, math.inf
WHOLE_LINE = (-INF, INF)


def flags_over(axis, values, meanings):
    return flags(values, meanings).rename(run=axis)


# spurious_minima

ONE_TURNED = np.array([[1, 0.1, 0.3], [0.1, 1, 0.3], [0.2, 0.2, -0.7]])
TWO_TURNED = np.array([[1, 0.2, 0.2], [0.3, -0.7, 0.1], [0.3, 0.1, -0.7]])
NO_BLOCKS = np.array([[1, 0.1, 0.2], [0.3, 0.9, 0.4], [0.2, 0.2, -0.7]])


def ensemble(runs, families):
    """Settings and datasets. runs: (kind, is global, family, loss at the critical point, lowest
    eigenvalue, loss in training, status, restarts); families: (kind, is global, count, loss,
    lowest eigenvalue, W). Runs have zero ranges, steps, distances and gradient norms that grow
    with their number."""
    kind, is_global, family, loss, lowest, stopped, status, restarts = zip(*runs, strict=True)
    number = np.arange(len(runs))
    critical = xr.Dataset(
        {
            "kind": flags(kind, KINDS),
            "is_global": flags(is_global, "no yes unknown"),
            "family": ("run", list(family)),
            "loss": ("run", list(loss)),
            "min_eigenvalue": ("run", list(lowest)),
            "zero_range": (("run", "bound"), np.stack([1e-9 * number, 1e-2 - 1e-3 * number], 1)),
            "distance": ("run", 1e-3 * number),
            "gradient_norm": ("run", 1e-15 * number),
        }
    )
    trained = xr.Dataset(
        {
            "loss": ("run", list(stopped)),
            "steps": ("run", 10 * number),
            "status": flags(status, "converged step_limit diverged"),
            "restarts": ("run", list(restarts)),
        }
    )
    kind, is_global, count, loss, lowest, w = zip(*families, strict=True)
    spectra = xr.Dataset(
        {
            "kind": flags_over("family", kind, KINDS),
            "is_global": flags_over("family", is_global, "no yes unknown"),
            "count": ("family", list(count)),
            "loss": ("family", list(loss)),
            "eigenvalue": (("family", "mode"), [[value, 9.0] for value in lowest]),
            "w": (("family", "neuron", "input"), np.array(w, dtype=float)),
        }
    )
    settings = {
        "model": registry().get("models", "relu_teacher_student")(k=3, n=3),
        "classify": SimpleNamespace(global_within=1e-3, family_within=1e-6),
    }
    return settings, {"critical_points": critical, "training": trained, "spectra": spectra}


GLOBAL = ("minimum", "yes", 0, 0.0, 0.09)
MIXED = ensemble(
    [
        (*GLOBAL, 9e-4, "converged", 0),
        # a global one that stopped above the threshold, and one at it
        (*GLOBAL, 2e-3, "converged", 0),
        ("minimum", "yes", 0, 1e-14, 0.09, 1e-3, "converged", 0),
        ("minimum", "no", 1, 0.02, 0.01, 0.02, "converged", 0),
        ("minimum", "no", 1, 0.02, 0.01, 0.02, "converged", 1),
        ("minimum", "no", 2, 0.05, 0.03, 0.05, "step_limit", 0),
        ("saddle", "no", 3, 0.03, -0.2, 0.03, "converged", 2),
        # neither a minimum nor a saddle, and a saddle that is global
        ("nonsmooth", "no", 4, 0.04, 0.0, NAN, "diverged", 0),
        ("saddle", "yes", 5, 0.0, -0.1, 1e-9, "converged", 0),
    ],
    [
        ("minimum", "yes", 3, 0.0, 0.09, np.eye(3)),
        ("minimum", "no", 2, 0.02, 0.01, ONE_TURNED),
        # the same symmetry, but fewer runs; two turned; no symmetry; and no minimum
        ("minimum", "no", 1, 0.05, 0.03, ONE_TURNED),
        ("minimum", "no", 1, 0.06, 0.04, TWO_TURNED),
        ("minimum", "no", 7, 0.07, 0.05, NO_BLOCKS),
        ("saddle", "no", 8, 0.03, -0.2, TWO_TURNED),
    ],
)
ALL_GLOBAL = ensemble(
    [(*GLOBAL, 0.0, "converged", 0)] * 2, [("minimum", "yes", 2, 0.0, 0.09, np.eye(3))]
)


def spurious_results(**configurations):
    settings = {label: parts for label, (parts, _) in configurations.items()}
    names = ("critical_points", "training", "spectra")
    return Handmade(
        settings,
        {
            name: {label: sets[name] for label, (_, sets) in configurations.items()}
            for name in names
        },
    )


def test_columns_of_spurious_minima():
    expected = {
        "runs": [9, 2],
        "spurious_share": [share(3, 9), share(0, 2)],
        "stopped_above_share": [share(7, 9), share(0, 2)],
        "saddle_share": [share(1, 9), share(0, 2)],
        "undecided_share": [share(1, 9), share(0, 2)],
        "mean_min_eigenvalue": [mean(np.array([0.01, 0.01, 0.03])), (NAN, NAN, NAN)],
        "mean_loss": [mean(np.array([0.02, 0.02, 0.05])), (NAN, NAN, NAN)],
        "spurious_families": [2, 0],
        "smallest_eigenvalue": [0.01, NAN],
        "p1_count": [2, 0],
        "p1_loss": [0.02, NAN],
        "p1_min_eigenvalue": [0.01, NAN],
        "p2_count": [1, 0],
        "p2_loss": [0.06, NAN],
        "p2_min_eigenvalue": [0.04, NAN],
        "median_steps": [40, 5],
        "max_steps": [80, 10],
        "unfinished": [2, 0],
        "restarted": [2, 0],
        "zero_range_low": [8e-9, 1e-9],
        "zero_range_high": [2e-3, 9e-3],
        # runs 3 to 7
        "spurious_zero_range_low": [7e-9, NAN],
        "spurious_zero_range_high": [3e-3, NAN],
        "global_gap_low": [1e-14, 0],
        "global_gap_high": [0.02, NAN],
        "largest_gradient_norm": [8e-15, 1e-15],
        "largest_distance": [8e-3, 1e-3],
        "largest_spurious_distance": [7e-3, NAN],
    }
    for name in ("zero_range_low", "spurious_zero_range_low", "global_gap_low",
                 "largest_gradient_norm"):  # fmt: skip
        # far below what the helper takes for equal
        expected[name] = [pytest.approx(value, rel=1e-9, nan_ok=True) for value in expected[name]]
    plugin = analysis("spurious_minima", few=3, most_turned=2)
    assert_columns(plugin, spurious_results(mixed=MIXED, all=ALL_GLOBAL), expected)


def test_a_mean_over_few_spurious_runs_has_no_interval():
    dataset = analysis("spurious_minima", few=4).compute(spurious_results(mixed=MIXED))
    for name, value in (("loss", 0.03), ("min_eigenvalue", 0.05 / 3)):
        ends = [float(dataset[f"mean_{name}{end}"].item()) for end in ("", "_low", "_high")]
        assert ends == [pytest.approx(value), *WHOLE_LINE]


def test_a_family_of_too_many_turned_neurons_has_no_column():
    dataset = analysis("spurious_minima", most_turned=1).compute(spurious_results(mixed=MIXED))
    assert [name for name in dataset if name.endswith("_count")] == ["p1_count"]


def test_other_weights_than_one_matrix_have_no_families():
    settings, datasets = MIXED
    model = SimpleNamespace(infimum=lambda: 0.0, shapes=lambda: {"w": (3, 3), "b": (3,)})
    dataset = analysis("spurious_minima").compute(
        spurious_results(mixed=({**settings, "model": model}, datasets))
    )
    assert dataset["p1_count"].item() == dataset["p2_count"].item() == 0


def test_a_model_without_infimum_is_refused():
    settings, datasets = MIXED
    model = registry().get("models", "relu_teacher_student")(k=3, n=2)
    results = spurious_results(mixed=({**settings, "model": model}, datasets))
    with pytest.raises(UserError, match=r"study.yaml: .* needs a model that knows its infimum"):
        analysis("spurious_minima").compute(results)


# two_relu_minimum

STRAIGHT, SWAPPED = np.eye(2), np.eye(2)[::-1]


def two_relus(runs):
    """runs: (kind, is global, family, W, lowest and highest eigenvalue)."""
    kind, is_global, family, w, lowest, highest = zip(*runs, strict=True)
    return xr.Dataset(
        {
            "kind": flags(kind, KINDS),
            "is_global": flags(is_global, "no yes unknown"),
            "family": ("run", list(family)),
            "w": (("run", "neuron", "input"), np.array(w)),
            "min_eigenvalue": ("run", list(lowest)),
            "max_eigenvalue": ("run", list(highest)),
        }
    )


def test_columns_of_two_relu_minimum():
    datasets = {
        "spurious": two_relus(
            [
                ("minimum", "yes", 0, STRAIGHT + 0.1, 0.1, 1.0),
                ("minimum", "yes", 0, SWAPPED, 0.2, 1.0),
                ("minimum", "yes", 0, SWAPPED - 0.01, 0.1, 2.0),
                ("saddle", "no", 1, np.ones((2, 2)), -1.0, 3.0),
                ("minimum", "no", 2, STRAIGHT, 0.5, 4.0),
            ]
        ),
        "none": two_relus(
            [("minimum", "yes", 0, STRAIGHT, 0.25, 0.75)] * 4
            + [("saddle", "no", 1, STRAIGHT, -0.5, 9.0)]
        ),
        # no run ends at the teachers
        "saddles": two_relus([("saddle", "no", 0, STRAIGHT, -0.5, 9.0)]),
    }
    expected = {
        "runs": [5, 5, 1],
        "minima": [4, 4, 0],
        "minimum_families": [2, 1, 0],
        "global_share": [share(3, 5), share(4, 5), share(0, 1)],
        "spurious_share": [share(1, 5), share(0, 5), share(0, 1)],
        # the fifth root of 1 % is .3981
        "spurious_bound": [NAN, 0.6018928294465028, 0.99],
        "straight_share": [share(1, 3), share(4, 4), share(0, 0)],
        "lowest_eigenvalue": [0.1, 0.25, INF],
        "highest_eigenvalue": [2.0, 0.75, -INF],
        "eigenvalue_spread": [0.1, 0, NAN],
        "distance": [0.2, 0, 0],
    }
    results = Handmade({label: {} for label in datasets}, {"critical_points": datasets})
    assert_columns(analysis("two_relu_minimum"), results, expected)


# symmetric_families

VERDICTS = "unproved spurious_minimum global_minimum saddle"


def family_model(k, turned):
    return registry().get("models", "relu_symmetric_family")(k=k, turned=turned)


def family_settings(k, turned, zero_below=1e-7):
    return {
        "model": family_model(k, turned),
        "classify": SimpleNamespace(zero_below=zero_below),
    }


def family_point(model, loss, kind="minimum", shifts=(0.0, 0.01)):
    """Runs whose shifts are all the same number, which is not quite critical."""
    (size,) = model.shapes()["shift"]
    return xr.Dataset(
        {
            "shift": (("run", "orbit"), np.outer(shifts, np.ones(size))),
            "loss": ("run", [loss, loss + 1.0][: len(shifts)]),
            "gradient_norm": ("run", [1e-3, 5.0][: len(shifts)]),
            "kind": flags([kind] * len(shifts), KINDS),
        }
    )


def certificates(*rows):
    """rows: (verdict, distance, loss low, high, eigenvalue low, high)."""
    names = ("distance", "loss_low", "loss_high", "min_eigenvalue_low", "min_eigenvalue_high")
    values = np.array([row[1:] for row in rows]).reshape(-1, len(names)).T
    return xr.Dataset(
        {
            "verdict": flags_over("certificate", [row[0] for row in rows], VERDICTS),
            **{name: ("certificate", some) for name, some in zip(names, values, strict=True)},
        }
    )


class Whole:
    """The whole network at a symmetric point, by the model that knows no symmetry."""

    def __init__(self, model, shift=0.0):
        (size,) = model.shapes()["shift"]
        weights = {"shift": torch.full((1, size), shift, dtype=torch.float64)}
        self.k = model.k
        self.w = model.matrix(weights)[0]
        problem = objective(self.k, self.k)
        self.hessian = problem.hessian(self.w.reshape(1, -1))[0].numpy()
        self.gradient = problem.gradient(self.w.reshape(1, -1))[0].numpy()
        self.values = np.linalg.eigvalsh(self.hessian)
        self.distinct = 1 + int((np.diff(self.values) > 1e-9).sum())

    def newton_step(self, orbits):
        """Inside the matrices that are constant on the orbits, (neuron, input) numbers."""
        masks = np.array([(orbits == o).ravel() for o in np.unique(orbits)], dtype=float)
        basis = masks / np.sqrt(masks.sum(axis=1, keepdims=True))
        step = np.linalg.solve(basis @ self.hessian @ basis.T, basis @ self.gradient)
        return np.linalg.norm(step)

    def column_values(self):
        gaps = np.diff(self.values)
        negative = int((self.values < 0).sum())
        norms = self.w.norm(dim=1).sum()
        return {
            "index": negative,
            "nullity": 0,
            "not_positive": negative,
            "highest_eigenvalue": self.values[-1],
            "distinct_eigenvalues": self.distinct,
            "eigenvalue_gap": gaps[gaps > 1e-9].min(),
            "eigenvalues": self.k**2,
            "above_one": (self.values > 1).sum() / self.k,
            "norm_surplus": float(norms) - self.k,
        }


def orbits(along, turned):
    """The orbit of each entry, a number."""
    block = np.repeat([0, 1], [along, turned])
    own = np.eye(along + turned, dtype=int)
    return 3 * (2 * block[:, None] + block) + own


def test_columns_of_symmetric_families():
    sizes = {"two": (5, 2), "one": (4, 1), "all": (4, 4)}
    settings = {label: family_settings(*size) for label, size in sizes.items()}
    points = {
        label: family_point(parts["model"], loss, kind)
        for (label, parts), loss, kind in zip(
            settings.items(),
            (0.04, 0.03, 0.05),
            ("minimum", "minimum", "not_critical"),
            strict=True,
        )
    }
    proved = {
        "two": certificates(("saddle", 1e-12, 0.039, 0.041, -9.0, 8.0)),
        # the first one counts
        "one": certificates(
            ("spurious_minimum", 2e-12, 0.029, 0.031, -7.0, 6.0), ("saddle", 1, 2, 3, 4, 5)
        ),
        "all": certificates(),
    }
    whole = {label: Whole(parts["model"]) for label, parts in settings.items()}
    kinds = ["saddle" if whole[label].values[0] < 0 else "minimum" for label in ("two", "one")]
    groups = {"two": orbits(3, 2), "one": orbits(3, 1), "all": orbits(0, 4)}
    entries = {}
    for letter, (i, j) in {"c": (0, -1), "d": (-1, 0), "e": (-1, -1), "f": (-1, -2)}.items():
        entries[letter] = [float(whole[label].w[i, j]) for label in sizes]
    rows = [whole[label].column_values() for label in sizes]
    no_limit = [(NAN, NAN, NAN)] * 3
    expected = {
        "family": ["S_(k−2) × S_2", "type II: S_(k−1) × S_1", "type A: S_k"],
        "runs_apart": [0.01 * math.sqrt(n) for n in (6, 5, 2)],
        "gradient_norm": [1e-3] * 3,
        "root_error": [whole[label].newton_step(groups[label]) for label in sizes],
        "loss": [(0.04, 0.039, 0.041), (0.03, 0.029, 0.031), (0.05, NAN, NAN)],
        "scaled_loss": [0.2, 0.12, 0.2],
        "whole_kind": [*kinds, "not critical"],
        "proved": ["saddle", "spurious minimum", "no certificate"],
        "proved_spurious": [0, 1, 0],
        "proved_saddle": [1, 0, 0],
        "proved_distance": [1e-12, 2e-12, NAN],
        "lowest_eigenvalue": [
            (whole["two"].values[0], -9.0, 8.0),
            (whole["one"].values[0], -7.0, 6.0),
            (whole["all"].values[0], NAN, NAN),
        ],
        "eigenvalue_residual": [Between(0, 1e-13)] * 3,
        "loss_limit": no_limit,
        "scaled_loss_limit": no_limit,
        "eigenvalue_limit": no_limit,
        "a": [1, 1, NAN],
        "b": [0, 0, NAN],
        "c": [*entries["c"][:2], NAN],
        "d": [*entries["d"][:2], NAN],
        "e": entries["e"],
        "f": [entries["f"][0], NAN, entries["f"][2]],
        **{name: [row[name] for row in rows] for name in rows[0]},
    }
    expected["proved_distance"] = [pytest.approx(v, rel=1e-9, nan_ok=True) for v in
                                   expected["proved_distance"]]  # fmt: skip
    results = Handmade(settings, {"critical_points": points, "certificates": proved})
    dataset = assert_columns(analysis("symmetric_families"), results, expected)
    for label in sizes:
        at = dataset.sel(configuration=label)
        some = at["multiplicity"].values > 0
        repeated = np.repeat(at["eigenvalue"].values[some], at["multiplicity"].values[some])
        np.testing.assert_allclose(repeated, whole[label].values, atol=1e-12)
        assert (at["part"].values[some] != "").all()


def test_zero_eigenvalues_depend_on_the_threshold():
    """At a threshold of the largest eigenvalue nearly all are zero, a negative one too."""
    model, part = family_model(5, 2), 0.999999
    results = Handmade(
        {"all": family_settings(5, 2, zero_below=part)},
        {
            "critical_points": {"all": family_point(model, 0.03)},
            "certificates": {"all": certificates()},
        },
    )
    dataset, values = analysis("symmetric_families").compute(results), Whole(model).values
    assert values[0] < -1e-3
    assert dataset["index"].item() == 0
    zero = 25 - (values > part * values[-1]).sum()
    assert dataset["nullity"].item() == dataset["not_positive"].item() == zero
    assert dataset["whole_kind"].item() == "degenerate"


@pytest.mark.parametrize(
    ("turned", "column", "family"),
    [
        (lambda k: 1, "scaled_loss_limit", "type II: S_(k−1) × S_1"),
        (lambda k: 2, "scaled_loss_limit", "S_(k−2) × S_2"),
        (lambda k: k - 1, "loss_limit", "type I: S_1 × S_(k−1)"),
        (lambda k: k, "loss_limit", "type A: S_k"),
    ],
)
def test_limits_of_symmetric_families(turned, column, family):
    # in no order, and the first one below the least k
    widths = [5, 9, 6, 8, 7]
    settings = {f"k={k}": family_settings(k, turned(k)) for k in widths}
    limit, scale = 0.3, 1 if column == "loss_limit" else 0
    points = {
        f"k={k}": family_point(settings[f"k={k}"]["model"],
                               (limit + 0.5 / math.sqrt(k) - 2 / k) / (1 if scale else k))
        for k in widths
    }  # fmt: skip
    empty = {label: certificates() for label in settings}
    results = Handmade(settings, {"critical_points": points, "certificates": empty})
    dataset = analysis("symmetric_families", limit_from=6).compute(results)
    other = ({"loss_limit", "scaled_loss_limit"} - {column}).pop()
    assert set(dataset["family"].values.tolist()) == {family}
    for end in ("", "_low", "_high"):
        assert np.isnan(dataset[other + end]).all()
        reached = dataset[column + end].values
        # a polynomial of degree 2 through four points is exact; leaving one out is, too
        assert (
            reached[1] == pytest.approx(limit, abs=1e-9) and np.isnan(reached[[0, 2, 3, 4]]).all()
        )
    k = np.array([6, 7, 8, 9])
    lowest = np.array([Whole(family_model(size, turned(size))).values[0] for size in k.tolist()])
    expected = module("_limits").limit(k, lowest)
    ends = [float(dataset[f"eigenvalue_limit{end}"][1]) for end in ("", "_low", "_high")]
    assert ends == pytest.approx(list(expected), abs=1e-8)


# split_minima


def split_network(w, parts):
    """w with neurons replaced by several: parts: {neuron: shares}."""
    rows = [w[i] for i in range(len(w)) if i not in parts]
    rows += [share * w[i] for i, shares in parts.items() for share in shares]
    return torch.stack(rows)


def splits(along, turned, shares):
    """The parts of each split network, in the order of the analysis; along, turned: two neurons of
    each kind, or fewer."""
    for group in (along, turned):
        if group:
            yield from ({group[0]: (s, 1 - s)} for s in shares)
            yield from ({group[0]: (s, (1 - s) / 2, (1 - s) / 2)} for s in shares)
        if len(group) > 1:
            yield from ({group[0]: (s, 1 - s), group[1]: (s, 1 - s)} for s in shares)
    if along and turned:
        yield from ({along[0]: (s, 1 - s), turned[0]: (s, 1 - s)} for s in shares)


def split_columns(whole, along, turned, shares):
    """The splits and all columns of a point, by whole networks alone."""
    k = whole.k
    blocks = whole.hessian.reshape(k, k, k, k)
    curvature = {i: np.linalg.eigvalsh(blocks[i, :, i])[0] - 0.5 for i in (*along, *turned)}
    loss = float(objective(k, k).loss(whole.w.reshape(1, -1)))
    cases = []
    for parts in splits(along, turned, shares):
        w = split_network(whole.w, parts)
        problem = objective(k, len(w))
        values = np.linalg.eigvalsh(problem.hessian(w.reshape(1, -1))[0].numpy())
        bounds = []
        for i, alphas in parts.items():
            flat = np.eye(len(alphas)) - 1 / len(alphas)
            # the largest of Σδ²/α with Σδ = 0
            bounds.append(curvature[i] * np.linalg.eigvalsh(flat @ np.diag(1 / np.array(alphas))
                                                            @ flat)[-1])  # fmt: skip
        cases.append(
            {
                "more": len(w) - k,
                "lowest": values[0],
                "bound": min(bounds),
                "halves": len(w) == k + 1 and set(next(iter(parts.values()))) == {0.5},
                "loss": abs(float(problem.loss(w.reshape(1, -1))) - loss),
                "gradient": float(problem.gradient(w.reshape(1, -1)).norm()),
                "index": int((values < -1e-7 * np.abs(values).max()).sum()),
                "nullity": int((np.abs(values) <= 1e-7 * np.abs(values).max()).sum()),
            }
        )
    own_nullity = int((np.abs(whole.values) <= 1e-7 * np.abs(whole.values).max()).sum())
    return cases, {
        "split_curvature": max(curvature.values()),
        "split_along": curvature[along[0]] if along else NAN,
        "split_turned": curvature[turned[0]],
        "one_more_highest": max(c["lowest"] for c in cases if c["more"] == 1),
        "two_more_highest": max(c["lowest"] for c in cases if c["more"] == 2),
        "split_bound_excess": max(c["lowest"] - c["bound"] for c in cases),
        "half_split_error": max(
            abs(c["lowest"] / c["bound"] - 1) for c in cases if c["halves"]
        ),
        "split_loss_error": Between(0, 1e-14),
        "split_gradient_norm": max(c["gradient"] for c in cases),
        "split_least_index": min(c["index"] for c in cases),
        "split_nullity_excess": max(abs(c["nullity"] - own_nullity - c["more"]) for c in cases),
    }  # fmt: skip


def test_columns_of_split_minima():
    sizes = {"one": (3, 1), "all": (3, 3), "wide": (5, 2)}
    settings = {label: family_settings(*size) for label, size in sizes.items()}
    whole = {label: Whole(parts["model"]) for label, parts in settings.items()}
    some = [0.5, 0.2]
    rows, splits_of = [], []
    # the second neuron of a kind counts where it is split beside the first
    for label, along, turned in (("one", (0, 1), (2,)), ("all", (), (2, 1)), ("wide", (0,), (4,))):
        cases, columns = split_columns(whole[label], along, turned, some)
        splits_of.append(cases)
        rows.append(columns)
    # beyond the widths of which whole Hessians are formed
    rows[2] = {
        name: value if name in ("split_curvature", "split_along", "split_turned") else NAN
        for name, value in rows[2].items()
    }
    expected = {name: [row[name] for row in rows] for name in rows[0]}
    for name in ("split_bound_excess", "half_split_error"):
        expected[name] = [pytest.approx(v, abs=1e-11, nan_ok=True) for v in expected[name]]
    points = {label: family_point(parts["model"], 0.1) for label, parts in settings.items()}
    network = {"name": "relu_teacher_student", "k": 2, "n": 2}
    plugin = analysis("split_minima", network=network, shares=some, dense_up_to=3)
    dataset = assert_columns(plugin, Handmade(settings, {"critical_points": points}), expected)
    cases = [*splits_of[0], *splits_of[1]]
    counts = [len(cases) for cases in splits_of]
    assert dataset["where"].values.tolist() == ["one"] * counts[0] + ["all"] * counts[1]
    assert dataset["neurons"].values[[0, counts[0] - 1]].tolist() == ["along", "along and turned"]
    assert dataset["parts"].values[[0, 2, 4]].tolist() == ["2", "3", "2 and 2"]
    assert dataset["share"].values[:4].tolist() == [0.5, 0.2] * 2
    assert dataset["students"].values[:4].tolist() == [4, 4, 5, 5]
    for name, key in (("lowest", "lowest"), ("second_variation", "bound"), ("index", "index"),
                      ("nullity", "nullity"), ("split_gradient", "gradient")):  # fmt: skip
        np.testing.assert_allclose(dataset[name], [case[key] for case in cases], atol=1e-12)


def test_the_worst_of_split_minima():
    """Of k = 3 with one and two neurons more; halves of the first kind are off by .3 and .1."""

    def case(students, share, lowest, second, **numbers):
        case = {"students": students, "share": share, "lowest": lowest, "second_variation": second}
        return case | numbers

    one = {"loss_error": 1e-9, "split_gradient": 3e-8, "index": 2, "nullity": 4, "own_nullity": 3}
    two = {"loss_error": 2e-9, "split_gradient": 1e-8, "index": 1, "nullity": 4, "own_nullity": 4}
    cases = [
        case(4, 0.5, -0.7, -1.0, **one),
        case(4, 0.5, -1.1, -1.0, **one),
        case(4, 0.2, -0.1, -0.3, **two),
        case(5, 0.5, -9.0, -8.5, **two),
    ]
    assert module("split_minima")._worst(cases) == pytest.approx(
        {
            "one_more_highest": -0.1,
            "two_more_highest": -9.0,
            "split_bound_excess": 0.3,
            "half_split_error": 0.3,
            "split_loss_error": 2e-9,
            "split_gradient_norm": 3e-8,
            "split_least_index": 1,
            "split_nullity_excess": 2,
        }
    )


def test_without_halves_no_error_of_halves():
    settings = {"all": family_settings(3, 3)}
    points = {"all": family_point(settings["all"]["model"], 0.1)}
    network = {"name": "relu_teacher_student", "k": 2, "n": 2}
    plugin = analysis("split_minima", network=network, shares=[0.3])
    dataset = plugin.compute(Handmade(settings, {"critical_points": points}))
    assert np.isnan(dataset["half_split_error"].item())


# census

TYPE_II_LOSS, TYPE_II_HIGHEST = 0.025080581, 2.02373
"""At k = 6; docs/results/relu/symmetric_families.md."""
DIRECT = [1, 2, 3, 3, 4, 5, 6]
"""Turned neurons of the families solved directly at k = 6: leaning ones up to k/2, the others from
three on, and all."""


def six(turned):
    """W of k = n = 6 with isotropy S_(6−t) × S_t."""
    w = np.full((6, 6), 0.1)
    w[:, 6 - turned :] = 0.3
    w[6 - turned :, : 6 - turned], w[6 - turned :, 6 - turned :] = 0.2, 0.05
    np.fill_diagonal(w, [1.0] * (6 - turned) + [-0.6] * turned)
    return w


def census_spectra(*families):
    """families: (number, count, kind, is global, loss, W, eigenvalues)."""
    number, count, kind, is_global, loss, w, eigenvalues = zip(*families, strict=True)
    return xr.Dataset(
        {
            "count": ("family", list(count)),
            "kind": flags_over("family", kind, KINDS),
            "is_global": flags_over("family", is_global, "no yes unknown"),
            "loss": ("family", list(loss)),
            "w": (("family", "neuron", "input"), np.array(w)),
            "eigenvalue": (("family", "mode"), np.array(eigenvalues)),
        },
        {"family": list(number)},
    )


def ladder(*groups):
    """Eigenvalues 1, 2, … with the given multiplicities, and one at 100; 36 in all."""
    values = np.repeat(np.arange(1.0, len(groups) + 1), groups)
    return np.concatenate([values, [50.0] * (35 - len(values)), [100.0]])


def test_columns_of_census():
    spread = ladder(30)
    spread[0] -= 5e-7  # 5e-9 of the largest: still one
    split = ladder(30)
    split[0] -= 2e-6  # 2e-8 of it: two
    almost = six(1)
    almost[0, 1] += 1e-7  # below the tolerance of 1e-6, above one of 1e-8
    spectra = {
        "mixed": census_spectra(
            (0, 5, "minimum", "yes", 0.0, np.eye(6), ladder(20)),
            # near the type II minimum, with nothing of its spectrum
            (1, 3, "minimum", "no", TYPE_II_LOSS + 5e-7, almost, spread),
            # the same loss, but two turned; the loss of no other family; a saddle
            (2, 1, "minimum", "no", TYPE_II_LOSS, six(2), split),
            (3, 9, "saddle", "no", 0.08, six(2), ladder(20)),
            # not isolated: no isotropy, no tolerance, no gap
            (4, 2, "degenerate", "no", 0.05, six(3), ladder(10, 10)),
        ),
        "global": census_spectra((0, 5, "minimum", "yes", 0.0, np.eye(6), ladder(20))),
    }
    parts = {
        "model": registry().get("models", "relu_teacher_student")(k=6, n=6),
        "classify": SimpleNamespace(family_within=1e-6),
    }
    results = Handmade({"mixed": parts, "global": parts}, {"spectra": spectra})
    expected = {
        "census": [
            "S4 × S2 (saddle): 9 × F 0.080000; S5 × S1: 3 × F 0.025081;"
            " not isolated (saddle): 2 × F 0.050000; S4 × S2: 1 × F 0.025081",
            "none",
        ],
        "census_families": [4, 0],
        "census_isotropies": [3, 0],
        "direct_share": [3 / 4, NAN],
        "direct_loss_error": [pytest.approx(5e-7, abs=1e-9), pytest.approx(NAN, nan_ok=True)],
        "direct_eigenvalue_error": [
            pytest.approx(100 - TYPE_II_HIGHEST, abs=1e-5),
            pytest.approx(NAN, nan_ok=True),
        ],
        "eigenvalue_gap": [pytest.approx(2e-6, rel=1e-6), pytest.approx(NAN, nan_ok=True)],
        "eigenvalue_spread": [pytest.approx(5e-7, rel=1e-6), pytest.approx(NAN, nan_ok=True)],
        "isotropy_low": [pytest.approx(1e-6), pytest.approx(1e-10)],
        "isotropy_high": [pytest.approx(1e-2), pytest.approx(1e-2)],
    }
    plugin = analysis("census", family={"name": "relu_symmetric_family", "k": 3})
    dataset = assert_columns(plugin, results, expected)
    assert dataset["where"].values.tolist() == ["mixed"] * 5 + ["global"]
    assert dataset["isotropy"].values.tolist() == ["S6", "S5 × S1", "S4 × S2", "S4 × S2", "", "S6"]
    assert dataset["turned"].values.tolist() == [0, 1, 2, 2, 3, 0]
    matches = dataset["direct"].values
    assert (matches >= 0).tolist() == [False, True, False, False, False, False]
    assert dataset["direct_turned"].values[matches[1]] == 1
    assert dataset["direct_loss"].values[matches[1]] == pytest.approx(TYPE_II_LOSS, abs=1e-9)
    assert dataset["direct_turned"].values.tolist() == DIRECT
    assert dataset["direct_leaning"].values.tolist() == [True] * 3 + [False] * (len(DIRECT) - 3)
    assert dataset["multiplicity"].values[1].tolist()[:3] == [30, 5, 1]
    assert dataset["multiplicity"].values[2].tolist()[:4] == [1, 29, 5, 1]
    assert dataset["number"].values.tolist() == [0, 1, 2, 3, 4, 0]
    assert dataset["lowest"].values.tolist() == pytest.approx([1, 1 - 5e-7, 1 - 2e-6, 1, 1, 1])
    assert (dataset["k"] == 6).all() and (dataset["n"] == 6).all()


def test_many_families_are_not_all_listed():
    families = [(i, 1, "minimum", "no", 0.1 + 0.01 * i, six(1), ladder(20)) for i in range(8)]
    parts = {
        "model": registry().get("models", "relu_teacher_student")(k=6, n=6),
        "classify": SimpleNamespace(family_within=1e-6),
    }
    results = Handmade({"all": parts}, {"spectra": {"all": census_spectra(*families)}})
    plugin = analysis("census", family={"name": "relu_symmetric_family", "k": 3})
    text = plugin.compute(results)["census"].item()
    assert text.startswith("S5 × S1: 1 × F 0.100000; ") and text.endswith("0.150000; 2 more")


def test_census_needs_one_matrix():
    parts = {"model": SimpleNamespace(shapes=lambda: {"u": (2,), "w": (2, 2)})}
    plugin = analysis("census", family={"name": "relu_symmetric_family", "k": 3})
    with pytest.raises(UserError, match=r"only weight is the matrix w \(all has: u, w\)"):
        plugin.compute(Handmade({"all": parts}))


# _lists


@pytest.mark.parametrize(
    ("lowest", "highest", "loss_low", "kind"),
    [
        ((0.1, 0.2), (1, 2), -1e-9, "minimum"),
        ((0.1, 0.2), (1, 2), 1e-9, "spurious_minimum"),
        ((-2, -1), (-0.2, -0.1), 0.5, "maximum"),
        ((-2, -1), (0.1, 0.2), 0.5, "saddle"),
        ((-1, 0.1), (1, 2), 0.5, "unproved"),
        ((-2, -1), (-0.1, 0.2), 0.5, "unproved"),
        ((0, 0.2), (1, 2), 0.5, "unproved"),
    ],
)
def test_what_bounds_of_eigenvalues_make_of_a_listed_point(lowest, highest, loss_low, kind):
    said = {"loss_low": loss_low}
    for end, (low, high) in (("min", lowest), ("max", highest)):
        said |= {f"{end}_eigenvalue_low": low, f"{end}_eigenvalue_high": high}
    assert module("_lists").Listed("a part", np.zeros(2), said).kind() == kind


def listed(part, point, distance=1e-3):
    lists = module("_lists")
    numbers = dict.fromkeys(lists.NUMBERS, 0.0) | {"distance": distance, "radius": 0.01}
    numbers |= {"min_eigenvalue_low": 1.0, "min_eigenvalue_high": 2.0}
    return lists.Listed(part, np.array(point), numbers)


def proved_lists(monkeypatch, said, again, undecided=0, **proof):
    """What is said of a file with these points when those are found again."""
    lists = module("_lists")
    parts = {
        "one": lists.Part("1", (0.0,), (1.0,)),
        "two": lists.Part("2", (0.0, 0.0), (1.0, 1.0)),
    }
    found = lists.Found(said, 0, 0)
    dataset = xr.Dataset(lists.certificates(found))
    proved = said[0].proved | proof

    def prove(enclosure, point, radius):
        assert (enclosure, len(point), radius) in (("1", 1, 0.01), ("2", 2, 0.01))
        return SimpleNamespace(**proved)

    monkeypatch.setattr(lists.nnflow, "prove", prove)
    return list(lists.proved_again(dataset, parts, lists.Found(again, 7, undecided)))


def test_lists_are_compared_point_by_point(monkeypatch):
    """Each point found again is near just one of the file: distances add, to 2e-3."""
    one, other = listed("one", [0.5]), listed("two", [0.25, 0.5])
    said = proved_lists(monkeypatch, [one, other], [listed("one", [0.5019]), other])
    assert [(name, proved) for name, proved, _ in said] == [
        ("point 0", True), ("point 1", True), ("one", True), ("two", True), ("boxes", True),
    ]  # fmt: skip
    assert said[1][2] == "two: minimum at [0.25, 0.5]"
    for again in ([listed("one", [0.5021]), other], [one, listed("two", [0.25, 0.503])], [one],
                  [one, one, other]):  # fmt: skip
        outcomes = dict(row[:2] for row in proved_lists(monkeypatch, [one, other], again))
        assert sorted(name for name, proved in outcomes.items() if not proved) in (["one"], ["two"])
    outcomes = dict(row[:2] for row in proved_lists(monkeypatch, [one], [one], undecided=1))
    assert [name for name, proved in outcomes.items() if not proved] == ["boxes"]


@pytest.mark.parametrize(
    ("name", "by", "refused"),
    [
        ("distance", 1e-9, True),
        ("distance", -1e-9, False),
        ("loss_low", -1e-9, True),
        ("loss_low", 1e-9, False),
        ("min_eigenvalue_high", 1e-9, True),
        ("contraction", 1e-9, True),
        ("max_eigenvalue_low", -1e-9, True),
        ("loss_high", 0.0, False),
    ],
)
def test_what_is_said_of_a_point_must_be_proved_as_strongly(monkeypatch, name, by, refused):
    one = listed("one", [0.5])
    said = proved_lists(monkeypatch, [one], [one], **{name: one.proved[name] + by})
    assert said[0][1] is not refused
    if refused:
        assert said[0][2] == f"{name} = {one.proved[name]:.17g} is not proved again"


def test_points_of_no_part_or_with_other_coordinates_are_refused(monkeypatch):
    one = listed("one", [0.5])
    for wrong, text in (
        (listed("three", [0.5]), "there is no part 'three'"),
        (listed("one", [0.5, 0.1]), "the center has another number of coordinates"),
    ):
        said = proved_lists(monkeypatch, [one, wrong], [one])
        assert said[1] == ("point 1", False, text)


# _symmetry_group


def test_tolerances_that_give_the_same_group():
    """Entries that differ by 10⁻⁷ are one from 10⁻⁶ on; at 1 all are. The given one counts."""
    group, matrix = module("_symmetry_group"), np.eye(3)
    matrix[0, 1] = 1e-7
    some = np.array([1e-9, 1e-8, 1e-6, 1e-4, 1e-2, 2.0])
    assert group.isotropy(matrix, 1e-6) == (3,) and group.isotropy(matrix, 1e-8) != (3,)
    assert group.same_range(matrix, some, 1e-5) == (1e-6, 2.0)
    assert group.same_range(matrix, some, 1e-6) == (1e-6, 2.0)
    low, high = group.same_range(matrix, some, 2e-8)
    assert (low, high) == (1e-9, 2e-8)
