"""A study that starts from another one's results, and the loss itself for analyses."""

import numpy as np
import pytest
from studies import complete

from nnflow import UserError
from nnflow.engine.objective import make_objective
from nnflow.stages.opening import landscape_of
from nnflow.study.loading import load_study
from nnflow.study.types import RunSlice

FIRST = """
title: The first
model: {name: toy_valley, epsilon: 0.1}
initializer: {name: uniform_ball, radius: 2}
optimizer: {name: gradient_descent, rate: 0.02}
runs: 3
stop: {steps: 60}
"""
SECOND = """
title: The second
uses: [first]
model: {name: toy_valley, epsilon: 0.1}
initializer: {name: from_study, study: first, at: training, noise: 0}
optimizer: {name: heavy_ball, rate: 0.02}
runs: 5
stop: {steps: 10}
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config/studies").mkdir(parents=True)

    def study(name, text):
        file = tmp_path / f"config/studies/{name}.yaml"
        file.write_text(text)
        return file

    return study


def test_runs_begin_where_those_of_another_study_ended(write, tmp_path):
    first = complete(load_study(write("first", FIRST)), tmp_path)
    study = load_study(write("second", SECOND))
    assert [used.name for used in study.used] == ["first"]
    second = complete(study, tmp_path)
    ended = first.read.at("training", "all")["w"].values
    begun = second.read.at("initialization", "all")["w"].values
    np.testing.assert_array_equal(begun, ended[[0, 1, 2, 0, 1]])
    np.testing.assert_array_equal(second.read.of("first").at("training", "all")["w"], ended)


def test_noise_has_the_deviation_that_is_asked_for(write, tmp_path):
    first = complete(load_study(write("first", FIRST)), tmp_path)
    text = SECOND.replace("noise: 0", "noise: 0.5").replace("runs: 5", "runs: 3000")
    second = complete(load_study(write("second", text)), tmp_path)
    ended = first.read.at("training", "all")["w"].values
    begun = second.read.at("initialization", "all")["w"].values
    noise = begun - ended[np.arange(3000) % 3]
    assert abs(noise.std() - 0.5) < 0.02 and abs(noise.mean()) < 0.03


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("uses: [first]\n", "", "uses: 'from_study' reads the study 'first'; name it here"),
        ("[first]", "[furst]", "uses: no study 'furst' (did you mean 'first'?)"),
        ("[first]", "[first, second]", "uses: a circle: second uses second"),
    ],
)
def test_mistakes(write, old, new, words):
    write("first", FIRST)
    with pytest.raises(UserError) as caught:
        load_study(write("second", SECOND.replace(old, new)))
    assert words in str(caught.value)


def test_a_circle_of_two(write):
    write("first", FIRST + "uses: [second]\n")
    with pytest.raises(UserError, match="a circle: second uses first uses second"):
        load_study(write("second", SECOND))


# The loss itself


def landscape(write, tmp_path, text):
    study = load_study(write("first", text))
    (configuration,) = study.configurations
    return landscape_of(tmp_path, study, configuration)


def test_values_and_derivatives_of_many_points_at_once(write, tmp_path, monkeypatch):
    found = landscape(write, tmp_path, FIRST)
    w = np.random.default_rng(0).normal(size=(50, 2))
    np.testing.assert_allclose(
        found.loss(w), (w[:, 1] - w[:, 0] ** 2) ** 2 + 0.1 * w[:, 0] ** 2, rtol=1e-13
    )
    step = 1e-6 * np.eye(2)
    slope = [(found.loss(w + h) - found.loss(w - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(found.gradient(w), np.stack(slope, axis=1), atol=1e-7)
    curvature = [(found.gradient(w + h) - found.gradient(w - h)) / 2e-6 for h in step]
    np.testing.assert_allclose(found.hessian(w), np.stack(curvature, axis=1), atol=1e-6)
    vectors = np.random.default_rng(1).normal(size=(4, 2))
    np.testing.assert_allclose(
        found.hessian_vector(w[0], vectors), vectors @ found.hessian(w[:1])[0], atol=1e-12
    )
    whole = found.loss({"w": w}), found.hessian(w)
    for name in ("CHUNK_BYTES", "HESSIAN_BYTES"):  # in chunks of a few points the same
        monkeypatch.setattr(f"nnflow.engine.landscape.{name}", 100)
    np.testing.assert_array_equal(found.loss(w), whole[0])
    np.testing.assert_array_equal(found.hessian(w), whole[1])


def test_planes_and_lines_with_data(write, tmp_path):
    text = FIRST.replace(
        "{name: toy_valley, epsilon: 0.1}",
        "{name: relu_teacher_student_empirical, k: 2, n: 1}\n"
        "dataset: {name: gaussian, samples: 30, dimension: 2}",
    )
    study = load_study(write("first", text))
    (configuration,) = study.configurations
    found = landscape_of(tmp_path, study, configuration)
    inputs = make_objective(study, RunSlice(configuration, 0, 1), "train", tmp_path, "cpu").data
    x = inputs["inputs"].numpy()

    def loss(w):
        return ((np.maximum(x @ w, 0) - np.maximum(x, 0).sum(1)) ** 2).mean() / 2

    center, first, second = np.array([0.3, -0.2]), np.array([1.0, 0.5]), np.array([0.0, 1.0])
    across, up = np.linspace(-1, 1, 5), np.linspace(-2, 2, 3)
    plane = found.plane(center, first, second, across, up)
    expected = [[loss(center + a * first + b * second) for a in across] for b in up]
    np.testing.assert_allclose(plane, expected, rtol=1e-12)
    t = np.linspace(0, 1, 4)
    line = [loss((1 - s) * center + s * first) for s in t]
    np.testing.assert_allclose(found.line(center, first, t), line, rtol=1e-12)


def test_an_objective_has_to_be_asked_for(write):
    study = load_study(write("first", "title: Nothing trained\n"))
    with pytest.raises(UserError, match="names no model"):
        landscape_of(None, study, study.configurations[0])
