"""Verdicts on claims: does what was measured agree, refute, or leave it open?

A verdict of agreement needs an interval that excludes what would refute the claim; where it holds
both, the verdict is `undecided`, and the note says about how many runs would decide.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from nnflow.base.errors import UserError
from nnflow.base.statistics import CONFIDENCE, two_binomials_agree
from nnflow.study.claims import COMPARISONS, NOT_HERE, Claim, Correction, Row

if TYPE_CHECKING:
    import xarray as xr

RESOLUTION = 2.0
"""A printed number is decided by data that tell it from an effect half or twice as large. With 1.5
in its place more of the shipped claims are undecided at paper scale, with 3 fewer; the shares below
2 % of 1000 runs are undecided with any of them, as 1000 runs can't tell them from none."""
ROUNDING = 1e-9
"""Slack of a comparison, relative to its numbers: a number that was rounded exactly half-way."""


def judge(study: str, claims: list[Claim], summary: xr.Dataset) -> list[Row]:
    """One row for each claim at each configuration, and one for each trend.

    summary: columns over `configuration`, whose coordinate holds the labels.
    """
    return [row for claim in claims for row in _rows(study, claim, summary)]


def _rows(study: str, claim: Claim, summary: xr.Dataset) -> Iterator[Row]:
    labels = [str(label) for label in summary["configuration"].values]
    base: Row = {
        "claim": claim.claim,
        "study": study,
        "kind": claim.category,
        "source": claim.source,
        "statement": claim.statement,
        "configuration": "",
        "column": claim.value,
        "comparison": COMPARISONS[claim.comparison],
        "published": math.nan,
        "tolerance": _tolerance(claim),
        "measured": math.nan,
        "low": math.nan,
        "high": math.nan,
        "verdict": "not_measured",
        "note": claim.note,
    }
    if claim.value in summary and summary[claim.value].dtype.kind not in "iufb":
        raise UserError(
            f"{study}: claims.{claim.claim}: the column {claim.value!r} holds text, not numbers"
        )
    if claim.comparison == "trend":
        yield base | _trend(claim, summary, labels)
        return
    for label, number in claim.expected(labels).items():
        row = {
            **base,
            "configuration": label,
            "statement": filled(claim.statement, label),
            "published": number,
        }
        if label not in labels:
            yield {**row, "note": _join(NOT_HERE, claim.note)}
            continue
        place = labels.index(label)
        at = {k: v.values[place].item() for k, v in summary.variables.items()}
        measured = at[claim.value]
        row |= {
            "measured": float(measured),
            "low": float(at.get(f"{claim.value}_low", measured)),
            "high": float(at.get(f"{claim.value}_high", measured)),
        }
        yield row | _verdict(claim, row, label, number, at)


def _verdict(claim: Claim, row: Row, label: str, number: float, at: dict[str, Any]) -> Row:
    """Verdict and note on a number that was measured."""
    if math.isnan(row["measured"]):
        return {"note": _join("no run of this sample to measure it on", claim.note)}
    if _boundless(row):
        return {
            "verdict": "undecided",
            "note": _join("too few runs for an interval", claim.note),
        }
    decided, note = (_equals if claim.comparison == "published" else _inequality)(
        claim, row, number, at
    )
    correction = claim.corrected.get(label)
    if correction is not None and decided is False and _holds_instead(claim, row, correction, at):
        quoted = f"“{correction.printed}” ({correction.document}): {correction.note}"
        return {"verdict": "corrected", "note": _join(quoted, claim.note)}
    if decided is None:
        return {"verdict": "undecided", "note": _join(note, claim.note)}
    if not decided:
        return {"verdict": "differs", "note": _join(note, claim.note)}
    return {"verdict": agreement(claim), "note": _join(note, claim.note)}


def _holds_instead(claim: Claim, row: Row, correction: Correction, at: dict[str, Any]) -> bool:
    """Does what the correction says hold? One without a value says that what is printed does
    not."""
    return correction.value is None or _equals(claim, row, correction.value, at)[0] is True


def agreement(claim: Claim) -> str:
    """The word for a claim that the data agree with."""
    if claim.proof:
        return "proved"
    return "not_contradicted" if claim.category == "statement" else "reproduced"


def _equals(claim: Claim, row: Row, number: float, at: dict[str, Any]) -> tuple[bool | None, str]:
    """Does the measured interval agree with number ± tolerance? None: it holds what would refute
    it, too. And a note."""
    low, high = _widened(claim, row, at)
    below, above = claim.below_above
    if claim.counts:
        meets = row["measured"] == number
        upper = f"exceptions are at most {high:.2g} of all, at {CONFIDENCE:.0%}"
        return meets, upper if meets and number == 0 and high > row["measured"] else ""
    slack = ROUNDING * max(abs(number), abs(below), abs(above))
    if claim.trials:
        if not _shares_agree(claim, row, number, at):
            return False, ""
        others = (number / RESOLUTION, min(1.0, number * RESOLUTION))
        if any(_shares_agree(claim, row, other, at) for other in others if other != number):
            return None, "so few runs, ours and theirs, can't tell it from half or twice as much"
        return True, ""
    if not (low <= number + above + slack and high >= number - below - slack):
        return False, ""
    nearest, farthest = _refuting(claim, number)
    lowest = min(nearest, number - below) - slack
    highest = max(farthest, number + above) + slack
    if low == high or (low >= lowest and high <= highest):
        return True, ""
    sides = ((number - low, number - lowest), (high - number, highest - number))
    excess = max((reach / room for reach, room in sides if room > 0), default=0.0)
    return None, _more_runs(claim, row, at, excess)


