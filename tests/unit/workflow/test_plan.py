"""What the workflow has to do, from the configuration."""

from __future__ import annotations

import json

import pytest

from nnflow.base.errors import UserError
from nnflow.interfaces import registry
from nnflow.workflow.plan import Plan

STUDY = """
title: A study
model: {name: himmelblau}
initializer: {name: uniform_ball, radius: 4}
optimizer: {name: gradient_descent, rate: 0.01}
runs: 10
batch: 4
analyses: [critical_point_counts]
"""


@pytest.fixture
def studies(tmp_path, monkeypatch, root):
    """A folder with one study, and the repository's plugins."""
    folder = tmp_path / "config" / "studies"
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(STUDY, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(registry, "plugin_folders", lambda: [root / "plugins"])
    registry.registry.cache_clear()
    yield folder
    registry.registry.cache_clear()


def test_files_and_batches(studies):
    plan = Plan.from_config({"studies": ["one"]})
    assert list(plan.batches("one")) == [0, 1, 2]
    assert plan.datasets("one")[0] == "results/quick/one/initialization.nc"
    assert plan.analyses("one") == ["critical_point_counts"]
    assert plan.figures("one") == []
    needed = plan.needs("one", "analyses", "critical_point_counts")
    assert "results/quick/one/critical_points.nc" in needed


def test_analyses_share_a_job_in_the_order_of_their_needs(studies, monkeypatch):
    """What the job makes itself is none of its inputs."""
    text = STUDY.replace("[critical", "[spectrum_ends, critical")
    (studies / "one.yaml").write_text(text, encoding="utf-8")
    names = ("critical_point_counts", "spectrum_ends")
    needs = ("spectra", "critical_point_counts")
    monkeypatch.setattr(registry.registry().get("analyses", "spectrum_ends"), "needs", needs)
    plan = Plan(("one",))
    assert plan.analyses("one") == list(names)
    read, written = plan.analysis_inputs("one"), plan.analysis_files("one")
    assert read == [f"results/quick/one/{name}.nc" for name in ("critical_points", "spectra")]
    assert written == [f"results/quick/one/analyses/{name}.nc" for name in names]


def test_analyses_that_wait_for_one_another(studies, monkeypatch):
    text = STUDY.replace("[critical", "[spectrum_ends, critical")
    (studies / "one.yaml").write_text(text, encoding="utf-8")
    names = ("spectrum_ends", "critical_point_counts")
    for name, other in zip(names, reversed(names), strict=True):
        monkeypatch.setattr(registry.registry().get("analyses", name), "needs", (other,))
    with pytest.raises(UserError, match=r"one\.yaml: analyses: each needs the next: .*spectrum"):
        Plan.from_config({"studies": ["one"]})


def test_the_size_of_a_batch_is_its_weights(studies):
    plan = Plan.from_config({"studies": ["one"]})
    weights = [
        (run_slice.stop - run_slice.start) * 2
        for batch in plan.loaded["one"].batches
        for run_slice in batch
    ]
    assert sum(plan.size("one", batch) for batch in plan.batches("one")) == sum(weights)
    assert plan.size("one", 0) > plan.size("one", 2)


def test_a_study_that_certifies_has_certificates_and_one_that_does_not_is_as_before(studies):
    def files():
        return [file.rsplit("/", 1)[-1] for file in Plan(("one",)).datasets("one")]

    before = Plan(("one",))
    assert "certificates.nc" not in files()
    (studies / "one.yaml").write_text(STUDY + "certify: {most: 2}\n", encoding="utf-8")
    after = Plan(("one",))
    assert "certificates.nc" in files()
    for stage in ("initialize", "train", "classify", "collect", "spectrum"):
        assert after.settings(stage, "one") == before.settings(stage, "one")
        assert after.code(stage, "one") == before.code(stage, "one")
    assert json.loads(after.settings("certify", "one"))["configurations"][0]["certify"]["most"] == 2


def test_ends_that_are_not_judged_have_no_kinds_and_no_spectra(studies):
    silent = STUDY.replace("analyses", "judge: false\nanalyses").replace(
        "[critical_point_counts]", "[neuron_matching]"
    )
    (studies / "one.yaml").write_text(silent, encoding="utf-8")
    files = [file.rsplit("/", 1)[-1] for file in Plan(("one",)).datasets("one")]
    assert files == ["initialization.nc", "training.nc"]
    for extra, message in (
        ("figures: [convergence, hessian_spectra]\n", "figures.hessian_spectra: needs 'spectra'"),
        ("certify: {most: 1}\n", "judge: certificates are of judged ends"),
    ):
        (studies / "one.yaml").write_text(silent + extra, encoding="utf-8")
        with pytest.raises(UserError, match=message):
            Plan.from_config({"studies": ["one"]})


def test_studies_of_the_command_line_are_a_text_with_commas(studies):
    assert Plan.from_config({"studies": "one,one"}).studies == ("one",)


def test_a_stage_depends_on_its_own_settings_only(studies):
    before = Plan(("one",))
    stages = ("initialize", "train", "classify", "spectrum", "analyze", "draw")
    old = {stage: before.settings(stage, "one") for stage in stages}
    file = studies / "one.yaml"
    file.write_text(STUDY.replace("rate: 0.01", "rate: 0.02"), encoding="utf-8")
    after = Plan(("one",))
    changed = {stage for stage in stages if after.settings(stage, "one") != old[stage]}
    assert changed == {"train"}
    whole = before.all_settings("one")
    assert whole["configurations"][0]["optimizer"]["rate"] == 0.01
    assert json.loads(old["train"])["configurations"][0]["optimizer"]["rate"] == 0.01


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"studies": []}, ["studies", "expected a list"]),
        ({"studies": ["two"]}, ["two.yaml", "no such study"]),
    ],
)
def test_mistakes_in_the_configuration(studies, config, words):
    with pytest.raises(UserError) as error:
        Plan.from_config(config)
    assert "\n" not in str(error.value)
    assert all(word in str(error.value) for word in words)


def test_what_compiles_is_told_by_the_plugins_of_a_stage(studies):
    relu = STUDY.replace("{name: himmelblau}", "{name: relu_teacher_student, k: 2, n: 2}")
    (studies / "relu.yaml").write_text(relu, encoding="utf-8")
    plan = Plan(("one", "relu"))
    assert plan.compiles("train", "relu") and plan.compiles("classify", "relu")
    assert not plan.compiles("train", "one")
    assert not plan.compiles("collect", "relu")
