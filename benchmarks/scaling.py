"""What a run, a job and a core cost as studies grow; prints the tables of docs/scaling.md.

    python benchmarks/scaling.py [runs] [collect] [jobs] [cores]

runs: time and memory per run from 10² to 10⁵ runs, stage by stage, each size in a process of
its own on one core, median of three rounds (8 minutes). collect: its memory by itself, at 10⁵ and
10⁶ runs, of which one batch stands for all (2 minutes). jobs: how long Snakemake plans 10³ and
10⁴ jobs (3 minutes). cores: twelve paper-scale rows of spurious_minima on one core and on two
(6 minutes).
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

STUDENTS = """
title: {title}
seed: 2018
model: {{name: relu_teacher_student, k: 6, n: 6}}
initializer: {{name: normal, variance: 1, per: fan_in}}
optimizer: {{name: gradient_descent, rate: 0.1}}
"""
BATCH = 10_000
FIXED_LENGTH = "stop: {{gradient_norm: null, steps: 500}}\nruns: {runs}\n" + f"batch: {BATCH}\n"
ONE_RUN_A_BATCH = "runs: {runs}\nbatch: 1\n"
PAPER_ROWS = """
stop: {gradient_norm: 1.6e-10, norm: neuron, basin: true, loss: 1.0e-3, steps: 1000000}
classify: {global_within: 1.0e-3}
runs: 1000
batch: 1000
sweep:
"""
ROWS = [(k, k) for k in range(6, 13)] + [(k, k + 1) for k in range(8, 13)]

SIZES = (100, 1_000, 10_000, 100_000)
ROUNDS = 3
STAGES = ("initialize", "train", "classify", "collect")
JOINED = (100_000, 1_000_000)
BATCHES = (500, 5_000)


def project(folder: Path, studies: dict[str, str]) -> None:
    """A project folder with the repository's plugins and the given studies."""
    (folder / "config" / "studies").mkdir(parents=True)
    (folder / "plugins").symlink_to(ROOT / "plugins")
    for name, text in studies.items():
        title = STUDENTS.format(title=name)
        (folder / "config" / "studies" / f"{name}.yaml").write_text(title + text)
    (folder / "config" / "config.yaml").write_text(f"studies: [{', '.join(studies)}]\n")


def table(head: list[str], rows: list[list[str]]) -> None:
    """Print a Markdown table."""
    for row in (head, ["---"] + ["---:"] * (len(head) - 1), *rows):
        print("| " + " | ".join(row) + " |", flush=True)
    print(flush=True)


def measure_stages(folder: str) -> None:
    """Do all stages of the study in the folder, in this process; print seconds and memory."""
    from nnflow.base.progress import Reporter
    from nnflow.stages.classify import classify
    from nnflow.stages.collect import collect
    from nnflow.stages.initialize import initialize
    from nnflow.stages.job import Job
    from nnflow.stages.train import train
    from nnflow.workflow.plan import Plan

    def stages(where: Path) -> dict[str, list[float]]:
        os.chdir(where)
        study = Plan(("students",)).loaded["students"]
        job = Job(study, Path("results"), Path("data"), 0, {}, Reporter("scaling", Path("log")))
        work = {
            "initialize": lambda: initialize(job),
            "train": lambda: [train(job, batch) for batch in range(len(study.batches))],
            "classify": lambda: [classify(job, batch) for batch in range(len(study.batches))],
            "collect": lambda: [collect(job, name) for name in ("training", "critical_points")],
        }
        found = {}
        for stage in STAGES:
            began = time.process_time()
            work[stage]()
            used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            found[stage] = [time.process_time() - began, used]
        found["disk"] = [file.stat().st_size for file in Path("results").rglob("*.nc")]
        return found

    # what is imported on first use is no cost of a run
    with tempfile.TemporaryDirectory() as first:
        project(Path(first), {"students": FIXED_LENGTH.format(runs=1)})
        stages(Path(first))
    print(json.dumps(stages(Path(folder))))


