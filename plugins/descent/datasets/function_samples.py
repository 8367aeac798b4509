"""Samples of a function of one variable."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

import nnflow
from nnflow import Dataset

FUNCTIONS = {
    "absolute": np.abs,
    "sine": lambda x: np.sin(np.pi * x),
    "wave": lambda x: np.cos(2 * np.pi * x),
    "step": np.sign,
    "identity": lambda x: x,
}
"""f on [−1, 1]: |x|, sin πx, cos 2πx, sign x, x."""


class FunctionSamples(Dataset):
    """`inputs` (sample, 1), equally spaced on [−1, 1], and `targets` (sample,), f(x)."""

    gives = ("inputs", "targets")

    function: Literal["absolute", "sine", "wave", "step", "identity"] = "absolute"
    """f: |x|, sin πx, cos 2πx, sign x or x."""
    samples: Annotated[int, Field(ge=2)] = 41
    """Number of samples."""

    def load(self, folder):
        x = np.linspace(-1, 1, self.samples)
        return {"inputs": x[:, None], "targets": FUNCTIONS[self.function](x)}


@nnflow.hookimpl
def nnflow_register(register):
    register("function_samples", FunctionSamples)
