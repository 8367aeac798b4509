"""Samples that a study file writes out."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

import nnflow
from nnflow import Dataset


class Listed(Dataset):
    """`inputs` (sample, feature) and `targets` (sample,), as they are written."""

    gives = ("inputs", "targets")

    inputs: Annotated[tuple[tuple[FiniteFloat, ...], ...], Field(min_length=1)] = Field(
        examples=[[[1, 1], [1, -1], [-1, 1], [-1, -1]]]
    )
    """The samples' inputs, each of the same length."""
    targets: tuple[FiniteFloat, ...] = Field(examples=[[1, -1, -1, 1]])
    """Their targets, real numbers such as labels ±1."""

    @model_validator(mode="after")
    def _fits(self):
        if len({len(row) for row in self.inputs}) != 1 or not self.inputs[0]:
            raise ValueError("inputs: must be of one length, and not empty")
        if len(self.targets) != len(self.inputs):
            raise ValueError(f"targets: {len(self.targets)} for {len(self.inputs)} inputs")
        return self

    def load(self, folder):
        return {"inputs": np.array(self.inputs), "targets": np.array(self.targets)}


@nnflow.hookimpl
def nnflow_register(register):
    register("listed", Listed)
