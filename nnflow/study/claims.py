"""Claims: published statements beside what was measured here."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, NonNegativeFloat, PositiveInt

from nnflow.base.settings import Settings, suggest
from nnflow.base.statistics import CONFIDENCE, two_binomials_agree

if TYPE_CHECKING:
    import xarray as xr

COLUMNS = (
    "claim", "study", "source", "statement", "published",
    "measured", "low", "high", "verdict", "note",
)  # fmt: skip
VERDICTS = ("reproduced", "differs", "corrected", "not_measured")
Row = dict[str, Any]


class Correction(Settings):
    """What holds where the published number is wrong."""

    value: float
    """The right number."""
    note: str
    """Why the published one is wrong."""


class Claim(Settings):
    """A published number, or one for each configuration of a study."""

    claim: str
    """A short name, unique in the study."""
    statement: str
    """What is claimed; {k} stands for the swept parameter k."""
    source: str
    """Where it is published: paper, table or equation."""
    value: str
    """The column of the summary that measures it; its interval is in the columns
    VALUE_low and VALUE_high."""
    published: float | dict[str, float]
    """The published number, or one for each configuration's label."""
    within: NonNegativeFloat | tuple[NonNegativeFloat, NonNegativeFloat] = 0.0
    """What the rounding of the published number leaves open: on both sides alike, or
    [below, above]. A number that may have been cut off instead of rounded has a whole unit of
    its last digit above, and half a unit below."""
    stretch: Annotated[float, Field(ge=1)] = 1.0
    """Factor by which our interval is widened about our value before the two are compared: √2
    where the published number is a mean over as many random runs as ours, and has an interval of
    its own."""
    trials: PositiveInt | None = None
    """For a share: the published number of trials. Both shares are then compared as
    binomials at 99 %; the summary's column `runs` holds our trials."""
    corrected: dict[str, Correction] = Field(default_factory=dict)
    """By configuration: published numbers known to be wrong, and what holds instead."""
    note: str = ""
    """Said beside the verdict."""


def judge(study: str, claims: list[Claim], summary: xr.Dataset) -> list[Row]:
    """One row per published number.

    summary: columns over `configuration`, whose coordinate holds the labels. The verdict is
    `reproduced` where the measured interval [low, high], stretched, meets published ± within
    (for shares: where two binomials agree), `corrected` where it meets the corrected number and
    either misses the published one or lies nearer to the corrected one, else `differs`.
    Nothing is measured where there is no value, or one without an interval that misses.
    """
    return [row for claim in claims for row in _rows(study, claim, summary)]


def _rows(study: str, claim: Claim, summary: xr.Dataset) -> Iterator[Row]:
    published = claim.published
    per_point = isinstance(published, Mapping)
    for label, number in published.items() if per_point else [("all", published)]:
        row = {
            "claim": f"{claim.claim}[{label}]" if per_point else claim.claim,
            "study": study,
            "source": claim.source,
            "statement": _filled(claim.statement, label),
            "published": number,
            "measured": math.nan,
            "low": math.nan,
            "high": math.nan,
            "verdict": "not_measured",
            "note": claim.note,
        }
        if label not in summary.configuration.values:
            yield {**row, "note": _join("this configuration is not part of this scale", claim.note)}
            continue
        at = {
            k: v.item()
            for k, v in summary.sel(configuration=label).variables.items()
            if v.ndim == 0
        }
        if claim.value not in at:
            columns = sorted(name for name in at if name != "configuration")
            reason = f"the summary has no column {claim.value!r}{suggest(claim.value, columns)}"
            yield {**row, "note": _join(reason, claim.note)}
            continue
        measured = at[claim.value]
        row |= {
            "measured": measured,
            "low": at.get(f"{claim.value}_low", measured),
            "high": at.get(f"{claim.value}_high", measured),
        }
        if math.isnan(measured):
            yield {**row, "note": _join("no run of this sample to measure it on", claim.note)}
            continue
        yield row | _verdict(claim, row, label, number, at)


def _verdict(claim: Claim, row: Row, label: str, number: float, at: dict[str, Any]) -> Row:
    """Verdict and note on a number that was measured."""
    agrees = _agrees(claim, row, number, at)
    correction = claim.corrected.get(label)
    if correction is not None and _agrees(claim, row, correction.value, at):
        # few runs may not tell the two numbers apart: then the nearer one decides
        nearer = abs(row["measured"] - correction.value) < abs(row["measured"] - number)
        if nearer or not agrees:
            return {"verdict": "corrected", "note": _join(correction.note, claim.note)}
    if agrees:
        return {"verdict": "reproduced"}
    if _boundless(row):
        return {"note": _join("too few runs for an interval", claim.note)}
    return {"verdict": "differs"}


def _boundless(row: Row) -> bool:
    """Is the interval the whole line?"""
    return row["low"] == -math.inf and row["high"] == math.inf


def _agrees(claim: Claim, row: Row, number: float, at: dict[str, Any]) -> bool:
    if claim.trials:
        runs = int(at["runs"])
        ours, theirs = round(row["measured"] * runs), round(number * claim.trials)
        return two_binomials_agree(ours, runs, theirs, claim.trials, CONFIDENCE)
    measured = row["measured"]
    low = measured - claim.stretch * (measured - row["low"])
    high = measured + claim.stretch * (row["high"] - measured)
    if _boundless(row):  # it would agree with every number
        low = high = measured
    below, above = claim.within if isinstance(claim.within, tuple) else (claim.within,) * 2
    # keeps a number that was rounded exactly half-way inside
    slack = 1e-12 * abs(number)
    return (
        low <= number + above * (1 + 1e-9) + slack and high >= number - below * (1 + 1e-9) - slack
    )


def _filled(statement: str, label: str) -> str:
    """The statement with {k} replaced by the configuration's k; other braces stay."""
    for pair in label.split(","):
        name, equals, value = pair.partition("=")
        if equals:
            statement = statement.replace(f"{{{name}}}", value)
    return statement


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)


def to_csv(rows: list[Row]) -> str:
    """Rows as CSV with the columns `COLUMNS`; numbers to 10 significant digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        shown = {k: f"{v:.10g}" if isinstance(v, float) else v for k, v in row.items()}
        writer.writerow({k: "" if v == "nan" else v for k, v in shown.items()})
    return text.getvalue()
