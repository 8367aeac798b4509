"""Time and memory that jobs ask for."""

from __future__ import annotations

import pytest

from nnflow.interfaces import registry
from nnflow.study.loading import load_study
from nnflow.workflow.plan import SETTINGS
from nnflow.workflow.resources import (
    COPIES,
    LIBRARIES_MB,
    LONGEST,
    PIECE_COPIES,
    READ_COPIES,
    TORCH_MB,
    TRACED,
    Request,
    _numbers,
    resources_for,
)

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
    request = Request(megabytes=1000.5)
    assert [request.runtime(attempt) for attempt in (1, 2, 3)] == [60, 120, 240]
    assert [request.memory(attempt) for attempt in (1, 2, 3)] == [1001, 2002, 4004]


def test_no_job_asks_for_more_than_a_day():
    assert Request(1).runtime(attempt=6) == LONGEST == 1440


LARGER = {
    "more runs in a batch": ("runs: 1000\nbatch: 1000", "runs: 10000\nbatch: 10000", "train"),
    "more weights": ("k: 6, n: 6", "k: 20, n: 20", "train"),
    "a longer trace": ("runs:", "stop: {steps: 10000000}\nruns:", "train"),
    "a finer trace": ("runs:", "trace: {points_per_decade: 50}\nruns:", "classify"),
    "weights of Hessians": ("k: 6, n: 6", "k: 30, n: 30", "classify"),
    "dense Hessians": (
        "k: 6, n: 6", "k: 60, n: 60}\nclassify: {dense_up_to: 3600", "classify",
    ),
    "a factorization": (
        "k: 6, n: 6", "k: 90, n: 90}\nclassify: {factorize_up_to: 8100", "classify",
    ),
    "more runs in all": ("runs: 1000\n", "runs: 100000\n", "collect"),
    "weights of spectra": ("k: 6, n: 6", "k: 20, n: 20", "spectrum"),
    "more spectra": ("k: 6, n: 6", "k: 20, n: 20}\nspectrum: {most: 99", "spectrum"),
    "a comparison": (
        "k: 6, n: 6", "k: 40, n: 40}\nspectrum: {compare_dense_up_to: 1600", "spectrum",
    ),
    "certificates": ("runs:", "certify: {}\nruns:", "certify"),
    "settings that vary": ("runs:", "vary: {optimizer.rate: [0.1, 0.2]}\nruns:", "collect"),
    "kept weights": ("runs:", "trace: {weights: 5}\nruns:", "analyze"),
    "first weights": ("k: 6, n: 6", "k: 20, n: 20", "initialize"),
    "invariants": ("k: 6, n: 6", "k: 20, n: 20", "collect"),
}  # fmt: skip
SMALLER = {"a comparison": ("compare_dense_up_to: 1600", "compare_dense_up_to: 1599"),
           "a factorization": ("factorize_up_to: 8100", "factorize_up_to: 8099"),
           "dense Hessians": ("dense_up_to: 3600", "dense_up_to: 3599")}  # fmt: skip
"""What the larger study is compared with, where that is not the plain one."""


def test_a_trace_has_no_more_records_than_steps(study):
    """From the density on that records every step, a finer trace asks for nothing more."""
    dense = "stop: {steps: 100}\ntrace: {points_per_decade: %s}\nruns:"
    asked = [
        resources_for(study(STUDY.replace("runs:", dense % density)), "train").megabytes
        for density in (60, 10000)
    ]
    assert asked[0] == asked[1]


def test_a_run_without_a_trace_asks_for_less(study):
    text = "stop: {steps: 100000}\ntrace: {points_per_decade: %s}\nruns:"
    bare, traced = (
        resources_for(study(STUDY.replace("runs:", text % density)), "train").megabytes
        for density in ("null", 50)
    )
    assert bare < traced


@pytest.mark.parametrize("name", LARGER)
def test_what_makes_a_job_larger_makes_it_ask_for_more(study, name):
    old, new, stage = LARGER[name]
    assert STUDY.count(old) == 1
    text = STUDY.replace(old, new)
    small = text.replace(*SMALLER[name]) if name in SMALLER else STUDY
    before, after = (resources_for(study(one), stage).megabytes for one in (small, text))
    assert after > before


def test_kept_weights_are_counted(study):
    """1000 runs of 36 weights at 2 + 5·5 steps, three copies."""
    kept = study(STUDY.replace("runs:", "trace: {weights: 5}\nruns:"))
    for stage in ("train", "classify", "analyze"):
        more = resources_for(kept, stage).megabytes - resources_for(study(STUDY), stage).megabytes
        assert more == pytest.approx(3 * 1000 * 36 * 27 * 8 / 2**20)


