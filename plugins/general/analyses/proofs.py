"""What the certificates prove, point by point."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, Table, flag_mask, share

PROVED = {
    "spurious_minimum": "spurious minima proved",
    "minimum": "minima proved, whether global or not",
    "maximum": "maxima proved",
    "saddle": "saddles proved",
    "unproved": "critical points that could not be proved",
}
"""Verdicts of certificates."""
NAMES = {"spurious_minimum": "proved_spurious", "unproved": "unproved"}
"""Columns that count them, where it is not proved_VERDICT."""
LOWEST = {
    "proved": "of the spurious minimum of lowest loss that is proved",
    "saddle": "of the saddle of lowest loss that is proved",
}
BOUNDS = {
    "loss": "loss",
    "eigenvalue": "lowest Hessian eigenvalue",
    "distance": "proved distance from its center",
    "radius": "half-width of the box that holds it alone,",
}


class Proofs(Analysis):
    """Counts of certificates by verdict, the share of certified runs, and the spurious minimum
    and the saddle of lowest loss that are proved, with their proved bounds.

    A run is certified where the certified run of its own family is proved to be a spurious
    minimum: the runs of a family are images of one point under the model's symmetry (to the
    accuracy of classification), and the proof holds for each image. Families beyond the most
    frequent ones have no certificate, and their runs do not count as certified. Shares carry
    Clopper–Pearson intervals at 99 %; of the bounds, x_low and x_high are proved, no statistics.
    """

    needs = ("critical_points", "certificates")
    columns = {
        **{NAMES.get(verdict, f"proved_{verdict}"): text for verdict, text in PROVED.items()},
        "runs": "runs",
        "certified_share": "share of runs whose family is certified as spurious minima",
        "certified_of_spurious": (
            "share of certified runs among those that end in a spurious minimum"
        ),
        "spurious_exists": (
            "is the existence of a spurious minimum proved? (none: no run to prove it from)"
        ),
        **{
            f"{prefix}_{name}": f"{text} {of}"
            for prefix, of in LOWEST.items()
            for name, text in BOUNDS.items()
        },
    }

    def compute(self, results):
        table = Table(results, self.columns)
        for configuration, certificates in results.each("certificates"):
            critical = results.at("critical_points", configuration.label)
            table.row(
                configuration,
                **_counts(certificates),
                **_shares(critical, certificates),
                **_lowest(certificates, "spurious_minimum", "proved"),
                **_lowest(certificates, "saddle", "saddle"),
            )
        return table.dataset()


def _counts(certificates) -> dict[str, int]:
    """Certificates of each verdict."""
    return {
        NAMES.get(verdict, f"proved_{verdict}"): int(
            flag_mask(certificates["verdict"], verdict).sum()
        )
        for verdict in PROVED
    }


def _shares(critical, certificates) -> dict:
    """Runs that are certified; is there a spurious minimum? No number where no run ended in one:
    nothing was tried."""
    spurious = flag_mask(critical["kind"], "minimum") & flag_mask(critical["is_global"], "no")
    proved = flag_mask(certificates["verdict"], "spurious_minimum")
    certified = np.isin(critical["family"].values, certificates["family"].values[proved])
    return {
        "runs": critical.sizes["run"],
        "certified_share": share(int(certified.sum()), len(certified)),
        "certified_of_spurious": share(int((certified & spurious).sum()), int(spurious.sum())),
        "spurious_exists": float(proved.any()) if spurious.any() else np.nan,
    }


def _lowest(certificates, verdict: str, prefix: str) -> dict:
    """Loss and lowest eigenvalue of the proved point of that kind of lowest loss, with their proved
    bounds, and what its proof is like; NaN where there is none."""
    proved = np.flatnonzero(flag_mask(certificates["verdict"], verdict))
    losses = certificates["loss_low"].values[proved]
    place = proved[losses.argmin()] if proved.size else None

    def value(name: str) -> float:
        return np.nan if place is None else float(certificates[name].values[place])

    row = {f"{prefix}_{name}": value(name) for name in ("distance", "radius")}
    for column, bounds in (("loss", "loss"), ("eigenvalue", "min_eigenvalue")):
        low, high = value(f"{bounds}_low"), value(f"{bounds}_high")
        row[f"{prefix}_{column}"] = ((low + high) / 2, low, high)
    return row


@nnflow.hookimpl
def nnflow_register(register):
    register("proofs", Proofs)
