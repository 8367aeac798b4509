"""`nnflow.Landscape` beside the module itself and beside the workflow."""

import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import torch
import user_nets
from scipy.stats import wasserstein_distance
from torch.utils.data import TensorDataset

import nnflow
from nnflow import UserError
from nnflow.engine.density import density

matplotlib.use("agg")
DATA = (torch.linspace(-1, 1, 9 * 36).sin().reshape(9, 1, 6, 6), torch.arange(9) % 3)


def cnn():
    torch.manual_seed(0)
    module = user_nets.SmallCNN()
    module(torch.randn(30, 1, 6, 6) + 1)  # statistics that are not those of a new module
    return module.eval()


def hessian(module, data=DATA):
    """Of the mean cross-entropy in float64, by reverse mode twice."""
    module = user_nets.SmallCNN().double().eval()
    module.load_state_dict(cnn().state_dict())
    names = [name for name, _ in module.named_parameters()]
    parts = [p.detach() for p in module.parameters()]

    def loss(flat):
        pieces = flat.split([p.numel() for p in parts])
        named = {n: x.reshape(p.shape) for n, x, p in zip(names, pieces, parts, strict=True)}
        named |= dict(module.named_buffers())
        outputs = torch.func.functional_call(module, named, (data[0].double(),))
        return torch.nn.functional.cross_entropy(outputs, data[1])

    at = torch.cat([p.flatten() for p in parts])
    return torch.func.jacrev(torch.func.grad(loss))(at).numpy(), float(loss(at))


@pytest.fixture(scope="module")
def exact():
    matrix, loss = hessian(cnn())
    return np.linalg.eigvalsh(matrix), loss


@pytest.fixture
def landscape():
    return nnflow.Landscape(cnn(), "cross_entropy", DATA)


def documented(dataset, *without_units):
    """Every variable says what it is, and in which units."""
    for name, variable in dataset.data_vars.items():
        assert variable.attrs["long_name"], name
        if variable.dtype.kind == "f" and name not in without_units:
            assert variable.attrs["units"], name


def matrix_free(landscape):
    landscape._settings = landscape._settings.model_copy(
        update={"classify": landscape._settings.classify.model_copy(update={"dense_up_to": 1})}
    )
    return landscape


@pytest.mark.parametrize("dense", [True, False])
def test_a_spectrum_is_that_of_the_module(landscape, exact, dense):
    values, loss = exact
    found = (landscape if dense else matrix_free(landscape)).spectrum(top=4, bottom=2)
    assert landscape.loss() == pytest.approx(loss, abs=1e-14)
    expected = np.r_[values[:2], values[-4:]]
    np.testing.assert_allclose(found["eigenvalue"], expected, atol=1e-10 * values[-1])
    assert found["converged"].all() and (found["residual"] < 1e-8).all()
    np.testing.assert_array_equal(found["mode"], [0, 1, *range(len(values) - 4, len(values))])
    documented(found)
    np.testing.assert_allclose(landscape.spectrum(top=3, bottom=0)["eigenvalue"], values[-3:])


def test_all_ways_to_name_loss_and_data_are_one(landscape):
    arrays = {"inputs": DATA[0].numpy(), "targets": DATA[1].numpy()}
    own = torch.nn.CrossEntropyLoss()
    for loss, data in (
        ("cross_entropy", arrays),
        ("cross_entropy", TensorDataset(*DATA)),
        (own, DATA),
        (torch.nn.functional.cross_entropy, DATA),
    ):
        other = nnflow.Landscape(cnn(), loss, data)
        assert other.loss() == pytest.approx(landscape.loss(), abs=1e-13)


def test_a_loss_of_the_module_itself_needs_no_data():
    found = nnflow.Landscape(user_nets.Oscillator(), None, None)
    assert found.spectrum(top=1, bottom=0)["eigenvalue"][0] > 0


