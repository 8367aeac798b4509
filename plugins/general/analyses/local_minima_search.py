"""Did any run find what may be a spurious minimum?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask, share

from .._table import by_point

CONFIDENT = 0.95
"""Level of the one-sided bound, which the rule of three writes as 3/runs."""


class LocalMinimaSearch(Analysis):
    """Ends that second order can't tell from spurious minima: `suspects`, smooth critical points
    above the infimum whose Hessian has no negative eigenvalue.

    Minima of deep networks are not isolated, so their Hessians are singular and their kind is
    `degenerate`: asking for the kind `minimum` would miss every spurious one. Conversely a
    suspect may be a saddle of higher order. Columns, over the runs of a point: `runs`, those at
    `critical` points, `at_infimum`, at `saddles` above it (with a negative eigenvalue),
    `suspects`, `nonsmooth` points above it, and `unfinished`; `suspect_share` with its
    Clopper–Pearson interval at 99 %, and `share_bound` p with (1 − p)^runs = 5 %, what no suspect
    in so many runs excludes at 95 % (the rule of three); `flattest_saddle`, the highest of the
    saddles' lowest eigenvalues; `suspect_losses`, how many different ones the suspects have, and
    `suspect_nullity`, the largest nullity of their Hessians: where it is the dimension of the
    model's symmetry, they are minima indeed.

    Where the model does not know its infimum, the lowest critical loss found stands for it.
    """

    needs = ("critical_points",)

    def compute(self, results):
        return by_point(results, _row, COLUMNS)


COLUMNS = {
    "runs": "runs",
    "critical": "runs at smooth critical points",
    "at_infimum": "runs at critical points of the lowest loss",
    "saddles": "runs at saddles above the infimum",
    "suspects": "runs at what may be a spurious minimum",
    "nonsmooth": "runs at points with a kink, above the infimum",
    "unfinished": "runs at no critical point",
    "suspect_share": "share of runs at what may be a spurious minimum",
    "suspect_share_low": "share of suspects: lower end of the 99 % interval",
    "suspect_share_high": "share of suspects: upper end of the 99 % interval",
    "share_bound": "share of suspects that the runs exclude at 95 %",
    "flattest_saddle": "highest of the saddles' lowest eigenvalues",
    "suspect_losses": "different losses of what may be spurious minima",
    "suspect_nullity": "largest nullity of their Hessians, -1 for none",
}


def _row(configuration, ends) -> dict[str, float]:
    """The columns of one point."""
    kinks, lost = (flag_mask(ends["kind"], kind) for kind in ("nonsmooth", "not_critical"))
    critical, loss = ~kinks & ~lost, ends["loss"].values
    within = configuration.settings.classify.global_within
    above = ~flag_mask(ends["is_global"], "yes")
    if flag_mask(ends["is_global"], "unknown").any():
        above = ~(loss - loss[critical].min(initial=np.inf) < within)
    negative = ends["index"].values > 0
    saddles, suspects = critical & above & negative, critical & above & ~negative
    lowest = ends["min_eigenvalue"].values[saddles]
    runs = ends.sizes["run"]
    portion, low, high = share(int(suspects.sum()), runs)
    masks = {
        "critical": critical,
        "at_infimum": critical & ~above,
        "saddles": saddles,
        "suspects": suspects,
        "nonsmooth": kinks & above,
        "unfinished": lost,
    }
    return {name: int(mask.sum()) for name, mask in masks.items()} | {
        "runs": runs,
        "suspect_share": portion,
        "suspect_share_low": low,
        "suspect_share_high": high,
        "share_bound": 1 - (1 - CONFIDENT) ** (1 / runs) if not suspects.any() else np.nan,
        "flattest_saddle": lowest.max() if lowest.size else np.nan,
        "suspect_losses": _distinct(loss[suspects], within),
        "suspect_nullity": ends["nullity"].values[suspects].max(initial=-1),
    }


def _distinct(losses: np.ndarray, within: float) -> int:
    """How many losses there are, those that differ by less counting as one."""
    return int(losses.size > 0) + int((np.diff(np.sort(losses)) > within).sum())


@nnflow.hookimpl
def nnflow_register(register):
    register("local_minima_search", LocalMinimaSearch)
