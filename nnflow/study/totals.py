"""Counting claims: each statement once, by kind, and how many would differ by chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from nnflow.base.statistics import CONFIDENCE
from nnflow.study.claims import KINDS, NOT_HERE, VERDICTS, Claim, Row

WORST_FIRST = (
    "differs", "undecided", "corrected", "not_contradicted", "reproduced", "proved", "not_measured",
)  # fmt: skip
"""A statement that several rows test has the first of these verdicts that any of them has."""


def statements(
    rows: Iterable[Row], names: Mapping[tuple[str, str], str]
) -> dict[str, tuple[str, str]]:
    """{statement: (kind, verdict)}; rows of one statement are counted once, and so is each printed
    number, of which a claim may have one for each configuration. Rows of another scale are none.

    names: {(study, claim): the name under which it is counted}, from `counted_as`.
    """
    found: dict[str, tuple[str, str]] = {}
    for row in rows:
        if row["note"].startswith(NOT_HERE):
            continue
        key = (row["study"], row["claim"])
        name = names.get(key, "/".join(key))
        if row["kind"] == "number":
            name += f"[{row['configuration']}]"
        kind, verdict = found.get(name, (row["kind"], "not_measured"))
        worst = min((verdict, row["verdict"]), key=WORST_FIRST.index)
        found[name] = (kind, worst)
    return found


def counted_as(study: str, claims: Collection[Claim]) -> dict[tuple[str, str], str]:
    """{(study, claim): name} of the claims that share a statement; one that others of its study
    count as is among them."""
    shared = {claim.counts_as for claim in claims}
    names = {claim.claim: claim.counts_as or claim.claim for claim in claims}
    return {(study, claim): name for claim, name in names.items() if name in shared}


def totals(found: Mapping[str, tuple[str, str]]) -> dict[str, Counter[str]]:
    """{kind: {verdict: number of statements}}, never added up over the kinds."""
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for kind, verdict in found.values():
        counts[kind][verdict] += 1
    return counts


def expected_false(rows: Iterable[Row]) -> float:
    """How many `differs` are to be expected by chance, at most, if every claim holds: each row with
    an interval misses at the level 1 − 99 %, a one-sided bound at half of it. A tolerance, and
    shares that are counts, make it less.

    A number that was met exactly with an interval is a count, such as 0 exceptions of 40: where the
    claim holds no chance refutes it.
    """
    level = 1 - CONFIDENCE
    measured = [
        row
        for row in rows
        if -math.inf < row["low"] < row["high"] < math.inf and row["measured"] != row["published"]
    ]
    return sum(level if row["comparison"] == "=" else level / 2 for row in measured)


def sentence(counts: Mapping[str, Mapping[str, int]]) -> str:
    """The totals in words, kind by kind: "12 numbers: 10 reproduced, 2 differ; …"."""
    parts = []
    for kind in KINDS:
        found = [(verdict, counts[kind][verdict]) for verdict in VERDICTS if counts[kind][verdict]]
        if found:
            told = ", ".join(f"{number} {verdict.replace('_', ' ')}" for verdict, number in found)
            parts.append(f"{kind.replace('_', '-')}s: {told}")
    return "; ".join(parts)
