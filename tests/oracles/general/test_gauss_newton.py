"""Gauss–Newton and Fisher matrices against dense JᵀHJ and against the mean over drawn targets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import user_nets
from networks import problem

import nnflow
from nnflow import UserError
from nnflow.base.streams import Streams
from nnflow.engine.gauss_newton import gauss_newton
from nnflow.engine.objective import Objective, numpy_product
from nnflow.interfaces.registry import registry

DATA = {
    "inputs": torch.linspace(-1, 1, 9 * 36, dtype=torch.float64).sin().reshape(9, 1, 6, 6),
    "targets": torch.arange(9) % 3,
}


def cnn(mode="eval", loss="cross_entropy"):
    """An objective of a module with batch norm, and weights of two runs."""
    model = registry().get("models", "torch_module")(
        target="user_nets:SmallCNN", loss=loss, mode=mode
    )
    streams = Streams(0, "all", np.arange(2), "initialize")
    first = {name: torch.as_tensor(v) for name, v in model.initial(streams).items()}
    buffers = {name: first[name] for name in model.buffers()}
    weights = torch.cat([first[name].flatten(1) for name in model.shapes()], dim=1).double()
    buffers = {n: v.double() if v.is_floating_point() else v for n, v in buffers.items()}
    return Objective(model, DATA, streams, buffers=buffers), weights


def outputs_of(objective, run):
    """Outputs (sample, output) as a function of the flat weights (weight,) of one run."""
    one = objective.take(np.array([run]))
    return lambda flat: one.model.composed(one.named(flat[None]), one.data).outputs[0]


def dense(objective, weights, run, bend):
    """Σ_s J_sᵀ bend_s J_s with bend (sample, output, output)."""
    jacobian = torch.func.jacrev(outputs_of(objective, run))(weights[run])
    return torch.einsum("soi,sop,spj->ij", jacobian, bend, jacobian)


def softmax_bend(outputs):
    """Hessian of the mean cross-entropy in the outputs of each sample: (diag p − ppᵀ)/N."""
    p = outputs.softmax(dim=-1)
    return (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / len(p)


PROBLEMS = {
    "mlp": lambda: problem(),
    "module": cnn,
    "batch norm over samples": lambda: cnn("train"),
    "a function of the user's": lambda: cnn(loss="torch.nn.functional:cross_entropy"),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_the_matrix_is_that_of_the_definition(name):
    objective, weights = PROBLEMS[name]()
    objective = replace(objective, curvature="gauss_newton")
    found = objective.hessian(weights)
    vectors = torch.linspace(-1, 1, weights.numel(), dtype=torch.float64).reshape(weights.shape)
    products = objective.hessian_vector(weights)(vectors)
    for run in range(len(weights)):
        bend = softmax_bend(outputs_of(objective, run)(weights[run]).detach())
        exact = dense(objective, weights, run, bend)
        scale = exact.abs().max()
        torch.testing.assert_close(found[run] / scale, exact / scale, rtol=0, atol=1e-10)
        along = exact @ vectors[run] / scale
        torch.testing.assert_close(products[run] / scale, along, rtol=0, atol=1e-10)
    lowest = torch.linalg.eigvalsh(found)[:, 0]
    assert (lowest > -1e-12 * found.abs().amax(dim=(1, 2))).all()


@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_the_fisher_matrix_is_a_mean_over_the_networks_own_targets(loss):
    objective, weights = problem(loss=loss)
    found = gauss_newton(replace(objective, curvature="fisher"), weights)
    for run in range(len(weights)):
        outputs = outputs_of(objective, run)(weights[run]).detach()
        if loss == "cross_entropy":  # Σ_c p_c (p − e_c)(p − e_c)ᵀ, class by class
            p = outputs.softmax(dim=-1)
            slopes = p[:, None, :] - torch.eye(3, dtype=p.dtype)
            bend = torch.einsum("sc,sco,scp->sop", p, slopes, slopes)
        else:  # a normal law of variance 1 around the outputs
            bend = torch.eye(3, dtype=torch.float64).expand(len(outputs), 3, 3)
        exact = dense(objective, weights, run, bend / len(outputs))
        scale = exact.abs().max()
        torch.testing.assert_close(found[run] / scale, exact / scale, rtol=0, atol=1e-10)


def test_weight_decay_bends_the_gauss_newton_matrix_and_not_the_fisher_matrix():
    objective, weights = problem()
    decayed = replace(objective, model=objective.model.model_copy(update={"weight_decay": 0.3}))
    bare, fisher = (
        gauss_newton(replace(o, curvature=c), weights)
        for o, c in ((objective, "gauss_newton"), (decayed, "fisher"))
    )
    found = gauss_newton(replace(decayed, curvature="gauss_newton"), weights)
    torch.testing.assert_close(fisher, bare, rtol=0, atol=1e-14)
    own = 0.3 * torch.eye(weights.shape[1], dtype=torch.float64)
    torch.testing.assert_close(found - bare, own.expand_as(bare), rtol=0, atol=1e-13)


def test_a_linear_network_has_the_same_hessian():
    objective, weights = problem("identity", "squared", widths=[5, 3])
    found = gauss_newton(replace(objective, curvature="gauss_newton"), weights)
    torch.testing.assert_close(found, objective.hessian(weights), rtol=0, atol=1e-13)


@pytest.mark.parametrize("curvature", ["gauss_newton", "fisher"])
def test_a_landscape_gives_its_spectrum_density_and_trace(curvature):
    objective, weights = problem()
    exact = np.linalg.eigvalsh(
        gauss_newton(replace(objective, curvature=curvature), weights[:1])[0].numpy()
    )
    module = user_nets.SmallCNN().eval()
    landscape = nnflow.Landscape(module, "cross_entropy", (DATA["inputs"], DATA["targets"]))
    found = landscape.spectrum(top=5, bottom=0, curvature=curvature)
    word = "Fisher" if curvature == "fisher" else "Gauss-Newton"
    assert word in found["eigenvalue"].attrs["long_name"] and found["converged"].all()
    whole = landscape._curved(curvature).hessian(landscape.weights)[0]
    values = torch.linalg.eigvalsh(whole).numpy()
    np.testing.assert_allclose(found["eigenvalue"], values[-5:], atol=1e-12)
    trace = landscape.trace(error=1e-6, curvature=curvature)
    assert float(trace["trace"]) == pytest.approx(values.sum(), rel=1e-6)
    nodes = landscape.density(steps=30, probes=2, curvature=curvature)["density_node"]
    assert float(nodes.min()) > -1e-9 * values[-1]
    assert float(nodes.max()) == pytest.approx(values[-1], rel=1e-9)
    product = numpy_product(
        replace(objective, curvature=curvature).take(np.array([0])), weights[:1]
    )
    columns = np.stack([product(v) for v in np.eye(weights.shape[1])])
    np.testing.assert_allclose(np.linalg.eigvalsh(columns), exact, atol=1e-12)


def test_what_has_no_such_matrix_is_told():
    data = (DATA["inputs"], DATA["targets"])
    landscape = nnflow.Landscape(
        user_nets.SmallCNN().eval(), torch.nn.functional.cross_entropy, data
    )
    for curvature, words in (
        ("fisher", "not known to be the log-likelihood"),
        ("newton", "curvature must be one of hessian, gauss_newton, fisher"),
    ):
        with pytest.raises(UserError, match=words):
            landscape.spectrum(curvature=curvature)
    alone = nnflow.Landscape(user_nets.Oscillator(), None, None)
    with pytest.raises(UserError, match="does not tell the outputs"):
        alone.density(curvature="gauss_newton")
    himmelblau = registry().get("models", "himmelblau")()
    streams = Streams(0, "all", np.arange(1), "train")
    with pytest.raises(UserError, match="does not tell the outputs"):
        gauss_newton(
            Objective(himmelblau, {}, streams, curvature="gauss_newton"),
            torch.ones(1, 2, dtype=torch.float64),
        )
