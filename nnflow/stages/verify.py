"""verify: a published crate held against itself: sums, proofs, verdicts; and, if asked for, a new
run."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.base.settings import explain
from nnflow.proofs.certificates import check_file
from nnflow.stages.compare import compare, results_differ
from nnflow.stages.publish import library
from nnflow.study.claims import Claim, to_csv
from nnflow.study.sweep import read_yaml, with_scale
from nnflow.study.verdicts import judge


@contextmanager
def opened(crate: Path) -> Iterator[Path]:
    """The crate's folder as the working folder, as proofs need its plugins; that of a .zip is
    removed at the end. Raises UserError where it can't be read."""
    with tempfile.TemporaryDirectory() as unpacked:
        folder = crate
        if crate.is_file():
            try:
                with zipfile.ZipFile(crate) as archive:
                    archive.extractall(unpacked)
            except (zipfile.BadZipFile, OSError) as error:
                raise UserError(f"{crate}: can't be unpacked: {error}") from None
            folder = Path(unpacked)
        if not folder.is_dir():
            raise UserError(f"{crate}: no such file or folder")
        with chdir(folder):
            yield Path()


def checks(folder: Path, cores: str | None = None) -> Iterator[tuple[bool, str]]:
    """(good, one line) for each check of a crate's folder: files against their sums, verdicts
    judged again from the summaries, proofs proved again.

    cores: for a new run of its workflow, whose numbers are compared; None: no new run. Raises
    UserError where the folder is no crate of nnflow.
    """
    yield _sums(folder)
    for summary in sorted(folder.glob("results/*/*/summary.nc")):
        yield _verdicts(folder, summary)
    for file in sorted(folder.glob("results/*/*/**/*.nc")):
        if file.name == "certificates.nc" or "analysis" in store.attributes(file):
            yield _proofs(file.relative_to(folder / "results"), file)
    if cores is not None:
        yield from _run_again(folder, cores)


def _sums(folder: Path) -> tuple[bool, str]:
    """Files that are missing, or whose content is another one than the metadata say."""
    try:
        crate = library().ROCrate(folder)
    except (ValueError, KeyError, OSError) as error:
        raise UserError(f"{folder}: no RO-Crate: {error}") from None
    told = {entity.id: entity["sha256"] for entity in crate.data_entities if "sha256" in entity}
    if not told:
        raise UserError(f"{folder}: no crate that nnflow has published: no file has a sum")
    there = {path for path in told if (folder / path).is_file()}
    good = {path for path in there if store.digest(folder / path) == told[path]}
    wrong = told.keys() - good
    text = f"{len(good)} of {len(told)} files have the content that was published"
    return not wrong, text + (f"; not: {', '.join(sorted(wrong))}" if wrong else "")


def _verdicts(folder: Path, summary: Path) -> tuple[bool, str]:
    """The claims of a study, judged again from its summary."""
    name, scale = summary.parent.name, summary.parent.parent.name
    file = folder / "config/studies" / f"{name}.yaml"
    try:
        stated = with_scale(read_yaml(file), scale).get("claims", [])
        claims = TypeAdapter(list[Claim]).validate_python(stated)
    except ValidationError as error:
        raise UserError(f"{file}: claims: {explain(error, Claim)}") from None
    except ValueError as error:
        raise UserError(f"{file}: {error}") from None
    again = to_csv(judge(name, claims, store.read(summary)[""]))
    published = (summary.parent / "claims.csv").read_text(encoding="utf-8")
    word = "as published" if again == published else "NOT as published"
    return again == published, f"{name}: {len(claims)} claims judged again: {word}"


def _proofs(name: Path, file: Path) -> tuple[bool, str]:
    outcomes = list(check_file(file))
    proved = sum(outcome.proved is True for outcome in outcomes)
    refused = [outcome.name for outcome in outcomes if outcome.proved is False]
    text = f"{name.as_posix()}: {proved} certificates proved again"
    return not refused, text + (f"; REFUSED: {', '.join(refused)}" if refused else "")


def _run_again(folder: Path, cores: str) -> Iterator[tuple[bool, str]]:
    """(same, one line) for each difference between the crate's results and those of a new run of
    its workflow, in a copy that is removed; one line for a study where no number and no verdict
    differs, which also tells what made them otherwise: settings, versions, code."""
    for scale in sorted(folder.glob("results/*")):
        studies = [each.parent.name for each in sorted(scale.glob("*/summary.nc"))]
        with tempfile.TemporaryDirectory() as made:
            copy = shutil.copytree(folder, Path(made) / "copy", ignore=lambda *_: {"results"})
            command = [sys.executable, "-m", "nnflow", "run", *studies, "--cores", cores]
            command += ["--config", f"scale={scale.name}", "results=results"]
            if subprocess.run(command, cwd=copy, check=False).returncode:
                raise UserError(f"{folder}: its workflow fails here")
            found = compare(scale, copy / "results" / scale.name)
        for study, lines in found.items():
            if results_differ(lines):
                yield from ((False, f"{study}: {line}") for line in lines)
            else:
                other = f" (made otherwise: {'; '.join(lines)})" if lines else ""
                yield True, f"{study}: a new run gives the same numbers to the last bit{other}"