def test_collect_holds_one_configuration_at_a_time(study):
    both = study(STUDY + "sweep: {model.k: [3, 6]}\n")
    assert resources_for(both, "collect") == resources_for(study(STUDY), "collect")


def test_collect_holds_one_variable_at_a_time(study):
    """Four copies of the weights kept, 2 + 5·5 times, take the place of those at the end."""
    kept, alone = study(STUDY.replace("runs:", "trace: {weights: 5}\nruns:")), study(STUDY)
    more = resources_for(kept, "collect").megabytes - resources_for(alone, "collect").megabytes
    assert more == pytest.approx(4 * 1000 * 36 * (27 - 1) * 8 / 2**20)


def test_collect_holds_few_numbers_of_the_runs_of_other_batches(study):
    """16 of each run of the configuration, and what is read of one batch."""
    once, more = (
        resources_for(study(STUDY.replace("runs: 1000", f"runs: {runs}")), "collect")
        for runs in (1000, 50_000)
    )
    assert more.megabytes - once.megabytes == pytest.approx(49_000 * 16 * 8 / 2**20)


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
    weights = 64 * 30 + 30 + 30 * 10 + 10
    assert forced.megabytes == pytest.approx(found.megabytes - 256 + 8 * weights**2 * 8 / 2**20)


def test_memory_is_libraries_and_copies_of_numbers(study):
    """1000 runs of 36 weights, and 40 numbers at each of 2 + 5·10 steps of 10⁵; Hessians of
    classify in groups, and ten times eight of a spectrum."""
    mb = 8 / 2**20
    trained = 1000 * (6 * 36 + 3 * 40 * 52) * mb
    expected = {
        "initialize": 600 + 1000 * 6 * 36 * mb,
        "train": 900 + trained,
        "classify": 900 + trained + 256,
        "collect": 800 + 1000 * (4 * 36 + 16) * mb,
        "spectrum": 900 + trained + 80 * 36**2 * mb,
        "certify": 900 + trained,
        "analyze": 2000 + trained,
        "summarize": 600 + trained,
        "draw": 700 + trained,
        "one_to_come": 900 + trained,
    }
    asked = {stage: resources_for(study(STUDY), stage).megabytes for stage in expected}
    assert asked == pytest.approx(expected)
    proofs = resources_for(study(STUDY + "certify: {}\n"), "certify").megabytes
    assert proofs == pytest.approx(expected["certify"] + 64 * 36**2 * mb)
    assert set(SETTINGS) - {"report"} < set(expected)


def test_a_study_that_does_not_train_asks_for_libraries(study):
    without = study("title: Only analyses\n")
    for stage in SETTINGS:
        assert resources_for(without, stage).memory() == LIBRARIES_MB.get(
            stage, TORCH_MB + 256 * (stage == "classify")
        )


@pytest.mark.parametrize("scale", ["quick", "paper"])
def test_no_study_of_this_repository_asks_for_what_clusters_refuse(root, scale, monkeypatch):
    monkeypatch.chdir(root)
    files = sorted((root / "config" / "studies").rglob("*.yaml"))
    assert len(files) >= 17
    for file in files:
        study = load_study(file, scale)
        for stage in SETTINGS:
            assert resources_for(study, stage).memory() < 16_000, (file.stem, stage)


@pytest.mark.parametrize(
    ("steps", "kept", "recorded", "weights"),
    [
        (3, None, 4, 0),  # the start and each step
        (3, 9, 4, 4),
        (10**4, None, 2 + 4 * 5, 0),  # ends, and five in each decade
        (10**4, 7, 2 + 4 * 5, 2 + 4 * 7),
        (5, 1, 6, 3),
    ],
)
def test_the_numbers_of_a_run_by_hand(study, steps, kept, recorded, weights):
    """Of 36 weights, of its trace, and of the weights kept along it."""
    trace = f"{{points_per_decade: 5, weights: {kept or 'null'}}}"
    (one,) = study(f"{STUDY}stop: {{steps: {steps}}}\ntrace: {trace}\n").configurations
    expected = COPIES * 36 + READ_COPIES * (TRACED * recorded + 36 * weights)
    assert _numbers(one, "train") == _numbers(one, "spectrum") == pytest.approx(expected)
    assert _numbers(one, "initialize") == COPIES * 36
    assert _numbers(one, "collect") == pytest.approx(PIECE_COPIES * 36 * max(1, weights))
