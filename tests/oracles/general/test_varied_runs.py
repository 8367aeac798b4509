"""A varied run is, bit by bit, the run of a study in which the setting is fixed."""

from dataclasses import replace
from functools import cached_property

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from studies import complete

from nnflow.base import checkpoint as module
from nnflow.base.errors import UserError
from nnflow.engine.objective import make_objective
from nnflow.engine.outcome import STOPPED_BY, Position
from nnflow.engine.training import train as train_ensemble
from nnflow.engine.weights import to_flat
from nnflow.interfaces import Optimizer
from nnflow.interfaces.registry import registry
from nnflow.stages.initialize import initialize
from nnflow.stages.train import _varied, train
from nnflow.study.loading import load_study
from nnflow.study.types import RunSlice

BASE = {
    "title": "A map",
    "seed": 4,
    "model": {"name": "toy_valley", "epsilon": 0.1},
    "initializer": {"name": "normal", "per": "one"},
    "optimizer": {"name": "gradient_descent", "rate": 0.05},
    "runs": 3,
    "batch": 7,
    "stop": {"steps": 120, "check_every": 10, "halvings": 2, "gradient_norm": 1e-3},
    "trace": {"weights": 3},
}
OPTIMIZERS = {
    "gradient_descent": {"rate": 0.05},
    "riemannian_gradient_descent": {"rate": 0.05},
    "projected_gradient_descent": {"rate": 0.05},
    "heavy_ball": {"rate": 0.05, "momentum": 0.5},
    "nesterov": {"rate": 0.05, "momentum": 0.5},
    "delayed_momentum": {"rate": 0.05, "momentum": 0.3},
    "adam": {"rate": 0.05, "momentum": 0.5, "memory": 0.9, "epsilon": 0.2},
    "trust_region": {"radius": 0.1, "forcing": 0.1},
    "newton": {"rate": 0.5, "longest_step": 0.1, "singular_below": 1e-9},
    "levenberg_marquardt": {"damping": 1.0},
    "gradient_flow": {"interval": 0.1, "relative_error": 1e-9, "absolute_error": 1e-9},
    "perturbed_gradient_descent": {
        "rate": 0.05, "radius": 0.1, "gradient_threshold": 0.1, "loss_threshold": 0.01,
        "waiting_time": 5,
    },
    "frank_wolfe": {"step_size": 0.5},
    "subgradient": {"length": 0.1, "ratio": 0.99},
    "langevin": {"rate": 0.05, "temperature": 0.01},
    "spin_langevin": {"temperature": 0.3},
    "simulated_annealing": {"temperature": 0.1, "last": 0.01, "scale": 0.5, "total_steps": 100},
    "sgd": {
        "rate": 0.1, "momentum": 0.5, "decay": 0.2, "minibatch": 4, "schedule": "step_decay",
        "total_steps": 100,
    },
}  # fmt: skip
INITIALIZERS = {
    "normal": {"variance": 1.0, "bias_variance": 0.1},
    "uniform_ball": {"radius": 1.0},
    "given": {"values": {"w": [1.0, 0.5]}, "noise": 0.1},
    "from_study": {"study": "other", "noise": 0.1},
    "symmetric_start": {"x": 0.5, "y": 0.2, "noise": 0.1},
    "uniform_box": {"lower": -1.0, "upper": 1.0},
    "split_neuron": {"noise": 0.02},
    "shallow_normal": {"variance": 1.0},
}
VALUES = {
    "rate": [0.01, 0.05, 0.4], "momentum": [0.0, 0.7], "radius": [0.05, 0.2],
    "gradient_threshold": [0.01, 0.5], "loss_threshold": [1e-4, 0.1], "decay": [0.2, 0.7],
    "longest_step": [0.05, 0.2], "singular_below": [1e-9, 0.5], "damping": [0.3, 3.0],
    "interval": [1e-4, 0.1], "relative_error": [1e-12, 1e-5], "absolute_error": [1e-12, 1e-5],
    "step_size": [0.1, 1.0], "smoothness": [1.0, 5.0],
    "variance": [0.5, 2.0], "bias_variance": [0.1, 0.3], "noise": [0.0, 0.3],
    "lower": [-1.0, 0.5], "upper": [1.0, 2.0], "length": [0.05, 0.2], "ratio": [0.9, 0.99],
    "memory": [0.5, 0.99], "forcing": [0.1, 0.5], "disorder": [1, 3],
    "temperature": [0.01, 0.2], "last": [0.01, 0.1], "scale": [0.2, 1.0],
    "x": [-0.5, 0.7], "y": [0.0, 0.2], "epsilon": [0.1, 0.3],
}  # fmt: skip
DATA = {
    "dataset": {"name": "gaussian", "samples": 20, "dimension": 2},
    "model": {"name": "relu_teacher_student_empirical", "k": 2, "n": 2},
    "trace": {},
}
NETWORK = {
    "dataset": {"name": "digits"},
    "model": {
        "name": "mlp", "widths": [64, 2, 10], "activation": "tanh", "loss_function": "cross_entropy"
    },
    "stop": {"steps": 3},
    "classify": {"dense_up_to": 10, "polish": "none", "extreme_eigenvalues": 1},
}  # fmt: skip
SQUARE = {"model": {"name": "relu_teacher_student", "k": 2, "n": 2}}
PROGRAM = {
    "model": {
        "name": "quadratic_program", "matrix": [[1, 0], [0, 3]], "slope": [0.3, 0.1], "ball": 1.0
    },
}  # fmt: skip
SAMPLES = {
    "dataset": {"name": "function_samples", "function": "absolute", "samples": 9},
    "model": {
        "name": "mlp", "widths": [1, 2, 1], "activation": "tanh", "loss_function": "squared"
    },
    "stop": {"steps": 10},
}  # fmt: skip
AROUND = {
    "split_neuron": {"model": {"name": "split_layer", "samples": 3}}, "shallow_normal": SAMPLES,
    "sgd": DATA, "frank_wolfe": PROGRAM, "symmetric_start": SQUARE, "bias_variance": NETWORK,
}  # fmt: skip
"""What a plugin or a setting needs around it."""


