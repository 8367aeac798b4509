"""Modules on samples of each run's own, against plain torch, run by run."""

import copy

import pytest
import torch
from test_torch_module import CASES, IMAGES, PRICES, RUNS, STREAMS, VECTORS, model, normal

from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry

# as many samples as runs hide an axis taken for another, one sample hides a missing axis
CHOSEN = ([[4, 1]] * RUNS, [[0, 1, 2], [3, 4, 5], [6, 0, 3]], [[5], [2], [6]])
SCALAR = {"inputs": VECTORS["inputs"], "targets": normal(7, seed=2)}
MORE = {
    "forward gives the loss": ({"target": "user_nets:Priced"}, IMAGES),
    "one real target": ({"target": "torch.nn:Linear", "loss": "squared",
                         "settings": {"in_features": 4, "out_features": 1}}, SCALAR),
    "one real target, chunk 1": ({"target": "torch.nn:Linear", "loss": "squared", "chunk": 1,
                         "settings": {"in_features": 4, "out_features": 1}}, SCALAR),
}  # fmt: skip
ALL = {**{case: pair for case, pair in CASES.items() if pair[1]}, **MORE}


def problem(settings, data):
    """An objective with weights and statistics that differ from run to run."""
    made = model(**settings)
    first = {name: torch.as_tensor(v) for name, v in made.initial(STREAMS).items()}
    buffers = {name: first[name] for name in made.buffers()}
    for name, values in buffers.items():
        if values.is_floating_point():
            buffers[name] = values + 0.3 * normal(*values.shape, seed=5).abs()
    weights = torch.cat([first[name].flatten(1) for name in made.shapes()], dim=1)
    return Objective(made, data, STREAMS, buffers=buffers), weights


def plain(settings, objective, weights, data, run):
    """Loss and gradient of one run by the module alone, on data of its own."""
    module = copy.deepcopy(objective.model.network.module)
    named = {name: values[run].clone() for name, values in objective.buffers.items()}
    module.load_state_dict(named, strict=False)
    parts = {name: module.get_parameter(name) for name in objective.model.shapes()}
    with torch.no_grad():
        pieces = weights[run].split([part.numel() for part in parts.values()])
        for part, piece in zip(parts.values(), pieces, strict=True):
            part.copy_(piece.reshape(part.shape))
    if "loss" not in settings:
        loss = module(*data.values())
    elif data["targets"].ndim == 1 and data["targets"].is_floating_point():
        loss = (module(data["inputs"])[:, 0] - data["targets"]).square().mean() / 2
    else:
        loss = PRICES[settings["loss"]](module(data["inputs"]), data["targets"])
    gradient = torch.autograd.grad(loss, list(parts.values()), materialize_grads=True)
    return loss.detach(), torch.cat([part.flatten() for part in gradient])


@pytest.mark.parametrize("chosen", CHOSEN, ids=["same", "own", "single"])
@pytest.mark.parametrize("case", ALL)
def test_each_run_has_the_loss_and_gradient_of_its_own_samples(case, chosen):
    settings, data = ALL[case]
    if settings.get("mode") == "train" and len(chosen[0]) == 1:
        chosen = [[0, 6], [2, 5], [4, 1]]  # a batch has no statistics of one sample
    objective, weights = problem(settings, data)
    part = objective.minibatch(torch.tensor(chosen))
    losses, gradients = part.loss(weights), part.gradient(weights)
    composed = part.model.composed(part.named(weights), part.data)
    for run in range(RUNS):
        own = {name: array[torch.tensor(chosen[run])] for name, array in data.items()}
        loss, gradient = plain(settings, objective, weights, own, run)
        torch.testing.assert_close(losses[run], loss, rtol=1e-12, atol=1e-13)
        torch.testing.assert_close(gradients[run], gradient, rtol=0, atol=1e-12)
        if composed is not None:
            price = composed.price(composed.outputs, part.named(weights))[run]
            torch.testing.assert_close(price, loss, rtol=1e-12, atol=1e-13)


def test_a_built_in_network_has_the_loss_of_one_sample_of_its_own_too():
    net = registry().get("models", "mlp")(widths=[4, 1], activation="tanh", loss_function="squared")
    weights = normal(RUNS, 5, seed=4)
    part = Objective(net, SCALAR, STREAMS).minibatch(torch.tensor([[5], [2], [6]]))
    outputs = (weights[:, :4] * SCALAR["inputs"][[5, 2, 6]]).sum(dim=1) + weights[:, 4]
    errors = outputs - SCALAR["targets"][[5, 2, 6]]
    torch.testing.assert_close(part.loss(weights), errors.square() / 2, rtol=1e-12, atol=1e-13)
