"""Losses and accuracies on ways between networks of one hidden layer, many samples at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nnflow import torch

from ..general._flat import named_weights

BLOCK_BYTES = 8 * 2**20
"""Memory for one network's hidden neurons on the samples that are evaluated together: larger
arrays are given back to the system and asked for again at each step, which took most of the time.
"""


@dataclass(frozen=True)
class Way:
    """Networks `flat` (t, weight), the hidden neurons of which are the combinations `parts`
    (t, network) of those of a few known networks; output weights may be others."""

    parts: np.ndarray
    flat: np.ndarray


def measured(model, data, networks: np.ndarray, ways: dict[str, Way]) -> dict[str, np.ndarray]:
    """{way: (measure, t)}, the loss, the accuracy on training samples and on held-out ones.

    The sums that enter hidden neurons are linear in the weights, so that one product with the
    inputs for each of the known networks (network, weight) serves all points of all ways."""
    named = {name: torch.as_tensor(part) for name, part in named_weights(model, networks).items()}
    found = {}
    for prefix in ("", "test_"):
        inputs, targets = (torch.as_tensor(data[prefix + name]) for name in ("inputs", "targets"))
        rows = max(1, BLOCK_BYTES // (8 * model.widths[1]))
        totals = dict.fromkeys(ways, 0.0)
        for start in range(0, len(inputs), rows):
            some = slice(start, start + rows)
            x = inputs[some].expand(len(networks), -1, -1)
            sums = torch.baddbmm(named["b1"][:, None], x, named["w1"].mT)
            for name, way in ways.items():
                totals[name] = totals[name] + _totals(model, way, sums, targets[some])
        found[prefix] = {name: total / len(inputs) for name, total in totals.items()}
    decay = {n: model.weight_decay / 2 * (way.flat**2).sum(axis=1) for n, way in ways.items()}
    return {
        name: np.stack([losses + decay[name], right, found["test_"][name][1]])
        for name, (losses, right) in found[""].items()
    }


def _totals(model, way: Way, sums, targets) -> np.ndarray:
    """Sums over samples of losses without weight decay, and of right answers, (2, t)."""
    named = {n: torch.as_tensor(part) for n, part in named_weights(model, way.flat).items()}
    totals = np.empty((2, len(way.flat)))
    for point, parts in enumerate(torch.as_tensor(way.parts)):
        used = torch.nonzero(parts)[:, 0].tolist()
        hidden = sum(parts[network] * sums[network] for network in used)
        outputs = torch.addmm(named["b2"][point], model.activation(hidden), named["w2"][point].mT)
        totals[0, point] = model.loss_function(outputs[None], targets).sum()
        totals[1, point] = (outputs.argmax(dim=-1) == targets).sum()
    return totals
