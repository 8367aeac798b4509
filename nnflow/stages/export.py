"""export: the weights of a study's runs as files that others read."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from nnflow.base.errors import UserError
from nnflow.study.results import Results

FORMS = ("pt", "npz")
DATASETS = ("critical_points", "training", "initialization")


def export(results: Results, folder: Path, at: str = "critical_points", form: str = "pt") -> int:
    """Write FOLDER/LABEL/run-NUMBER.FORM for each run of each configuration: weights and buffers by
    name, float64, as state_dicts of torch (pt) or arrays of NumPy (npz). How many files.

    at: the dataset that the weights are taken from. Raises UserError where there are none.
    """
    for value, known in ((at, DATASETS), (form, FORMS)):
        if value not in known:
            raise UserError(f"export: {value!r}: expected one of {', '.join(known)}")
    if not results.study.trains:
        raise UserError(f"{results.study.file}: the study has no weights, as it names no model")
    written = 0
    for configuration, dataset in results.each(at):
        place = folder / configuration.label
        place.mkdir(parents=True, exist_ok=True)
        model = configuration.settings.model
        names = {name: name for name in (*model.shapes(), *model.buffers())} | model.shared()
        for row, run in enumerate(dataset["run"].values):
            arrays = {name: np.array(dataset[first].values[row]) for name, first in names.items()}
            _write(place / f"run-{run}.{form}", arrays, form)
            written += 1
    return written


def _write(file: Path, arrays: dict[str, np.ndarray], form: str) -> None:
    if form == "npz":
        np.savez(file, **arrays)
        return
    import torch

    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, file)
