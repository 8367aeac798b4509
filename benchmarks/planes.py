"""A plane of the loss of a 784-128-10 network on 2000 samples, by nnflow and by others.

    python benchmarks/planes.py [--size 51] [--peer-size 11]

All in float64 and one thread, on random inputs. `nnflow` is `results.objective(…).plane`. `loop`
is a torch.nn module whose parameters are set at every point. `loss-landscapes` (De Bernardi, PyPI)
is shown where it is installed; it deep-copies the module and moves it point by point. Peers are
timed on a smaller grid and their time is scaled by the number of points. The losses agree; every
other column of loss-landscapes 3.0.6 lies one step off its grid and is left out of that.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from nnflow.base.streams import Streams
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective
from nnflow.interfaces.model import size
from nnflow.interfaces.registry import registry

WIDTHS, SAMPLES, REACH = [784, 128, 10], 2000, 1.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=51)
    parser.add_argument("--peer-size", type=int, default=11)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    objective, center, first, second = _problem()
    whole, part = (np.linspace(-REACH, REACH, n) for n in (arguments.size, arguments.peer_size))
    peers = {
        "nnflow": (lambda x: Landscape(objective).plane(center, first, second, x, x), whole),
        "loop": (lambda x: _loop(objective, center, first, second, x), part),
        "loss-landscapes": (lambda x: _package(objective, center, first, second, x), part),
    }
    table = Table(
        title=f"{arguments.size} × {arguments.size} losses of {WIDTHS}, {SAMPLES} samples"
    )
    for heading in ("peer", "CPU s", "ms/point", "largest difference"):
        table.add_column(heading, justify="left" if heading == "peer" else "right")
    for name, (work, side) in peers.items():
        begun = time.process_time()
        found = work(side)
        taken = (time.process_time() - begun) / side.size**2
        if found is None:
            table.add_row(name, "not installed")
            continue
        expected = Landscape(objective).plane(center, first, second, side, side)
        error = np.nanmax(np.abs(found - expected))
        table.add_row(name, f"{taken * whole.size**2:.1f}", f"{1e3 * taken:.2f}", f"{error:.1e}")
    Console().print(table)


def _problem():
    settings = {"widths": WIDTHS, "activation": "relu", "loss_function": "cross_entropy"}
    model = registry().get("models", "mlp")(**settings)
    streams = Streams(0, "benchmark", np.arange(3), "data")
    inputs = streams.normal(SAMPLES * WIDTHS[0])[0].reshape(SAMPLES, -1)
    targets = (streams.uniform(SAMPLES, draw=1)[0] * WIDTHS[-1]).astype(np.int64)
    data = {"inputs": torch.as_tensor(inputs), "targets": torch.as_tensor(targets)}
    center, first, second = streams.normal(size(model), draw=2) / np.sqrt(WIDTHS[0])
    return Objective(model, data, streams), center, first, second


def _module(objective, weights: np.ndarray):
    layers = torch.nn.Sequential(
        *(torch.nn.Linear(*pair, dtype=torch.float64) for pair in itertools.pairwise(WIDTHS))
    )
    layers.insert(1, torch.nn.ReLU())
    torch.nn.utils.vector_to_parameters(torch.as_tensor(weights), layers.parameters())
    return layers


def _loop(objective, center, first, second, side) -> np.ndarray:
    network = _module(objective, center)
    losses = np.empty((side.size, side.size))
    with torch.no_grad():
        for i, y in enumerate(side):
            for j, x in enumerate(side):
                moved = torch.as_tensor(center + x * first + y * second)
                torch.nn.utils.vector_to_parameters(moved, network.parameters())
                outputs = network(objective.data["inputs"])
                losses[i, j] = torch.nn.functional.cross_entropy(outputs, objective.data["targets"])
    return losses


def _package(objective, center, first, second, side) -> np.ndarray | None:
    try:
        import loss_landscapes
        from loss_landscapes.metrics import Loss
    except ImportError:
        return None
    # its grid ends a step before the networks that it goes towards
    far = np.ptp(side) * side.size / (side.size - 1)
    corner = center + side[0] * (first + second)
    low, *ends = (
        _module(objective, corner + far * direction) for direction in (0 * first, first, second)
    )
    metric = Loss(
        torch.nn.functional.cross_entropy, objective.data["inputs"], objective.data["targets"]
    )
    with torch.no_grad():
        found = loss_landscapes.planar_interpolation(
            copy.deepcopy(low), *ends, metric, steps=side.size
        )
    found[::2] = np.nan  # these columns lie one step off its grid (version 3.0.6)
    return found.T


if __name__ == "__main__":
    main()
