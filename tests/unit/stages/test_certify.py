"""Which runs the stage certify takes, and which studies may ask for it."""

from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from nnflow.base import store
from nnflow.base.errors import UserError
from nnflow.engine.critical import IS_GLOBAL, KINDS
from nnflow.stages import certify as stage
from nnflow.stages.certify import representatives
from nnflow.study.loading import load_study
from nnflow.study.stage_settings import Certify

# family, kind, is it global?, gradient norm
RUNS = [
    (0, "minimum", "yes", 1e-15),
    (1, "minimum", "no", 1e-14),
    (2, "minimum", "no", 1e-14),
    (2, "minimum", "no", 1e-15),
    (2, "minimum", "no", 1e-13),
    (3, "saddle", "no", 1e-14),
    (4, "maximum", "no", 1e-14),
    (5, "degenerate", "no", 1e-14),
    (-1, "minimum", "no", np.nan),
]


@pytest.fixture
def ends():
    family, kind, known, norm = zip(*RUNS, strict=True)
    return xr.Dataset(
        {
            "family": ("run", np.array(family)),
            "kind": store.flags([KINDS.index(k) for k in kind], KINDS),
            "is_global": store.flags([IS_GLOBAL.index(g) for g in known], IS_GLOBAL),
            "gradient_norm": ("run", np.array(norm)),
        }
    )


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(3, 3), (1, 1), (5, 1)]),
        ({"most": 1}, [(3, 3), (5, 1)]),
        ({"global_minima": True, "kinds": ["minimum"]}, [(3, 3), (0, 1), (1, 1)]),
        ({"kinds": ["maximum"]}, [(6, 1)]),
        ({"kinds": []}, []),
    ],
)
def test_one_run_of_each_of_the_most_frequent_families(ends, settings, expected):
    rows, counts = representatives(ends, Certify(**settings))
    assert list(zip(rows.tolist(), counts.tolist(), strict=True)) == expected


def test_each_configuration_is_told_once_it_is_done(monkeypatch, tmp_path):
    told, written = [], {}
    reporter = SimpleNamespace(update=lambda *words: told.append(words))
    configurations = [SimpleNamespace(label=label) for label in ("k=1", "k=2")]
    job = SimpleNamespace(
        reporter=SimpleNamespace(running=lambda: nullcontext(reporter)),
        read=SimpleNamespace(each=lambda name: [(one, name) for one in configurations]),
        study=SimpleNamespace(configurations=configurations),
        folder=tmp_path,
        write=lambda file, datasets, kind: written.update({file.name: (kind, datasets)}),
    )
    monkeypatch.setattr(stage, "_certificates", lambda one, critical: f"{critical} of {one.label}")
    stage.certify(job)
    assert told == [(1, 2, "configurations · k=1"), (2, 2, "configurations · k=2")]
    expected = {"k=1": "critical_points of k=1", "k=2": "critical_points of k=2"}
    assert written == {"certificates.nc": ("certificates", expected)}


STUDY = """
title: One
model: {name: himmelblau}
initializer: {name: uniform_ball, radius: 5}
optimizer: {name: gradient_descent, rate: 0.01}
certify: {}
"""


def complaint(tmp_path, text):
    file = tmp_path / "one.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_study(file)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (
            "himmelblau",
            "rippled_bowl",
            "certify: the model 'rippled_bowl' gives no enclosure",
        ),
        ("certify: {}", "certify: {mots: 3}", "certify.mots: unknown key (did you mean 'most'?)"),
        ("certify: {}", "certify: {precision: 3}", "certify.precision"),
        ("certify: {}", "certify: {kinds: [valley]}", "certify.kinds"),
        ("certify: {}", "certify: {radius: -1}", "certify.radius"),
        (
            "certify: {}",
            "sweep: {certify: [null, {}]}",
            "certify: all configurations have certificates",
        ),
        ("certify: {}", "analyses: {certificates: {name: critical_point_counts}}", "certificates"),
        ("certify: {}", "analyses: [proofs]", "needs 'certificates', which this study does not"),
    ],
)
def test_mistakes(tmp_path, old, new, words):
    assert words in complaint(tmp_path, STUDY.replace(old, new))
