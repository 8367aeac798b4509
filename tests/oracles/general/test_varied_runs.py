"""A varied run is, bit by bit, the run of a study in which the setting is fixed."""

import numpy as np
import pytest
import torch
import yaml
from studies import complete

from nnflow.engine.objective import make_objective
from nnflow.engine.outcome import Position
from nnflow.engine.training import train
from nnflow.engine.weights import to_flat
from nnflow.interfaces.registry import registry
from nnflow.stages.train import _varied
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
    "gradient_descent": {},
    "heavy_ball": {"momentum": 0.5},
    "nesterov": {"momentum": 0.5},
    "delayed_momentum": {"momentum": 0.3},
    "projected_gradient_descent": {},
    "perturbed_gradient_descent": {
        "radius": 0.1, "gradient_threshold": 0.1, "loss_threshold": 0.01, "waiting_time": 5,
    },
}  # fmt: skip
VALUES = {
    "optimizer.rate": [0.01, 0.05, 0.4], "optimizer.momentum": [0.0, 0.7],
    "optimizer.radius": [0.05, 0.2], "initializer.variance": [0.5, 2.0],
    "initializer.radius": [1.0, 2.0], "model.epsilon": [0.1, 0.3],
}  # fmt: skip


def run(folder, raw):
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


CASES = [
    *(
        ({"optimizer": {"name": name, "rate": 0.05, **more}}, f"optimizer.{setting}")
        for name, more in OPTIMIZERS.items()
        for setting in ("rate", "momentum", "radius")
        if setting in more or setting == "rate"
    ),
    ({}, "initializer.variance"),
    ({"initializer": {"name": "uniform_ball", "radius": 1.0}}, "initializer.radius"),
    ({}, "model.epsilon"),
    (
        {
            "model": {"name": "relu_teacher_student_empirical", "k": 2, "n": 2},
            "dataset": {"name": "gaussian", "samples": 20, "dimension": 2},
            "optimizer": {"name": "sgd", "rate": 0.1, "minibatch": 4},
            "trace": {},
        },
        "optimizer.momentum",
    ),
]


@pytest.mark.parametrize(("changed", "key"), CASES)
def test_a_varied_run_is_the_run_of_the_fixed_setting(tmp_path_factory, changed, key):
    raw = {**BASE, **changed, "vary": {key: VALUES[key]}}
    whole = run(tmp_path_factory.mktemp("varied"), raw).read
    name = key.split(".")[1]
    for value in VALUES[key]:
        alone = run(tmp_path_factory.mktemp("fixed"), fixed(raw, {key: value})).read
        for dataset in ("initialization", "training", "critical_points"):
            varied = whole.at(dataset, "all")
            rows = np.flatnonzero(varied[name].values == value)
            assert len(rows) == BASE["runs"]
            np.testing.assert_array_equal(varied["start"].values[rows], np.arange(BASE["runs"]))
            expected = alone.at(dataset, "all")
            assert set(expected.variables) <= set(varied.variables)
            for variable in expected.data_vars:
                if variable != "family":  # a family may have members of several settings
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


def test_a_grid_does_not_depend_on_batches(tmp_path_factory):
    vary = {"optimizer.rate": [0.01, 0.4], "model.epsilon": [0.1, 0.3]}
    results = []
    for batch in (1, 5, 100):
        raw = {**BASE, "vary": vary, "batch": batch}
        results.append(run(tmp_path_factory.mktemp("grid"), raw).read.at("training", "all"))
    for other in results[1:]:
        assert other.identical(results[0].assign_attrs(other.attrs))


def test_spectra_along_trajectories_are_those_of_the_kept_weights(tmp_path):
    raw = {**BASE, "vary": {"model.epsilon": [0.1, 0.3]}, "spectrum": {"at": "trace", "most": 5}}
    results = run(tmp_path, raw).read
    spectra, trained = results.at("spectra", "all"), results.at("training", "all")
    assert spectra.sizes == {"run": 5, "kept_step": trained.sizes["kept_step"], "mode": 2}
    w1, w2 = np.moveaxis(trained["kept_w"].values[:5], -1, 0)
    epsilon = spectra["epsilon"].values[:, None]
    first, cross = 12 * w1**2 - 4 * w2 + 2 * epsilon, -4 * w1
    middle, half = (first + 2) / 2, np.sqrt(((first - 2) / 2) ** 2 + cross**2)
    expected = np.stack([middle - half, middle + half], axis=-1)
    np.testing.assert_allclose(spectra["eigenvalue"].values, expected, atol=1e-12)
    ended = trained["kept_step"].values > trained["steps"].values[:5, None]
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


def test_a_checkpoint_in_between_changes_nothing(tmp_path_factory):
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

    whole = train(objective, settings.optimizer, first, settings.stop, settings.trace,
                  save=save, varied=varied)  # fmt: skip
    position = Position.from_groups(saved[len(saved) // 2], torch.device("cpu"))
    resumed = train(objective, settings.optimizer, first, settings.stop, settings.trace,
                    resumed=position, varied=varied)  # fmt: skip
    np.testing.assert_array_equal(resumed.weights, whole.weights)
    np.testing.assert_array_equal(resumed.kept, whole.kept)
    np.testing.assert_array_equal(resumed.trace["loss"], whole.trace["loss"])
