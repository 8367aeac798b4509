"""Claims: what is stated, by whom, and which column of the summary measures it."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, Literal

from pydantic import Field, NonNegativeFloat, PositiveInt, model_validator

from nnflow.base.settings import Settings

COLUMNS = (
    "claim", "study", "kind", "source", "statement", "configuration", "column", "comparison",
    "published", "tolerance", "measured", "low", "high", "verdict", "note",
)  # fmt: skip
KINDS = ("number", "statement", "bound", "cross_check")
VERDICTS = (
    "reproduced", "proved", "not_contradicted", "undecided", "differs", "corrected", "not_measured",
)  # fmt: skip
COMPARISONS = {
    "published": "=", "at_most": "≤", "at_least": "≥", "below": "<", "above": ">", "trend": "trend",
}  # fmt: skip
"""The keys of which a claim has exactly one, with their signs."""
TRENDS = ("increasing", "decreasing")
NOT_HERE = "this configuration is not part of this scale"
"""The note of a row that another scale measures."""

Row = dict[str, Any]
Numbers = float | dict[str, float]


class Correction(Settings):
    """What holds where the printed number is wrong."""

    value: float | None = None
    """The right number; null: the data exclude the printed words, and another claim is right."""
    printed: str
    """The printed words that are wrong, quoted."""
    document: str
    """Where they are printed: the lecture or paper, with page, equation or section."""
    note: str
    """Why the printed number is wrong, and what proves the right one."""


class Claim(Settings):
    """A statement that a column of the summary decides, at one configuration or at each."""

    claim: str
    """A short name, unique in the study."""
    statement: str
    """What is claimed; {k} stands for the swept parameter k."""
    source: str
    """Where it is published: paper, table or equation; or what it is derived from."""
    value: str
    """The column of the summary that measures it; its interval is in the columns
    VALUE_low and VALUE_high."""
    published: Numbers | None = None
    """The number that is stated, or one for each configuration's label."""
    at_most: Numbers | None = None
    """An upper bound, which may be attained."""
    at_least: Numbers | None = None
    """A lower bound, which may be attained."""
    below: Numbers | None = None
    """A strict upper bound."""
    above: Numbers | None = None
    """A strict lower bound."""
    trend: Literal["increasing", "decreasing"] | None = None
    """How the column changes from each configuration to the next; judged over all of them."""
    along: list[str] = []
    """For a trend: labels of the configurations, in order; empty: all of the scale, as swept."""
    within: NonNegativeFloat | tuple[NonNegativeFloat, NonNegativeFloat] = 0.0
    """For `published`: what its rounding leaves open, on both sides, or [below, above]. A
    number that may have been cut off instead of rounded has a whole unit of its last digit above,
    and half a unit below."""
    rival: float | None = None
    """For `published`: the number that another law would give, and that agreement has to exclude,
    with the one as far away on the other side; null: half and twice the number."""
    basis: Literal["printed", "derived", "ours"] = "printed"
    """Printed by the source; derived from it by us; or a formula of ours against a computation of
    ours. Only what is printed counts as published."""
    kind: Literal["number", "statement", "bound"] | None = None
    """null: a bound where there is an inequality, a statement where there is a trend, else a
    number. A count of exceptions is a `statement`: trying can contradict it, and not prove it. So
    is a formula that is measured with a tolerance (`within`) or an interval; only digits that a
    source prints are a `number`."""
    published_runs: PositiveInt | None = None
    """Runs that the printed mean is over: it has an interval of its own, so that ours is widened by
    √(1 + our runs / their runs) before the two are compared. Our runs are in `runs_column`."""
    runs_column: str = "runs"
    """The column that holds the number of our runs."""
    trials: PositiveInt | None = None
    """For a share: the printed number of trials. Both shares are then compared as binomials at
    99 %."""
    proof: bool = False
    """Is the column what a certificate proves? Then the verdict is `proved`."""
    counts_as: str = ""
    """A name that claims share, also of several studies, which test one statement, or the name of
    another claim of this study; the statement is counted once. Empty: the claim is a statement of
    its own. Printed numbers are counted one by one, by configuration."""
    corrected: dict[str, Correction] = Field(default_factory=dict)
    """By configuration: printed numbers that are wrong, and what holds instead."""
    note: str = ""
    """Said beside the verdict."""

    @model_validator(mode="after")
    def _one_comparison(self):
        given = [key for key in COMPARISONS if getattr(self, key) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{self.claim}: exactly one of {', '.join(COMPARISONS)} is needed"
                f" (there are: {', '.join(given) or 'none'})"
            )
        if getattr(self, given[0]) == {}:
            raise ValueError(f"{self.claim}: {given[0]}: names no configuration")
        if self.within and given != ["published"]:
            raise ValueError(
                f"{self.claim}: within goes with `published`; a bound has no tolerance"
            )
        if self.rival is not None and (given != ["published"] or self.trials or self.counts):
            raise ValueError(f"{self.claim}: rival goes with a `published` number that is measured")
        if self.rival is not None and self.rival in self.expected([""]).values():
            raise ValueError(f"{self.claim}: rival: {self.rival:g} is the published number itself")
        if self.corrected and self.basis != "printed":
            raise ValueError(f"{self.claim}: corrected: only what is printed can be corrected")
        return self

    @property
    def comparison(self) -> str:
        """The key of the comparison: published, at_most, …"""
        return next(key for key in COMPARISONS if getattr(self, key) is not None)

    @property
    def category(self) -> str:
        """number, statement, bound or cross_check."""
        if self.basis != "printed":
            return "cross_check"
        if self.kind is not None:
            return self.kind
        return {"published": "number", "trend": "statement"}.get(self.comparison, "bound")

    @property
    def counts(self) -> bool:
        """Is the column a number or share of cases, in all or none of which the statement holds?
        Its interval then says how often exceptions may be, and refutes nothing."""
        return self.kind == "statement" and not (self.trials or self.within)

    @property
    def below_above(self) -> tuple[float, float]:
        """The tolerance on both sides of a published number."""
        return self.within if isinstance(self.within, tuple) else (self.within,) * 2

    def expected(self, labels: Annotated[list[str], "of the scale"]) -> dict[str, float]:
        """{label: number} that is compared at each configuration; one number means every one."""
        numbers = getattr(self, self.comparison)
        return numbers if isinstance(numbers, dict) else dict.fromkeys(labels, numbers)


def to_csv(rows: list[Row]) -> str:
    """Rows as CSV with the columns `COLUMNS`; numbers to 10 significant digits. A text that a
    spreadsheet would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({key: _cell(key, row[key]) for key in COLUMNS})
    return text.getvalue()


def _cell(key: str, value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.10g}"
    text = str(value)
    formula = text.startswith(("=", "+", "-", "@", "\t", "\r")) and key != "comparison"
    return f"'{text}" if formula and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def described(row: Row) -> str:
    """A row in one line: claim, what is stated and what was measured."""
    at = f" at {row['configuration']}" if row["configuration"] else ""
    stated = (
        row["comparison"]
        if row["comparison"] == "trend"
        else (f"{row['comparison']} {row['published']:.6g}")
    )
    interval = f" ({row['low']:.4g} to {row['high']:.4g})" if row["low"] < row["high"] else ""
    return f"{row['claim']}{at}: {stated}, measured {row['measured']:.6g}{interval}"