def stages_apart(size: int) -> dict[str, list[float]]:
    """What `measure_stages` finds for a study of this many runs, in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        project(Path(folder), {"students": FIXED_LENGTH.format(runs=size)})
        command = [sys.executable, __file__, "--inside", folder]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def runs() -> None:
    """Cost per run; processor time, so that a busy machine changes little."""
    rounds = [{size: stages_apart(size) for size in SIZES} for _ in range(ROUNDS)]
    rows = []
    for size in SIZES:
        found = [of_size[size] for of_size in rounds]
        each = [[1e3 * one[stage][0] / size for one in found] for stage in STAGES]
        whole = sorted(sum(stages) for stages in zip(*each, strict=True))
        cost = [f"{statistics.median(seconds):.3f}" for seconds in [*each, whole]]
        spread = f"{whole[0]:.3f} to {whole[-1]:.3f}"
        memory = [f"{found[0][stage][1]:.0f}" for stage in ("train", "classify", "collect")]
        disk = f"{sum(found[0]['disk']) / size / 1e3:.1f}"
        rows.append([f"{size:,}", *cost, spread, *memory, disk])
    head = ["runs", *(f"{stage}, ms/run" for stage in STAGES), "all, ms/run", "lowest to highest"]
    memory = [f"peak after {stage}, MB" for stage in ("train", "classify", "collect")]
    table([*head, *memory, "files, kB/run"], rows)


def nnflow(folder: Path, *arguments: str) -> tuple[float, float]:
    """Do a stage as a job does; processor seconds, and the peak of memory in MB."""
    command = [sys.executable, "-m", "nnflow", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)}: failed")
    return used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def collect() -> None:
    """Memory of `collect`, where one batch of runs stands for all."""
    rows = []
    for size in JOINED:
        with tempfile.TemporaryDirectory() as folder:
            project(Path(folder), {"students": FIXED_LENGTH.format(runs=size)})
            nnflow(Path(folder), "initialize", "students")
            for stage, dataset in (("train", "training"), ("classify", "critical_points")):
                nnflow(Path(folder), stage, "students", "--batch", "0")
                (first,) = Path(folder).rglob(f"{dataset}-0.nc")
                for number in range(1, size // BATCH):
                    os.link(first, first.with_name(f"{dataset}-{number}.nc"))
            seconds, peak = nnflow(Path(folder), "collect", "students")
            rows.append([f"{size:,}", f"{seconds:.0f}", f"{peak:.0f}"])
    table(["runs", "processor, s", "peak, MB"], rows)


def snakemake(folder: Path, *arguments: str) -> float:
    """Wall seconds of Snakemake in a project folder."""
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile")]
    began = time.perf_counter()
    subprocess.run(
        [*command, "--directory", str(folder), "--quiet", "all", *arguments],
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - began


def jobs() -> None:
    """Planning time, of one large study and of many small ones: until the graph of jobs is known,
    and with a dry run, which writes each of them, too."""
    rows = []
    for batches in BATCHES:
        one = {"students": ONE_RUN_A_BATCH.format(runs=batches)}
        many = {f"students_{i}": ONE_RUN_A_BATCH.format(runs=2) for i in range(2 * batches // 9)}
        for what, studies in (("one study", one), (f"{len(many)} studies", many)):
            with tempfile.TemporaryDirectory() as folder:
                project(Path(folder), studies)
                plan = snakemake(Path(folder), "--rulegraph", "--cores", "1")
                dry = snakemake(Path(folder), "--dry-run", "--cores", "1")
            count = sum(5 + 2 * (batches if len(studies) == 1 else 2) for _ in studies) + 2
            each = [text for s in (plan, dry) for text in (f"{s:.1f}", f"{1e3 * s / count:.1f}")]
            rows.append([what, f"{count:,}", *each])
    table(["what", "jobs", "plan, s", "ms/job", "dry run, s", "ms/job"], rows)


def cores() -> None:
    """Whole workflow on one core and on two."""
    sweep = "".join(f"  - {{model.k: {k}, model.n: {n}}}\n" for k, n in ROWS)
    seconds = {}
    for count in (1, 2):
        with tempfile.TemporaryDirectory() as folder:
            project(Path(folder), {"students": PAPER_ROWS + sweep})
            seconds[count] = snakemake(Path(folder), "--cores", str(count))
    rows = [[str(n), f"{s:.0f}", f"{seconds[1] / s:.2f}"] for n, s in seconds.items()]
    table(["cores", "wall, s", "times as fast"], rows)


PARTS = {"runs": runs, "collect": collect, "jobs": jobs, "cores": cores}


def main() -> None:
    """Print the tables that are asked for; all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="which tables; default: all")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.inside:
        measure_stages(arguments.inside)
        return
    for part in arguments.parts or PARTS:
        PARTS[part]()


if __name__ == "__main__":
    main()