def run(folder, raw):
    """All results of a study; `uses: [other]` has it begin where this study's base ends."""
    if "uses" in raw:
        (folder / "other.yaml").write_text(yaml.safe_dump(BASE))
        complete(load_study(folder / "other.yaml"), folder)
    file = folder / "map.yaml"
    file.write_text(yaml.safe_dump(raw))
    return complete(load_study(file), folder)


def fixed(raw, settings):
    """The same study without `vary`, with these settings."""
    raw = {key: dict(value) if isinstance(value, dict) else value for key, value in raw.items()}
    del raw["vary"]
    for key, value in settings.items():
        part, name = key.split(".")
        raw[part][name] = value
    return raw


def study_with(part, name, plugin, setting):
    """What is changed in the base for one plugin, one of whose settings is to vary."""
    uses = {"uses": ["other"]} if name == "from_study" else {}
    around = AROUND.get(setting, AROUND.get(name, {}))
    return {**around, **uses, part: {"name": name, **plugin}}


CASES = [
    *(
        (study_with(part, name, plugin, setting), f"{part}.{setting}")
        for part, plugins in (("optimizer", OPTIMIZERS), ("initializer", INITIALIZERS))
        for name, plugin in plugins.items()
        for setting in plugin
        if setting in VALUES
    ),
    (study_with("optimizer", "frank_wolfe", {"smoothness": 3.0}, ""), "optimizer.smoothness"),
    ({}, "model.epsilon"),
    (
        {
            "model": {"name": "spherical_spin_glass", "size": 6},
            "optimizer": {"name": "riemannian_gradient_descent", "rate": 0.05},
        },
        "model.disorder",
    ),
    # noise that is another for each disorder
    (
        {
            "model": {"name": "spherical_spin_glass", "size": 6},
            "optimizer": {"name": "spin_langevin", "temperature": 0.3},
        },
        "model.disorder",
    ),
    # runs that leave at different times
    (
        {
            "optimizer": {"name": "heavy_ball", "rate": 0.1},
            "stop": {"steps": 300, "check_every": 5, "gradient_norm": 0.05},
        },
        "optimizer.momentum",
    ),
    ({"stop": {"basin": True, "steps": 400, "check_every": 10}}, "optimizer.rate"),
]


@pytest.mark.parametrize(("changed", "key"), CASES)
def test_a_varied_run_is_the_run_of_the_fixed_setting(tmp_path_factory, changed, key):
    name = key.split(".")[1]
    raw = {**BASE, **changed, "vary": {key: VALUES[name]}}
    whole = run(tmp_path_factory.mktemp("varied"), raw).read
    for value in VALUES[name]:
        alone = run(tmp_path_factory.mktemp("fixed"), fixed(raw, {key: value})).read
        for dataset in ("initialization", "training", "critical_points"):
            varied = whole.at(dataset, "all")
            rows = np.flatnonzero(varied[name].values == value)
            assert len(rows) == BASE["runs"]
            np.testing.assert_array_equal(varied["start"].values[rows], np.arange(BASE["runs"]))
            expected = alone.at(dataset, "all")
            assert set(expected.variables) <= set(varied.variables)
            for variable in expected.data_vars:
                if variable not in (
                    "family",
                    "joined",
                ):  # families may have members of several settings
                    np.testing.assert_array_equal(
                        varied[variable].values[rows], expected[variable].values, variable
                    )


