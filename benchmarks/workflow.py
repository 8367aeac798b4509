"""Where the time of the default workflow goes.

    python benchmarks/workflow.py [--studies a,b]

Runs the quick workflow on one core into a temporary folder and prints how much of the wall
time is computing, how much the start of Python and its imports, and how much Snakemake's.
"""

from __future__ import annotations

import argparse
import csv
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

START_UP = re.compile(r"start-up took (\d+\.\d+) s")


def run_workflow(results: Path, studies: str | None) -> float:
    """Wall seconds of the whole workflow on one core."""
    config = ["--config", f"results={results}", *([f"studies={studies}"] if studies else [])]
    command = [sys.executable, "-m", "snakemake", "--cores", "1", "--nolock", "--quiet", "all"]
    began = time.perf_counter()
    subprocess.run([*command, *config], check=True)
    return time.perf_counter() - began


def job_seconds(results: Path) -> float:
    """Wall seconds of all jobs, as Snakemake measured them."""
    seconds = 0.0
    for file in results.rglob("benchmarks/*.tsv"):
        with file.open() as lines:
            seconds += sum(float(row["s"]) for row in csv.DictReader(lines, delimiter="\t"))
    return seconds


def start_up_seconds(results: Path) -> float:
    """Seconds that all jobs spent on imports, as their logs say."""
    found = (START_UP.search(file.read_text()) for file in results.rglob("logs/*.log"))
    return sum(float(match.group(1)) for match in found if match)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", help="comma-separated; those of config.yaml if left out")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        wall = run_workflow(results, arguments.studies)
        jobs, start_up = job_seconds(results), start_up_seconds(results)
        count = len(list(results.rglob("benchmarks/*.tsv")))
    parts = {"computing": jobs - start_up, "start-up": start_up, "Snakemake": wall - jobs}
    table = Table(title=f"{count} jobs on one core, {wall:.0f} s")
    for heading in ("", "s", "%"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, seconds in parts.items():
        table.add_row(name, f"{seconds:.1f}", f"{100 * seconds / wall:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