def test_a_density_is_near_the_exact_one(landscape, exact):
    values, _ = exact
    found = landscape.density(steps=40, probes=10)
    nodes, weights = found["density_node"].values, found["density_weight"].values
    assert nodes.shape == (10, 40)
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    apart = wasserstein_distance(nodes.ravel(), values, weights.ravel() / 10) / np.ptp(values)
    assert apart < 1 / np.sqrt(10 * len(values))
    grid, width = found["grid"].values, found.attrs["width"]
    drawn = found["density"].values
    np.testing.assert_allclose(drawn, density(nodes, weights, grid, width), rtol=1e-12)
    assert ((found["density_low"] <= drawn) & (drawn <= found["density_high"])).all()
    assert np.trapezoid(drawn, grid) == pytest.approx(1, abs=2e-3)
    whole = density(values[None], np.full((1, len(values)), 1 / len(values)), grid, width)
    inside = (found["density_low"].values <= whole) & (whole <= found["density_high"].values)
    assert inside[whole > 0.02 * whole.max()].mean() > 0.9
    documented(found)


def test_a_trace_is_inside_its_interval(landscape, exact):
    values, _ = exact
    found = landscape.trace(error=0.3, most=60)
    assert found["trace_low"] <= values.sum() <= found["trace_high"]
    assert found["products"] <= 60
    sure = landscape.trace(error=1e-6)
    assert sure["converged"] and float(sure["trace"]) == pytest.approx(values.sum(), rel=1e-6)
    documented(found)


def test_a_point_is_judged_as_the_workflow_does(landscape, exact):
    values, loss = exact
    found = landscape.classify()
    assert float(found["loss"]) == pytest.approx(loss, abs=1e-14)
    assert float(found["min_eigenvalue"]) == pytest.approx(values[0], abs=1e-10)
    assert int(found["index"]) == (values < -1e-7 * np.abs(values).max()).sum()
    kinds = found["kind"].attrs["flag_meanings"].split()
    assert kinds[int(found["kind"])] == "not_critical"
    assert float(found["distance"]) == 0
    for name, weight in cnn().state_dict().items():
        np.testing.assert_array_equal(found[name].values, weight.numpy())


