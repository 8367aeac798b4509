"""The leaky rectified linear unit."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

import nnflow
from nnflow import Activation, torch


class LeakyRelu(Activation):
    """σ(t) = t for t > 0, at for t ≤ 0, with a kink at 0 (Maas, Hannun & Ng 2013)."""

    smooth = False

    slope: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """a."""

    @property
    def jump(self):
        return 1 - self.slope

    def __call__(self, values):
        return torch.where(values > 0, values, self.slope * values)


@nnflow.hookimpl
def nnflow_register(register):
    register("leaky_relu", LeakyRelu)
