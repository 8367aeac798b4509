"""The claims of a finished workflow as Markdown, for docs/results/.

    python benchmarks/published.py [results/paper] [--study spurious_minima]

First the verdicts of each study by kind, each statement counted once; then, study by study, one row
a configuration, published and measured.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path

from nnflow.study.claims import KINDS, VERDICTS
from nnflow.study.loading import load_study, study_files
from nnflow.study.totals import counted_as, statements, totals

SIGNS = {
    "corrected": " ᶜ", "differs": " ✗", "not_measured": " –", "undecided": " ?",
}  # fmt: skip
"""Behind the cells of verdicts that are no agreement."""


def number(text: str) -> str:
    """A number to four significant digits; a dash where there is none."""
    return f"{float(text):.4g}" if text else "–"


def cell(row: dict[str, str]) -> str:
    """published → measured (interval)."""
    sign = "" if row["comparison"] in ("=", "trend") else f"{row['comparison']} "
    stated = "trend" if row["comparison"] == "trend" else f"{sign}{number(row['published'])}"
    if not row["measured"]:
        return f"{stated} → –"
    shown = f"{stated} → {number(row['measured'])}"
    if row["low"] != row["high"] and "inf" not in row["low"]:
        shown += f" ({float(row['low']):.3g} – {float(row['high']):.3g})"
    return shown + SIGNS.get(row["verdict"], "")


def by_kind(rows: list[dict[str, str]], names: dict) -> list[str]:
    """For each kind the verdicts of its statements: "3 reproduced, 1 corrected"."""
    counts = totals(statements(rows, names))
    return [
        ", ".join(
            f"{counts[kind][verdict]} {verdict.replace('_', ' ')}"
            for verdict in VERDICTS
            if counts[kind][verdict]
        )
        for kind in KINDS
    ]


def table(rows: list[dict[str, str]]) -> str:
    """One row a configuration, one column a claim."""
    columns = dict.fromkeys(re.sub(r"_(equal|over)$", "", row["claim"]) for row in rows)
    cells: dict[str, dict[str, str]] = defaultdict(dict)
    for row in rows:
        cells[row["configuration"]][re.sub(r"_(equal|over)$", "", row["claim"])] = cell(row)
    lines = ["| configuration | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for configuration, found in cells.items():
        lines.append(f"| {configuration} | " + " | ".join(found.get(c, "") for c in columns) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the verdicts by kind, and the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/paper"))
    parser.add_argument("--study", help="only this one")
    arguments = parser.parse_args()
    files = study_files(Path("config/studies"))
    found = {}
    for file in sorted(arguments.results.glob("*/claims.csv")):
        if arguments.study in (None, file.parent.name):
            with file.open(encoding="utf-8", newline="") as lines:
                found[file.parent.name] = list(csv.DictReader(lines))
    print("| study | " + " | ".join(f"{kind.replace('_', '-')}s" for kind in KINDS) + " |")
    print("|---" * (len(KINDS) + 1) + "|")
    for name, rows in found.items():
        claims = load_study(files[name], "paper").settings.claims
        print(f"| {name} | " + " | ".join(by_kind(rows, counted_as(name, claims))) + " |")
    for name, rows in found.items():
        print(f"\n## {name}\n\n{table(rows)}")


if __name__ == "__main__":
    main()