def test_polishing_is_asked_for():
    class Bowl(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.w = torch.nn.Parameter(torch.tensor([0.1, -0.2]))

        def forward(self):
            return (torch.cosh(self.w) * torch.tensor([1.0, 2.0])).sum()

    bowl = nnflow.Landscape(Bowl(), None, None)
    found = bowl.classify(polish=True)
    kinds = found["kind"].attrs["flag_meanings"].split()
    assert kinds[int(found["kind"])] == "minimum"
    np.testing.assert_allclose(found["w"], [0, 0], atol=1e-12)


@pytest.mark.parametrize(
    "along", ["eigenvectors", "bottom_eigenvectors", "random", "filter_normalized"]
)
def test_a_plane_is_the_loss_at_its_points(landscape, exact, along):
    found = landscape.plane(along=along, size=5)
    center = found["loss"].values[2, 2]
    assert center == pytest.approx(exact[1], abs=1e-13)
    np.testing.assert_allclose(found["measured_curvature"], found["curvature"], atol=1e-5)
    if along == "eigenvectors":
        np.testing.assert_allclose(found["curvature"], exact[0][[-1, -2]], atol=1e-10)
        assert found["residual"].max() < 1e-10
    documented(found)


def test_a_plane_through_points_goes_through_them(landscape):
    torch.manual_seed(1)
    other = cnn()
    with torch.no_grad():
        other.head.weight += 0.3
    flat = landscape.weights[0].numpy() + np.linspace(0, 1, landscape.size)
    found = landscape.plane(along=(other, flat), size=5)
    places = found["mark_place"].values
    apart = np.linalg.norm(places[1])
    assert apart == pytest.approx(0.3 * np.sqrt(other.head.weight.numel()), rel=1e-6)
    np.testing.assert_allclose(places[0], 0, atol=1e-12)
    for point in (other.state_dict(), {n: w.numpy() for n, w in other.state_dict().items()}):
        same = landscape.plane(along=(point, flat), size=5)
        np.testing.assert_array_equal(same["loss"], found["loss"])
    # the second point is on the first axis: the loss there is that of the module itself
    at = nnflow.Landscape(other, "cross_entropy", DATA).loss()
    line = landscape._flat(other) - landscape._flat(landscape.weights[0].numpy())
    place = landscape.weights + torch.as_tensor(line)
    assert float(landscape.objective.loss(place)[0]) == pytest.approx(at, abs=1e-12)


@pytest.mark.parametrize(("precision", "most"), [("float32", 1e-6), ("bfloat16", 0.02)])
def test_lower_precision_is_near(landscape, precision, most):
    """Measured: 5e-8 and 2.4e-3 of the highest eigenvalue."""
    low = nnflow.Landscape(cnn(), "cross_entropy", DATA, precision=precision)
    exact = landscape.spectrum(3, 0)["eigenvalue"].values
    for one in (low, matrix_free(low)):
        found = one.spectrum(3, 0)["eigenvalue"].values
        assert 0 < np.abs(found - exact).max() < most * exact[-1]
    with pytest.raises(UserError, match="planes are computed in float64"):
        low.plane()
    with pytest.raises(UserError, match="precision must be one of float64, float32, bfloat16"):
        nnflow.Landscape(cnn(), "cross_entropy", DATA, precision="float16")


def test_everything_can_be_drawn(landscape):
    import matplotlib.pyplot as plt

    for found in (
        landscape.spectrum(2, 2),
        landscape.density(10, 3),
        landscape.density(10, 1),
        landscape.trace(0.5),
        landscape.classify(),
        landscape.plane(size=5),
        landscape.plane("random", size=5),
        landscape.plane((landscape.weights[0] + 1, landscape.weights[0] ** 2), size=5),
    ):
        axes = found.nnflow.plot()
        assert axes.has_data() and axes.get_xlabel()
        plt.close(axes.figure)
    with pytest.raises(UserError, match=r"none that nnflow\.Landscape gave"):
        landscape.spectrum().drop_attrs().nnflow.plot()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((cnn(), "cross_entropy", iter([])), "is a generator"),
        ((cnn(), "cross_entropy", DATA[:1]), r"expected \(inputs, targets\)"),
        ((cnn(), "cross_entropy", {"inputs": DATA[0]}), "needs 'targets'"),
        ((cnn(), "cross_entropi", DATA), "unknown loss 'cross_entropi'"),
        ((DATA, "cross_entropy", DATA), r"is tuple, no torch\.nn\.Module"),
    ],
)
def test_mistakes_are_told(arguments, words):
    with pytest.raises(UserError, match=words) as error:
        nnflow.Landscape(*arguments)
    assert "\n" not in str(error.value)


def test_numbers_that_can_not_be_are_told(landscape):
    for call, words in (
        (lambda: landscape.spectrum(top=124), "must lie between 0 and 123"),
        (lambda: landscape.spectrum(0, 0), "must lie between"),
        (lambda: landscape.density(steps=0), "steps and probes must be positive"),
        (lambda: landscape.trace(error=0), "error must be positive"),
        (lambda: landscape.plane("sideways"), "along must be one of eigenvectors,"),
        (lambda: landscape.plane((0, 0, 0)), "through two other points, not 3"),
        (lambda: landscape.plane(size=1), "plane: size: "),
        (lambda: landscape.plane((np.ones(3), np.ones(3))), "a point has 3 weights"),
        (lambda: landscape.plane(({}, {})), "a point does not fit the network: "),
        (lambda: landscape.plane((landscape.weights[0],) * 2), "its two directions are one"),
    ):
        with pytest.raises(UserError, match=words):
            call()


STUDY = """
title: Networks of a user's
model: {name: torch_module, target: 'my_nets:SmallCNN', loss: cross_entropy}
dataset: {name: array_files, paths: data.npz}
initializer: own
optimizer: {name: gradient_descent, rate: 0.1}
stop: {steps: 10}
runs: 2
classify: {polish: none}
spectrum: {at: runs}
"""


