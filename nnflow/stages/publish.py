"""publish: a project's results as an RO-Crate, with all that is needed to check them.

An RO-Crate (Soiland-Reyes et al. 2022) is a folder with a file of metadata that archives read, such
as Zenodo and WorkflowHub; this one follows the profile for runs of workflows.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nnflow
from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.shipped import shipped
from nnflow.base.timing import machine
from nnflow.study.loading import study_file
from nnflow.workflow.fingerprint import git_commit, package_versions
from nnflow.workflow.plan import Plan
from nnflow.workflow.state import duration, run_seconds, state

LICENSE = "https://spdx.org/licenses/CC-BY-4.0"
CHECKLIST = "CHECKLIST.md"
FORMATS = {
    ".nc": "application/x-netcdf",
    ".csv": "text/csv",
    ".txt": "text/plain",
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".md": "text/markdown",
}
SOURCES = ("Snakefile", "workflow/**/*", "config/*", "plugins/**/*.py", "requirements.lock")
SOURCES += ("environment.yml", "pyproject.toml")
"""What of the project's folder makes the results, as far as it is there."""
RESULTS = ("*.nc", "analyses/**/*.nc", "claims.csv", "timings.json", "figures/*", "inline/*")
RESULTS += ("benchmarks/**/*",)
"""What of a study's results is published: without logs, and without the datasets of batches, which
`collect` has joined."""


def publish(plan: Plan, to: Path, license: str = LICENSE) -> int:
    """Write the crate of the plan's studies to a folder, or to a file that ends in .zip. Returns
    how many files it holds.

    license: address of the results' license. Raises UserError where results are missing, unfinished
    or stale, where `to` exists, and where the library rocrate is missing.
    """
    if to.exists():
        raise UserError(f"{to}: exists; `nnflow publish` replaces nothing")
    for name in plan.studies:
        if (word := state(plan, name).word) != "done":
            raise UserError(f"{name}: its results are {word}; `nnflow run {name}` makes them")
    crate = library().ROCrate()
    crate.name = f"nnflow: {', '.join(plan.studies)}"
    crate.description = (
        f"Results of nnflow {nnflow.__version__} at {plan.scale} scale: datasets, claims, proofs"
        " and figures, with the workflow that made them. `nnflow verify` checks them."
    )
    crate.license = license
    sources = _sources(plan)
    snakefile = sources.pop("Snakefile")
    for path, file in sources.items():
        _add(crate, path, file)
    workflow = crate.add_workflow(
        snakefile, "Snakefile", main=True, lang="snakemake",
        properties=_told(snakefile, "Snakefile"),
    )  # fmt: skip
    text = checklist(plan)
    crate.add_file(io.StringIO(text), CHECKLIST, properties=_of_content(CHECKLIST, text.encode()))
    results = [_add(crate, path, file) for path, file in _results(plan)]
    properties = {"name": f"nnflow run, {plan.scale} scale", "description": _conditions(plan)}
    crate.add_action(workflow, "#run", result=results, properties=properties)
    crate.write_zip(to) if to.suffix == ".zip" else crate.write(to)
    return len(crate.data_entities)


def library() -> Any:
    """The module rocrate.rocrate. Raises UserError where it is missing."""
    try:
        from rocrate import rocrate
    except ImportError:
        raise UserError("no library rocrate here; pip install rocrate") from None
    return rocrate


def _sources(plan: Plan) -> dict[str, Path]:
    """{path in the crate: file} of what made the results; studies from a package likewise."""
    found = {file.as_posix(): file for pattern in SOURCES for file in sorted(Path().glob(pattern))}
    found.setdefault("Snakefile", shipped() / "Snakefile")
    for name in plan.all_studies:
        file = study_file(name, plan.folder)
        found[f"config/studies/{file.name}"] = file
    return {path: file for path, file in found.items() if file.is_file()}


def _results(plan: Plan) -> Iterator[tuple[str, Path]]:
    folder = plan.results / plan.scale
    for study in plan.studies:
        for pattern in RESULTS:
            for file in sorted((folder / study).glob(pattern)):
                if file.is_file():
                    yield f"results/{plan.scale}/{file.relative_to(folder).as_posix()}", file
    for name in ("report.html", "claims.csv"):
        if (folder / name).exists():
            yield f"results/{plan.scale}/{name}", folder / name


def _add(crate: Any, path: str, file: Path) -> Any:
    return crate.add_file(file, path, properties=_told(file, path))


def _told(file: Path, path: str) -> dict[str, Any]:
    """What the crate says of a file; its sum is what `nnflow verify` holds it against."""
    return _of(path, file.stat().st_size, store.digest(file))


def _of_content(path: str, content: bytes) -> dict[str, Any]:
    return _of(path, len(content), hashlib.sha256(content).hexdigest())


def _of(path: str, size: int, digest: str) -> dict[str, Any]:
    told = {"name": path, "contentSize": str(size), "sha256": digest}
    if kind := FORMATS.get(Path(path).suffix):
        told["encodingFormat"] = kind
    return told


def _conditions(plan: Plan) -> str:
    """On what, with what and how long it ran; times are those of this machine's benchmarks."""
    here = machine()
    took = {name: run_seconds(plan.results / plan.scale / name) for name in plan.studies}
    times = (f"{name} {duration(seconds)}" for name, seconds in took.items() if seconds)
    return (
        f"Commit {git_commit() or 'unknown'}; published on {here['processor']},"
        f" {here['cores']} cores, {here['memory_gib']} GiB, {here['system']},"
        f" Python {here['python']};"
        f" time of all jobs of each study: {', '.join(times) or 'not measured'}."
    )


def checklist(plan: Plan) -> str:
    """What one needs to make the results again, item by item, as Markdown."""
    seeds = ", ".join(f"{name} {plan.loaded[name].settings.seed}" for name in plan.studies)
    versions = ", ".join(f"{name} {version}" for name, version in package_versions().items())
    commit = git_commit() or "unknown: the project is no git repository"
    items = {
        "Code": f"nnflow {nnflow.__version__}, commit {commit}"
        + (" (`+`: with changes that are not committed)" if commit.endswith("+") else ""),
        "Environment": f"{versions}; all packages in requirements.lock, where the project has one",
        "Seeds": f"{seeds}; each run draws from streams of its own, so that its numbers depend on"
        " neither batch, order nor number of cores",
        "Data": "datasets are named in the study files; downloads are checked against their hashes",
        "Settings": "config/studies/, and in the attribute `provenance` of each dataset",
        "Uncertainty": "columns NAME_low and NAME_high beside each column of the summaries",
        "Machine and times": _conditions(plan),
        "Again": f"`nnflow run {' '.join(plan.studies)} --config scale={plan.scale}` in this"
        " folder, or `nnflow verify --run`, which compares every number",
    }
    lines = [f"- [x] **{name}**: {text}" for name, text in items.items()]
    return "\n".join(["# What is needed to make these results again", "", *lines, ""])
