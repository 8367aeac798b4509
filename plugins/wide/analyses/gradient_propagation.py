"""How backpropagated errors grow or vanish towards the input of random networks."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveInt

import nnflow
from nnflow import Analysis, Streams, mean

from .._backward import backpropagated
from .._network import Network
from .._signal import attracting
from .._slopes import NORMAL

ENDS = ("", "_low", "_high")


class GradientPropagation(Analysis):
    """‖δ_k‖²/‖δ_K‖² of `networks` of one width, by backpropagation (`tied`) and through independent
    copies of the matrices (`independent`), as the derivation assumes.

    Over (network, layer): `mean`, `median` and `mean_log` (e to the mean logarithm) of the tied
    ones, `independent` the mean of the others, both means with `_low` and `_high`, and `limit`,
    χ₁^{K−k}. Over (network,): `chi1`.
    """

    @property
    def columns(self):
        columns = {
            "towards_input": "networks whose ‖δ‖² falls towards the input where χ₁ < 1, and grows"
            " where χ₁ > 1",
            "tried": "networks whose χ₁ is not 1",
        }
        for place in range(len(self.networks)):
            columns |= {
                f"factor_{place}": f"growth of mean ‖δ‖² a layer over χ₁, network {place}",
                f"log_factor_{place}": f"growth of ‖δ‖² a layer by the mean logarithm over χ₁,"
                f" network {place}",
                f"tied_{place}": f"mean ‖δ₁‖², tied over independent matrices, network {place}",
            }
        return columns

    networks: Annotated[list[Network], Field(min_length=1)]
    """Activation and variances of each."""
    width: PositiveInt = 200
    """n."""
    depth: Annotated[int, Field(ge=2)] = 10
    """K."""
    runs: Annotated[int, Field(ge=10)] = 60
    """Networks of each, and of each with independent matrices."""

    def compute(self, results):
        import xarray as xr

        seed = results.study.settings.seed
        table, parts, right = nnflow.Table(results, self.columns), [], []
        for place, network in enumerate(self.networks):
            results.progress(place, len(self.networks), "networks")
            maps = network.propagation()
            point = attracting(maps.fixed_points((1e-3, 1e3)))
            q = 1.0 if point is None else point.q.value
            tied, free = (self._drawn(seed, network, maps, q, tied) for tied in (True, False))
            chi1 = maps.slopes(q)[1].value
            part = self._described(tied, free, chi1)
            table.everywhere(**self._columns(place, tied, free, chi1))
            if abs(chi1 - 1) > 1e-9:
                right.append((part["mean_log"].values[0] < 1) == (chi1 < 1))
            parts.append(part)
        table.everywhere(towards_input=sum(right), tried=len(right))
        names = [network.label for network in self.networks]
        dataset = xr.concat(parts, "network").assign_coords(
            network=names, layer=np.arange(1, self.depth + 1)
        )
        return table.dataset().merge(dataset)

    def _drawn(self, seed: int, network: Network, maps, q: float, tied: bool) -> np.ndarray:
        label = f"{network.label} {'tied' if tied else 'independent'}"
        key = np.array(Streams(seed, label, np.arange(1), "backward").key, dtype=np.uint64)
        generator = np.random.Generator(np.random.Philox(key=key))
        return backpropagated(maps, generator, self.width, self.depth, self.runs, q, tied)

    def _described(self, tied, free, chi1: float):
        import xarray as xr

        means = {
            name + end: ("layer", column)
            for name, runs in (("mean", tied), ("independent", free))
            for end, column in zip(ENDS, np.array([mean(x) for x in runs.T]).T, strict=True)
        }
        return xr.Dataset(
            {
                **means,
                "median": ("layer", np.median(tied, axis=0)),
                "mean_log": ("layer", np.exp(np.log(tied).mean(axis=0))),
                "limit": ("layer", chi1 ** np.arange(self.depth - 1, -1, -1.0)),
                "chi1": chi1,
            }
        )

    def _columns(self, place: int, tied, free, chi1: float) -> dict:
        layers = self.depth - 1
        first, other = tied[:, 0], free[:, 0]
        growth = np.array(mean(first))
        logs = np.array(mean(np.log(first)))
        ratio = first.mean() / other.mean()
        error = np.sqrt(sum(x.var(ddof=1) / x.mean() ** 2 / len(x) for x in (first, other)))
        half = NORMAL * error
        return {
            f"factor_{place}": tuple(np.maximum(growth, 1e-300) ** (1 / layers) / chi1),
            f"log_factor_{place}": tuple(np.exp(logs / layers) / chi1),
            f"tied_{place}": (ratio, ratio * np.exp(-half), ratio * np.exp(half)),
        }


@nnflow.hookimpl
def nnflow_register(register):
    register("gradient_propagation", GradientPropagation)
