"""Studies of a user's modules from file to spectra, beside the modules themselves."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import user_nets
from studies import complete

import nnflow
from nnflow.base.errors import UserError
from nnflow.base.progress import Reporter
from nnflow.stages.export import export
from nnflow.stages.initialize import initialize
from nnflow.stages.job import Job
from nnflow.study.loading import load_study

SAMPLES = 12
CNN = "model: {name: torch_module, target: 'my_nets:SmallCNN', loss: cross_entropy}\n"
ARRAYS = "dataset: {name: array_files, paths: data.npz}\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a module, data and a place for studies; the working folder."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(user_nets.__file__, tmp_path / "my_nets.py")
    generator = np.random.default_rng(0)
    images, digits = generator.normal(size=(SAMPLES, 1, 6, 6)), np.arange(SAMPLES) % 3
    np.savez("data.npz", inputs=images, targets=digits)
    return tmp_path


def written(project, text):
    file = project / "mine.yaml"
    file.write_text(f"title: Mine\nseed: 5\n{text}", encoding="utf-8")
    return load_study(file)


def as_run(dataset, row, module):
    """The module with the weights and buffers of a run of a dataset."""
    state = {name: torch.as_tensor(dataset[name].values[row]) for name in module.state_dict()}
    module = module.double()
    module.load_state_dict(state)
    return module.eval()


def inputs():
    with np.load("data.npz") as data:
        return torch.as_tensor(data["inputs"]), torch.as_tensor(data["targets"])


def hessian(module):
    """Of the mean cross-entropy, by reverse mode twice."""
    images, digits = inputs()
    names = [name for name, _ in module.named_parameters()]
    parts = [p.detach() for p in module.parameters()]
    fixed = dict(module.named_buffers())

    def loss(flat):
        pieces = flat.split([p.numel() for p in parts])
        named = {n: x.reshape(p.shape) for n, x, p in zip(names, pieces, parts, strict=True)}
        outputs = torch.func.functional_call(module, {**named, **fixed}, (images,))
        return torch.nn.functional.cross_entropy(outputs, digits)

    at = torch.cat([p.flatten() for p in parts])
    return torch.func.jacrev(torch.func.grad(loss))(at)


TRAINED = f"""{CNN}{ARRAYS}
initializer: own
optimizer: {{name: gradient_descent, rate: 0.1}}
stop: {{steps: 20}}
runs: 3
classify: {{polish: none}}
spectrum: {{at: runs}}
figures: [training_curves]
"""


def test_a_study_of_a_module_from_its_own_start_to_its_spectrum(project):
    job = complete(written(project, TRAINED), project)
    first, last = job.read.at("initialization", "all"), job.read.at("training", "all")
    spectra = job.read.at("spectra", "all")
    images, digits = inputs()
    for run in range(3):
        module = as_run(first, run, user_nets.SmallCNN())
        step = torch.optim.SGD(module.parameters(), lr=0.1)
        for _ in range(20):
            step.zero_grad()
            torch.nn.functional.cross_entropy(module(images), digits).backward()
            step.step()
        for name, weight in module.named_parameters():
            np.testing.assert_allclose(last[name].values[run], weight.detach(), rtol=0, atol=1e-12)
        exact = torch.linalg.eigvalsh(hessian(module)).numpy()
        found = spectra["eigenvalue"].values[run]
        np.testing.assert_allclose(found, exact, rtol=0, atol=1e-10 * exact[-1])
    assert "trace_accuracy" in last
    np.testing.assert_array_equal(
        spectra["norm.num_batches_tracked"].values, np.zeros(3, dtype=np.int64)
    )


def test_densities_of_the_workflow_are_those_of_the_notebook(project):
    text = TRAINED.replace(
        "spectrum: {at: runs}", "spectrum: {at: runs, density: {steps: 9, probes: 2}}"
    )
    spectra = complete(written(project, text), project).read.at("spectra", "all")
    nodes, weights = spectra["density_node"].values, spectra["density_weight"].values
    assert nodes.shape == weights.shape == (3, 2, 9)
    for run in range(3):
        module = as_run(spectra, run, user_nets.SmallCNN())
        landscape = nnflow.Landscape(module, "cross_entropy", inputs())
        found = landscape.density(steps=9, probes=2)
        np.testing.assert_allclose(found["density_node"], nodes[run], atol=1e-9)
        np.testing.assert_allclose(found["density_weight"], weights[run], atol=1e-9)
        moment = (weights[run] * nodes[run]).sum(axis=1)  # gᵀHg of each probe
        whole = hessian(module).numpy()
        for probe in range(2):
            start = np.random.default_rng([0, probe]).standard_normal(len(whole))
            start /= np.linalg.norm(start)
            assert moment[probe] == pytest.approx(start @ whole @ start, abs=1e-10)


def test_exact_densities_take_whole_hessians(project):
    text = TRAINED.replace("spectrum: {at: runs}", "spectrum: {at: runs, density: exact}")
    text = text.replace(
        "{polish: none}", "{polish: none, dense_up_to: 100, extreme_eigenvalues: 1}"
    )
    with pytest.raises(UserError, match="dense_up_to must be at least 123"):
        complete(written(project, text), project)
    with pytest.raises(UserError, match=r"density.*step: unknown key"):
        written(project, TRAINED.replace("{at: runs}", "{density: {step: 9}}"))


def saved(project, seeds=(0, 1, 10), form="pt", change=lambda state: state):
    """State_dicts of modules with running statistics of their own, runs/seed-N/model.pt."""
    modules = []
    for seed in seeds:
        torch.manual_seed(seed)
        module = user_nets.SmallCNN()
        module.train()
        module(torch.randn(40, 1, 6, 6) + seed)  # moves the running statistics
        modules.append(module.eval())
        file = project / f"runs/seed-{seed}/model.{form}"
        file.parent.mkdir(parents=True, exist_ok=True)
        state = change(module.state_dict())
        if form == "npz":
            np.savez(file, **{name: tensor.numpy() for name, tensor in state.items()})
        else:
            torch.save(state, file)
    return modules


def elsewhere(form="pt"):
    return f"{CNN}{ARRAYS}start: {{from: 'runs/seed-*/model.{form}'}}\n"


@pytest.mark.parametrize("form", ["pt", "npz"])
def test_weights_from_elsewhere_are_judged_as_they_are(project, form):
    modules = saved(project, form=form)
    study = written(project, elsewhere(form))
    (configuration,) = study.configurations
    assert configuration.runs == 3
    job = complete(study, project)
    critical, spectra = job.read.at("critical_points", "all"), job.read.at("spectra", "all")
    images, digits = inputs()
    for run, module in enumerate(modules):
        double = module.double()
        loss = torch.nn.functional.cross_entropy(double(images), digits).detach()
        assert float(critical["loss"][run]) == pytest.approx(float(loss), abs=1e-14)
        for name, tensor in double.state_dict().items():
            np.testing.assert_array_equal(critical[name].values[run], tensor.numpy())
        exact = torch.linalg.eigvalsh(hessian(double)).numpy()
        np.testing.assert_allclose(
            spectra["eigenvalue"].values[run], exact, rtol=0, atol=1e-10 * exact[-1]
        )
    assert set(critical["distance"].values) == {0.0}
    assert set(job.read.at("training", "all")["steps"].values) == {0}


def test_weights_from_elsewhere_may_be_trained_on(project):
    saved(project)
    text = elsewhere() + "optimizer: {name: gradient_descent, rate: 0.1}\n"
    job = complete(written(project, text + "stop: {steps: 5}\nruns: 2\n"), project)
    training = job.read.at("training", "all")
    assert training["steps"].values.tolist() == [5, 5]
    assert (training["loss"].values < training["trace_loss"].values[:, 0]).all()


def test_export_gives_back_what_the_module_loads(project):
    modules = saved(project)
    job = complete(written(project, elsewhere()), project)
    assert export(job.read, project / "out") == 3
    for run, module in enumerate(modules):
        again = user_nets.SmallCNN().double()
        file = project / f"out/all/run-{run}.pt"
        again.load_state_dict(torch.load(file, weights_only=True), strict=True)
        for name, tensor in module.double().state_dict().items():
            assert torch.equal(again.state_dict()[name], tensor)
    assert export(job.read, project / "numpy", form="npz") == 3
    with np.load(project / "numpy/all/run-2.npz") as arrays:
        assert set(arrays) == set(modules[2].state_dict())
    with pytest.raises(UserError, match="expected one of pt, npz"):
        export(job.read, project / "out", form="onnx")


def test_shared_weights_are_read_and_written_under_all_their_names(project):
    torch.manual_seed(0)
    module = user_nets.Tied()
    torch.save(module.state_dict(), "tied.pt")
    np.savez("data.npz", inputs=np.ones((5, 4)), targets=np.zeros((5, 2)))
    model = "model: {name: torch_module, target: 'my_nets:Tied', loss: squared}\n"
    job = complete(written(project, f"{model}{ARRAYS}start: {{from: tied.pt}}\n"), project)
    export(job.read, project / "out")
    again = torch.load(project / "out/all/run-0.pt", weights_only=True)
    assert set(again) == set(module.state_dict())
    user_nets.Tied().load_state_dict(again, strict=True)
    state = module.state_dict()
    state["again.weight"] = state["again.weight"] + 1
    torch.save(state, "tied.pt")
    with pytest.raises(UserError, match=r"'again\.weight' differs from 'down\.weight'"):
        initialize(job)


def read(project, change, form="pt", **settings):
    saved(project, seeds=(0,), form=form, change=change)
    extra = "".join(f", {key}: {value}" for key, value in settings.items())
    text = f"{CNN}{ARRAYS}start: {{from: 'runs/*/model.{form}'{extra}}}\n"
    study = written(project, text)
    job = Job(study, project / "results", project / "data", 0, {}, Reporter("test", None))
    initialize(job)
    return job.read.at("initialization", "all")


def renamed(state):
    state = dict(state)
    state["head.weights"] = state.pop("head.weight")
    state["conv.bias"] = state["conv.bias"][:1]
    return state


def test_names_and_shapes_that_do_not_fit_are_told_one_by_one(project):
    with pytest.raises(UserError) as error:
        read(project, renamed)
    for words in (
        "seed-0/model.pt",
        "'head.weight' is missing",
        "'head.weights' is not in the model",
        "'conv.bias' has the shape (1,), not (2,)",
    ):
        assert words in str(error.value)
    with pytest.raises(UserError, match=r"'norm.running_mean' is missing"):
        read(project, lambda s: {n: t for n, t in s.items() if n != "norm.running_mean"})


def test_what_data_parallel_and_compile_put_before_names_is_dropped(project):
    plain = read(project, lambda state: state)
    for prefix in ("module.", "_orig_mod."):
        found = read(project, lambda s, p=prefix: {p + name: t for name, t in s.items()})
        np.testing.assert_array_equal(found["conv.weight"].values, plain["conv.weight"].values)


def test_an_entry_of_a_larger_file_is_named(project):
    def nested(state):
        return {"model": state, "epoch": 3}

    with pytest.raises(UserError, match=r"say which one by `key` \(there are: model\)"):
        read(project, nested)
    assert "conv.weight" in read(project, nested, key="model")
    with pytest.raises(UserError, match="has no arrays under 'optimizer'"):
        read(project, nested, key="optimizer")


def test_a_pickled_module_runs_no_code(project):
    def whole(state):
        return user_nets.SmallCNN()

    with pytest.raises(UserError, match=r"torch.save\(module.state_dict\(\), file\)"):
        read(project, whole)


def test_runs_and_files_must_agree(project):
    saved(project)
    with pytest.raises(UserError, match="no file is called elsewhere"):
        written(project, f"{CNN}{ARRAYS}start: {{from: 'elsewhere/*.pt'}}\n")
    study = written(project, elsewhere() + "runs: 4\n")
    job = Job(study, project / "results", project / "data", 0, {}, Reporter("test", None))
    with pytest.raises(UserError, match="3 files for 4 runs; set `runs: 3`"):
        initialize(job)
    for start, words in (("{files: x}", "expected {from: FILES}"), ("x.pt", "expected {from")):
        with pytest.raises(UserError, match=words):
            written(project, f"{CNN}{ARRAYS}start: {start}\n")
    with pytest.raises(UserError, match="leave out `initializer`"):
        written(project, f"{CNN}{ARRAYS}initializer: own\nstart: {{from: 'runs/*/model.pt'}}\n")
    with pytest.raises(UserError, match="optimizer: this key is missing"):
        written(project, f"{CNN}{ARRAYS}initializer: own\n")


def test_files_are_the_runs_in_the_order_of_their_numbers(project):
    saved(project, seeds=(10, 2, 1))
    study = written(project, elsewhere())
    files = study.configurations[0].settings.initializer.files(Path())
    assert [file.parent.name for file in files] == ["seed-1", "seed-2", "seed-10"]


def test_planning_does_without_torch(project):
    written(project, TRAINED)
    (project / "config/studies").mkdir(parents=True)
    shutil.move("mine.yaml", "config/studies/mine.yaml")
    code = (
        "import sys; from nnflow.workflow.plan import Plan\n"
        "plan = Plan(('mine',)); plan.size('mine', 0); plan.resources_for('classify', 'mine')\n"
        "plan.code('train', 'mine'); plan.settings('train', 'mine'); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
