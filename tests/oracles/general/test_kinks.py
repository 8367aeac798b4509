"""The kinks that models give: in each cell the piece's gradient is the loss's beside the point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nnflow.base.streams import Streams
from nnflow.engine.clarke import clarke_test, realizable_signs
from nnflow.engine.objective import Objective
from nnflow.interfaces.registry import registry


def made(kind, name, **settings):
    return registry().get(kind, name)(**settings)


def on_kinks_of_an_mlp(loss="squared", widths=(3, 4, 2)):
    """A ReLU network with the inputs of two neurons set to 0 at two samples."""
    rng = np.random.default_rng(4)
    data = {
        "inputs": torch.from_numpy(rng.standard_normal((6, 3))),
        "targets": torch.from_numpy(rng.standard_normal((6, 2))),
    }
    model = made(
        "models", "mlp", widths=list(widths), activation=made("activations", "relu"),
        loss_function=made("losses", loss),
    )  # fmt: skip
    weights = {n: torch.from_numpy(rng.standard_normal((1, *s))) for n, s in model.shapes().items()}
    for neuron, sample in ((0, 1), (2, 3)):
        weights["b1"][0, neuron] = -weights["w1"][0, neuron] @ data["inputs"][sample]
    return model, data, weights


def on_kinks_of_students():
    rng = np.random.default_rng(5)
    data = {"inputs": torch.from_numpy(rng.standard_normal((7, 3)))}
    model = made("models", "relu_teacher_student_empirical", k=3, n=2)
    w = torch.from_numpy(rng.standard_normal((1, 2, 3)))
    for neuron, sample in ((0, 2), (1, 5)):
        x = data["inputs"][sample]
        w[0, neuron] -= (w[0, neuron] @ x) / (x @ x) * x
    return model, data, {"w": w}


def on_kinks_of_a_linear_network():
    loss = made("losses", "absolute")
    model = made(
        "models", "linear_network_convex_loss", widths=(2, 3, 1), sample_count=5, loss_function=loss
    )
    rng = np.random.default_rng(6)
    weights = {n: torch.from_numpy(rng.standard_normal((1, *s))) for n, s in model.shapes().items()}
    inputs, targets = map(torch.as_tensor, model.samples())
    output = (inputs[2] @ weights["w1"][0].T @ weights["w2"][0].T).squeeze()
    weights["w2"] *= targets[2].squeeze() / output
    return model, {}, weights


def laurent_von_brecht():
    model = made("models", "laurent_von_brecht", loss_function=made("losses", "absolute"))
    weights = {"w1": [[[0.0, 0], [0, 1]]], "w2": [[[1.0, 0], [0, 0]]]}
    return model, {}, {name: torch.tensor(value).double() for name, value in weights.items()}


CASES = {
    "mlp": (on_kinks_of_an_mlp, 2),
    "mlp, absolute error": (lambda: on_kinks_of_an_mlp("absolute"), 2),
    "students": (on_kinks_of_students, 2),
    "linear network": (on_kinks_of_a_linear_network, 1),
    "Laurent and von Brecht": (laurent_von_brecht, 3),
}


@pytest.mark.parametrize("name", CASES)
def test_pieces_have_the_gradients_of_the_points_in_their_cells(name):
    make, count = CASES[name]
    model, data, weights = make()
    (kinks,) = model.kinks(weights, data, 1e-9)
    assert len(kinks.normals) == count
    objective = Objective(model, data, Streams(0, "all", np.arange(1), "test"))
    flat = torch.cat([part.flatten() for part in weights.values()])[None]
    ways = torch.from_numpy(np.random.default_rng(7).standard_normal((40, flat.shape[1])))
    signs = np.sign(ways.numpy() @ kinks.normals.T)
    assert len(np.unique(signs, axis=0)) == 2**count == len(realizable_signs(kinks.normals))
    step = 1e-7
    for way, piece in zip(ways, kinks.gradients(signs), strict=True):
        beside = objective.gradient(flat + step * way)[0].numpy()
        np.testing.assert_allclose(piece, beside, atol=1e-5)


def test_the_spurious_minimum_of_laurent_and_von_brecht_is_one_to_first_order():
    model, data, weights = laurent_von_brecht()
    found = clarke_test(model.kinks(weights, data, 1e-9)[0])
    assert max(found.residual, found.descent) < 1e-15 and found.cells == 8
    # Huber's loss has no kinks of slope: what is left is the gradient
    huber = made("models", "laurent_von_brecht", loss_function=made("losses", "huber", delta=0.5))
    found = clarke_test(huber.kinks(weights, data, 1e-9)[0])
    assert (found.residual, found.descent, found.cells) == (0, 0, 1)


def test_a_dead_neuron_is_no_kink():
    model, data, weights = on_kinks_of_an_mlp()
    weights["b1"][0, 0] = -100
    (kinks,) = model.kinks(weights, data, 1e-9)
    assert len(kinks.normals) == 1


def test_kinks_of_a_sample_in_two_layers_are_not_known():
    model, data, weights = on_kinks_of_an_mlp(widths=(3, 4, 3, 2))
    values = torch.relu(data["inputs"] @ weights["w1"][0].T + weights["b1"][0])
    weights["b2"][0, 1] = -weights["w2"][0, 1] @ values[1]
    assert model.kinks(weights, data, 1e-9) == [None]
    # of two samples they are
    weights["b2"][0, 1] = -weights["w2"][0, 1] @ values[0]
    (kinks,) = model.kinks(weights, data, 1e-9)
    assert len(kinks.normals) == 3


def test_smooth_models_give_none():
    model, data, weights = on_kinks_of_an_mlp()
    smooth = model.model_copy(update={"activation": made("activations", "tanh")})
    assert smooth.kinks(weights, data, 1e-9) is None
    model = made(
        "models", "linear_network_convex_loss", widths=(2, 1),
        loss_function=made("losses", "log_cosh"),
    )  # fmt: skip
    assert model.kinks({}, {}, 1e-9) is None
