"""Handwritten digits, 28×28 pixels."""

from __future__ import annotations

import gzip
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Dataset

from .._downloads import fetch
from .._images import first, pixels

SIDE = 28
"""Pixels of a side."""
FILES = {
    "inputs": (
        "train-images-idx3-ubyte.gz",
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    ),
    "targets": (
        "train-labels-idx1-ubyte.gz",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    ),
    "test_inputs": (
        "t10k-images-idx3-ubyte.gz",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    ),
    "test_targets": (
        "t10k-labels-idx1-ubyte.gz",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
}
"""The original files and their SHA-256."""
SOURCES = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)


class Mnist(Dataset):
    """MNIST (LeCun, Cortes & Burges 1998): 60,000 handwritten digits, and 10,000 held out.

    `inputs` (sample, side²), pixels divided by 255, and `targets` (sample,), the digits 0 to 9;
    held out: `test_inputs` and `test_targets`. The four original files are looked for in the folder
    `mnist` of the data folder; those that are missing there are downloaded (11 MB).
    """

    gives = ("inputs", "targets")

    side: Annotated[int, Field(ge=1, le=SIDE)] = SIDE
    """Pixels of a side. Below 28 images are shrunk: a pixel is the mean over the area that it
    covers."""
    samples: PositiveInt | None = None
    """Training samples used, the first ones; null: all 60,000."""
    test_samples: PositiveInt | None = None
    """Held-out samples used, the first ones; null: all 10,000."""

    def fixed_files(self, folder):
        return tuple(folder / "mnist" / name for name, _ in FILES.values())

    def load(self, folder):
        arrays = {}
        for array, (name, sha256) in FILES.items():
            file = fetch("mnist", folder / "mnist" / name, sha256, tuple(s + name for s in SOURCES))
            key = "test_samples" if array.startswith("test_") else "samples"
            values = _idx(gzip.decompress(file.read_bytes()))
            values = first("mnist", key, values, getattr(self, key))
            whole = values.ndim == 1
            arrays[array] = values.astype(np.int64) if whole else pixels(values, self.side)
        return arrays


def _idx(content: bytes) -> np.ndarray:
    """The array of an IDX file of bytes: 0, 0, the code 8 of bytes, the number of axes, their
    lengths as big-endian 32-bit numbers, the entries."""
    axes = content[3]
    shape = np.frombuffer(content, ">u4", axes, offset=4)
    return np.frombuffer(content, np.uint8, offset=4 + 4 * axes).reshape(shape)


@nnflow.hookimpl
def nnflow_register(register):
    register("mnist", Mnist)
