"""The exclusive or."""

from __future__ import annotations

import numpy as np

import nnflow
from nnflow import Dataset


class Xor(Dataset):
    """Four samples: `inputs` (0, 0), (0, 1), (1, 0), (1, 1) and `targets` 0, 1, 1, 0."""

    gives = ("inputs", "targets")

    def load(self, folder):
        inputs = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
        return {"inputs": inputs, "targets": np.array([0, 1, 1, 0])}


@nnflow.hookimpl
def nnflow_register(register):
    register("xor", Xor)
