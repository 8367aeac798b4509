"""Small networks on random data, and the same networks as torch.nn modules."""

import numpy as np
import torch

from nnflow.base.streams import Streams
from nnflow.engine.objective import Objective
from nnflow.interfaces.model import size
from nnflow.interfaces.registry import registry

ACTIVATIONS = {
    "identity": torch.nn.Identity,
    "tanh": torch.nn.Tanh,
    "sigmoid": torch.nn.Sigmoid,
    "softplus": lambda: torch.nn.Softplus(threshold=1000),
    "gelu": torch.nn.GELU,
    "relu": torch.nn.ReLU,
}
CHANNELS = {
    "stream": {
        "stem.weight": 0, "stem.bias": 0, "blocks.0.first.weight": 1, "blocks.0.second.weight": 0,
        "head.weight": 1,
    },
    "hidden": {
        "blocks.0.first.weight": 0, "blocks.0.norm.weight": 0, "blocks.0.norm.bias": 0,
        "blocks.0.norm.running_mean": 0, "blocks.0.norm.running_var": 0,
        "blocks.0.second.weight": 1,
    },
}  # fmt: skip
"""The interchangeable channels of `user_nets.SmallResNet`."""
RUNS, SAMPLES = 3, 25
WIDTHS = [5, 4, 6, 3]


def classes(outputs, targets):
    return torch.nn.functional.cross_entropy(outputs, targets)


def unit_vectors(outputs, targets):
    wanted = torch.nn.functional.one_hot(targets, outputs.shape[-1])
    return (outputs - wanted).square().sum(dim=1).mean() / 2


LOSSES = {"cross_entropy": classes, "squared": unit_vectors}


def problem(activation="tanh", loss="cross_entropy", widths=WIDTHS, runs=RUNS, seed=1):
    """An objective with random data, held-out samples too, and random weights."""
    settings = {"widths": widths, "activation": activation, "loss_function": loss}
    model = registry().get("models", "mlp")(**settings)
    random = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=random, dtype=torch.float64)

    def drawn(samples):
        return torch.randint(widths[-1], (samples,), generator=random)

    data = {
        "inputs": normal(SAMPLES, widths[0]),
        "targets": drawn(SAMPLES),
        "test_inputs": normal(7, widths[0]),
        "test_targets": drawn(7),
    }
    streams = Streams(0, "all", np.arange(runs), "train")
    return Objective(model, data, streams), 0.7 * normal(runs, size(model))


def network(objective, weights, activation):
    """torch.nn.Sequential with one run's flat weights (weight,)."""
    named = {name: part[0] for name, part in objective.named(weights[None]).items()}
    layers = []
    for layer in range(1, len(objective.model.widths)):
        linear = torch.nn.Linear(*reversed(named[f"w{layer}"].shape), dtype=torch.float64)
        linear.load_state_dict({"weight": named[f"w{layer}"], "bias": named[f"b{layer}"]})
        layers += [linear, ACTIVATIONS[activation]()]
    return torch.nn.Sequential(*layers[:-1])
