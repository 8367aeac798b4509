"""Where the processor time of the default workflow goes.

    python benchmarks/workflow.py [--studies a,b] [--cold]

Runs the quick workflow on two cores into a temporary folder, and prints how many core-seconds are
computing, how many the start of Python and its imports, and how many Snakemake's and its shells'.
With --cold each job starts a Python of its own instead of being forked from a warm one.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

START_UP = re.compile(r"start-up took (\d+\.\d+) s")
LOOK_EVERY = 0.2
"""Seconds; at most so much of the warm process's time is missed."""


def run_workflow(results: Path, studies: str | None, cold: bool) -> tuple[float, float, float]:
    """Wall seconds of the workflow; core-seconds of the warm process, and of what it forked."""
    config = ["--config", f"results={results}", *([f"studies={studies}"] if studies else [])]
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--nolock", "--quiet", "all"]
    environment = {**os.environ, **({"NNFLOW_COLD": "1"} if cold else {})}
    began = time.perf_counter()
    workflow = subprocess.Popen([*command, *config], env=environment)
    server, own, forked = None, 0.0, 0.0
    while workflow.poll() is None:
        server = server or warm_process(workflow.pid)
        if server is not None and server.is_running():
            times = server.cpu_times()
            own = times.user + times.system
            forked = times.children_user + times.children_system
        time.sleep(LOOK_EVERY)
    if workflow.returncode:
        sys.exit(workflow.returncode)
    return time.perf_counter() - began, own, forked


def warm_process(workflow: int) -> psutil.Process | None:
    """The process that forks the jobs of the workflow."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "nnflow.workflow.warm" in words and words[-1] == str(workflow):
            return process
    return None


def start_up_seconds(results: Path) -> float:
    """Seconds that all jobs spent until they began to work, as their logs say."""
    found = (START_UP.search(file.read_text()) for file in results.rglob("logs/*.log"))
    return sum(float(match.group(1)) for match in found if match)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", help="comma-separated; those of config.yaml if left out")
    parser.add_argument("--cold", action="store_true", help="each job starts a Python of its own")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        wall, own, forked = run_workflow(results, arguments.studies, arguments.cold)
        start_up = start_up_seconds(results)
        count = len(list(results.rglob("benchmarks/*.tsv")))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    waited_for = used.ru_utime + used.ru_stime
    rows = {
        "computing": forked - start_up,
        "start of Python": own + start_up,
        "Snakemake and shells": waited_for,
    }
    if arguments.cold:  # the jobs are Snakemake's children, and can't be told from it
        rows = {"computing and Snakemake": waited_for - start_up, "start of Python": start_up}
    total = sum(rows.values())
    table = Table(title=f"{count} jobs on two cores: {wall:.0f} s, {total:.0f} core-seconds")
    for heading in ("", "core-seconds", "%"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, seconds in rows.items():
        table.add_row(name, f"{seconds:.1f}", f"{100 * seconds / total:.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
