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
    """Counts of certificates by verdict, the share of certified runs, and the lowest spurious
    minimum that is proved, with its proved bounds.

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
            | _shares(results.at("critical_points", point.label), certificates)
            | _existence(results.at("critical_points", point.label), certificates)
            | _lowest(certificates)
            for point, certificates in results.each("certificates")
        ]
        columns = {
            name: ("point", [row[name][0] for row in rows], {"long_name": text})
            for name, (_, text) in rows[0].items()
        }
        return xr.Dataset(columns, {"point": [point.label for point in results.points]})


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


def _lowest(certificates) -> Row:
    """Loss and lowest eigenvalue of the proved spurious minimum of lowest loss, and what its
    proof is like."""
    proved = flag_mask(certificates["verdict"], "spurious_minimum")
    found = certificates.isel(certificate=proved)
    nan = {name: np.nan for name in certificates.data_vars}
    if found.sizes["certificate"]:
        found = found.isel(certificate=int(found["loss_low"].values.argmin()))
        nan = {name: found[name].values for name in found.data_vars}
    row: Row = {}
    of = "the lowest spurious minimum that is proved"
    for column, bounds, what in (
        ("proved_loss", "loss", "loss"),
        ("proved_eigenvalue", "min_eigenvalue", "lowest Hessian eigenvalue"),
    ):
        low, high = float(nan[f"{bounds}_low"]), float(nan[f"{bounds}_high"])
        row[column] = ((low + high) / 2, f"{what} of {of}")
        row[f"{column}_low"] = (low, f"{what} of {of}: proved lower bound")
        row[f"{column}_high"] = (high, f"{what} of {of}: proved upper bound")
    row["proved_distance"] = (float(nan["distance"]), f"proved distance of {of} from its center")
    row["proved_radius"] = (float(nan["radius"]), f"half-width of the box that holds {of} alone")
    row["proved_contraction"] = (float(nan["contraction"]), "contraction proved in that box")
    return row


@nnflow.hookimpl
def nnflow_register_analyses(register):
    register("proofs", Proofs)
