"""The claims of a finished workflow as Markdown, for docs/results.md.

    python benchmarks/published.py [results/paper] [--study spurious_minima]

Claims that name the same points stand side by side: one row a point, published and measured.
"""

from __future__ import annotations

import argparse
import csv
import re
from collections import defaultdict
from pathlib import Path

POINT = re.compile(r"(?P<claim>.+)\[(?P<point>.+)\]")
SIGNS = {"reproduced": "", "corrected": " ᶜ", "differs": " ✗", "not_measured": " –"}


def number(text: str) -> str:
    """A number to four significant digits; a dash where there is none."""
    return f"{float(text):.4g}" if text else "–"


def cell(row: dict[str, str]) -> str:
    """published → measured (interval)."""
    if not row["measured"]:
        return f"{number(row['published'])} → –"
    shown = f"{number(row['published'])} → {number(row['measured'])}"
    low, high = float(row["low"]), float(row["high"])
    if low != high and abs(low) != float("inf"):
        shown += f" ({low:.3g} – {high:.3g})"
    return shown + SIGNS[row["verdict"]]


def tables(rows: list[dict[str, str]]) -> str:
    """Per-point claims as one table, by the column they measure, and the rest as a list."""
    by_point: dict[str, dict[str, str]] = defaultdict(dict)
    columns: dict[str, None] = {}
    rest = []
    for row in rows:
        match = POINT.fullmatch(row["claim"])
        if match is None:
            rest.append(f"- {row['statement']}: {cell(row)} ({row['verdict']})")
            continue
        column = re.sub(r"_(equal|over|\d+)$", "", match["claim"])
        columns[column] = None
        by_point[match["configuration"]][column] = cell(row)
    lines = []
    if columns:
        lines.append("| point | " + " | ".join(name.replace("_", " ") for name in columns) + " |")
        lines.append("|" + "---|" * (len(columns) + 1))
        for configuration, cells in by_point.items():
            lines.append(
                f"| {configuration} | " + " | ".join(cells.get(c, "") for c in columns) + " |"
            )
    return "\n".join([*lines, *rest])


def main() -> None:
    """Print the tables, and how many claims have each verdict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results/paper"))
    parser.add_argument("--study", help="only this one")
    arguments = parser.parse_args()
    files = sorted(arguments.results.glob("*/claims.csv"))
    for file in files:
        if arguments.study not in (None, file.parent.name):
            continue
        with file.open(encoding="utf-8") as lines:
            rows = list(csv.DictReader(lines))
        counts = {v: sum(row["verdict"] == v for row in rows) for v in SIGNS}
        shown = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        print(f"## {file.parent.name}\n\n{shown or 'no claims'}\n\n{tables(rows)}\n")


if __name__ == "__main__":
    main()
