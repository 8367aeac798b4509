"""What jobs ask a scheduler for, beside what those in results/ took; prints a table.

    python benchmarks/resources.py [RESULTS]

For each stage, of all studies and scales whose results are here: the largest share of the memory,
and of the time, that a job used of what it asks for at its first attempt, and which job that was.
The first job of a workflow has the memory of the warm process that it starts, too.
"""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from functools import cache
from pathlib import Path

from nnflow.study.loading import load_study, study_file
from nnflow.workflow.plan import SETTINGS
from nnflow.workflow.resources import resources_for


def shares(results: Path) -> dict[str, list[tuple[float, float, str]]]:
    """By stage: (share of the memory, share of the time, scale/study) of each job."""
    found, load = defaultdict(list), cache(load_study)
    for file in sorted(results.glob("*/*/benchmarks/*.tsv")):
        scale, study = file.parts[-4:-2]
        stage = file.stem.partition("-")[0]
        with file.open(encoding="utf-8") as table:
            *_, took = csv.DictReader(table, delimiter="\t")
        if stage not in SETTINGS or took["max_rss"] == "NA":
            continue
        asked = resources_for(load(study_file(study), scale), stage)
        memory = float(took["max_rss"]) / asked.memory()
        time = float(took["s"]) / (60 * asked.runtime())
        found[stage].append((memory, time, f"{scale}/{study}"))
    return found


def main() -> None:
    """Print one row for each stage."""
    print("| stage | jobs | memory, at most | of | time, at most | of |")
    print("| --- | ---: | ---: | --- | ---: | --- |")
    for stage, jobs in shares(Path(*sys.argv[1:2] or ["results"])).items():
        memory = max(jobs)
        time = max(jobs, key=lambda job: job[1])
        cells = [stage, len(jobs), f"{memory[0]:.0%}", memory[2], f"{time[1]:.1%}", time[2]]
        print("| " + " | ".join(map(str, cells)) + " |")


if __name__ == "__main__":
    main()
