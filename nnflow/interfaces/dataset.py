"""What a dataset is: named arrays that a model learns from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from nnflow.interfaces.plugin import Plugin


class Dataset(Plugin):
    """Samples as named arrays; the first axis of each is `sample`.

    The loss is over the arrays `inputs`, `targets`, …; those whose names begin with `test_`
    are held out: models may observe them, and minibatches leave them alone.
    """

    kind: ClassVar[str] = "datasets"

    gives: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays that are not held out, so that a model that needs others is refused
    before any job; empty: not told."""

    def load(self, folder: Path) -> dict[str, np.ndarray]:
        """The arrays; the first axis of each is the samples.

        folder: where files are kept and looked for; it may not exist yet.
        Raises UserError where the data can't be had.
        """
        raise NotImplementedError
