"""Claims as the report shows them: the rows of claims.csv, gathered into statements."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from nnflow.base.errors import UserError
from nnflow.base.notation import between, number, with_interval
from nnflow.study.claims import COLUMNS, VERDICTS, Claim, Row
from nnflow.study.totals import WORST_FIRST

SMALL = 1e-4
"""A number below it that has no interval is a residual or a gap."""
NUMBERS = ("published", "measured", "low", "high")
_BRACES = re.compile(r"(?:\b(\w+) ?= ?)?(?<![_^])\{([A-Za-z_]\w*)\}(?: (\w+))?")
"""A swept setting, but no index such as W_{k}."""
_BRACKETS = re.compile(r" ?\([^()]*(?<![_^])\{[A-Za-z_]\w*\}[^()]*\)")
_APPENDED = re.compile(r"(?:, (?:\w+ (?:= )?)?\{[A-Za-z_]\w*\}(?: \w+)?)+(?=$|[;:.]| \()")
"""What says for which setting a case is, as of \"(k = {k})\" and \", k = {k}\" at an end."""


@dataclass(frozen=True)
class Statement:
    """A claim with its rows: a statement, and the cases that test it. `verdict` is the worst."""

    study: str
    name: str
    text: str
    source: str
    kind: str
    verdict: str
    cases: tuple[Row, ...]

    @property
    def measured(self) -> list[Row]:
        """The cases that were measured at this scale, the worst verdict first."""
        found = [case for case in self.cases if case["verdict"] != "not_measured"]
        return sorted(found, key=lambda case: WORST_FIRST.index(case["verdict"]))

    @property
    def corrections(self) -> list[Row]:
        """The cases in which what is printed is wrong."""
        return [case for case in self.cases if case["verdict"] == "corrected"]


def read_rows(file: Path) -> list[Row]:
    """The rows of a study's claims.csv; numbers that are missing are NaN. Raises UserError where
    the file is missing or damaged."""
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            rows: list[Row] = list(reader)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise ValueError(f"expected the columns {', '.join(COLUMNS)}")
        for row in rows:
            row |= {key: float(row[key] or "nan") for key in NUMBERS}
            if row["verdict"] not in VERDICTS:
                raise ValueError(f"{row['claim']}: unknown verdict {row['verdict']!r}")
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run the workflow to make it") from None
    except OSError as error:
        raise UserError(f"{file}: can't be read: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise UserError(
            f"{file}: not a table of claims: {error}; delete it and run again"
        ) from None
    return rows


def statements(study: str, claims: Iterable[Claim], rows: Iterable[Row]) -> list[Statement]:
    """The statements of a study in the order of its file."""
    by_claim: dict[str, list[Row]] = {}
    for row in rows:
        by_claim.setdefault(row["claim"].removeprefix("'"), []).append(row)
    return [
        Statement(
            study,
            claim.claim,
            wording(claim, by_claim[claim.claim]),
            claim.source,
            claim.category,
            min((row["verdict"] for row in by_claim[claim.claim]), key=WORST_FIRST.index),
            tuple(by_claim[claim.claim]),
        )
        for claim in claims
        if claim.claim in by_claim
    ]


def wording(claim: Claim, rows: list[Row]) -> str:
    """The statement for all cases, "with k teachers", and without what is only appended to tell
    them apart; of a single case with its numbers."""
    if len(rows) == 1:
        return rows[0]["statement"].removeprefix("'")
    return _BRACES.sub(_named, _APPENDED.sub("", _BRACKETS.sub("", claim.statement)))


def _named(found: re.Match[str]) -> str:
    """A swept setting by its name: "k = {k}" is k, and "{inputs} inputs" are inputs."""
    before, name, after = found.groups()
    said = before or name.replace("_", " ")
    return said if after in (None, name) else f"{said} {after}"


def stated(row: Row) -> str:
    """What is stated, with its comparator: "≥ 0.45", "0.021 ± 0.0005", "0.014 (0.0135–0.015)"
    where its rounding leaves more open on one side."""
    if row["comparison"] == "trend":
        return "trend"
    sign = "" if row["comparison"] == "=" else f"{row['comparison']} "
    value, given = row["published"], row["tolerance"]
    sides = re.fullmatch(r"(\S+) below, (\S+) above", given)
    if sides:
        ends = (value - float(sides[1]), value + float(sides[2]))
        return f"{sign}{number(value)} ({between(*map(number, ends))})"
    around = f" ± {number(float(given))}" if given and float(given) else ""
    return sign + number(value) + around


def measured(row: Row) -> str:
    """What was measured, with its interval; of residuals and gaps only the size."""
    value, low, high = row["measured"], row["low"], row["high"]
    if abs(value) < SMALL and not low < high:
        return number(value, 3)
    return with_interval(value, low, high)


def typical(statement: Statement) -> Row:
    """The case that stands for a statement where there is room for one: the worst; of equal ones
    the one with the largest number of trials or, which comes to the same, the narrowest interval,
    among those that measured anything but zero."""
    cases = statement.measured
    if not cases:
        return statement.cases[0]
    worst = [case for case in cases if case["verdict"] == cases[0]["verdict"]]
    telling = [case for case in worst if case["measured"]] or worst
    return min(telling, key=lambda case: _width(case["low"], case["high"]))


def _width(low: float, high: float) -> float:
    return high - low if math.isfinite(high - low) else math.inf


def corrected(found: Iterable[Statement]) -> Iterator[Statement]:
    """The statements that need a correction."""
    return (statement for statement in found if statement.corrections)
