"""Modules of PyTorch against torch.func's dense derivatives of the module itself."""

import copy

import numpy as np
import pytest
import torch

from nnflow.base.errors import UserError
from nnflow.base.streams import Streams
from nnflow.engine.eigenvalues import extreme_eigenvalues
from nnflow.engine.landscape import Landscape
from nnflow.engine.objective import Objective, numpy_product
from nnflow.interfaces.model import size
from nnflow.interfaces.registry import registry

RUNS, SAMPLES = 3, 7
STREAMS = Streams(0, "all", np.arange(RUNS), "initialize")


def normal(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def classes(count=3, samples=SAMPLES):
    return torch.arange(samples) % count


IMAGES = {"inputs": normal(SAMPLES, 1, 6, 6), "targets": classes()}
TOKENS = {"inputs": (torch.arange(SAMPLES * 4) * 7 % 5).reshape(SAMPLES, 4), "targets": classes()}
VECTORS = {"inputs": normal(SAMPLES, 4), "targets": normal(SAMPLES, 2, seed=1)}
SERIES = {"inputs": normal(SAMPLES, 5, 2), "targets": classes()}
CASES = {
    "cnn": ({"target": "user_nets:SmallCNN", "loss": "cross_entropy"}, IMAGES),
    "cnn in train mode": (
        {"target": "user_nets:SmallCNN", "loss": "cross_entropy", "mode": "train"},
        IMAGES,
    ),
    "resnet": ({"target": "user_nets:SmallResNet", "loss": "cross_entropy"}, IMAGES),
    "encoder": ({"target": "user_nets:SmallEncoder", "loss": "cross_entropy"}, TOKENS),
    "tied": ({"target": "user_nets:Tied", "loss": "squared"}, VECTORS),
    "own loss": ({"target": "user_nets:Tied", "loss": "user_nets:fourth_power"}, VECTORS),
    "frozen": (
        {"target": "user_nets:SmallCNN", "loss": "cross_entropy", "frozen": ["conv.*"]},
        IMAGES,
    ),
    "recurrent": ({"target": "user_nets:Recurrent", "loss": "cross_entropy"}, SERIES),
    "physics": ({"target": "user_nets:Oscillator"}, {}),
}


def model(**settings):
    return registry().get("models", "torch_module")(**settings)


def problem(case, **further):
    """An objective at the module's own first weights, away from special points."""
    settings, data = CASES[case]
    made = model(**settings, **further)
    first = {name: torch.as_tensor(v) for name, v in made.initial(STREAMS).items()}
    buffers = {name: first[name] for name in made.buffers()}
    if "norm.running_mean" in buffers:  # each run has statistics of its own
        buffers["norm.running_mean"] = 0.3 * normal(RUNS, 2, seed=5)
        buffers["norm.running_var"] = 0.5 + normal(RUNS, 2, seed=6).square()
    weights = torch.cat([first[name].flatten(1) for name in made.shapes()], dim=1)
    weights = weights + 0.1 * normal(*weights.shape, seed=3)
    return Objective(made, data, STREAMS, buffers=buffers), weights


PRICES = {
    "cross_entropy": torch.nn.functional.cross_entropy,
    "squared": lambda o, t: (o - t).square().sum(dim=1).mean() / 2,
    "user_nets:fourth_power": lambda o, t: (o - t).pow(4).sum(dim=1).mean(),
}


def alone(case, objective, run):
    """The loss of one run as a function of its flat weights, by the module itself."""
    settings, data = CASES[case]
    module = copy.deepcopy(objective.model.network.module)
    named = {name: values[run] for name, values in objective.buffers.items()}
    shapes = objective.model.shapes()

    def loss(flat):
        parts = flat.split([int(np.prod(shape)) for shape in shapes.values()])
        state = {n: p.reshape(s) for (n, s), p in zip(shapes.items(), parts, strict=True)}
        state |= {name: values.clone() for name, values in named.items()}
        with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
            given = (data["inputs"],) if data else ()
            outputs = torch.func.functional_call(module, state, given)
        price = PRICES.get(settings.get("loss"))
        return outputs if price is None else price(outputs, data["targets"])

    return loss


@pytest.fixture(autouse=True)
def slow_path():
    """The oracle, too, needs attention that has second derivatives."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    yield
    torch.backends.mha.set_fastpath_enabled(before)


def dense(case, objective, weights, run):
    """Loss, gradient and Hessian of one run by torch, without nnflow."""
    loss = alone(case, objective, run)
    at = weights[run].clone().requires_grad_(True)
    if case in ("physics", "recurrent"):  # torch.func can't differentiate these
        hessian = torch.autograd.functional.hessian(loss, at)
    else:
        # not torch.func.hessian: its forward mode is wrong through normalization layers (torch
        # 2.13: by 0.03 in `encoder`, by 0.1 in train mode), as finite differences tell
        hessian = torch.func.jacrev(torch.func.grad(loss))(at.detach())
    value = loss(at)
    (gradient,) = torch.autograd.grad(value, at)
    return value.detach(), gradient, hessian.detach()


@pytest.mark.parametrize("case", CASES)
def test_loss_and_derivatives_are_those_of_the_module(case):
    objective, weights = problem(case)
    assert weights.shape == (RUNS, size(objective.model))
    losses, gradients = objective.loss(weights), objective.gradient(weights)
    hessians = objective.hessian(weights)
    for run in range(RUNS):
        loss, gradient, hessian = dense(case, objective, weights, run)
        torch.testing.assert_close(losses[run], loss, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(gradients[run], gradient, rtol=0, atol=1e-11)
        assert (hessians[run] - hessian).abs().max() <= 1e-10 * max(1.0, float(hessian.abs().max()))
    assert len(set(losses.tolist())) == RUNS


@pytest.mark.parametrize("case", CASES)
def test_hessians_are_differences_of_gradients(case):
    objective, weights = problem(case)
    step = 1e-5
    for direction in (normal(*weights.shape, seed=8), normal(*weights.shape, seed=9)):
        after, before = (objective.gradient(weights + s * direction) for s in (step, -step))
        product = (objective.hessian(weights) @ direction[..., None]).squeeze(-1)
        difference = (after - before) / (2 * step)
        scale = max(1.0, float(product.abs().max()))
        assert (difference - product).abs().max() <= 1e-6 * scale


@pytest.mark.parametrize("case", ["cnn", "resnet", "encoder"])
def test_ends_of_the_spectrum_are_those_of_the_dense_hessian(case):
    objective, weights = problem(case)
    one = objective.take(np.array([1]))
    found = extreme_eigenvalues(numpy_product(one, weights[1:2]), weights.shape[1], 3)
    exact = torch.linalg.eigvalsh(dense(case, objective, weights, 1)[2]).numpy()
    np.testing.assert_allclose(found.highest, exact[-3:], rtol=0, atol=1e-10 * exact[-1])
    np.testing.assert_allclose(found.lowest, exact[:3], rtol=0, atol=1e-10 * exact[-1])


@pytest.mark.parametrize("case", ["cnn", "encoder", "recurrent"])
def test_one_at_a_time_is_the_same_to_the_bit_in_any_company(case):
    objective, weights = problem(case, chunk=1)
    rows = np.array([2])
    some, at = objective.take(rows), weights[2:]
    assert torch.equal(objective.loss(weights)[2:], some.loss(at))
    assert torch.equal(objective.gradient(weights)[2:], some.gradient(at))


def test_what_torch_can_do_at_once_is_done_at_once():
    together = {}
    for case in CASES:
        objective, weights = problem(case)
        how = objective.model._how(objective.named(weights), objective.data)
        together[case] = how.together
    assert {case for case, at_once in together.items() if not at_once} == {"recurrent", "physics"}


def test_small_chunks_give_the_same():
    objective, weights = problem("cnn")
    in_pieces, _ = problem("cnn", chunk=2)
    for what in ("loss", "gradient", "hessian"):
        whole, pieces = getattr(objective, what)(weights), getattr(in_pieces, what)(weights)
        torch.testing.assert_close(pieces, whole, rtol=1e-12, atol=1e-13)


def test_a_minibatch_gives_each_run_its_own_samples():
    for case in ("cnn", "recurrent"):
        objective, weights = problem(case)
        samples = torch.tensor([[0, 1, 2], [3, 4, 5], [6, 0, 3]])
        part = objective.minibatch(samples)
        losses = part.loss(weights)
        for run in range(RUNS):
            data = {name: array[samples[run]] for name, array in objective.data.items()}
            single = Objective(objective.model, data, STREAMS).keeping(
                {name: v[run : run + 1] for name, v in objective.buffers.items()}
            )
            torch.testing.assert_close(losses[run], single.loss(weights[run : run + 1])[0])
        assert torch.isfinite(part.gradient(weights)).all()


def test_shared_weights_are_one_and_frozen_ones_are_none():
    tied = model(target="user_nets:Tied", loss="squared")
    assert "again.weight" not in tied.shapes()
    assert tied.shared() == {"again.weight": "down.weight"}
    frozen = model(**CASES["frozen"][0])
    assert set(frozen.shapes()) == {"norm.weight", "norm.bias", "head.weight", "head.bias"}
    assert {"conv.weight", "norm.running_mean"} <= set(frozen.buffers())


def test_initial_weights_are_the_modules_own_whatever_the_company():
    made = model(**CASES["cnn"][0])
    whole = made.initial(STREAMS)
    part = made.initial(STREAMS.take(np.array([1])))
    for name in whole:
        np.testing.assert_array_equal(whole[name][1:2], part[name])
    assert len(np.unique(whole["conv.weight"][:, 0, 0, 0, 0])) == RUNS
    bound = 1 / 3  # torch's: uniform within 1/√fan_in
    assert np.abs(whole["conv.weight"]).max() <= bound
    assert np.abs(whole["conv.weight"]).max() > 0.8 * bound
    np.testing.assert_array_equal(whole["norm.running_var"], np.ones((RUNS, 2)))


def test_the_random_state_of_torch_is_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    made = model(**CASES["cnn"][0])
    made.initial(STREAMS)
    problem("cnn")
    assert torch.equal(torch.rand(1), expected)
    assert torch.get_default_dtype() == torch.float32


def test_accuracy_and_held_out_loss_are_observed():
    objective, weights = problem("cnn")
    held = {"test_inputs": normal(4, 1, 6, 6, seed=9), "test_targets": classes(samples=4)}
    data = {**objective.data, **held}
    observed = objective.model.observables(objective.named(weights), data)
    assert set(observed) == {"accuracy", "test_accuracy", "test_loss"}
    elsewhere = Objective(
        objective.model,
        {"inputs": held["test_inputs"], "targets": held["test_targets"]},
        STREAMS,
        buffers=objective.buffers,
    )
    torch.testing.assert_close(observed["test_loss"], elsewhere.loss(weights))
    right = []
    for run in range(RUNS):
        named = {name: values[run] for name, values in objective.named(weights).items()}
        outputs = torch.func.functional_call(
            objective.model.network.module, named, (data["inputs"],)
        )
        right.append((outputs.argmax(1) == data["targets"]).double().mean())
    torch.testing.assert_close(observed["accuracy"], torch.stack(right))


def test_planning_does_not_build_the_module():
    made = model(**CASES["cnn"][0])
    assert made.size_if_known() is None
    made.shapes()
    assert made.size_if_known() == size(made)


def test_linear_losses_have_no_curvature():
    class Line(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.slope = torch.nn.Parameter(torch.ones(2))

        def forward(self):
            return (self.slope * torch.tensor([2.0, 3.0])).sum()

    made = registry().get("models", "torch_module").of(Line(), None)
    objective = Objective(made, {}, STREAMS)
    weights = normal(RUNS, 2)
    assert torch.equal(objective.hessian(weights), torch.zeros(RUNS, 2, 2, dtype=torch.float64))
    assert torch.equal(
        objective.gradient(weights), torch.tensor([[2.0, 3.0]] * RUNS, dtype=torch.float64)
    )


def test_a_module_that_is_there_already_is_left_as_it_is():
    module = torch.nn.Linear(2, 1)
    module.train()
    registry().get("models", "torch_module").of(module, "squared", mode="eval")
    assert module.training and module.weight.dtype == torch.float32


@pytest.mark.parametrize("path", ["nets", "nets:", "a b:C"])
def test_what_is_no_import_path_is_refused(path):
    with pytest.raises(ValueError, match="no import path"):
        model(target=path)


def test_names_that_are_not_there_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_nets.py").write_text("class Net:\n    pass\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"my_nets.py defines no 'Nett' \(it has: Net\)"):
        model(target="my_nets:Nett")
    with pytest.raises(ValueError, match=r"no module 'nowhere_to_be_found'"):
        model(target="nowhere_to_be_found:Net")
    (tmp_path / "config/studies/deep").mkdir(parents=True)
    (tmp_path / "config/studies/deep/my_nets.py").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match="rename one"):
        model(target="my_nets:Net")


def test_the_users_files_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)
    (tmp_path / "config/studies/deep_nets.py").write_text(
        "from deep_layers import Layer\nimport torch\n\n\nclass Net: ...\n", encoding="utf-8"
    )
    (tmp_path / "config/studies/deep_layers.py").write_text("class Layer: ...\n", encoding="utf-8")
    (tmp_path / "own_losses.py").write_text("def loss(o, t): ...\n", encoding="utf-8")
    made = model(target="deep_nets:Net", loss="own_losses:loss")
    files = [file.name for file in made.files(tmp_path)]
    assert files == ["deep_nets.py", "deep_layers.py", "own_losses.py"]
    assert model(target="torch.nn:Bilinear").files(tmp_path) == ()


def test_a_module_of_the_same_name_elsewhere_is_not_mistaken(tmp_path, monkeypatch):
    for folder, width in (("one", 2), ("two", 3)):
        (tmp_path / folder).mkdir()
        text = f"import torch\n\n\ndef net():\n    return torch.nn.Linear({width}, 1)\n"
        (tmp_path / folder / "same_nets.py").write_text(text, encoding="utf-8")
    widths = []
    for folder in ("one", "two", "one"):
        monkeypatch.chdir(tmp_path / folder)
        widths.append(model(target="same_nets:net", loss="squared").shapes()["weight"][1])
    assert widths == [2, 3, 2]


def test_the_check_of_a_trial_is_made_once_for_each_shape_of_the_data():
    objective, weights = problem("cnn")
    objective.loss(weights)
    tried = objective.model.__dict__["_tried"]
    objective.gradient(weights)
    objective.hessian(weights)
    assert len(tried) == 1


def test_errors_of_users_are_one_line_each():
    """The ten bad inputs have a file of their own; here: what is no module, and no weights."""
    with pytest.raises(UserError, match=r"gives DataArray, no torch\.nn\.Module"):
        model(target="xarray:DataArray").shapes()
    with pytest.raises(ValueError, match="of Python's own library"):
        model(target="os:system", settings={"command": "true"})
    with pytest.raises(UserError, match="has no weights that can be trained"):
        model(target="torch.nn:ReLU").shapes()


def test_buffers_stay_what_they_are_where_forward_changes_them():
    objective, weights = problem("cnn in train mode")
    before = {name: values.clone() for name, values in objective.buffers.items()}
    for rows in (np.arange(RUNS), np.array([1])):  # at once, and alone
        part = objective.take(rows)
        part.loss(weights[rows])
        part.gradient(weights[rows])
        for name, values in part.buffers.items():
            assert torch.equal(values, before[name][rows]), name
    for name, values in objective.buffers.items():
        assert torch.equal(values, before[name]), name


def test_attention_is_computed_in_a_way_that_has_second_derivatives():
    seen = []

    class Watching(torch.nn.Linear):
        def forward(self, x):
            seen.append(torch.backends.mha.get_fastpath_enabled())
            assert torch.get_default_dtype() == torch.float64
            return super().forward(x)

    torch.backends.mha.set_fastpath_enabled(True)
    made = registry().get("models", "torch_module").of(Watching(4, 2), "squared")
    objective = Objective(made, VECTORS, STREAMS)
    objective.gradient(normal(RUNS, size(made)))
    assert seen and not any(seen)
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize("case", [case for case, (_, data) in CASES.items() if data])
def test_the_loss_among_some_samples_is_that_of_data_without_the_others(case):
    """The samples chosen are as many as the runs, too, which hides an axis taken for another."""
    objective, weights = problem(case)
    for chosen in ([5], [0, 4, 6], [1, 2, 3, 5]):
        part = {name: array[chosen] for name, array in objective.data.items()}
        other = Objective(objective.model, part, STREAMS, buffers=objective.buffers)
        found = Landscape(objective).among(np.array(chosen)).loss(weights.numpy())
        np.testing.assert_allclose(found, other.loss(weights), rtol=1e-13)