def _refuting(claim: Claim, number: float) -> tuple[float, float]:
    """The nearest numbers on both sides that agreement has to exclude."""
    if claim.rival is None:
        nearest, farthest = sorted((number / RESOLUTION, number * RESOLUTION))
        return nearest, farthest
    away = abs(claim.rival - number)
    return number - away, number + away


def _inequality(
    claim: Claim, row: Row, bound: float, at: dict[str, Any]
) -> tuple[bool | None, str]:
    """Does the whole interval satisfy the bound (True), violate it (False), or hold both?"""
    low, high = row["low"], row["high"]
    side = 1 if claim.comparison in ("at_most", "below") else -1
    nearest, farthest = (high, low) if side == 1 else (low, high)
    if claim.comparison in ("below", "above"):
        satisfied, violated = side * nearest < side * bound, side * farthest >= side * bound
    else:
        slack = ROUNDING * abs(bound)
        satisfied = side * nearest <= side * bound + slack
        violated = side * farthest > side * bound + slack
    if satisfied or violated:
        return satisfied, ""
    across = nearest if side * row["measured"] < side * bound else farthest
    distance = abs(row["measured"] - bound)
    excess = (across - row["measured"]) / distance if distance else 0
    return None, _more_runs(claim, row, at, excess)


def _trend(claim: Claim, summary: xr.Dataset, labels: list[str]) -> Row:
    """Does the column rise (or fall) from each configuration to the next?"""
    chosen = [label for label in claim.along or labels if label in labels]
    rows = [summary.sel(configuration=label) for label in chosen]
    triples = [
        tuple(
            float(at[name]) if name in at else float(at[claim.value])
            for name in (claim.value, f"{claim.value}_low", f"{claim.value}_high")
        )
        for at in rows
    ]
    triples = [triple for triple in triples if not math.isnan(triple[0])]
    if len(triples) < 2:
        return {"note": _join("fewer than two configurations to compare", claim.note)}
    side = 1 if claim.trend == "increasing" else -1
    steps = list(itertools.pairwise(triples))
    ends = [((a[2], b[1]) if side == 1 else (a[1], b[2])) for a, b in steps]
    against = [((a[1], b[2]) if side == 1 else (a[2], b[1])) for a, b in steps]
    found = {
        "configuration": " → ".join([chosen[0], chosen[-1]]),
        "measured": triples[-1][0] - triples[0][0],
    }
    if all(side * b > side * a for a, b in ends):
        return {**found, "verdict": agreement(claim)}
    wrong = sum(side * b <= side * a for a, b in against)
    if wrong:
        text = f"{wrong} of {len(steps)} steps go the other way"
        return {**found, "verdict": "differs", "note": _join(text, claim.note)}
    text = "intervals of neighbouring configurations overlap"
    return {**found, "verdict": "undecided", "note": _join(text, claim.note)}


def _widened(claim: Claim, row: Row, at: dict[str, Any]) -> tuple[float, float]:
    """Our interval, widened by the uncertainty of the printed mean."""
    factor = 1.0
    if claim.published_runs is not None:
        factor = math.sqrt(1 + at[claim.runs_column] / claim.published_runs)
    measured = row["measured"]
    return measured - factor * (measured - row["low"]), measured + factor * (row["high"] - measured)


def _shares_agree(claim: Claim, row: Row, number: float, at: dict[str, Any]) -> bool:
    runs = int(at[claim.runs_column])
    ours, theirs = round(row["measured"] * runs), round(number * claim.trials)
    return two_binomials_agree(ours, runs, theirs, claim.trials, CONFIDENCE)


def _more_runs(claim: Claim, row: Row, at: dict[str, Any], excess: float) -> str:
    """About how many runs would decide: the width of an interval falls as their square root."""
    runs = at.get(claim.runs_column)
    if not excess or not math.isfinite(excess) or not isinstance(runs, int | float):
        return "the interval also holds what would refute it"
    needed = math.ceil(runs * excess**2)
    return f"the interval also holds what would refute it; about {needed} runs would decide"


def _boundless(row: Row) -> bool:
    """Is the interval the whole line?"""
    return row["low"] == -math.inf and row["high"] == math.inf


def _tolerance(claim: Claim) -> str:
    if claim.comparison != "published":
        return ""
    below, above = claim.below_above
    return f"{below:.10g}" if below == above else f"{below:.10g} below, {above:.10g} above"


def filled(statement: str, label: str) -> str:
    """The statement with {k} replaced by the configuration's k; other braces stay."""
    for pair in label.split(","):
        name, equals, value = pair.partition("=")
        if equals:
            statement = statement.replace(f"{{{name}}}", value)
    return statement


def _join(*notes: str) -> str:
    return "; ".join(note for note in notes if note)
