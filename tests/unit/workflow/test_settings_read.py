"""A job's numbers depend on no setting that the plan does not hand to Snakemake for it."""

import pytest
from studies import complete

from nnflow.study.loading import load_study
from nnflow.study.types import ConfigurationSettings, StudySettings
from nnflow.workflow.plan import SETTINGS

TRAINS = """
title: Everything at once
model: {name: himmelblau}
initializer: {name: uniform_ball, radius: 4}
optimizer: {name: gradient_descent, rate: 0.01}
runs: 3
batch: 2
stop: {steps: 200}
certify: {}
analyses: [critical_point_counts, local_minima_search, spectrum_ends, families, proofs]
figures: [hessian_spectra, loss_trajectories]
claims: [{claim: one, statement: So, source: here, value: minima, at_least: 0}]
"""
ANALYZES = """
title: Only an analysis
analyses: {multilayer_gradient: {depths: [1, 2], widths: [3], samples: 4, networks: 2}}
claims: [{claim: one, statement: So, source: here, value: networks, published: 4}]
"""
LABELS = {"title"}
"""Read to name what is written; no number depends on it."""
TOLD = {"analyze": {"model", "dataset", "initializer"}}
"""Read for a note alone: which files these plugins name."""


@pytest.fixture
def read(monkeypatch):
    """The settings that have been read since it was cleared."""
    names = set()
    for kind in (StudySettings, ConfigurationSettings):
        plain = kind.__getattribute__

        def get(self, name, plain=plain, fields=frozenset(kind.model_fields)):
            if name in fields:
                names.add(name)
            return plain(self, name)

        monkeypatch.setattr(kind, "__getattribute__", get)
    return names


@pytest.mark.parametrize("text", [TRAINS, ANALYZES])
def test_every_setting_that_a_stage_reads_is_one_of_its_parameters(
    text, tmp_path, monkeypatch, read
):
    """Or of those of a stage before it, whose files then change."""
    file = tmp_path / "one.yaml"
    file.write_text(text, encoding="utf-8")
    study = load_study(file)
    known, seen, stages = set(LABELS), set(), complete.__globals__

    def watched(stage):
        work = stages[stage]

        def run(*arguments):
            known.update(SETTINGS[stage], TOLD.get(stage, ()))
            read.clear()
            given = work(*arguments)
            unknown = read - known
            assert not unknown, f"{stage} reads {sorted(unknown)}, which is none of its parameters"
            seen.add(stage)
            return given

        return run

    for stage in SETTINGS.keys() - {"report"}:
        monkeypatch.setitem(stages, stage, watched(stage))
    complete(study, tmp_path)
    without = set() if study.trains else {"initialize", "train", "classify", "collect"}
    assert seen | {"certify", "spectrum", "report"} | without == set(SETTINGS)