def test_every_setting_that_may_vary_is_tried_here():
    tried = {(changed.get(key.split(".")[0], BASE[key.split(".")[0]])["name"], key.split(".")[1])
             for changed, key in CASES}  # fmt: skip
    declared = {
        (name, setting)
        for kind in ("optimizers", "initializers", "models")
        for name, plugin in registry().plugins[kind].items()
        for setting in plugin.varies
    }
    assert declared == tried


def test_the_basin_of_each_run_is_that_of_its_own_rate(tmp_path):
    """On a bowl, runs of a rate α ≥ 2/λ contract nowhere; those of smaller ones do."""
    bowl = {"name": "quadratic_program", "matrix": [[1, 0], [0, 3]], "slope": [0, 0]}
    raw = {**BASE, "model": bowl, "vary": {"optimizer.rate": [0.3, 0.6, 0.7]}}
    raw["stop"] = {"basin": True, "gradient_norm": None, "steps": 300, "check_every": 10}
    training = run(tmp_path, raw).read.at("training", "all")
    assert (training["stopped_by"].values.reshape(3, 3) == STOPPED_BY.index("basin")).tolist() == [
        [True] * 3, [True] * 3, [False] * 3
    ]  # fmt: skip


@settings(max_examples=12, deadline=None)
@given(
    batch=st.integers(1, 30),
    rates=st.lists(st.sampled_from([0.01, 0.1, 0.2, 0.4]), min_size=1, max_size=3, unique=True),
    runs=st.integers(1, 3),
)
def test_a_grid_does_not_depend_on_batches(tmp_path_factory, batch, rates, runs):
    raw = {**BASE, "vary": {"optimizer.rate": rates, "model.epsilon": [0.1, 0.3]}, "runs": runs}
    whole, cut = (
        run(tmp_path_factory.mktemp("grid"), {**raw, "batch": size}).read for size in (1000, batch)
    )
    for name in ("training", "critical_points"):
        one, other = whole.at(name, "all"), cut.at(name, "all")
        assert one.sizes["run"] == 2 * len(rates) * runs
        assert other.identical(one.assign_attrs(other.attrs))


def test_spectra_along_trajectories_are_those_of_the_kept_weights(tmp_path):
    raw = {**BASE, "vary": {"model.epsilon": [0.1, 0.3]}, "spectrum": {"at": "trace", "most": 5}}
    results = run(tmp_path, raw).read
    spectra, trained = results.at("spectra", "all"), results.at("training", "all")
    rows = spectra["run"].values
    assert rows.tolist() == [0, 1, 2, 4, 5]  # spread evenly over the settings
    trained = trained.isel(run=rows)
    assert spectra.sizes == {"run": 5, "kept_step": trained.sizes["kept_step"], "mode": 2}
    w1, w2 = np.moveaxis(trained["kept_w"].values, -1, 0)
    epsilon = spectra["epsilon"].values[:, None]
    first, cross = 12 * w1**2 - 4 * w2 + 2 * epsilon, -4 * w1
    middle, half = (first + 2) / 2, np.sqrt(((first - 2) / 2) ** 2 + cross**2)
    expected = np.stack([middle - half, middle + half], axis=-1)
    np.testing.assert_allclose(spectra["eigenvalue"].values, expected, atol=1e-12)
    ended = trained["kept_step"].values > trained["steps"].values[:, None]
    assert (np.isnan(spectra["eigenvalue"].values).all(axis=2) == ended).all()
    # the last kept step of a run that met the limit is its end
    limit = trained["steps"].values == 120
    np.testing.assert_array_equal(trained["kept_w"].values[limit, -1], trained["w"].values[limit])


def test_matrix_free_spectra_along_trajectories_agree_with_dense_ones(tmp_path_factory):
    raw = {**BASE, "model": {"name": "relu_teacher_student", "k": 3, "n": 3}, "runs": 2,
           "spectrum": {"at": "trace"}}  # fmt: skip
    dense = run(tmp_path_factory.mktemp("dense"), raw).read.at("spectra", "all")
    free = {**raw, "classify": {"dense_up_to": 5, "polish": "none", "extreme_eigenvalues": 2}}
    ends = run(tmp_path_factory.mktemp("free"), free).read.at("spectra", "all")
    np.testing.assert_allclose(
        ends["eigenvalue"].values, dense["eigenvalue"].values[..., [0, 1, -2, -1]], atol=1e-9
    )
    assert np.nanmax(ends["residual"].values) < 1e-8


