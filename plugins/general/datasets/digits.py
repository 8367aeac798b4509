"""Handwritten digits, 8×8 pixels."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt

import nnflow
from nnflow import Dataset, Streams, UserError

WHITE = 16
"""The highest value of a pixel."""
FILE = Path("datasets", "data", "digits.csv.gz")
"""Where scikit-learn keeps the digits, below its own folder."""


class Digits(Dataset):
    """The 1797 test digits of Alpaydin & Kaynak (UCI repository, 1998), as scikit-learn
    brings them: no download.

    `inputs` (sample, 64) and `targets` (sample,), the digits 0 to 9; held out: `test_inputs`
    and `test_targets`.
    """

    gives = ("inputs", "targets")

    scaling: Literal["unit", "standard"] = "unit"
    """Pixels divided by 16, so that they fill [0, 1], or standardized: mean 0 and variance 1
    over the training samples (a pixel that is constant there becomes 0)."""
    test_share: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the 1797 samples that is held out."""
    split: NonNegativeInt = 0
    """Seed of the permutation whose first samples are held out."""
    samples: PositiveInt | None = None
    """Training samples used, the first of the permutation that are not held out; null: all."""
    classes: Annotated[int, Field(ge=2, le=10)] = 10
    """Only the digits 0 to classes − 1."""

    def load(self, folder):
        pixels, digits = _all_digits()
        pixels, digits = pixels[digits < self.classes], digits[digits < self.classes]
        order = Streams(self.split, "digits", np.arange(1), "split").permutation(len(pixels))[0]
        held_out = round(self.test_share * len(pixels))
        test, train = order[:held_out], order[held_out:]
        if self.samples is not None:
            if self.samples > len(train):
                raise UserError(
                    f"dataset 'digits': samples: {self.samples} asked for,"
                    f" but only {len(train)} are left for training"
                )
            train = train[: self.samples]
        inputs = pixels.astype(np.float64) / WHITE
        if self.scaling == "standard":
            inputs = _standardized(inputs, inputs[train])
        targets = digits.astype(np.int64)
        arrays = {"inputs": inputs[train], "targets": targets[train]}
        if held_out:
            arrays |= {"test_inputs": inputs[test], "test_targets": targets[test]}
        return arrays


def _all_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels (sample, 64) and digits (sample,), from scikit-learn's file: to import scikit-learn
    takes a second of a job, to read the file 20 ms."""
    place = importlib.util.find_spec("sklearn")
    file = Path(place.origin).parent / FILE if place is not None and place.origin else None
    if file is None or not file.is_file():  # the function's way is public, the file's place isn't
        from sklearn.datasets import load_digits

        return load_digits(return_X_y=True)
    table = np.loadtxt(file, delimiter=",")
    return table[:, :-1], table[:, -1].astype(np.int64)


def _standardized(inputs: np.ndarray, reference: np.ndarray) -> np.ndarray:
    deviation = reference.std(axis=0)
    varies = deviation > 0
    return np.where(varies, inputs - reference.mean(axis=0), 0) / np.where(varies, deviation, 1)


@nnflow.hookimpl
def nnflow_register(register):
    register("digits", Digits)
