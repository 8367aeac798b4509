"""What the certificates prove, point by point."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Analysis, flag_mask, share

PROVED = {
    "spurious_minimum": "spurious minima proved",
    "minimum": "minima proved, whether global or not",
    "maximum": "maxima proved",
    "saddle": "saddles proved",
    "unproved": "critical points that could not be proved",
}
"""Columns that count certificates by verdict."""


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

    def compute(self, results):
        import xarray as xr

        rows = [
            _counts(certificates)
            | _shares(results.at("critical_points", configuration.label), certificates)
            | _existence(results.at("critical_points", configuration.label), certificates)
            | _lowest(certificates, "spurious_minimum", "proved")
            | _lowest(certificates, "saddle", "saddle")
            for configuration, certificates in results.each("certificates")
        ]
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


def _counts(certificates) -> Row:
    names = {"spurious_minimum": "proved_spurious", "unproved": "unproved"}
    return {
        names.get(verdict, f"proved_{verdict}"): (
            int(flag_mask(certificates["verdict"], verdict).sum()),
            text,
        )
        for verdict, text in PROVED.items()
    }


def _shares(ends, certificates) -> Row:
    spurious = flag_mask(ends["kind"], "minimum") & flag_mask(ends["is_global"], "no")
    proved = flag_mask(certificates["verdict"], "spurious_minimum")
    families = certificates["family"].values[proved]
    certified = np.isin(ends["family"].values, families)
    measured = {
        "certified_share": (
            share(int(certified.sum()), len(certified)),
            "share of runs whose family is certified as spurious minima",
        ),
        "certified_of_spurious": (
            share(int((certified & spurious).sum()), int(spurious.sum())),
            "share of certified runs among those that end in a spurious minimum",
        ),
    }
    row: Row = {"runs": (ends.sizes["run"], "runs")}
    for name, ((value, low, high), text) in measured.items():
        row[name] = (value, text)
        row[f"{name}_low"] = (low, f"{text}: lower end of the 99 % interval")
        row[f"{name}_high"] = (high, f"{text}: upper end of the 99 % interval")
    return row


def _existence(ends, certificates) -> Row:
    """Is there a spurious minimum? No number where no run ended in one: nothing was tried."""
    found = flag_mask(certificates["verdict"], "spurious_minimum").any()
    tried = (flag_mask(ends["kind"], "minimum") & flag_mask(ends["is_global"], "no")).any()
    text = "is the existence of a spurious minimum proved? (none: no run to prove it from)"
    return {"spurious_exists": (float(found) if tried else np.nan, text)}


def _lowest(certificates, verdict: str, prefix: str) -> Row:
    """Loss and lowest eigenvalue of the proved point of that kind of lowest loss, and what its
    proof is like; NaN where there is none."""
    proved = np.flatnonzero(flag_mask(certificates["verdict"], verdict))
    losses = certificates["loss_low"].values[proved]
    place = proved[losses.argmin()] if proved.size else None

    def value(name: str) -> float:
        return np.nan if place is None else float(certificates[name].values[place])

    of = f"the {verdict.replace('_', ' ')} of lowest loss that is proved"
    row: Row = {}
    for column, bounds, what in (
        ("loss", "loss", "loss"),
        ("eigenvalue", "min_eigenvalue", "lowest Hessian eigenvalue"),
    ):
        low, high = value(f"{bounds}_low"), value(f"{bounds}_high")
        row[f"{prefix}_{column}"] = ((low + high) / 2, f"{what} of {of}")
        row[f"{prefix}_{column}_low"] = (low, f"{what} of {of}: proved lower bound")
        row[f"{prefix}_{column}_high"] = (high, f"{what} of {of}: proved upper bound")
    row[f"{prefix}_distance"] = (value("distance"), f"proved distance of {of} from its center")
    row[f"{prefix}_radius"] = (value("radius"), f"half-width of the box that holds {of} alone")
    return row


@nnflow.hookimpl
def nnflow_register(register):
    register("proofs", Proofs)