def test_a_run_of_a_study_is_where_the_workflow_says(tmp_path, monkeypatch):
    from nnflow.cli import app

    monkeypatch.chdir(tmp_path)
    shutil.copy(user_nets.__file__, "my_nets.py")
    np.savez("data.npz", inputs=DATA[0].double().numpy(), targets=DATA[1].numpy())
    Path("config/studies").mkdir(parents=True)
    Path("config/studies/mine.yaml").write_text(STUDY, encoding="utf-8")
    for stage in ("initialize", "train", "classify", "spectrum"):
        app([stage, "mine"], standalone_mode=False)
    results = nnflow.open("mine")
    spectra = results.at("spectra", "all")
    for run in range(2):
        landscape = nnflow.Landscape.of("mine", run=run)
        found = landscape.spectrum(top=5, bottom=5)["eigenvalue"]
        whole = spectra["eigenvalue"].values[run]
        np.testing.assert_allclose(found, np.r_[whole[:5], whole[-5:]], atol=1e-12)
        loss = float(results.at("critical_points", "all")["loss"][run])
        assert landscape.loss() == float(landscape.classify()["loss"])
        assert landscape.loss() == pytest.approx(loss, rel=1e-14)  # there, with its companions
    weights = results.at("critical_points", "all")
    objective = results.objective(results.configurations[0], run=1)
    at = {name: weights[name].values[1:] for name in weights if name.startswith(("c", "h", "norm"))}
    assert objective.loss(at)[0] == pytest.approx(landscape.loss(), rel=1e-14)
    with pytest.raises(UserError, match="buffers, which differ from run to run"):
        results.objective(results.configurations[0])
    first = nnflow.Landscape.of("mine", run=1, at="initialization")
    assert first.loss() > landscape.loss()
    with pytest.raises(UserError, match="no run 2"):
        nnflow.Landscape.of("mine", run=2)


@pytest.mark.slow
def test_a_resnet_of_a_hundred_thousand_weights():
    """Products against torch's own, by reverse mode twice; eigenvalues by their residuals; what
    lower precision costs. The dense Hessian of a small one is in test_torch_module.py."""
    torch.manual_seed(0)
    module = user_nets.SmallResNet(width=32, blocks=6).eval()
    images = torch.linspace(-1, 1, 6 * 36).sin().reshape(6, 1, 6, 6)
    data = (images, torch.arange(6) % 3)
    landscape = nnflow.Landscape(module, "cross_entropy", data)
    assert 1e5 < landscape.size < 2e5
    vectors = np.random.default_rng(0).standard_normal((2, landscape.size))
    product = landscape._product("hessian")
    images_of = np.stack([product(vector) for vector in vectors])
    double = user_nets.SmallResNet(width=32, blocks=6).double().eval()
    double.load_state_dict(module.state_dict())
    parts = list(double.parameters())
    loss = torch.nn.functional.cross_entropy(double(images.double()), data[1])
    slope = torch.cat([g.flatten() for g in torch.autograd.grad(loss, parts, create_graph=True)])
    along = torch.autograd.grad(slope @ torch.as_tensor(vectors[0]), parts)
    exact = torch.cat([g.flatten() for g in along]).numpy()
    np.testing.assert_allclose(images_of[0], exact, atol=1e-10 * np.abs(exact).max())
    assert vectors[1] @ images_of[0] == pytest.approx(vectors[0] @ images_of[1], rel=1e-8)
    found = landscape.spectrum(top=2, bottom=0)
    assert found["converged"].all()
    for precision, most in (("float32", 1e-4), ("bfloat16", 0.1)):
        low = nnflow.Landscape(module, "cross_entropy", data, precision=precision)
        apart = low._product("hessian")(vectors[0]) - exact
        assert np.linalg.norm(apart) < most * np.linalg.norm(exact)
