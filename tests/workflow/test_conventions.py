"""What the datasets of a workflow say of themselves: the CF conventions."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import netCDF4
import pytest

CHECKER = shutil.which("compliance-checker")


def groups(file: netCDF4.Dataset) -> Iterator[netCDF4.Dataset]:
    """A file's root and all groups below."""
    yield file
    for group in file.groups.values():
        yield from groups(group)


def datasets(folder: Path) -> list[Path]:
    return sorted((folder / "results").rglob("*.nc"))


def missing(path: Path) -> list[str]:
    """What CF asks for, and a file has not."""
    found = []
    with netCDF4.Dataset(path) as file:
        wanted = {"Conventions", "title", "history", "source"}
        found += [f"{path.name}: no {name}" for name in sorted(wanted - set(file.ncattrs()))]
        for group in groups(file):
            for name, variable in group.variables.items():
                told = {key: variable.getncattr(key) for key in variable.ncattrs()}
                asked = {"long_name"} | (set() if variable.dtype is str else {"units"})
                found += [
                    f"{path.name}: {group.path}: {name} has no {key}"
                    for key in sorted(asked)
                    if not str(told.get(key, "")).strip()
                ]
    return found


@pytest.mark.slow
def test_every_dataset_of_a_workflow_says_what_it_holds(finished):
    files = datasets(finished.folder)
    names = {path.stem for path in files}
    assert {"initialization", "training", "training-0", "spectra", "ends", "summary"} <= names
    assert [line for path in files for line in missing(path)] == []
    with netCDF4.Dataset(finished.folder / "results/quick/valley/spectra.nc") as file:
        assert file.Conventions == "CF-1.11"
        assert "stage spectrum of the study valley at quick scale" in file.history
        assert len(list(groups(file))) == 3


def test_what_is_missing_is_found(tmp_path):
    with netCDF4.Dataset(tmp_path / "bare.nc", "w") as file:
        file.Conventions, file.title, file.source = "CF-1.11", "bare", "a test"
        group = file.createGroup("k=6")
        group.createDimension("run", 2)
        group.createVariable("loss", "f8", ("run",)).long_name = "loss"
        group.createVariable("name", str, ("run",)).long_name = "name"
    assert missing(tmp_path / "bare.nc") == [
        "bare.nc: no history",
        "bare.nc: /k=6: loss has no units",
    ]


@pytest.mark.slow
@pytest.mark.skipif(not CHECKER, reason="no compliance-checker here; pip install it")
def test_the_checker_of_ioos_finds_no_error(finished):
    """It looks at the root alone, so at the files of studies of one configuration."""
    found = sorted((finished.folder / "results/quick/plain").glob("*.nc"))
    assert len(found) >= 4
    command = [CHECKER, "--test=cf:1.11", "--criteria=strict", *map(str, found)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("All tests passed!") == len(found)
