"""The gradient flow's steps: what a run does does not depend on its companions."""

import numpy as np
import torch

from nnflow.interfaces.registry import registry


class Bent:
    """∇L of L = Σ(w⁴ − cos 3w)/4, a curvature that differs from run to run."""

    def gradient(self, weights):
        return weights**3 + 0.75 * torch.sin(3 * weights)


def flowed(weights):
    """Weights and lengths of steps after three intervals."""
    flow = registry().get("optimizers", "gradient_flow")(interval=0.3)
    state = flow.start(weights, torch.ones(len(weights), dtype=torch.float64))
    for _ in range(3):
        weights, state = flow.step(Bent(), weights, state)
    return torch.cat([weights, state["length"][:, None]], dim=1).numpy()


def test_a_run_goes_its_way_alone_as_among_others():
    drawn = np.random.default_rng(0).standard_normal((37, 3)) * np.logspace(-2, 0.5, 37)[:, None]
    weights = torch.as_tensor(drawn)
    together = flowed(weights)
    assert len(np.unique(together[:, -1])) == 37  # each has steps of its own length
    for run in range(37):
        np.testing.assert_array_equal(flowed(weights[run : run + 1])[0], together[run])