def test_a_job_that_is_stopped_goes_on_to_the_same_bytes(tmp_path_factory, monkeypatch):
    """With settings of optimizer and model that vary, kept weights, halved steps and runs that have
    left, through the file of the checkpoint."""
    raw = {
        **BASE,
        "vary": {"optimizer.rate": [0.01, 1.0], "model.epsilon": [0.1, 0.3]},
        "batch": 99,
    }
    whole = run(tmp_path_factory.mktemp("whole"), raw)
    folder = tmp_path_factory.mktemp("stopped")
    job = replace(
        run(folder, raw), checkpoint_every=0.0, results=folder / "again", depends="settings"
    )
    initialize(job)
    write = module._write
    stops = [
        lambda running: running["step"] > 5,
        lambda running: running["halvings"] > 0 and running["step"] > 5,
    ]

    def interrupted(path, groups):
        write(path, groups)
        if stops and "0 running" in groups and stops[0](groups["0 running"]):
            assert len(groups["0 running"]["rows"]) < 12 or len(stops) == 2
            stops.pop(0)
            raise module.Stopped

    monkeypatch.setattr(module, "_write", interrupted)
    for _ in range(2):
        with pytest.raises(module.Stopped):
            train(job, 0)
    assert stops == []
    train(job, 0)
    assert not list((job.folder / "checkpoints").iterdir())
    place = "batches/training-0.nc"
    assert (job.folder / place).read_bytes() == (whole.folder / place).read_bytes()


def test_a_position_in_between_changes_nothing(tmp_path_factory):
    raw = {**BASE, "vary": {"optimizer.rate": [0.01, 0.4]}}
    folder = tmp_path_factory.mktemp("whole")
    job = run(folder, raw)
    (configuration,) = job.study.configurations
    part = RunSlice(configuration, 0, configuration.runs)
    objective = make_objective(job.study, part, "train", folder, "cpu")
    settings = configuration.settings
    first = to_flat(settings.model, job.read.at("initialization", "all"), "cpu")
    varied = _varied(part, torch.device("cpu"), torch.float64)
    saved = []

    def save(position):
        saved.append({name: {k: v.copy() for k, v in group.items()}
                      for name, group in position.groups().items()})  # fmt: skip

    whole = train_ensemble(objective, settings.optimizer, first, settings.stop, settings.trace,
                  save=save, varied=varied)  # fmt: skip
    position = Position.from_groups(saved[len(saved) // 2], torch.device("cpu"))
    resumed = train_ensemble(objective, settings.optimizer, first, settings.stop, settings.trace,
                    resumed=position, varied=varied)  # fmt: skip
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    np.testing.assert_array_equal(resumed.kept, whole.kept)
    np.testing.assert_array_equal(resumed.trace["loss"], whole.trace["loss"])


def test_a_weight_may_not_be_called_as_a_setting_that_varies(tmp_path, monkeypatch):
    raw = {**BASE, "vary": {"model.epsilon": [0.1, 0.3]}}
    toy = registry().get("models", "toy_valley")
    for name in ("epsilon", "start"):
        monkeypatch.setattr(toy, "shapes", lambda self, name=name: {name: (2,)})
        monkeypatch.setattr(toy, "dimensions", lambda self: {})
        with pytest.raises(UserError, match=f"calls a weight '{name}'"):
            run(tmp_path, raw)


def test_an_optimizer_that_breaks_its_promise_is_named(tmp_path, monkeypatch):
    """One whose state takes the shape of what varies, (run, 1), in place of the weights'."""
    ball = registry().get("optimizers", "heavy_ball")
    monkeypatch.setattr(
        ball,
        "step",
        lambda self, objective, weights, state: (self.momentum * weights[:, :1], state),
    )
    raw = {**BASE, "optimizer": {"name": "heavy_ball", "rate": 0.1}}
    with pytest.raises(UserError, match=r"heavy_ball.*weights: shape \(2, 1\)"):
        run(tmp_path, {**raw, "vary": {"optimizer.momentum": [0.1, 0.3]}})


def test_what_a_plugin_has_computed_is_not_that_of_other_settings():
    class Doubled(Optimizer):
        rate: float = 1.0

        @cached_property
        def twice(self):
            return 2 * self.rate

    plugin = Doubled()
    assert plugin.twice == 2
    assert plugin.with_values({"rate": 5.0}).twice == 10
    assert plugin.twice == 2
