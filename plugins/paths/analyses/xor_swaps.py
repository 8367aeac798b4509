"""Can two hidden neurons swap without an error on the exclusive or?"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt

import nnflow
from nnflow import Analysis, Streams, Table

INPUTS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
WANTED = np.array([-1, 1, 1, -1])
BETWEEN = 9
"""Points on each of the six moves."""


class XorSwaps(Analysis):
    """Two statements about f(x) = Σⱼ cⱼ σ(wⱼ·x + bⱼ) + c₀, σ non-decreasing, that is right at all
    four samples (f > 0 at (0, 1) and (1, 0), f < 0 at the others).

    Two neurons: f rises from (0, 0) to (0, 1) and falls from (1, 0) to (1, 1), both by a change of
    the second input alone. So c₁w₁₂ and c₂w₂₂ are not 0 and differ in sign, and the same for the
    first input. A way on which all samples stay right keeps these signs, but swapping the neurons
    exchanges them: there is no such way. `sign_exceptions` counts drawn right networks with other
    signs.

    Three neurons, one of them off (c₃ = 0): it takes over the first one's weights and then its
    output, the first one does the same with the second, and the second with the third: after six
    straight moves two neurons are swapped, and f never changes. `moves_change` is the largest
    change that is computed.
    """

    columns = {
        "right_networks": "drawn networks of two neurons that are right at all samples",
        "sign_exceptions": "of these, networks whose signs are not those of the theorem",
        "moves_change": "largest change of an output on the six moves, relative to the largest",
        "moves_swap": "largest distance of the last network from the swapped one",
    }

    draws: PositiveInt = 200_000
    """Networks drawn."""
    deviation: PositiveFloat = 3.0
    """Standard deviation of their weights."""
    activation: Annotated[str, Field(pattern="^(tanh|relu)$")] = "tanh"
    """σ."""

    def compute(self, results):
        table = Table(results, self.columns)
        streams = Streams(results.study.settings.seed, "all", np.arange(self.draws), "xor")
        w, b, c, c0 = _split(self.deviation * streams.normal(9))
        right = (np.sign(self._outputs(w, b, c, c0)) == WANTED).all(axis=1)
        w, b, c, c0 = (part[right] for part in (w, b, c, c0))
        products = c[..., None] * w  # (network, neuron, input)
        obeyed = (products[:, 0] * products[:, 1] < 0).all(axis=1)
        change, distance = self._moves(w, b, c, c0)
        table.everywhere(
            right_networks=len(w),
            sign_exceptions=int((~obeyed).sum()),
            moves_change=change,
            moves_swap=distance,
        )
        return table.dataset()

    def _outputs(self, w, b, c, c0) -> np.ndarray:
        sums = np.einsum("rji,si->rsj", w, INPUTS) + b[:, None]
        values = np.tanh(sums) if self.activation == "tanh" else np.maximum(sums, 0)
        return (values * c[:, None]).sum(axis=2) + c0[:, None]

    def _moves(self, w, b, c, c0) -> tuple[float, float]:
        """(largest change of an output, distance from the swapped network)."""
        features = np.concatenate([w, b[..., None]], axis=2)
        features = np.concatenate([features, features[:, :1] * 0], axis=1)
        outputs = np.concatenate([c, np.zeros((len(c), 1))], axis=1)
        first = self._outputs(features[..., :2], features[..., 2], outputs, c0)
        scale, change = np.abs(outputs).sum(axis=1).max(), 0.0
        start = features.copy(), outputs.copy()
        for free, taken in ((2, 0), (0, 1), (1, 2)):
            goals = features.copy(), outputs.copy()
            goals[0][:, free] = features[:, taken]
            goals[1][:, free], goals[1][:, taken] = outputs[:, taken], 0
            for moved in ("features", "outputs"):
                for t in np.linspace(0, 1, BETWEEN):
                    if moved == "features":
                        here, there = features + t * (goals[0] - features), outputs
                    else:
                        here, there = goals[0], outputs + t * (goals[1] - outputs)
                    now = self._outputs(here[..., :2], here[..., 2], there, c0)
                    change = max(change, float(np.abs(now - first).max()))
            features, outputs = goals
        swapped = [1, 0]
        distance = max(
            float(np.abs(end[:, :2] - begun[:, swapped]).max())
            for end, begun in zip((features, outputs), start, strict=True)
        )
        return change / scale, distance


def _split(numbers: np.ndarray):
    """w (network, neuron, input), b and c (network, neuron), c₀ (network,) of nine numbers."""
    return numbers[:, :4].reshape(-1, 2, 2), numbers[:, 4:6], numbers[:, 6:8], numbers[:, 8]


@nnflow.hookimpl
def nnflow_register(register):
    register("xor_swaps", XorSwaps)
