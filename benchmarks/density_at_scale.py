"""The density of a Hessian with 10⁶ rows: 80 Lanczos steps of 10 vectors, on 2000 digits of MNIST.

    python benchmarks/density_at_scale.py [--folder /tmp/density_at_scale] [--probes 10]

A study in a project of its own, run by `nnflow run`; started again after an interruption it goes on
at the probe that it was at, to the same bits. Prints wall time, the processor's seconds and the
memory of the job, and the moments of the density.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path

STUDY = """title: The density of a Hessian with 10⁶ rows
model: {name: mlp, widths: [784, 1024, 192, 10], activation: tanh, loss_function: cross_entropy}
dataset: {name: mnist, samples: 2000, test_samples: 10}
initializer: {name: normal, variance: 1, per: fan_in}
optimizer: {name: gradient_descent, rate: 0.1}
stop: {gradient_norm: null, steps: 20, check_every: 20}
runs: 1
classify: {polish: none, eigenvalues: {highest: 1}}
spectrum: {at: runs, density: {steps: 80, probes: PROBES}}
figures: [hessian_spectra]
"""


def main() -> None:
    """Run the study and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("/tmp/density_at_scale"))
    parser.add_argument("--probes", type=int, default=10)
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    nnflow = [sys.executable, "-m", "nnflow"]
    if not (folder / "config").is_dir():
        subprocess.run([*nnflow, "init", str(folder)], check=True)
    text = STUDY.replace("PROBES", str(arguments.probes))
    study = folder / "config/studies/density_at_scale.yaml"
    if not study.is_file() or study.read_text(encoding="utf-8") != text:
        study.write_text(text, encoding="utf-8")
    ran = subprocess.run([*nnflow, "run", "density_at_scale", "--cores", "2"], cwd=folder)
    if ran.returncode:
        sys.exit(ran.returncode)
    os.chdir(folder)
    _print_times(folder / "results/quick/density_at_scale/benchmarks/spectrum.tsv")
    _print_moments()


def _print_times(file: Path) -> None:
    with file.open(encoding="utf-8") as table:
        *_, took = csv.DictReader(table, delimiter="\t")
    print(f"wall {took['s']} s, processor {took['cpu_time']} s, memory {took['max_rss']} MB")


def _print_moments() -> None:
    import nnflow

    found = nnflow.open("density_at_scale").at("spectra", "all").isel(run=0)
    nodes, weights = found["density_node"].fillna(0), found["density_weight"]
    for power in (1, 2):
        mean, low, high = nnflow.mean((weights * nodes**power).sum("node").values)
        print(f"moment {power}: {mean:.4g} ({low:.4g} to {high:.4g}, 99 %)")


if __name__ == "__main__":
    main()
