"""The studies of this subject, from the first weights to the claims and figures."""

from pathlib import Path

import pytest
from studies import AGREE, assert_drawn, complete, verdicts

from nnflow.study.loading import load_study

STUDIES = Path(__file__).parents[3] / "config/studies/descent"
OTHER_SCALE = {"not_measured"}  # configurations of paper scale


@pytest.mark.slow
@pytest.mark.parametrize("name", ["three_sat", "relu_multilinear", "backprop_cost"])
def test_no_claim_differs_and_every_figure_shows_data(name, tmp_path):
    job = complete(load_study(STUDIES / f"{name}.yaml", "quick"), tmp_path)
    found = verdicts(job)
    assert set(found.values()) <= AGREE | OTHER_SCALE, found
    assert sum(verdict in AGREE for verdict in found.values()) >= 8
    assert_drawn(job.folder, job.study.settings.figures)
