"""Time and memory that jobs ask for."""

from __future__ import annotations

import pytest

from nnflow.interfaces import registry
from nnflow.study.loading import load_study
from nnflow.workflow.plan import SETTINGS
from nnflow.workflow.resources import LONGEST, SHORTEST, Request, resources_for

STUDY = """
title: A study
model: {name: relu_teacher_student, k: 6, n: 6}
initializer: {name: normal}
optimizer: {name: gradient_descent, rate: 0.1}
runs: 1000
batch: 1000
"""


@pytest.fixture
def study(tmp_path, monkeypatch, root):
    """Loads a study from a text, with the repository's plugins."""
    monkeypatch.setattr(registry, "plugin_folders", lambda: [root / "plugins"])
    registry.registry.cache_clear()

    def load(text):
        file = tmp_path / "one.yaml"
        file.write_text(text, encoding="utf-8")
        return load_study(file)

    yield load
    registry.registry.cache_clear()


def test_each_retry_asks_for_twice_as_much():
    hour = Request(seconds=1800, megabytes=1000.5)
    assert [hour.runtime(attempt) for attempt in (1, 2, 3)] == [60, 120, 240]
    assert [hour.memory(attempt) for attempt in (1, 2, 3)] == [1001, 2002, 4004]


def test_time_has_a_floor_and_a_ceiling():
    assert Request(seconds=0, megabytes=1).runtime() == SHORTEST
    assert Request(seconds=1e9, megabytes=1).runtime() == LONGEST
    assert Request(seconds=50_000, megabytes=1).runtime(attempt=3) == LONGEST


@pytest.mark.parametrize(
    ("old", "new", "stage"),
    [
        ("runs: 1000\nbatch: 1000", "runs: 10000\nbatch: 10000", "train"),
        ("k: 6, n: 6", "k: 20, n: 20", "train"),
        ("runs:", "stop: {steps: 10000000}\nruns:", "train"),
        ("runs:", "stop: {gradient_norm: null}\nruns:", "train"),
        ("k: 6, n: 6", "k: 20, n: 20", "classify"),
        ("k: 6, n: 6", "k: 40, n: 40}\nclassify: {dense_up_to: 2000", "classify"),
        ("runs: 1000\n", "runs: 100000\n", "collect"),
        ("k: 6, n: 6", "k: 20, n: 20", "spectrum"),
        ("runs:", "certify: {most: 50}\nruns:", "certify"),
        ("runs:", "vary: {optimizer.rate: [0.1, 0.2]}\nruns:", "collect"),
        ("runs:", "trace: {weights: 5}\nspectrum: {at: trace}\nruns:", "spectrum"),
    ],
)
def test_what_makes_a_job_larger_makes_it_ask_for_more(study, old, new, stage):
    assert STUDY.count(old) == 1
    small, large = (
        resources_for(study(STUDY), stage),
        resources_for(study(STUDY.replace(old, new)), stage),
    )
    assert large.seconds > small.seconds
    assert large.megabytes >= small.megabytes


def test_kept_weights_are_counted(study):
    """1000 runs of 36 weights at 2 + 5·5 steps, three copies in train and one in classify."""
    kept = study(STUDY.replace("runs:", "trace: {weights: 5}\nruns:"))
    for stage, copies in (("train", 3), ("classify", 1)):
        more = resources_for(kept, stage).megabytes - resources_for(study(STUDY), stage).megabytes
        assert more == pytest.approx(copies * 1000 * 36 * 27 * 8 / 2**20)


def test_more_batches_leave_a_training_job_as_it_is(study):
    """The largest batch counts, wherever it is; so all batches ask for the same."""
    once = resources_for(study(STUDY), "train")
    assert resources_for(study(STUDY.replace("runs: 1000", "runs: 5500")), "train") == once
    both = STUDY + "sweep: {model.k: [3, 6]}\n"
    assert resources_for(study(both), "train") == once


def test_data_and_matrix_free_spectra_are_told_apart(study):
    network = STUDY.replace(
        "{name: relu_teacher_student, k: 6, n: 6}",
        "{name: mlp, widths: [64, 30, 10], activation: tanh, loss_function: squared}",
    ).replace("runs: 1000", "dataset: {name: digits}\nruns: 10")
    found = resources_for(study(network), "classify")
    forced = resources_for(study(network + "classify: {dense_up_to: 5000}\n"), "classify")
    assert forced.megabytes > found.megabytes + 8 * 2350**2 * 8 / 2**20 / 2


@pytest.mark.parametrize("stage", [*SETTINGS, "one_to_come"])
def test_every_stage_asks_for_something_sane(study, stage):
    asked = resources_for(study(STUDY), stage)
    assert SHORTEST <= asked.runtime() <= LONGEST
    assert 250 <= asked.memory() < 8000


def test_a_study_that_does_not_train_asks_too(study):
    without = study("title: Only analyses\n")
    asked = resources_for(without, "analyze")
    assert asked.runtime() == 60
    assert asked.memory() == 2000
    assert all(resources_for(without, stage).runtime() >= SHORTEST for stage in SETTINGS)


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_no_study_of_this_repository_asks_for_what_clusters_refuse(root, scale, monkeypatch):
    monkeypatch.chdir(root)
    for file in sorted((root / "config" / "studies").glob("*.yaml")):
        study = load_study(file, scale)
        for stage in SETTINGS:
            asked = resources_for(study, stage)
            assert asked.runtime() < LONGEST, (file.stem, stage)
            assert asked.memory() < 32_000, (file.stem, stage)
