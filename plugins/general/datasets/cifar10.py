"""Small photographs, 32×32 pixels."""

from __future__ import annotations

import tarfile
from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Dataset

from .._downloads import fetch
from .._images import first, pixels

SIDE = 32
"""Pixels of a side."""
RECORD = 1 + 3 * SIDE**2
"""Bytes of a sample: its class, then the red, the green and the blue pixels, row by row."""
ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
FILES = {
    "": [f"cifar-10-batches-bin/data_batch_{number}.bin" for number in range(1, 6)],
    "test_": ["cifar-10-batches-bin/test_batch.bin"],
}
"""Files of the archive, for training and held out."""
SOURCES = ("https://www.cs.toronto.edu/~kriz/",)


class Cifar10(Dataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 colour images of 10 classes, and 10,000 held out.

    `inputs` (sample, 3 side²), the red, then the green and the blue pixels, divided by 255, and
    `targets` (sample,), the classes 0 to 9; held out: `test_inputs` and `test_targets`. The
    original archive, the binary version, is looked for in the folder `cifar10` of the data folder;
    if it is missing there, it is downloaded (170 MB).
    """

    gives = ("inputs", "targets")

    side: Annotated[int, Field(ge=1, le=SIDE)] = SIDE
    """Pixels of a side. Below 32 images are shrunk: a pixel is the mean over the area that it
    covers."""
    samples: PositiveInt | None = None
    """Training samples used, the first ones; null: all 50,000."""
    test_samples: PositiveInt | None = None
    """Held-out samples used, the first ones; null: all 10,000."""

    def fixed_files(self, folder):
        return (folder / "cifar10" / ARCHIVE,)

    def load(self, folder):
        file = fetch("cifar10", folder / "cifar10" / ARCHIVE, SHA256, (SOURCES[0] + ARCHIVE,))
        arrays = {}
        with tarfile.open(file) as archive:
            for prefix, names in FILES.items():
                key = f"{prefix}samples"
                records = np.concatenate([_records(archive, name) for name in names])
                records = first("cifar10", key, records, getattr(self, key))
                images = records[:, 1:].reshape(-1, 3, SIDE, SIDE)
                arrays[f"{prefix}inputs"] = pixels(images, self.side)
                arrays[f"{prefix}targets"] = records[:, 0].astype(np.int64)
        return arrays


def _records(archive: tarfile.TarFile, name: str) -> np.ndarray:
    """(sample, byte)."""
    return np.frombuffer(archive.extractfile(name).read(), np.uint8).reshape(-1, RECORD)


@nnflow.hookimpl
def nnflow_register(register):
    register("cifar10", Cifar10)
