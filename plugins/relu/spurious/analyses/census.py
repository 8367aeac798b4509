"""The distinct critical points that an ensemble reached, and their symmetry."""

from __future__ import annotations

import numpy as np
from pydantic import Field, PositiveFloat

import nnflow
from nnflow import Analysis, Model, UserError, flag_mask, torch

from ....general._blocks import turned
from ....general._padding import NONE, padded
from ._symmetry_group import group_name, isotropy, same_range

SAME_EIGENVALUE = 1e-8
"""Eigenvalues count as one where they differ by less than this times the largest; the column
`eigenvalue_gap` is the distance of those that do not."""
TOLERANCES = np.logspace(-10, -2, 9)
"""Tolerances of isotropy that are swept."""
LISTED = 6
"""Families named in the summary's column."""
LEAST_UPRIGHT = 3
"""Fewest turned neurons of a family whose other neurons do not lean: beside fewer, the turned
ones have no critical point of type A among themselves."""
ROOT = 1e-10
"""Largest gradient norm of a direct family's point."""


class Census(Analysis):
    """All families of critical points of ReLU networks, compared with the symmetric families solved
    directly.

    Arrays over `case`, the families of all configurations in spectra.nc: `where` (the
    configuration's label), `k`, `n`, `count` of runs, `loss`, `kind`, `is_global`, `isotropy` (S5 ×
    S1: all permutations of five neurons together with their inputs), `turned` neurons, `lowest`
    eigenvalue, and over (case, mode) the distinct `eigenvalue`s with their `multiplicity`.
    Families that are not isolated, as global minima with n > k, have no isotropy.

    Arrays over `direct_family`: `direct_k`, `direct_turned`, `direct_loss`, `direct_lowest` of the
    families S_(k−t) × S_t at the study's k with n = k: six equations for six numbers, without
    any training. They are those with 1 ≤ t ≤ k/2 whose other neurons lean on the turned ones'
    inputs, those with 3 ≤ t < k whose others don't (`direct_leaning`), and t = k. A family
    whose loss is that of a direct one is compared with it, eigenvalue by eigenvalue (`direct` is
    its index, else −1).
    """

    needs = ("spectra",)
    columns = {
        "census": "spurious minima and other critical points that are not global: isotropy, runs,"
        " loss",
        "census_families": "families of critical points that are not global",
        "census_isotropies": "different isotropy groups among them",
        "direct_share": "share of the spurious runs that end in a family solved directly",
        "direct_loss_error": "largest difference in loss between a family and its direct solution",
        "direct_eigenvalue_error": "largest difference of an eigenvalue between the two",
        "eigenvalue_gap": "least difference of two eigenvalues that count as distinct",
        "eigenvalue_spread": "widest range of eigenvalues that count as one",
        "isotropy_low": "least of the tolerances of isotropy that all give the same groups",
        "isotropy_high": "largest of the tolerances of isotropy that all give the same groups",
    }

    family: Model = Field(examples=[{"name": "relu_symmetric_family", "k": 3}])
    """The model of symmetric families; its k and `turned` are replaced."""
    within: PositiveFloat = 1e-6
    """Entries of a weight matrix that differ by less are the same; the columns isotropy_low and
    isotropy_high are tolerances between which all groups are the same."""

    def compute(self, results):
        sizes = [_size(results, configuration) for configuration in results.configurations]
        widths = sorted({k for n, k in sizes if n == k})
        direct = [solution for k in widths for solution in self._direct(k)]
        table, cases = nnflow.Table(results, self.columns), []
        for configuration, found in results.each("spectra"):
            spectra = nnflow.of_families(found)
            own = [
                self._case(results, configuration, spectra, family)
                for family in range(spectra.sizes["family"])
            ]
            for case in own:
                case["direct"] = _match(case, direct, configuration.settings.classify.family_within)
            table.row(configuration, **_families(own), **_matched(own, direct), **_tolerances(own))
            cases += own
        _, spectra = next(iter(results.each("spectra")))
        return table.dataset().assign(_cases(cases, spectra)).assign(_direct_arrays(direct))

    def _case(self, results, configuration, spectra, family: int) -> dict:
        """One family of one configuration."""
        n, k = _size(results, configuration)
        matrix = spectra["w"].values[family]
        eigenvalues = spectra["eigenvalue"].values[family]
        distinct, counts, gap, spread = _distinct(eigenvalues)
        kind = spectra["kind"]
        isolated = not any(flag_mask(kind, name)[family] for name in ("degenerate", "nonsmooth"))
        return {
            "where": configuration.label,
            "k": k,
            "n": n,
            "number": int(spectra["family"].values[family]),
            "count": int(spectra["count"].values[family]),
            "loss": float(spectra["loss"].values[family]),
            "kind": int(kind.values[family]),
            "minimum": bool(flag_mask(kind, "minimum")[family]),
            "is_global": int(spectra["is_global"].values[family]),
            "not_global": bool(flag_mask(spectra["is_global"], "no")[family]),
            "isotropy": group_name(isotropy(matrix, self.within) if isolated else ()),
            "range": same_range(matrix, TOLERANCES, self.within) if isolated else (0.0, np.inf),
            "turned": turned(matrix),
            "lowest": float(eigenvalues[0]),
            "all": eigenvalues,
            "eigenvalue": distinct,
            "multiplicity": counts,
            "gap": gap if isolated else np.inf,
            "spread": spread if isolated else 0.0,
        }

    def _direct(self, k: int) -> list[dict]:
        """The direct families at width k."""
        starts = [(t, True) for t in range(1, k // 2 + 1)]
        starts += [(t, False) for t in range(LEAST_UPRIGHT, k)] + [(k, False)]
        models = [type(self.family)(k=k, turned=t, leaning=leaning) for t, leaning in starts]
        return [solution for model in models if (solution := _solved(model))]


def _solved(model) -> dict | None:
    """Loss and spectrum of a symmetric family's critical point; None where none was reached."""
    from scipy.optimize import root

    start = np.zeros(model.shapes()["shift"])
    slopes, curvatures = _equations(model)
    shift = root(slopes, start, jac=curvatures, tol=1e-15).x
    if not np.linalg.norm(slopes(shift)) < ROOT:
        return None
    weights = _weights(shift)
    values = [
        np.repeat(torch.linalg.eigvalsh(matrix)[0].numpy(), multiplicity)
        for _, multiplicity, matrix in model.blocks(weights)
    ]
    values = np.sort(np.concatenate(values))
    return {
        "k": model.k,
        "turned": model.turned,
        "leaning": model.leaning,
        "loss": float(model.loss(weights, {})[0]),
        "lowest": values[0],
        "all": values,
    }


def _weights(shift: np.ndarray):
    return {"shift": torch.as_tensor(shift)[None]}


def _equations(model):
    """∇F and ∇²F of a symmetric family as functions of NumPy vectors."""
    return (
        lambda shift: model.gradient(_weights(shift), {})["shift"][0].numpy(),
        lambda shift: model.hessian(_weights(shift), {})[0].numpy(),
    )


def _size(results, configuration) -> tuple[int, int]:
    """(n, k) of a model whose only weight is the matrix w."""
    shapes = configuration.settings.model.shapes()
    if list(shapes) != ["w"]:
        raise UserError(
            f"{results.study.file}: analyses: census needs a model whose only weight is the matrix"
            f" w ({configuration.label} has: {', '.join(shapes)})"
        )
    return shapes["w"]


def _distinct(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Means and sizes of the groups of ascending eigenvalues, the least gap between two groups
    and the widest spread of one."""
    gaps = np.diff(values)
    apart = gaps > SAME_EIGENVALUE * np.abs(values).max()
    groups = np.split(values, np.flatnonzero(apart) + 1)
    spread = max(float(np.ptp(group)) for group in groups)
    means = np.array([group.mean() for group in groups])
    counts = np.array([len(group) for group in groups])
    return means, counts, float(gaps[apart].min(initial=np.inf)), spread


def _match(case: dict, direct: list[dict], within: float) -> int:
    """The index of the direct family that a family is, or −1."""
    for index, solution in enumerate(direct):
        same_size = case["n"] == case["k"] == solution["k"]
        same_group = same_size and case["turned"] == solution["turned"]
        if same_group and abs(case["loss"] - solution["loss"]) < within:
            return index
    return NONE


def _families(cases: list[dict]) -> dict:
    """The families of one configuration that are not global, and their eigenvalues."""
    elsewhere = [case for case in cases if case["not_global"]]
    return {
        "census": _listed(elsewhere),
        "census_families": len(elsewhere),
        "census_isotropies": len({case["isotropy"] for case in elsewhere}),
        "eigenvalue_gap": min((case["gap"] for case in elsewhere), default=np.nan),
        "eigenvalue_spread": max((case["spread"] for case in elsewhere), default=np.nan),
    }


def _listed(elsewhere: list[dict]) -> str:
    """The most frequent families in words."""
    order = sorted(elsewhere, key=lambda case: (-case["count"], case["loss"]))
    texts = [
        f"{case['isotropy'] or 'not isolated'}{'' if case['minimum'] else ' (saddle)'}:"
        f" {case['count']} × F {case['loss']:.6f}"
        for case in order[:LISTED]
    ]
    left = [f"{len(order) - LISTED} more"] if len(order) > LISTED else []
    return "; ".join(texts + left) or "none"


def _matched(cases: list[dict], direct: list[dict]) -> dict:
    """How many spurious runs the direct families have, and how well both agree."""
    elsewhere = [case for case in cases if case["not_global"]]
    pairs = [(case, direct[case["direct"]]) for case in elsewhere if case["direct"] != NONE]
    spurious = [case for case in elsewhere if case["minimum"]]
    runs = sum(case["count"] for case in spurious)
    solved = sum(case["count"] for case in spurious if case["direct"] != NONE)
    return {
        "direct_share": solved / runs if runs else np.nan,
        "direct_loss_error": max((abs(a["loss"] - b["loss"]) for a, b in pairs), default=np.nan),
        "direct_eigenvalue_error": max(
            (np.abs(a["all"] - b["all"]).max() for a, b in pairs), default=np.nan
        ),
    }


def _tolerances(cases: list[dict]) -> dict:
    """Between which tolerances all families of one configuration keep their isotropy."""
    lows, highs = zip(*(case["range"] for case in cases), strict=True)
    return {"isotropy_low": max(lows), "isotropy_high": min(highs)}


def _cases(cases: list[dict], spectra) -> dict:
    """Variables over `case`; what flags mean is taken from the spectra."""
    names = ("where", "k", "n", "number", "count", "loss", "kind", "is_global", "isotropy",
             "turned", "lowest", "direct")  # fmt: skip
    meanings = {name: spectra[name].attrs for name in ("kind", "is_global")}
    variables = {
        name: ("case", np.array([case[name] for case in cases]), meanings.get(name, {}))
        for name in names
    }
    for name in ("eigenvalue", "multiplicity"):
        variables[name] = (("case", "mode"), padded([case[name] for case in cases]))
    return variables


def _direct_arrays(direct: list[dict]) -> dict:
    """Variables over `direct_family`."""
    return {
        f"direct_{name}": ("direct_family", np.array([solution[name] for solution in direct]))
        for name in ("k", "turned", "leaning", "loss", "lowest")
    }


@nnflow.hookimpl
def nnflow_register(register):
    register("census", Census)
