"""Did any run find what may be a spurious minimum?"""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share

CONFIDENT = 0.95
"""Level of the one-sided bound, which the rule of three writes as 3/n."""


class LocalMinimaSearch(Analysis):
    """Ends that second order can't tell from spurious minima: `suspects`, smooth critical points
    above the infimum whose Hessian has no negative eigenvalue.

    Minima of deep networks are not isolated, so their Hessians are singular and their kind is
    `degenerate`: asking for the kind `minimum` would miss every spurious one. Conversely a
    suspect may be a saddle of higher order, unless the nullity is the dimension of the model's
    symmetry. Shares are of the runs at smooth critical points, as the others tell nothing, and
    have Clopper–Pearson intervals at 99 %; `share_bound` is the p with (1 − p)^n = 5 % for n such
    runs (the rule of three).

    Where the model does not know its infimum, the lowest critical loss found stands for it.
    """

    needs = ("critical_points",)
    columns = {
        "runs": "runs",
        "critical": "runs at smooth critical points",
        "at_infimum": "runs at critical points of the lowest loss",
        "saddles": "runs at saddles above the infimum",
        "suspects": "runs at what may be a spurious minimum",
        "nonsmooth": "runs at points with a kink, above the infimum",
        "unfinished": "runs at no critical point",
        "suspect_share": "share of the critical points that may be spurious minima",
        "share_bound": "share of suspects that these exclude at 95 %",
        "flattest_saddle": "highest of the saddles' lowest eigenvalues",
        "suspect_losses": "different losses of what may be spurious minima",
        "suspect_nullity": "largest nullity of their Hessians, -1 for none",
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, critical in results.each("critical_points"):
            within = configuration.settings.classify.global_within
            table.row(configuration, **_search(critical, within))
        return table.dataset()


def _search(critical, within: float) -> dict:
    """The columns of one configuration. within: what losses that count as one differ by."""
    kinks, lost = (flag_mask(critical["kind"], kind) for kind in ("nonsmooth", "not_critical"))
    smooth, loss = ~kinks & ~lost, critical["loss"].values
    above = ~flag_mask(critical["is_global"], "yes")
    if (flag_mask(critical["is_global"], "unknown") & np.isfinite(loss)).any():
        above = ~(loss - loss[smooth].min(initial=np.inf) < within)
    negative = critical["index"].values > 0
    saddles, suspects = smooth & above & negative, smooth & above & ~negative
    lowest = critical["min_eigenvalue"].values[saddles]
    tried = int(smooth.sum())
    masks = {
        "critical": smooth,
        "at_infimum": smooth & ~above,
        "saddles": saddles,
        "suspects": suspects,
        "nonsmooth": kinks & above,
        "unfinished": lost,
    }
    return {name: int(mask.sum()) for name, mask in masks.items()} | {
        "runs": critical.sizes["run"],
        "suspect_share": share(int(suspects.sum()), tried),
        "share_bound": 1 - (1 - CONFIDENT) ** (1 / tried)
        if tried and not suspects.any()
        else np.nan,
        "flattest_saddle": lowest.max() if lowest.size else np.nan,
        "suspect_losses": _distinct(loss[suspects], within),
        "suspect_nullity": critical["nullity"].values[suspects].max(initial=-1),
    }


def _distinct(losses: np.ndarray, within: float) -> int:
    """How many losses there are, those that differ by less counting as one."""
    return int(losses.size > 0) + int((np.diff(np.sort(losses)) > within).sum())


@nnflow.hookimpl
def nnflow_register(register):
    register("local_minima_search", LocalMinimaSearch)
